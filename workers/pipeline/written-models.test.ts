/**
 * What is written is a model: it loads and runs in onnxruntime and onnxruntime-web, and computes what the same graph
 * with dequantized weights computes. Where onnxruntime has a quantizer of its own, our tensors are its tensors.
 */
import * as native from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { tinyLanguageModel, tinyWeights, type TinyLanguageModel } from '../../models/build.ts';
import golden from '../kernels/golden/onnxruntime-1.30.json';
import { unsignedCodes } from '../../models/unsigned-codes.ts';
import { elementType } from '../onnx/numbers/element-types.ts';
import { fromFloat16Array, toFloat16Array } from '../onnx/numbers/float16.ts';
import { dequantize, initializer, quantize, scanBytes, transpose } from '../test-support.ts';

web.env.wasm.numThreads = 1;

type Runtime = typeof native | typeof web;

const IDS = [3, 1, 4, 1, 5, 9, 2, 6];

async function run(
  runtime: Runtime,
  model: Uint8Array,
  feeds: Record<string, number[]>,
  output: string,
): Promise<Float32Array> {
  const session = await runtime.InferenceSession.create(model, {
    executionProviders: [runtime === native ? 'cpu' : 'wasm'],
  });
  try {
    const tensors = Object.entries(feeds).map(([name, ids]) => [
      name,
      new runtime.Tensor('int64', BigInt64Array.from(ids, BigInt), name === 'ids' ? [ids.length] : [1, ids.length]),
    ]);
    const result = (await session.run(Object.fromEntries(tensors) as never))[output];
    if (!result) throw new Error(`no output ${output}`);
    const { data } = result;
    return data instanceof Float32Array
      ? data
      : result.type === 'float16' && data instanceof Uint16Array
        ? fromFloat16Array(data)
        : Float32Array.from(data as unknown as ArrayLike<number>);
  } finally {
    await session.release();
  }
}

/** Largest difference, relative to the largest magnitude expected. */
function distance(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0) / scale;
}

const SHAPES: Record<string, TinyLanguageModel> = {
  'float32, tied': { vocabulary: 96, width: 64, hidden: 172, type: 'float32', tied: true },
  'float32, untied, ragged': { vocabulary: 50, width: 24, hidden: 100, type: 'float32', tied: false },
  'float16, tied': { vocabulary: 96, width: 64, hidden: 172, type: 'float16', tied: true },
  'float16, tied, opset 13': { vocabulary: 128, width: 64, hidden: 96, type: 'float16', tied: true, opset: 13 },
};
const LEVELS = [
  'int8',
  'int8:embedding',
  'int8:head=keep',
  'int4',
  'int4:asymmetric',
  'int4:block=16',
  'int4:block=64,asymmetric',
  'int4:block=128',
  'int4:block=256',
  'int4:embedding',
  'int4:block=16,asymmetric,embedding',
  'int4:block=128,embedding',
  'int4:head=keep',
  'int4:head=keep,embedding',
];

describe.each(Object.entries(SHAPES))('%s', (_, shape) => {
  test.each(LEVELS)('%s equals its dequantized self', async (level) => {
    const original = tinyLanguageModel(shape);
    const { bytes, plan } = await quantize(original, level);
    expect(plan.problem).toBeNull();
    expect(bytes.length).toBe(plan.bytes);
    expect(plan.weightBytes).toBe(
      (await scanBytes(bytes)).graph.initializers.reduce((sum, { bytes: size }) => sum + size, 0),
    );

    const expected = await dequantizedOutput(shape, bytes, level);
    const tolerance = shape.type === 'float32' ? 1e-3 : 1e-2;
    expect(distance(await run(native, bytes, { input_ids: IDS }, 'logits'), expected)).toBeLessThan(tolerance);
    expect(distance(await run(web, bytes, { input_ids: IDS }, 'logits'), expected)).toBeLessThan(tolerance);
  });

  test('fp16 rounds weights and nothing else', async () => {
    const original = tinyLanguageModel(shape);
    const { bytes } = await quantize(original, 'fp16');
    if (shape.type === 'float16') {
      expect(bytes).toEqual(original);
      return;
    }
    const rounded = new Map(
      [...tinyWeights(shape)]
        .filter(([, { dims }]) => dims.length > 1)
        .map(([name, { values }]) => [name, fromFloat16Array(toFloat16Array(values))]),
    );
    const expected = await run(native, tinyLanguageModel(shape, rounded), { input_ids: IDS }, 'logits');
    expect(distance(await run(native, bytes, { input_ids: IDS }, 'logits'), expected)).toBe(0);
    expect(distance(await run(web, bytes, { input_ids: IDS }, 'logits'), expected)).toBeLessThan(1e-6);
  });
});

/** Runs the original graph with every quantized weight replaced by what its codes stand for. */
async function dequantizedOutput(shape: TinyLanguageModel, bytes: Uint8Array, level: string): Promise<Float32Array> {
  const bits = level.startsWith('int8') ? 8 : 4;
  const block = Number(/block=(\d+)/.exec(level)?.[1] ?? 32);
  const names = new Set((await scanBytes(bytes)).graph.initializers.map(({ name }) => name));
  const override = new Map<string, Float32Array>();
  for (const [name, { dims }] of tinyWeights(shape)) {
    if (!names.has(`${name}_scales`)) continue;
    const lookup = name === 'embed.weight';
    const [rows = 0, columns = 0] = dims;
    const [k, n] = lookup ? [columns, rows] : [rows, columns];
    const codes = await initializer(bytes, `${name}_Q${bits}`);
    const scales = await initializer(bytes, `${name}_scales`);
    const zeroPoints = level.includes('asymmetric') ? (await initializer(bytes, `${name}_zero_points`)).data : null;
    const values = dequantize(codes.data, scales.data, zeroPoints, shape.type, { k, n, bits, block });
    override.set(name, lookup ? values : transpose(values, n, k));
  }
  // A tied table that is quantized only on one side needs both: that graph is untied by hand.
  const oneSided = shape.tied && names.has('embed.weight') && override.has('embed.weight');
  if (!oneSided) return run(native, tinyLanguageModel(shape, override), { input_ids: IDS }, 'logits');
  const table = override.get('embed.weight') ?? new Float32Array();
  const exact = tinyWeights(shape).get('embed.weight')?.values ?? new Float32Array();
  const headIsQuantized = !level.includes('head=keep');
  override.set('embed.weight', headIsQuantized ? exact : table);
  override.set('head.weight', transpose(headIsQuantized ? table : exact, shape.vocabulary, shape.width));
  return run(native, tinyLanguageModel({ ...shape, tied: false }, override), { input_ids: IDS }, 'logits');
}

const decode = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** Its quantizer leaves Gemm as it is, which multiplies by w2. */
describe("onnxruntime's own MatMulNBits models", () => {
  const cases = golden.models
    .filter(({ quantizer }) => /^MatMulNBits.*ops=MatMul$/.test(quantizer))
    .map((entry) => {
      const [, bits = '', block = '', symmetric = ''] = /bits=(\d) block=(\d+) sym=(\w+)/.exec(entry.quantizer) ?? [];
      const level = `${bits === '8' ? 'int8:' : `int4:block=${block},${symmetric === 'False' ? 'asymmetric,' : ''}`}source=original,exclude=w2`;
      return { ...entry, level };
    });

  test.each(cases)('$level: $quantizer', async ({ level, float_model, quantized_model, ids, y_quantized }) => {
    const { bytes } = await quantize(decode(float_model), level);
    const theirs = await scanBytes(decode(quantized_model));
    const blocked = theirs.graph.initializers.filter(({ name }) => /_Q\d|_scales|_zero_points/.test(name));
    expect(blocked.length).toBeGreaterThan(1);
    for (const tensor of blocked) {
      const ours = await initializer(bytes, tensor.name);
      expect(elementType(ours.tensor.type)).toEqual(elementType(tensor.type));
      const { data } = await initializer(decode(quantized_model), tensor.name);
      expect(ours.data, tensor.name).toEqual(data);
    }
    const output = (await scanBytes(bytes)).graph.outputs[0]?.proto.name ?? '';
    const expected = new Float32Array(decode(y_quantized).buffer);
    expect(distance(await run(native, bytes, { ids }, output), expected)).toBe(0);
  });

  test('there are such models', () => {
    expect(cases.length).toBeGreaterThanOrEqual(6);
  });
});

/**
 * Its tables are int4, for which it raises the operator set to 21; ours are uint8, which takes none, with 8 in place of
 * 0: the same numbers, two to a byte.
 */
describe("onnxruntime's own MatMulNBits models with tables", () => {
  const cases = golden.models.filter(({ quantizer }) => quantizer.endsWith('ops=MatMul+Gather'));

  test.each(cases)('$quantizer', async ({ float_model, quantized_model, ids, y_quantized }) => {
    const { bytes } = await quantize(decode(float_model), 'int4:block=16,embedding,source=original,exclude=w2');
    for (const name of ['w1_Q4', 'w1_scales', 'emb_scales']) {
      expect((await initializer(bytes, name)).data, name).toEqual(
        (await initializer(decode(quantized_model), name)).data,
      );
    }
    const theirs = await initializer(decode(quantized_model), 'emb_Q4');
    expect(elementType(theirs.tensor.type).name).toBe('int4');
    expect((await initializer(bytes, 'emb_Q4')).data).toEqual(theirs.data.map((codes) => codes ^ 0x88));
    const output = (await scanBytes(bytes)).graph.outputs[0]?.proto.name ?? '';
    expect(distance(await run(native, bytes, { ids }, output), new Float32Array(decode(y_quantized).buffer))).toBe(0);
  });

  test('there are such models', () => {
    expect(cases.length).toBe(2);
  });
});

describe("onnxruntime's own quantize_dynamic models", () => {
  const cases = golden.models
    .filter(({ quantizer }) => quantizer.startsWith('quantize_dynamic'))
    .map((entry) => ({
      ...entry,
      level: `${entry.quantizer.includes('uint8') ? 'uint8:' : 'int8:mode=dynamic,'}embedding,source=original`,
    }));

  test.each(cases)('$level: $quantizer', async ({ level, float_model, quantized_model, ids, y_quantized }) => {
    const { bytes } = await quantize(decode(float_model), level);
    const theirs = await scanBytes(decode(quantized_model));
    const quantized = theirs.graph.initializers.filter(({ name }) => /_quantized$|_scale$|_zero_point$/.test(name));
    expect(quantized.length).toBe(9);
    for (const { name, type, dims } of quantized) {
      const ours = await initializer(bytes, name);
      expect([ours.tensor.type, ours.tensor.dims], name).toEqual([type, dims]);
      expect(ours.data, name).toEqual((await initializer(decode(quantized_model), name)).data);
    }
    const operators = (nodes: { type: string }[]) => nodes.map(({ type }) => type).sort();
    const { graph: written } = await scanBytes(bytes);
    expect(operators(written.nodes)).toEqual(operators(theirs.graph.nodes));
    const output = written.outputs[0]?.proto.name ?? '';
    expect(
      distance(await run(native, unsignedCodes(bytes), { ids }, output), new Float32Array(decode(y_quantized).buffer)),
    ).toBe(0);
  });

  test('there are such models', () => {
    expect(cases.length).toBe(4);
  });
});
