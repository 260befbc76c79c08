/** A tiny model for each way a weight may be held and used, for tests: one output `y`, weights by name. */
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from 'onnx-buf';
import { encode, graph, localFunction, model, node, randomValues, tensor, value, type FloatType } from './build.ts';

/** Which dimension of the stored weight is which: `kn` [K, N], `nk` [N, K], or the axis of its channels. */
export type WeightAxes = 'kn' | 'nk' | { channels: number };

export interface OperatorModel {
  name: string;
  /** Shapes of the weights as they are stored, and how they are used. */
  weights: Record<string, { dims: number[]; axes: WeightAxes }>;
  /** The model with these weights. */
  build(weights: ReadonlyMap<string, ArrayLike<number>>): Uint8Array<ArrayBuffer>;
  /** Inputs of the model by name: their shape, and how many indices there are for integers. */
  inputs: Record<string, { dims: number[]; below?: number; flag?: boolean }>;
  type: FloatType;
}

interface Parts {
  type?: FloatType;
  opset?: number;
  irVersion?: number;
  weights: OperatorModel['weights'];
  inputs: OperatorModel['inputs'];
  /** Dimensions of `y`. */
  output: (number | string)[];
  /** Where the weights are, and what uses them; `initializer` defaults to all weights. */
  graph(weight: (name: string) => TensorProto): {
    node: NodeProto[];
    initializer?: TensorProto[];
    input?: ValueInfoProto[];
    functions?: ReturnType<typeof localFunction>[];
  };
}

function operator(name: string, parts: Parts): OperatorModel {
  const { type = 'float32', weights, inputs } = parts;
  return {
    name,
    weights,
    inputs,
    type,
    build(values) {
      const weight = (of: string) => tensor(of, type, weights[of]?.dims ?? [], values.get(of) ?? []);
      const { functions, ...body } = parts.graph(weight);
      return encode(
        model(
          graph({
            initializer: Object.keys(weights).map(weight),
            ...body,
            input: [
              ...Object.entries(inputs).map(([input, { dims, below, flag }]) =>
                value(input, flag ? 'bool' : below === undefined ? type : 'int64', dims),
              ),
              ...(body.input ?? []),
            ],
            output: [value('y', type, parts.output)],
          }),
          parts.opset,
          parts.irVersion,
          functions,
        ),
      );
    },
  };
}

/** Seeded weights, small enough for products to stay small. */
export function seededWeights({ weights }: OperatorModel, seed = 1): Map<string, Float32Array> {
  return new Map(
    Object.entries(weights).map(([name, { dims }], i) => [
      name,
      randomValues(
        seed * 100 + i,
        dims.reduce((a, b) => a * b, 1),
        0.3,
      ),
    ]),
  );
}

const CONTRIB = 'com.microsoft';
const X = { x: { dims: [3, 64] } };
const body = (nodes: NodeProto[], init: TensorProto[] = []): GraphProto =>
  graph({ node: nodes, initializer: init, output: [value('out', 'float32', [3, 48])] });

/** Products with a constant, however it is held. */
export const PRODUCTS: readonly OperatorModel[] = [
  operator('MatMul', {
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: () => ({ node: [node('MatMul', ['x', 'w'], ['y'])] }),
  }),
  operator('MatMul in float16', {
    type: 'float16',
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: () => ({ node: [node('MatMul', ['x', 'w'], ['y'])] }),
  }),
  operator('MatMul, opset 7 of IR version 3', {
    opset: 7,
    irVersion: 3,
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: () => ({ node: [node('MatMul', ['x', 'w'], ['y'])], input: [value('w', 'float32', [64, 48])] }),
  }),
  operator('MatMul named like its result', {
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: () => ({ node: [{ ...node('MatMul', ['x', 'w'], ['y']), name: 'y' }] }),
  }),
  operator('MatMul in opset 24', {
    opset: 24,
    irVersion: 10,
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: () => ({ node: [node('MatMul', ['x', 'w'], ['y'])] }),
  }),
  operator('MatMul by a stack of one', {
    weights: { w: { dims: [1, 64, 48], axes: 'kn' } },
    inputs: { x: { dims: [2, 3, 64] } },
    output: [2, 3, 48],
    graph: () => ({ node: [node('MatMul', ['x', 'w'], ['y'])] }),
  }),
  operator('MatMul with the constant first', {
    weights: { w: { dims: [48, 64], axes: 'nk' } },
    inputs: { x: { dims: [2, 64, 3] } },
    output: [2, 48, 3],
    graph: () => ({ node: [node('MatMul', ['w', 'x'], ['y'])] }),
  }),
  operator('a weight in a Constant node', {
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: (weight) => ({
      initializer: [],
      node: [node('Constant', [], ['w'], { value: weight('w') }), node('MatMul', ['x', 'w'], ['y'])],
    }),
  }),
  operator('a weight through Transpose and Identity', {
    weights: { w: { dims: [48, 64], axes: 'nk' } },
    inputs: X,
    output: [3, 48],
    graph: () => ({
      node: [node('Identity', ['w'], ['i']), node('Transpose', ['i'], ['t']), node('MatMul', ['x', 't'], ['y'])],
    }),
  }),
  operator('a weight through Reshape, Unsqueeze, Squeeze and Transpose', {
    weights: { w: { dims: [16, 3, 64], axes: 'nk' } },
    inputs: X,
    output: [3, 48],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('shape', 'int64', [2], [-1, 64]), tensor('axes', 'int64', [1], [0])],
      node: [
        node('Reshape', ['w', 'shape'], ['r']),
        node('Transpose', ['r'], ['t'], { perm: [1, 0] }),
        node('Unsqueeze', ['t', 'axes'], ['u']),
        node('Squeeze', ['u', 'axes'], ['s']),
        node('MatMul', ['x', 's'], ['y']),
      ],
    }),
  }),
  operator('Gemm', {
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('b', 'float32', [48], randomValues(7, 48))],
      node: [node('Gemm', ['x', 'w', 'b'], ['y'])],
    }),
  }),
  operator('Gemm in float16 with transB', {
    type: 'float16',
    weights: { w: { dims: [48, 64], axes: 'nk' } },
    inputs: X,
    output: [3, 48],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('b', 'float16', [48], randomValues(7, 48))],
      node: [node('Gemm', ['x', 'w', 'b'], ['y'], { transB: 1 })],
    }),
  }),
  operator('Gemm with transA, transB and a bias for every row', {
    weights: { w: { dims: [48, 64], axes: 'nk' } },
    inputs: { x: { dims: [64, 3] }, c: { dims: [3, 1] } },
    output: [3, 48],
    graph: () => ({ node: [node('Gemm', ['x', 'w', 'c'], ['y'], { transA: 1, transB: 1 })] }),
  }),
  operator('weights in the branches of an If', {
    weights: { outer: { dims: [64, 48], axes: 'kn' }, inner: { dims: [64, 48], axes: 'kn' } },
    inputs: { ...X, flag: { dims: [1], flag: true } },
    output: [3, 48],
    graph: (weight) => ({
      initializer: [weight('outer')],
      node: [
        node('If', ['flag'], ['y'], {
          then_branch: body([node('MatMul', ['x', 'outer'], ['out'])]),
          else_branch: body(
            [
              node('MatMul', ['x', 'inner'], ['a']),
              node('MatMul', ['x', 'outer'], ['b']),
              node('Sub', ['a', 'b'], ['out']),
            ],
            [weight('inner')],
          ),
        }),
      ],
    }),
  }),
  operator('a weight of the graph in the body of a Loop', {
    weights: { w: { dims: [64, 64], axes: 'kn' } },
    inputs: X,
    output: [3, 64],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('trips', 'int64', [], [3]), tensor('go', 'bool', [], [1])],
      node: [
        node('Loop', ['trips', 'go', 'x'], ['y'], {
          body: graph({
            node: [
              node('Identity', ['condition'], ['again']),
              node('MatMul', ['state', 'w'], ['m']),
              node('Tanh', ['m'], ['next']),
            ],
            input: [value('i', 'int64', []), value('condition', 'bool', []), value('state', 'float32', [3, 64])],
            output: [value('again', 'bool', []), value('next', 'float32', [3, 64])],
          }),
        }),
      ],
    }),
  }),
  operator('a weight in a local function', {
    weights: { w: { dims: [64, 48], axes: 'kn' } },
    inputs: X,
    output: [3, 48],
    graph: (weight) => ({
      initializer: [],
      node: [node('Dense', ['x'], ['y'], {}, 'local')],
      functions: [
        localFunction(
          'local',
          'Dense',
          ['v'],
          ['out'],
          [
            node('Constant', [], ['w'], { value: weight('w') }),
            node('MatMul', ['v', 'w'], ['p']),
            node('Tanh', ['p'], ['out']),
          ],
        ),
      ],
    }),
  }),
];

const IDS = { ids: { dims: [4], below: 90 } };

/** Tables that rows are taken of, and are used as numbers and as the factor of a product. */
export const TABLES: readonly OperatorModel[] = [
  operator('Gather', {
    weights: { w: { dims: [90, 64], axes: 'nk' } },
    inputs: IDS,
    output: [4, 64],
    graph: () => ({ node: [node('Gather', ['w', 'ids'], ['y'])] }),
  }),
  operator('Gather in float16', {
    type: 'float16',
    weights: { w: { dims: [90, 64], axes: 'nk' } },
    inputs: IDS,
    output: [4, 64],
    graph: () => ({ node: [node('Gather', ['w', 'ids'], ['y'])] }),
  }),
  operator('Gather in opset 9', {
    opset: 9,
    weights: { w: { dims: [90, 64], axes: 'nk' } },
    inputs: IDS,
    output: [4, 64],
    graph: () => ({ node: [node('Gather', ['w', 'ids'], ['y'])] }),
  }),
  operator('rows that are multiplied and added', {
    weights: { w: { dims: [90, 64], axes: 'nk' }, v: { dims: [64, 64], axes: 'kn' } },
    inputs: IDS,
    output: [4, 64],
    graph: () => ({
      node: [node('Gather', ['w', 'ids'], ['x']), node('MatMul', ['x', 'v'], ['p']), node('Add', ['x', 'p'], ['y'])],
    }),
  }),
  operator('rows of a table in a Constant node, cast from an index', {
    weights: { w: { dims: [90, 64], axes: 'nk' } },
    inputs: IDS,
    output: [4, 1, 64],
    graph: (weight) => ({
      initializer: [tensor('axes', 'int64', [1], [1])],
      node: [
        node('Constant', [], ['w'], { value: weight('w') }),
        node('Unsqueeze', ['ids', 'axes'], ['i']),
        node('Gather', ['w', 'i'], ['y']),
      ],
    }),
  }),
];

/** Convolutions, recurrent layers, and weights that operators see only dequantized. */
export const LAYERS: readonly OperatorModel[] = [
  operator('a weight that is a parameter of a local function', {
    weights: { w: { dims: [64, 48], axes: { channels: 1 } } },
    inputs: X,
    output: [3, 48],
    graph: () => ({
      node: [node('Dense', ['x', 'w'], ['y'], {}, 'local')],
      functions: [
        localFunction(
          'local',
          'Dense',
          ['v', 'p'],
          ['out'],
          [node('MatMul', ['v', 'p'], ['m']), node('Tanh', ['m'], ['out'])],
        ),
      ],
    }),
  }),
  operator('Conv with a bias', {
    weights: { w: { dims: [24, 8, 3, 3], axes: { channels: 0 } } },
    inputs: { x: { dims: [1, 8, 9, 9] } },
    output: [1, 24, 9, 9],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('b', 'float32', [24], randomValues(8, 24))],
      node: [node('Conv', ['x', 'w', 'b'], ['y'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })],
    }),
  }),
  operator('Conv in one dimension and groups, in opset 11', {
    opset: 11,
    weights: { w: { dims: [32, 4, 9], axes: { channels: 0 } } },
    inputs: { x: { dims: [2, 8, 20] } },
    output: [2, 32, 12],
    graph: () => ({ node: [node('Conv', ['x', 'w'], ['y'], { group: 2 })] }),
  }),
  operator('Conv in float16', {
    type: 'float16',
    weights: { w: { dims: [24, 8, 5, 5], axes: { channels: 0 } } },
    inputs: { x: { dims: [1, 8, 9, 9] } },
    output: [1, 24, 5, 5],
    graph: () => ({ node: [node('Conv', ['x', 'w'], ['y'])] }),
  }),
  operator('ConvTranspose', {
    weights: { w: { dims: [8, 24, 3, 3], axes: { channels: 1 } } },
    inputs: { x: { dims: [1, 8, 5, 5] } },
    output: [1, 24, 11, 11],
    graph: () => ({ node: [node('ConvTranspose', ['x', 'w'], ['y'], { strides: [2, 2] })] }),
  }),
  operator('LSTM', {
    weights: { w: { dims: [1, 64, 24], axes: { channels: 1 } }, r: { dims: [1, 64, 16], axes: { channels: 1 } } },
    inputs: { x: { dims: [5, 2, 24] } },
    output: [5, 1, 2, 16],
    graph: () => ({ node: [node('LSTM', ['x', 'w', 'r'], ['y'], { hidden_size: 16 })] }),
  }),
  operator('LSTM whose gates are put in another order, as PyTorch exports it', {
    weights: { w: { dims: [64, 24], axes: { channels: 0 } }, r: { dims: [64, 16], axes: { channels: 0 } } },
    inputs: { x: { dims: [5, 2, 24] } },
    output: [5, 1, 2, 16],
    graph: (weight) => ({
      initializer: [
        weight('w'),
        weight('r'),
        ...[0, 16, 32, 48, 64].map((at) => tensor(`at${at}`, 'int64', [1], [at])),
        tensor('axis', 'int64', [1], [0]),
      ],
      node: [
        ...['w', 'r'].flatMap((name) => [
          ...[
            [0, 16],
            [48, 64],
            [16, 48],
          ].map(([from = 0, to = 0], i) => node('Slice', [name, `at${from}`, `at${to}`, 'axis'], [`${name}${i}`])),
          node('Concat', [`${name}0`, `${name}1`, `${name}2`], [`${name}_c`], { axis: 0 }),
          node('Unsqueeze', [`${name}_c`, 'axis'], [`${name}_u`]),
        ]),
        node('LSTM', ['x', 'w_u', 'r_u'], ['y'], { hidden_size: 16 }),
      ],
    }),
  }),
  operator('MatMul by a stack of matrices', {
    weights: { w: { dims: [4, 64, 48], axes: { channels: 2 } } },
    inputs: { x: { dims: [4, 3, 64] } },
    output: [4, 3, 48],
    graph: () => ({ node: [node('MatMul', ['x', 'w'], ['y'])] }),
  }),
  operator('MatMul with a stack of matrices first', {
    weights: { w: { dims: [2, 48, 64], axes: { channels: 1 } } },
    inputs: { x: { dims: [2, 64, 3] } },
    output: [2, 48, 3],
    graph: () => ({ node: [node('MatMul', ['w', 'x'], ['y'])] }),
  }),
  operator('Attention with a mask', {
    weights: { w: { dims: [64, 144], axes: { channels: 1 } } },
    inputs: { x: { dims: [2, 5, 64] } },
    output: [2, 5, 48],
    graph: (weight) => ({
      initializer: [
        weight('w'),
        tensor('b', 'float32', [144], randomValues(9, 144)),
        tensor('mask', 'int32', [2, 5], [1, 1, 1, 1, 0, 1, 1, 1, 0, 0]),
      ],
      node: [node('Attention', ['x', 'w', 'b', 'mask'], ['y'], { num_heads: 4 }, CONTRIB)],
    }),
  }),
  operator('Attention in float16, one way', {
    type: 'float16',
    weights: { w: { dims: [64, 192], axes: { channels: 1 } } },
    inputs: { x: { dims: [1, 5, 64] } },
    output: [1, 5, 64],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('b', 'float16', [192], randomValues(9, 192))],
      node: [node('Attention', ['x', 'w', 'b'], ['y'], { num_heads: 4, unidirectional: 1 }, CONTRIB)],
    }),
  }),
  operator('Attention of queries narrower than values, with an attention bias', {
    weights: { w: { dims: [64, 128], axes: { channels: 1 } } },
    inputs: { x: { dims: [1, 5, 64] }, bias: { dims: [1, 4, 5, 5] } },
    output: [1, 5, 64],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('b', 'float32', [128], randomValues(9, 128))],
      node: [
        node(
          'Attention',
          ['x', 'w', 'b', '', '', 'bias'],
          ['y'],
          { num_heads: 4, qkv_hidden_sizes: [32, 32, 64] },
          CONTRIB,
        ),
      ],
    }),
  }),
  operator('MoE', {
    weights: { w1: { dims: [4, 96, 64], axes: { channels: 1 } }, w2: { dims: [4, 64, 96], axes: { channels: 1 } } },
    inputs: { x: { dims: [6, 64] }, router: { dims: [6, 4] } },
    output: [6, 64],
    graph: () => ({
      node: [node('MoE', ['x', 'router', 'w1', '', 'w2'], ['y'], { k: 2, activation_type: { text: 'relu' } }, CONTRIB)],
    }),
  }),
  operator('FusedGemm', {
    weights: { w: { dims: [48, 64], axes: { channels: 0 } } },
    inputs: X,
    output: [3, 48],
    graph: (weight) => ({
      initializer: [weight('w'), tensor('b', 'float32', [48], randomValues(7, 48))],
      node: [node('FusedGemm', ['x', 'w', 'b'], ['y'], { transB: 1, activation: { text: 'Relu' } }, CONTRIB)],
    }),
  }),
  operator('nodes that have the names of values', {
    weights: { w: { dims: [64, 48], axes: { channels: 1 } } },
    inputs: X,
    output: [3, 48],
    graph: () => ({ node: [{ ...node('Gemm', ['x', 'w'], ['y'], { alpha: { float: 0.5 } }), name: 'w_dequantized' }] }),
  }),
  operator('GRU both ways, in opset 9', {
    opset: 9,
    weights: { w: { dims: [2, 48, 24], axes: { channels: 1 } }, r: { dims: [2, 48, 16], axes: { channels: 1 } } },
    inputs: { x: { dims: [5, 2, 24] } },
    output: [5, 2, 2, 16],
    graph: () => ({
      node: [node('GRU', ['x', 'w', 'r'], ['y'], { hidden_size: 16, direction: { text: 'bidirectional' } })],
    }),
  }),
];

/** Tables inside an operator that takes their rows itself. */
export const EMBEDDINGS: readonly OperatorModel[] = [
  operator('EmbedLayerNormalization', {
    weights: {
      words: { dims: [90, 64], axes: { channels: 0 } },
      positions: { dims: [16, 64], axes: { channels: 0 } },
      segments: { dims: [8, 64], axes: { channels: 0 } },
    },
    inputs: { ids: { dims: [2, 6], below: 90 }, types: { dims: [2, 6], below: 8 } },
    output: [2, 6, 64],
    graph: (weight) => ({
      initializer: [
        ...['words', 'positions', 'segments'].map(weight),
        tensor('gamma', 'float32', [64], randomValues(11, 64)),
        tensor('beta', 'float32', [64], randomValues(12, 64)),
      ],
      node: [
        node('Cast', ['ids'], ['ids32'], { to: 6 }),
        node('Cast', ['types'], ['types32'], { to: 6 }),
        node(
          'EmbedLayerNormalization',
          ['ids32', 'types32', 'words', 'positions', 'segments', 'gamma', 'beta'],
          ['y', 'mask'],
          {},
          CONTRIB,
        ),
      ],
    }),
  }),
];
