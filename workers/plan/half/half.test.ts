/**
 * Graphs in fp16 with int4 weights: they load and run in onnxruntime and onnxruntime-web, keep the types of their inputs
 * and outputs, compute what their dequantized self computes, and about what the model computed.
 */
import * as native from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import {
  encode,
  graph,
  imageModel,
  model,
  node,
  randomValues,
  tensor,
  tinyLanguageModel,
  value,
} from '../../../models/build.ts';
import { checkModel } from '../../../models/check-model.ts';
import { dequantizedSelf } from '../../../models/dequantized-self.ts';
import { nestedIf, scanBody, withoutWeights } from '../../../models/odd-models.ts';
import { PRODUCTS, seededWeights } from '../../../models/operators.ts';
import { tinyTransformer } from '../../evaluate/test-transformer.ts';
import { elementCount } from '../../onnx/numbers/element-types.ts';
import { quantize, scanBytes } from '../../test-support.ts';

web.env.wasm.numThreads = 1;

const WEIGHT = tensor('w', 'float32', [64, 48], randomValues(1, 64 * 48, 0.3));
const X = value('x', 'float32', [3, 64]);
const Y = value('y', 'float32', [3, 48]);

/** Angles of positions, a norm made of single operators, a mask of the lowest float32, a constant too small for fp16. */
function rotaryModel(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('Cast', ['positions'], ['p'], { to: 1 }),
          node('Unsqueeze', ['p', 'last'], ['column']),
          node('MatMul', ['column', 'frequencies'], ['angles']),
          node('Sin', ['angles'], ['sines']),
          node('Mul', ['x', 'x'], ['squares']),
          node('ReduceMean', ['squares'], ['mean'], { axes: [-1], keepdims: 1 }),
          node('Add', ['mean', 'epsilon'], ['shifted']),
          node('Sqrt', ['shifted'], ['root']),
          node('Div', ['x', 'root'], ['normed']),
          node('Mul', ['normed', 'sines'], ['rotated']),
          node('MatMul', ['rotated', 'w'], ['scores']),
          node('Greater', ['scores', 'zero'], ['positive']),
          node('Where', ['positive', 'scores', 'lowest'], ['masked']),
          node('Softmax', ['masked'], ['y']),
        ],
        initializer: [
          WEIGHT,
          tensor('last', 'int64', [1], [1]),
          tensor(
            'frequencies',
            'float32',
            [1, 64],
            Float32Array.from({ length: 64 }, (_, i) => 10_000 ** (-i / 64)),
          ),
          tensor('epsilon', 'float32', [], [1e-12]),
          tensor('zero', 'float32', [], [0]),
          tensor('lowest', 'float32', [], [-3.4028234663852886e38]),
        ],
        input: [X, value('positions', 'int64', [3])],
        output: [Y],
      }),
    ),
  );
}

/** Scales of a Resize, numbers of a Range, a constant given as an attribute, and an output that is used inside, too. */
function resizeModel(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('Constant', [], ['half'], { value_float: { float: 0.5 } }),
          node('Range', ['from', 'to', 'step'], ['numbers']),
          node('Add', ['x', 'numbers'], ['sum']),
          node('Mul', ['sum', 'half'], ['less']),
          node('MatMul', ['less', 'w'], ['product']),
          node('Relu', ['product'], ['shown']),
          node('Unsqueeze', ['shown', 'axes'], ['image']),
          node('Resize', ['image', '', 'scales'], ['y'], { mode: { text: 'nearest' } }),
        ],
        initializer: [
          WEIGHT,
          tensor('from', 'float32', [], [0]),
          tensor('to', 'float32', [], [64]),
          tensor('step', 'float32', [], [1]),
          tensor('axes', 'int64', [2], [0, 1]),
          tensor('scales', 'float32', [4], [1, 1, 2, 2]),
        ],
        input: [X],
        output: [value('shown', 'float32', [3, 48]), value('y', 'float32', [1, 1, 6, 96])],
      }),
    ),
  );
}

type Runtime = typeof native | typeof web;
type Outputs = Record<string, { type: string; data: ArrayLike<number> }>;

async function run(runtime: Runtime, bytes: Uint8Array): Promise<Outputs> {
  const session = await runtime.InferenceSession.create(bytes, {
    executionProviders: [runtime === native ? 'cpu' : 'wasm'],
    graphOptimizationLevel: 'basic',
    logSeverityLevel: 3,
  });
  try {
    const {
      graph: { inputs },
    } = await scanBytes(bytes);
    const feeds = inputs.map(({ proto }, i) => {
      const type = proto.type?.value;
      if (type?.case !== 'tensorType') throw new Error(`${proto.name} is no tensor`);
      const dims =
        type.value.shape?.dim.map((dim) => (dim.value.case === 'dimValue' ? Number(dim.value.value) : 4)) ?? [];
      const count = elementCount(dims);
      if (type.value.elemType === 9)
        return [proto.name, new runtime.Tensor('bool', new Uint8Array(count).fill(1), dims)];
      if (type.value.elemType === 7)
        return [
          proto.name,
          new runtime.Tensor(
            'int64',
            BigInt64Array.from({ length: count }, (_, at) => BigInt((at * 5) % 90)),
            dims,
          ),
        ];
      expect(type.value.elemType).toBe(1);
      return [proto.name, new runtime.Tensor('float32', randomValues(70 + i, count), dims)];
    });
    return (await session.run(Object.fromEntries(feeds) as never)) as unknown as Outputs;
  } finally {
    await session.release();
  }
}

function distance(actual: Outputs, expected: Outputs): number {
  return Math.max(
    ...Object.entries(expected).map(([name, { type, data }]) => {
      expect(actual[name]?.type, name).toBe(type);
      const got = actual[name]!.data;
      expect(got.length).toBe(data.length);
      let [scale, most] = [0, 0];
      for (let i = 0; i < data.length; i++) {
        expect(Number.isFinite(got[i])).toBe(true);
        scale = Math.max(scale, Math.abs(data[i]!));
        most = Math.max(most, Math.abs(got[i]! - data[i]!));
      }
      return most / scale;
    }),
  );
}

const product = (name: string) => PRODUCTS.find((one) => one.name === name)!;
const MODELS: Record<string, () => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>> = {
  'a transformer with a mask of the lowest float32': async () =>
    new Uint8Array(await tinyTransformer({ vocabulary: 90, mask: -3.4028234663852886e38 }).arrayBuffer()),
  'a language model': () => tinyLanguageModel({ vocabulary: 96, width: 64, hidden: 172, type: 'float32', tied: true }),
  'angles, a norm and a mask': rotaryModel,
  'Resize and Range': resizeModel,
  'an image model': () => imageModel({ size: 32, batch: 1 }),
  'a Scan': scanBody,
  'an If in an If': nestedIf,
  ...Object.fromEntries(
    [
      'MatMul',
      'MatMul, opset 7 of IR version 3',
      'MatMul in opset 24',
      'Gemm',
      'a weight in a Constant node',
      'weights in the branches of an If',
      'a weight of the graph in the body of a Loop',
      'a weight through Reshape, Unsqueeze, Squeeze and Transpose',
    ].map((name) => [name, () => product(name).build(seededWeights(product(name)))]),
  ),
};

describe.each(
  Object.entries(MODELS).map(
    ([name, build]) =>
      [name, name === 'a language model' ? 'q4f16:block=16,asymmetric,embedding' : 'q4f16', build] as const,
  ),
)('%s at %s', (_, level, build) => {
  test('equals its dequantized self', async () => {
    const original = await build();
    const { bytes, plan } = await quantize(original, level);
    expect(plan.problem).toBeNull();
    expect(bytes.length).toBe(plan.bytes);
    expect(plan.ledger.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0) + plan.graphBytes).toBe(bytes.length);
    expect(checkModel(bytes).filter((problem) => !checkModel(original).includes(problem))).toEqual([]);
    const before = await scanBytes(original);
    const after = await scanBytes(bytes);
    expect(after.opsets.filter(({ domain }) => domain !== 'com.microsoft')).toEqual(before.opsets);
    expect(after.graph.outputs.map(({ proto }) => proto)).toEqual(before.graph.outputs.map(({ proto }) => proto));

    const inNode = await run(native, bytes);
    expect(distance(inNode, await run(native, dequantizedSelf(bytes)))).toBeLessThan(2e-2);
    expect(distance(await run(web, bytes), inNode)).toBeLessThan(2e-2);
    expect(distance(inNode, await run(native, original))).toBeLessThan(0.5);
  });
});

test('what is not a quantized weight is fp16, but for what fp16 would spoil', async () => {
  const { plan, bytes } = await quantize(rotaryModel(), 'q4f16');
  const types = Object.fromEntries(plan.ledger.map(({ tensor: name, from, to }) => [name, `${from} → ${to}`]));
  expect(types).toMatchObject({
    w: 'float32 → int4',
    frequencies: 'float32 → float32',
    epsilon: 'float32 → float32',
    lowest: 'float32 → float16',
    last: 'int64 → int64',
  });
  expect(plan.summary).toMatch(
    /Activations are fp16 but for 9 nodes that stay in float32; inputs and outputs stay float32\./,
  );
  expect((await scanBytes(bytes)).graph.nodes.filter(({ type }) => type === 'MatMulNBits').length).toBe(1);
});

test('a model in fp16 comes out as at int4', async () => {
  const half = tinyLanguageModel({ vocabulary: 96, width: 64, hidden: 172, type: 'float16', tied: true });
  expect((await quantize(half, 'q4f16:embedding')).bytes).toEqual((await quantize(half, 'int4:embedding')).bytes);
});

test('tensors beyond fp16, and what computes with them, stay in float32', async () => {
  const large = encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['h']), node('MatMul', ['h', 'large'], ['y'])],
        initializer: [WEIGHT, tensor('large', 'float32', [48, 48], randomValues(2, 48 * 48, 90_000))],
        input: [X],
        output: [Y],
      }),
    ),
  );
  const { bytes, plan } = await quantize(large, 'q4f16:exclude=large');
  expect(plan.ledger.find(({ tensor: name }) => name === 'large')).toMatchObject({ from: 'float32', to: 'float32' });
  expect(distance(await run(native, bytes), await run(native, large))).toBeLessThan(0.3);
});

describe('is refused, with a reason', () => {
  const local = product('a weight in a local function');
  const strange = encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['p']), node('Fancy', ['p'], ['y'], {}, 'example')],
        initializer: [WEIGHT],
        input: [X],
        output: [Y],
      }),
    ),
  );
  const { type: _, ...untypedOut } = value('out', 'float32', [3, 64]);
  const branch = (operator: string) => graph({ node: [node(operator, ['x'], ['out'])], output: [untypedOut] });
  const untyped = encode(
    model(
      graph({
        node: [
          node('If', ['flag'], ['v'], { then_branch: branch('Relu'), else_branch: branch('Neg') }),
          node('Sqrt', ['v'], ['r']),
          node('MatMul', ['r', 'w'], ['y']),
        ],
        initializer: [WEIGHT],
        input: [X, value('flag', 'bool', [])],
        output: [Y],
      }),
    ),
  );
  test.each([
    ['local functions', local.build(seededWeights(local)), 'it has local functions, whose types the calls decide'],
    ['operators nobody knows', strange, 'whether example.Fancy computes in fp16 is not known'],
    [
      'values of no known type',
      untyped,
      'what type v has is not stated, and does not follow from the operators in front',
    ],
    [
      'quantized models',
      withQuantized(),
      'it is quantized already: DequantizeLinear scales numbers that fp16 may not hold',
    ],
  ])('%s', async (_, bytes, why) => {
    const { plan } = await quantize(bytes, 'q4f16');
    expect(plan.problem).toMatchObject({
      code: 'nothing-to-quantize',
      message: `model.onnx cannot be turned to fp16 for q4f16: ${why}.`,
    });
  });

  test('a model without weights', async () => {
    expect((await quantize(withoutWeights(), 'q4f16')).plan.problem?.code).toBe('nothing-to-quantize');
  });
});

function withQuantized(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('DequantizeLinear', ['codes', 'scale'], ['v']),
          node('MatMul', ['x', 'w'], ['h']),
          node('MatMul', ['h', 'v'], ['y']),
        ],
        initializer: [
          WEIGHT,
          tensor('codes', 'uint8', [48, 48], new Uint8Array(48 * 48)),
          tensor('scale', 'float32', [], [0.1]),
        ],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

test('a transformer with Attention as onnxruntime fuses it loads on the CPU, optimized and not, its weights in fp16', async () => {
  const weights = (name: string, dims: number[]) =>
    tensor(name, 'float32', dims, randomValues(dims[1]!, dims[0]! * dims[1]!, 0.1));
  const vector = (name: string, size: number, value: number) =>
    tensor(name, 'float32', [size], new Float32Array(size).fill(value));
  const gpt = encode(
    model(
      graph({
        node: [
          node('Gather', ['words', 'ids'], ['word']),
          node('Gather', ['places', 'positions'], ['place']),
          node('Add', ['word', 'place'], ['e']),
          node('LayerNormalization', ['e', 'g', 'b'], ['n'], { axis: -1 }),
          node('Attention', ['n', 'qkv', 'bias'], ['a'], { num_heads: 4, unidirectional: 1 }, 'com.microsoft'),
          node('MatMul', ['a', 'out'], ['o']),
          node('Add', ['e', 'o'], ['r']),
          node('LayerNormalization', ['r', 'g', 'b'], ['n2'], { axis: -1 }),
          node('MatMul', ['n2', 'head'], ['logits']),
        ],
        initializer: [
          weights('words', [96, 64]),
          weights('places', [32, 64]),
          weights('qkv', [64, 192]),
          weights('out', [64, 64]),
          weights('head', [64, 96]),
          vector('g', 64, 1),
          vector('b', 64, 0),
          vector('bias', 192, 0.1),
          tensor('positions', 'int64', [1, 8], [0, 1, 2, 3, 4, 5, 6, 7]),
        ],
        input: [value('ids', 'int64', [1, 8])],
        output: [value('logits', 'float32', [1, 8, 96])],
      }),
    ),
  );
  const { bytes, plan } = await quantize(gpt, 'q4f16');
  expect(plan.ledger.find(({ tensor: name }) => name === 'qkv')).toMatchObject({ from: 'float32', to: 'float16' });
  for (const graphOptimizationLevel of ['disabled', 'all'] as const) {
    const session = await native.InferenceSession.create(bytes, { graphOptimizationLevel, logSeverityLevel: 3 });
    await session.release();
  }
  expect(distance(await run(native, bytes), await run(native, gpt))).toBeLessThan(0.5);
});
