/**
 * Weights wherever they are: each tiny model is written at every level that takes it, loads in onnxruntime and
 * onnxruntime-web, computes what it computes with its weights replaced by what their codes stand for, and is accounted
 * for to the byte.
 */
import * as native from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { EMBEDDINGS, LAYERS, PRODUCTS, seededWeights, TABLES, type OperatorModel } from '../../models/operators.ts';
import { randomValues } from '../../models/build.ts';
import { multipliesIntegers, unsignedCodes } from '../../models/unsigned-codes.ts';
import { elementCount, elementType } from '../onnx/numbers/element-types.ts';
import { fromFloat16Array, toFloat16Array } from '../onnx/numbers/float16.ts';
import type { Tensor } from '../onnx/model.ts';
import { readTensor } from '../onnx/tensor-data.ts';
import { findScopes } from '../onnx/graph/scopes.ts';
import { dequantize, quantize, scanBytes, transpose } from '../test-support.ts';

web.env.wasm.numThreads = 1;

type Runtime = typeof native | typeof web;

/**
 * @param optimization beyond `basic`, native onnxruntime makes a MatMulNBits of DequantizeLinear and MatMul, and rounds
 * activations to int8 in it: what the file says is what is tested.
 */
async function run(
  runtime: Runtime,
  bytes: Uint8Array,
  { inputs, type }: OperatorModel,
  optimization: 'basic' | 'all' = 'basic',
): Promise<Float32Array> {
  const session = await runtime.InferenceSession.create(bytes, {
    executionProviders: [runtime === native ? 'cpu' : 'wasm'],
    graphOptimizationLevel: optimization,
    logSeverityLevel: 3,
  });
  try {
    const feeds = Object.entries(inputs).map(([name, { dims, below, flag }], i) => {
      const values = randomValues(900 + i, elementCount(dims));
      if (flag) return [name, new runtime.Tensor('bool', Uint8Array.of(0), dims)];
      if (below !== undefined)
        return [
          name,
          new runtime.Tensor(
            'int64',
            BigInt64Array.from(values, (value) => BigInt(Math.floor(Math.abs(value) * below) % below)),
            dims,
          ),
        ];
      return [
        name,
        type === 'float16'
          ? new runtime.Tensor('float16', toFloat16Array(values), dims)
          : new runtime.Tensor('float32', values, dims),
      ];
    });
    const { y } = (await session.run(Object.fromEntries(feeds) as never)) as Record<string, { data: unknown }>;
    return y?.data instanceof Float32Array
      ? y.data
      : y?.data instanceof Uint16Array
        ? fromFloat16Array(y.data)
        : Float32Array.from(y?.data as ArrayLike<number>);
  } finally {
    await session.release();
  }
}

function distance(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(scale).toBeGreaterThan(0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0) / scale;
}

/** Every tensor of a model by name, wherever it is. */
async function tensorsOf(bytes: Uint8Array): Promise<Map<string, { tensor: Tensor; data: Uint8Array }>> {
  const model = await scanBytes(bytes);
  const found = findScopes(model).flatMap(({ constants }) => [...constants.values()]);
  return new Map(
    await Promise.all(
      found.map(
        async ({ name, tensor }) => [name, { tensor, data: (await readTensor(model.source, tensor)).slice() }] as const,
      ),
    ),
  );
}

const floats = ({ tensor, data }: { tensor: Tensor; data: Uint8Array }) =>
  elementType(tensor.type).name === 'float16'
    ? fromFloat16Array(new Uint16Array(data.buffer))
    : new Float32Array(data.buffer);

/** What the codes of a weight stand for, in the order the weight was stored in; null where it was left as it is. */
function dequantized(
  tensors: ReadonlyMap<string, { tensor: Tensor; data: Uint8Array }>,
  name: string,
  { dims, axes }: OperatorModel['weights'][string],
  type: 'float32' | 'float16',
): Float32Array | null {
  const get = (suffix: string) => tensors.get(`${name}${suffix}`);
  const linear = get('_quantized');
  if (linear) {
    const scale = floats(get('_scale')!);
    const zero = get('_zero_point')!.data;
    const signed = elementType(linear.tensor.type).name === 'int8';
    const number = (byte: number) => (signed ? (byte << 24) >> 24 : byte);
    // Dynamic products take codes as [K, N]; everything else as the node sees the weight.
    const stored = linear.tensor.dims;
    const turned =
      axes === 'nk' && scale.length > 1 && stored.at(-1) === scale.length && stored.at(-2) !== scale.length;
    const channels =
      typeof axes === 'object'
        ? axes.channels
        : scale.length === stored.at(-1) && (axes === 'kn' || turned)
          ? stored.length - 1
          : stored.length - 2;
    const inner = elementCount(stored.slice(channels + 1));
    const values = Float32Array.from(linear.data, (byte, i) => {
      const channel = scale.length === 1 ? 0 : Math.floor(i / inner) % scale.length;
      return (number(byte) - number(zero[channel]!)) * scale[channel]!;
    });
    // Seen as [K, N], stored as [N, K].
    const asK = axes === 'nk' && stored.length === 2 && stored[0] !== elementCount(dims.slice(0, -1));
    return asK ? transpose(values, stored[0]!, stored[1]!) : values;
  }
  const scales = get('_scales');
  if (!scales) return null;
  const codes = get('_Q4') ?? get('_Q8');
  const [n, k] =
    axes === 'kn' ? [dims.at(-1)!, elementCount(dims.slice(0, -1))] : [elementCount(dims.slice(0, -1)), dims.at(-1)!];
  if (elementType(codes!.tensor.type).name === 'uint8') {
    // Rows of a table have no dimension of blocks: here blocks fill them.
    const block =
      codes!.tensor.dims.length === 3 ? codes!.tensor.dims[2]! * (get('_Q4') ? 2 : 1) : k / scales.tensor.dims[1]!;
    const values = dequantize(codes!.data, scales.data, get('_zero_points')?.data ?? null, type, {
      k,
      n,
      bits: get('_Q4') ? 4 : 8,
      block,
    });
    return axes === 'kn' ? transpose(values, n, k) : values;
  }
  // ONNX's own 4-bit types, packed one after the other; scales of the shape of the codes but for the blocks.
  const signed = elementType(codes!.tensor.type).name === 'int4';
  const nibble = (data: Uint8Array, i: number) => (data[i >> 1]! >> (4 * (i & 1))) & 15;
  const [rows, columns] = codes!.tensor.dims as [number, number];
  const [scaleRows, scaleColumns] = scales.tensor.dims as [number, number];
  const scale = floats(scales);
  const zero = get('_zero_points')?.data;
  const values = Float32Array.from({ length: rows * columns }, (_, i) => {
    const at =
      Math.floor(Math.floor(i / columns) / (rows / scaleRows)) * scaleColumns +
      Math.floor((i % columns) / (columns / scaleColumns));
    const code = nibble(codes!.data, i);
    return ((signed ? (code << 28) >> 28 : code) - (zero ? nibble(zero, at) : 0)) * scale[at]!;
  });
  return (axes === 'kn') === (rows === k) ? values : transpose(values, rows, columns);
}

async function check(operator: OperatorModel, level: string, tolerance: number): Promise<string[]> {
  const original = operator.build(seededWeights(operator));
  const { bytes, plan } = await quantize(original, level);
  expect(plan.problem).toBeNull();
  const before = await scanBytes(original);
  const after = await scanBytes(bytes);
  const kept = new Set(before.opsets.map(({ domain }) => domain));
  expect(after.opsets.filter(({ domain }) => kept.has(domain) || domain !== 'com.microsoft')).toEqual(before.opsets);
  const tensors = await tensorsOf(bytes);
  expect(bytes.length).toBe(plan.bytes);
  expect(plan.weightBytes).toBe([...tensors.values()].reduce((sum, { tensor }) => sum + tensor.bytes, 0));
  expect(plan.graphBytes).toBe(bytes.length - plan.weightBytes);
  expect(bytes.length).toBeLessThan(original.length);

  const replaced = new Map<string, ArrayLike<number>>();
  for (const [name, weight] of Object.entries(operator.weights)) {
    const values = dequantized(tensors, name, weight, operator.type);
    expect(values, name).not.toBeNull();
    replaced.set(name, values!);
  }
  const expected = await run(native, operator.build(replaced), operator);
  const inNode = await run(native, bytes, operator);
  const types = findScopes(after).flatMap(({ nodes }) => nodes.map(({ type }) => type));
  expect(
    distance(multipliesIntegers(types) ? await run(native, unsignedCodes(bytes), operator) : inNode, expected),
  ).toBeLessThan(tolerance);
  expect(distance(await run(web, bytes, operator, 'all'), expected)).toBeLessThan(tolerance);
  return after.graph.nodes.map(({ type }) => type);
}

const EXACT = ({ type }: OperatorModel) => (type === 'float16' ? 1e-2 : 1e-3);
/** Activations in 256 steps, on top of the weights. */
const DYNAMIC = 4e-2;

describe.each(PRODUCTS.map((operator) => [operator.name, operator] as const))('%s', (_, operator) => {
  test.each(['int8', 'int4', 'int4:asymmetric,block=16'])('%s equals its dequantized self', async (level) => {
    await check(operator, level, EXACT(operator));
  });
  test('int8:mode=dequantize equals its dequantized self', async () => {
    await check(operator, 'int8:mode=dequantize', EXACT(operator));
  });
  test.each(['int8:mode=dynamic', 'uint8'])('%s equals its dequantized self but for the activations', async (level) => {
    await check(operator, level, DYNAMIC);
  });
});

describe.each(LAYERS.map((operator) => [operator.name, operator] as const))('%s', (_, operator) => {
  test('int8 equals its dequantized self', async () => {
    await check(operator, 'int8', EXACT(operator));
  });
  test('int8:mode=dynamic equals its dequantized self', async () => {
    await check(operator, 'int8:mode=dynamic', operator.name === 'Attention with a mask' ? DYNAMIC : EXACT(operator));
  });
  test('uint8 equals its dequantized self', async () => {
    await check(operator, 'uint8', DYNAMIC);
  });
});

describe.each(TABLES.map((operator) => [operator.name, operator] as const))('%s', (_, operator) => {
  test.each([
    'int8:embedding',
    'int4:embedding',
    'int4:embedding,asymmetric,block=64',
    'int8:mode=dequantize,embedding',
  ])('%s equals its dequantized self', async (level) => {
    await check(operator, level, EXACT(operator));
  });
  test.each(['int8:mode=dynamic,embedding', 'uint8:embedding'])(
    '%s equals its dequantized self but for the activations',
    async (level) => {
      await check(operator, level, DYNAMIC);
    },
  );
});

describe.each(EMBEDDINGS.map((operator) => [operator.name, operator] as const))('%s', (_, operator) => {
  test.each(['int8:embedding', 'int8:mode=dynamic,embedding', 'uint8:embedding'])(
    '%s equals its dequantized self',
    async (level) => {
      await check(operator, level, EXACT(operator));
    },
  );
});

test.each(['int8:mode=dynamic', 'uint8'])('%s has QAttention for Attention, where that can be', async (level) => {
  const operators = await Promise.all(
    LAYERS.filter(({ name }) => name.startsWith('Attention')).map(
      async (operator) => [operator.name, await check(operator, level, DYNAMIC)] as const,
    ),
  );
  expect(operators.filter(([, types]) => types.includes('QAttention')).map(([name]) => name)).toEqual([
    'Attention with a mask',
  ]);
  expect(operators.filter(([, types]) => types.includes('Attention')).length).toBe(2);
});

describe('4-bit types behind a DequantizeLinear', () => {
  const [modern] = PRODUCTS.filter(({ name }) => name === 'MatMul in opset 24');
  test.each(['int4:mode=dequantize', 'int4:mode=dequantize,asymmetric', 'int4:mode=dequantize,block=64,asymmetric'])(
    '%s equals its dequantized self',
    async (level) => {
      await check(modern!, level, 1e-3);
    },
  );

  test('take operator set 21', async () => {
    const [old] = PRODUCTS;
    const { plan } = await quantize(old!.build(seededWeights(old!)), 'int4:mode=dequantize');
    expect(plan.problem?.code).toBe('nothing-to-quantize');
    expect(plan.problem?.message).toMatch(/DequantizeLinear.* 21.* 17/);
  });
});

test.each(
  [...PRODUCTS, ...TABLES, ...LAYERS, ...EMBEDDINGS]
    .filter(({ type }) => type === 'float32')
    .map((operator) => [operator.name, operator] as const),
)('fp16 of %s rounds its weights and nothing else', async (_, operator) => {
  const weights = seededWeights(operator);
  const original = operator.build(weights);
  const { bytes, plan } = await quantize(original, 'fp16');
  expect(
    plan.ledger
      .filter(({ to }) => to === 'float16')
      .map(({ tensor }) => tensor)
      .sort(),
  ).toEqual(Object.keys(operator.weights).sort());
  expect(bytes.length).toBe(plan.bytes);
  const rounded = new Map([...weights].map(([name, values]) => [name, fromFloat16Array(toFloat16Array(values))]));
  const expected = await run(native, operator.build(rounded), operator);
  expect(distance(await run(native, bytes, operator), expected)).toBeLessThan(1e-6);
  expect(distance(await run(web, bytes, operator, 'all'), expected)).toBeLessThan(1e-6);
});
