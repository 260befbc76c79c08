/**
 * What fp16 must not change: written files, run in the types they state, against the float32 model. The same at long
 * positions, with padding, and with whole rows of padding; every file loads with all of onnxruntime's optimizations and
 * with none.
 */
import * as native from 'onnxruntime-node';
import type { NodeProto, TensorProto, ValueInfoProto } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from '../../../models/build.ts';
import { checkModel } from '../../../models/check-model.ts';
import { decibels, interpret, valueOf, type Value, type Values } from '../../../models/interpret.ts';
import { FLOAT32, INT64 } from '../../onnx/numbers/element-types.ts';
import { fromFloat16Array, toFloat16Array } from '../../onnx/numbers/float16.ts';
import { quantize } from '../../test-support.ts';

const LOWEST = -3.4028234663852886e38;
const BOOL = 9;

interface Case {
  node: NodeProto[];
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  feeds: Values;
  functions?: Parameters<typeof model>[3];
  values?: ValueInfoProto[];
  opset?: number;
}

const float = (name: string, dims: number[], values: ArrayLike<number>) => tensor(name, 'float32', dims, values);
const scalar = (name: string, number: number) => float(name, [], [number]);
const int64 = (name: string, dims: number[], values: number[]) => tensor(name, 'int64', dims, values);
/** Called `keep…`, which levels are told to leave as it is, so that fp16 alone makes the difference. */
const weight = (name: string, dims: number[], scale = 0.1) =>
  float(
    `keep.${name}`,
    dims,
    randomValues(
      name.length * 31 + dims[0]!,
      dims.reduce((a, b) => a * b, 1),
      scale,
    ),
  );
const floats = (dims: number[], seed = 5, scale = 1): Value =>
  valueOf(
    FLOAT32,
    dims,
    randomValues(
      seed,
      dims.reduce((a, b) => a * b, 1),
      scale,
    ),
  );
const ids = (dims: number[], values: number[]): Value => valueOf(INT64, dims, values);

/** The model, with one more product for a level to quantize. */
function build({
  node: nodes,
  initializer,
  input,
  output,
  functions = [],
  values = [],
  opset = 17,
}: Case): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [...nodes, node('MatMul', ['spare', 'spare.weight'], ['spare.y'])],
        initializer: [...initializer, float('spare.weight', [64, 32], randomValues(9, 64 * 32))],
        input: [...input, value('spare', 'float32', [1, 64])],
        output: [...output, value('spare.y', 'float32', [1, 32])],
        valueInfo: values,
      }),
      opset,
      8,
      functions,
    ),
  );
}

const LEVELS = ['fp16', 'q4f16:exclude=keep*', 'int8:exclude=keep*', 'int4:exclude=keep*'];

async function loads(bytes: Uint8Array): Promise<void> {
  for (const graphOptimizationLevel of ['all', 'disabled'] as const) {
    const session = await native.InferenceSession.create(bytes, { graphOptimizationLevel, logSeverityLevel: 4 });
    await session.release();
  }
}

/** The level's file against the model, each in its own types; also that the file is sound. */
async function written(
  one: Case,
  level: string,
): Promise<{ original: Values; made: Values; bytes: Uint8Array; kept: string[] }> {
  const source = build(one);
  const { bytes, plan } = await quantize(source, level);
  expect(plan.problem).toBeNull();
  expect(bytes.length).toBe(plan.bytes);
  expect(plan.ledger.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0) + plan.graphBytes).toBe(bytes.length);
  expect(checkModel(bytes).filter((problem) => !checkModel(source).includes(problem))).toEqual([]);
  await loads(bytes);
  const feeds = { ...one.feeds, spare: floats([1, 64]) };
  return {
    original: interpret(source, feeds),
    made: interpret(bytes, feeds),
    bytes,
    kept: plan.ledger.filter(({ to }) => to === 'float32').map(({ tensor: name }) => name),
  };
}

function halved(values: ArrayLike<number>): Float32Array {
  return fromFloat16Array(toFloat16Array(Float32Array.from(values)));
}

const FREQUENCIES = Float32Array.from({ length: 32 }, (_, i) => 10_000 ** (-i / 32));
const POSITIONS = Array.from({ length: 24 }, (_, i) => (i < 8 ? i : i < 16 ? i * 130 : 4096 - 24 + i));
const X = value('x', 'float32', [1, 24, 64]);
const POSITION_IDS = value('position_ids', 'int64', [1, 24]);

/** q · cos(positions × frequencies), however the frequencies are written. */
function rotary(
  frequencies: {
    node?: NodeProto[];
    initializer?: TensorProto[];
    name: string;
    positions?: NodeProto[];
    angles?: NodeProto[];
    functions?: Case['functions'];
  },
  feeds: Values = {},
): Case {
  return {
    node: [
      ...(frequencies.node ?? []),
      node('MatMul', ['x', 'keep.q'], ['q']),
      ...(frequencies.positions ?? [
        node('Cast', ['position_ids'], ['p'], { to: 1 }),
        node('Unsqueeze', ['p', 'last'], ['column']),
      ]),
      ...(frequencies.angles ?? [node('MatMul', ['column', frequencies.name], ['angles'])]),
      node('Concat', ['angles', 'angles'], ['both'], { axis: -1 }),
      node('Cos', ['both'], ['cos']),
      node('Sin', ['both'], ['sin']),
      node('Mul', ['q', 'cos'], ['first']),
      node('Mul', ['q', 'sin'], ['second']),
      node('Add', ['first', 'second'], ['y']),
    ],
    initializer: [weight('q', [64, 64]), int64('last', [1], [-1]), ...(frequencies.initializer ?? [])],
    input: [X, POSITION_IDS],
    output: [value('y', 'float32', [1, 24, 64])],
    feeds: { x: floats([1, 24, 64]), position_ids: ids([1, 24], POSITIONS), ...feeds },
    ...(frequencies.functions && { functions: frequencies.functions }),
  };
}

const TABLE = { initializer: [float('table', [1, 32], FREQUENCIES)] };
const BRANCH = (name: string) =>
  graph({
    name,
    node: [node('MatMul', ['column', `${name}.frequencies`], [`${name}.angles`])],
    initializer: [float(`${name}.frequencies`, [1, 32], FREQUENCIES)],
    output: [value(`${name}.angles`, 'float32', [1, 24, 32])],
  });

const ROTARY: Record<string, Case> = {
  'an initializer': rotary({ ...TABLE, name: 'table' }),
  'a Constant node': rotary({
    node: [node('Constant', [], ['table'], { value: float('', [1, 32], FREQUENCIES) })],
    name: 'table',
  }),
  'an initializer behind Identity': rotary({ ...TABLE, node: [node('Identity', ['table'], ['same'])], name: 'same' }),
  'a column, transposed': rotary({
    initializer: [float('table', [32, 1], FREQUENCIES)],
    node: [node('Transpose', ['table'], ['turned'], { perm: [1, 0] })],
    name: 'turned',
  }),
  'a vector behind Unsqueeze': rotary({
    initializer: [float('table', [32], FREQUENCIES), int64('front', [1], [0])],
    node: [node('Unsqueeze', ['table', 'front'], ['row'])],
    name: 'row',
  }),
  'float64 behind Cast': rotary({
    initializer: [tensor('table', 'float64', [1, 32], FREQUENCIES)],
    node: [node('Cast', ['table'], ['single'], { to: 1 })],
    name: 'single',
  }),
  'a factor of Mul': rotary({
    initializer: [float('table', [1, 1, 32], FREQUENCIES)],
    name: 'table',
    angles: [node('Mul', ['column', 'table'], ['angles'])],
  }),
  'periods that positions are divided by': rotary({
    initializer: [
      float(
        'table',
        [1, 1, 32],
        FREQUENCIES.map((one) => 1 / one),
      ),
    ],
    name: 'table',
    angles: [node('Div', ['column', 'table'], ['angles'])],
  }),
  'worked out in the graph': rotary({
    initializer: [scalar('base', 10_000), scalar('width', -32), scalar('zero', 0), scalar('end', 32), scalar('one', 1)],
    name: 'row',
    node: [
      node('Range', ['zero', 'end', 'one'], ['steps']),
      node('Div', ['steps', 'width'], ['powers']),
      node('Pow', ['base', 'powers'], ['row']),
    ],
    angles: [node('Mul', ['column', 'row'], ['angles'])],
  }),
  'positions that a mask is summed up to': rotary(
    {
      ...TABLE,
      name: 'table',
      positions: [
        node('CumSum', ['position_ids', 'axis'], ['counted']),
        node('Sub', ['counted', 'far'], ['shifted']),
        node('Cast', ['shifted'], ['p'], { to: 1 }),
        node('Unsqueeze', ['p', 'last'], ['column']),
      ],
      initializer: [...TABLE.initializer, int64('axis', [], [1]), int64('far', [], [-4000])],
    },
    {
      position_ids: ids(
        [1, 24],
        POSITIONS.map(() => 1),
      ),
    },
  ),
  'branches of an If': rotary({
    name: '',
    node: [
      node('Less', ['position_ids', 'last'], ['less']),
      node('Cast', ['less'], ['as32'], { to: 6 }),
      node('ReduceMax', ['as32'], ['any'], { keepdims: 0 }),
      node('Cast', ['any'], ['flag'], { to: 9 }),
    ],
    angles: [node('If', ['flag'], ['angles'], { then_branch: BRANCH('then'), else_branch: BRANCH('else') })],
  }),
};

/** Tables of cosines and sines, rows of which are taken by position. */
const CACHED: Case = {
  node: [
    node('MatMul', ['x', 'keep.q'], ['q']),
    node('Gather', ['cosines', 'position_ids'], ['cos']),
    node('Gather', ['sines', 'position_ids'], ['sin']),
    node('Mul', ['q', 'cos'], ['first']),
    node('Mul', ['q', 'sin'], ['second']),
    node('Add', ['first', 'second'], ['y']),
  ],
  initializer: [
    weight('q', [64, 64]),
    float(
      'cosines',
      [4096, 64],
      Float32Array.from({ length: 4096 * 64 }, (_, i) => Math.cos(Math.floor(i / 64) * FREQUENCIES[i % 32]!)),
    ),
    float(
      'sines',
      [4096, 64],
      Float32Array.from({ length: 4096 * 64 }, (_, i) => Math.sin(Math.floor(i / 64) * FREQUENCIES[i % 32]!)),
    ),
  ],
  input: [X, POSITION_IDS],
  output: [value('y', 'float32', [1, 24, 64])],
  feeds: { x: floats([1, 24, 64]), position_ids: ids([1, 24], POSITIONS) },
};

describe.each(LEVELS)('angles at %s are those of the float32 model, far into a text', (level) => {
  test.each(Object.entries({ ...ROTARY, 'tables of cosines and sines': CACHED }))('%s', async (_, one) => {
    const { original, made } = await written(one, level);
    expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(60);
  });
});

test('frequencies in a local function stay float32 in the baseline', async () => {
  const one = rotary({
    ...TABLE,
    name: 'table',
    angles: [node('Angles', ['column', 'table'], ['angles'], {}, 'local')],
    functions: [localFunction('local', 'Angles', ['p', 'f'], ['a'], [node('MatMul', ['p', 'f'], ['a'])])],
  });
  const { plan, bytes } = await quantize(build(one), 'fp16');
  expect(plan.ledger.find(({ tensor: name }) => name === 'table')).toMatchObject({ from: 'float32', to: 'float32' });
  expect(plan.ledger.find(({ tensor: name }) => name === 'keep.q')).toMatchObject({ from: 'float32', to: 'float16' });
  await loads(bytes);
});

test('rounded frequencies would show', () => {
  const [exact, spoiled] = [FREQUENCIES, halved(FREQUENCIES)].map((table) => {
    const one = rotary({ initializer: [float('table', [1, 32], table)], name: 'table' });
    return interpret(build(one), { ...one.feeds, spare: floats([1, 64]) })['y']!;
  });
  expect(decibels(exact!, spoiled!)).toBeLessThan(30);
});

/** x / (norm + epsilon), on rows of which one is all zeros. */
function divided(
  epsilon: NodeProto[],
  initializer: TensorProto[],
  name: string,
  more: { operator?: string; norm?: NodeProto[] } = {},
): Case {
  const rows = floats([3, 64]);
  return {
    node: [
      ...epsilon,
      node('MatMul', ['x', 'keep.w'], ['z']),
      ...(more.norm ?? [node('ReduceL2', ['z'], ['n'], { axes: [-1], keepdims: 1 })]),
      node(more.operator ?? 'Add', ['n', name], ['shifted']),
      node('Div', ['z', 'shifted'], ['y']),
    ],
    initializer: [weight('w', [64, 64]), ...initializer],
    input: [value('x', 'float32', [3, 64])],
    output: [value('y', 'float32', [3, 64])],
    feeds: { x: { ...rows, data: rows.data.map((number, i) => (i >= 64 && i < 128 ? 0 : number)) } },
  };
}

const ROOT = [
  node('Mul', ['z', 'z'], ['squares']),
  node('ReduceMean', ['squares'], ['mean'], { axes: [-1], keepdims: 1 }),
  node('Add', ['mean', 'epsilon'], ['sum']),
  node('Sqrt', ['sum'], ['n']),
];
const EPSILONS: Record<string, Case> = {
  'of two dimensions': divided([], [float('epsilon', [1, 1], [1e-12])], 'epsilon'),
  'in a Constant node': divided(
    [node('Constant', [], ['epsilon'], { value: float('', [1, 1], [1e-12]) })],
    [],
    'epsilon',
  ),
  'given as a number': divided([node('Constant', [], ['epsilon'], { value_float: { float: 1e-9 } })], [], 'epsilon'),
  'behind Unsqueeze and Identity': divided(
    [node('Identity', ['one'], ['two']), node('Unsqueeze', ['two', 'axes'], ['epsilon'])],
    [scalar('one', 1e-12), int64('axes', [2], [0, 1])],
    'epsilon',
  ),
  'float64 behind Cast': divided(
    [node('Cast', ['double'], ['epsilon'], { to: 1 })],
    [tensor('double', 'float64', [], [1e-12])],
    'epsilon',
  ),
  'of a channel each': divided([], [float('epsilon', [64], new Float32Array(64).fill(1e-12))], 'epsilon'),
  'that is expanded': divided(
    [node('Expand', ['one', 'shape'], ['epsilon'])],
    [scalar('one', 1e-12), int64('shape', [2], [3, 1])],
    'epsilon',
  ),
  'in Max': divided([], [float('epsilon', [1], [1e-12])], 'epsilon', { operator: 'Max' }),
  'in Clip': divided([], [scalar('epsilon', 1e-12)], 'epsilon', { operator: 'Clip' }),
  'under a root, of 1e-5': divided([], [scalar('epsilon', 1e-5), scalar('none', 0)], 'none', { norm: ROOT }),
  'under a root, of 1e-12': divided([], [float('epsilon', [1, 1], [1e-12]), scalar('none', 0)], 'none', { norm: ROOT }),
};

describe.each(LEVELS)('an epsilon at %s', (level) => {
  test.each(Object.entries(EPSILONS))('%s', async (_, one) => {
    const { original, made } = await written(one, level);
    expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(55);
  });
});

const counts = Float32Array.from({ length: 4096 }, (_, i) => i);
const EXACT: Record<string, Case> = {
  'whole numbers that are compared with': {
    node: [
      node('MatMul', ['x', 'keep.w'], ['z']),
      node('Less', ['numbers', 'length'], ['within']),
      node('Cast', ['within'], ['flags'], { to: 1 }),
      node('ReduceSum', ['flags'], ['exact'], { keepdims: 0 }),
      node('Mul', ['z', 'exact'], ['y']),
    ],
    initializer: [weight('w', [64, 64]), float('numbers', [1, 4096], counts)],
    input: [value('x', 'float32', [3, 64]), value('length', 'float32', [1, 1])],
    output: [value('y', 'float32', [3, 64]), value('exact', 'float32', [])],
    feeds: { x: floats([3, 64]), length: valueOf(FLOAT32, [1, 1], [3001]) },
  },
  'a table of whole numbers that is looked up': {
    node: [
      node('Gather', ['numbers', 'ids'], ['exact']),
      node('Greater', ['exact', 'bound'], ['far']),
      node('Cast', ['far'], ['flag'], { to: 1 }),
      node('MatMul', ['x', 'keep.w'], ['z']),
      node('Mul', ['z', 'flag'], ['y']),
    ],
    initializer: [weight('w', [64, 64]), float('numbers', [4096, 1], counts), scalar('bound', 3000.5)],
    input: [value('x', 'float32', [3, 64]), value('ids', 'int64', [3])],
    output: [value('y', 'float32', [3, 64]), value('exact', 'float32', [3, 1])],
    feeds: { x: floats([3, 64]), ids: ids([3], [3001, 2999, 4095]) },
  },
  'ids compared with the size of a vocabulary': {
    node: [
      node('Cast', ['ids'], ['f'], { to: 1 }),
      node('Less', ['f', 'size'], ['known']),
      node('Cast', ['known'], ['exact'], { to: 1 }),
      node('Where', ['known', 'a', 'b'], ['h']),
      node('MatMul', ['h', 'keep.w'], ['y']),
    ],
    initializer: [weight('w', [64, 64]), scalar('size', 50_257)],
    input: [value('ids', 'int64', [4, 1]), value('a', 'float32', [4, 64]), value('b', 'float32', [4, 64])],
    output: [value('y', 'float32', [4, 64]), value('exact', 'float32', [4, 1])],
    feeds: { ids: ids([4, 1], [1, 50_256, 50_257, 70_000]), a: floats([4, 64], 3), b: floats([4, 64], 4) },
  },
  'buckets of relative positions': buckets(),
  'slopes times positions, added to scores': {
    node: [
      node('MatMul', ['x', 'keep.q'], ['q']),
      node('Transpose', ['x'], ['xt'], { perm: [0, 2, 1] }),
      node('MatMul', ['q', 'xt'], ['s']),
      node('Cast', ['position_ids'], ['p'], { to: 1 }),
      node('Unsqueeze', ['p', 'one'], ['row']),
      node('Mul', ['row', 'slope'], ['bias']),
      node('Add', ['s', 'bias'], ['biased']),
      node('Softmax', ['biased'], ['p1'], { axis: -1 }),
      node('MatMul', ['p1', 'x'], ['y']),
      node('Identity', ['p'], ['exact']),
    ],
    initializer: [weight('q', [64, 64], 0.01), float('slope', [1, 1, 1], [0.00390625 * 1.1]), int64('one', [1], [1])],
    input: [X, POSITION_IDS],
    output: [value('y', 'float32', [1, 24, 64]), value('exact', 'float32', [1, 24])],
    feeds: {
      x: floats([1, 24, 64]),
      position_ids: ids(
        [1, 24],
        POSITIONS.map((_, i) => 4072 + i),
      ),
    },
  },
  'the mean over tokens that are not padding': {
    node: [
      node('MatMul', ['x', 'keep.w'], ['z']),
      node('Cast', ['mask'], ['m'], { to: 1 }),
      node('Unsqueeze', ['m', 'last'], ['column']),
      node('Mul', ['z', 'column'], ['left']),
      node('ReduceSum', ['left', 'one'], ['total'], { keepdims: 0 }),
      node('ReduceSum', ['column', 'one'], ['exact'], { keepdims: 0 }),
      node('Clip', ['exact', 'least'], ['safe']),
      node('Div', ['total', 'safe'], ['y']),
    ],
    initializer: [weight('w', [64, 64]), int64('last', [1], [-1]), int64('one', [1], [1]), scalar('least', 1e-9)],
    input: [value('x', 'float32', [3, 4, 64]), value('mask', 'int64', [3, 4])],
    output: [value('y', 'float32', [3, 64]), value('exact', 'float32', [3, 1])],
    feeds: { x: floats([3, 4, 64]), mask: ids([3, 4], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]) },
  },
  'a counter that a loop carries on': {
    node: [
      node('Loop', ['times', '', 'start', 'x'], ['exact', 'y'], {
        body: graph({
          name: 'body',
          node: [
            node('Add', ['count', 'step'], ['next']),
            node('MatMul', ['h', 'keep.w'], ['h1']),
            node('Tanh', ['h1'], ['h2']),
            node('Identity', ['go'], ['again']),
          ],
          initializer: [scalar('step', 1)],
          input: [
            value('i', 'int64', []),
            value('go', 'bool', []),
            value('count', 'float32', []),
            value('h', 'float32', [3, 64]),
          ],
          output: [value('again', 'bool', []), value('next', 'float32', []), value('h2', 'float32', [3, 64])],
        }),
      }),
    ],
    initializer: [weight('w', [64, 64]), int64('times', [], [5]), scalar('start', 2047)],
    input: [value('x', 'float32', [3, 64])],
    output: [value('exact', 'float32', []), value('y', 'float32', [3, 64])],
    feeds: { x: floats([3, 64]) },
  },
};

/** T5's bucket of relative positions, in the form it is exported in. */
function buckets(): Case {
  const i = (name: string, number: number) => int64(name, [], [number]);
  return {
    node: [
      node('Shape', ['x'], ['sh']),
      node('Gather', ['sh', 'i0'], ['len'], { axis: 0 }),
      node('Range', ['i0', 'len', 'i1'], ['pos']),
      node('Unsqueeze', ['pos', 'a0'], ['row']),
      node('Unsqueeze', ['pos', 'a1'], ['col']),
      node('Sub', ['row', 'col'], ['rel']),
      node('Greater', ['rel', 'i0'], ['gt']),
      node('Cast', ['gt'], ['gti'], { to: 7 }),
      node('Mul', ['gti', 'i16'], ['rb']),
      node('Abs', ['rel'], ['ab']),
      node('Less', ['ab', 'i8'], ['small']),
      node('Cast', ['ab'], ['af'], { to: 1 }),
      node('Div', ['af', 'f8'], ['d']),
      node('Log', ['d'], ['l']),
      node('Div', ['l', 'log16'], ['l2']),
      node('Mul', ['l2', 'f8'], ['l3']),
      node('Max', ['l3', 'none'], ['l4']),
      node('Cast', ['l4'], ['li'], { to: 7 }),
      node('Add', ['li', 'i8'], ['lb']),
      node('Min', ['lb', 'i15'], ['lm']),
      node('Where', ['small', 'ab', 'lm'], ['w']),
      node('Add', ['rb', 'w'], ['exact']),
      node('Gather', ['keep.table', 'exact'], ['bias'], { axis: 0 }),
      node('Transpose', ['bias'], ['bt'], { perm: [2, 0, 1] }),
      node('MatMul', ['x', 'keep.w'], ['q']),
      node('Transpose', ['x'], ['xt']),
      node('MatMul', ['q', 'xt'], ['s']),
      node('Add', ['s', 'bt'], ['y']),
    ],
    initializer: [
      weight('w', [64, 64], 0.05),
      weight('table', [32, 4], 1),
      i('i0', 0),
      i('i1', 1),
      int64('a0', [1], [0]),
      int64('a1', [1], [1]),
      i('i16', 16),
      i('i8', 8),
      i('i15', 15),
      scalar('f8', 8),
      scalar('log16', Math.log(16)),
      scalar('none', 0),
    ],
    input: [value('x', 'float32', ['t', 64])],
    output: [value('y', 'float32', [4, 't', 't']), value('exact', 'int64', ['t', 't'])],
    feeds: { x: floats([70, 64], 2, 0.3) },
  };
}

describe.each(LEVELS)('what is exact stays so at %s', (level) => {
  test.each(Object.entries(EXACT))('%s', async (_, one) => {
    const { original, made } = await written(one, level);
    expect([...made['exact']!.data]).toEqual([...original['exact']!.data]);
    expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(50);
  });
});

/** Lengths that are computed in floating point: Shape → Cast → Mul → Floor → Cast → some operator. */
function lengths(last: NodeProto[], initializer: TensorProto[], output: ValueInfoProto): Case {
  return {
    node: [
      node('MatMul', ['x', 'keep.w'], ['z']),
      node('Transpose', ['z'], ['zt'], { perm: [0, 2, 1] }),
      node('Shape', ['zt'], ['sh']),
      node('Cast', ['sh'], ['shf'], { to: 1 }),
      node('Slice', ['shf', 's2', 's3'], ['len']),
      node('Mul', ['len', 'factor'], ['longer']),
      node('Floor', ['longer'], ['whole']),
      node('Cast', ['whole'], ['count'], { to: 7 }),
      ...last,
    ],
    initializer: [
      weight('w', [16, 4]),
      scalar('factor', 2.5),
      int64('s0', [1], [0]),
      int64('s2', [1], [2]),
      int64('s3', [1], [3]),
      ...initializer,
    ],
    input: [value('x', 'float32', [1, 't', 16])],
    output: [output],
    feeds: { x: floats([1, 3001, 16]) },
  };
}

const LENGTHS: Record<string, Case> = {
  'sizes of a Resize': lengths(
    [
      node('Slice', ['sh', 's0', 's2'], ['rest']),
      node('Concat', ['rest', 'count'], ['sizes'], { axis: 0 }),
      node('Resize', ['zt', '', '', 'sizes'], ['y'], { mode: { text: 'nearest' } }),
    ],
    [],
    value('y', 'float32', [1, 4, 't2']),
  ),
  'scales of a Resize': lengths(
    [
      node('Div', ['whole', 'len'], ['scale']),
      node('Concat', ['ones', 'scale'], ['scales'], { axis: 0 }),
      node('Resize', ['zt', '', 'scales'], ['y'], { mode: { text: 'nearest' } }),
    ],
    [float('ones', [2], [1, 1])],
    value('y', 'float32', [1, 4, 't2']),
  ),
  'the end of a Slice': lengths(
    [node('Sub', ['count', 'off'], ['end']), node('Slice', ['zt', 's0', 'end', 's2'], ['y'])],
    [int64('off', [1], [5000])],
    value('y', 'float32', [1, 4, 't2']),
  ),
  'the shape of an Expand': lengths(
    [
      node('Slice', ['zt', 's0', 'one', 's2'], ['column']),
      node('Concat', ['ones', 'count'], ['shape'], { axis: 0 }),
      node('Expand', ['column', 'shape'], ['y']),
    ],
    [int64('one', [1], [1]), int64('ones', [2], [1, 4])],
    value('y', 'float32', [1, 4, 't2']),
  ),
  'the end of a Range in floating point': lengths(
    [
      node('Squeeze', ['whole'], ['end']),
      node('Range', ['none', 'end', 'step'], ['numbers']),
      node('Mul', ['numbers', 'small'], ['y']),
    ],
    [scalar('none', 0), scalar('step', 1), scalar('small', 0.001)],
    value('y', 'float32', ['t2']),
  ),
};

describe.each(LEVELS)('lengths at %s are those of the float32 model', (level) => {
  test.each(Object.entries(LENGTHS))('%s', async (_, one) => {
    const { original, made } = await written(one, level);
    expect(made['y']!.dims).toEqual(original['y']!.dims);
    expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(55);
  });
});

const constant = (operator: string, number: number, more: NodeProto[] = [], name = 'c'): Case => ({
  node: [...more, node('MatMul', ['x', 'keep.w'], ['z']), node(operator, ['z', name], ['y'])],
  initializer: [weight('w', [64, 64]), scalar('c', number), int64('axes', [1], [0])],
  input: [value('x', 'float32', [4, 64])],
  output: [value('y', 'float32', [4, 64])],
  feeds: { x: floats([4, 64]) },
});

describe.each(LEVELS)('constants fp16 does not hold, at %s', (level) => {
  test.each<[string, Case]>([
    ['a divisor of 1e6', constant('Div', 1e6)],
    ['a factor of 1e-9', constant('Mul', 1e-9)],
    ['a factor of 1e6', constant('Mul', 1e6)],
    ['a divisor of 1e-7', constant('Div', 1e-7)],
    ['behind Identity', constant('Div', 1e6, [node('Identity', ['c'], ['same'])], 'same')],
    ['behind Unsqueeze', constant('Mul', 1e-9, [node('Unsqueeze', ['c', 'axes'], ['vector'])], 'vector')],
    [
      'a small factor, and its inverse',
      {
        ...constant('Mul', 1e-9),
        node: [
          node('MatMul', ['x', 'keep.w'], ['z']),
          node('Mul', ['z', 'c'], ['tiny']),
          node('Tanh', ['tiny'], ['same']),
          node('Div', ['same', 'c'], ['y']),
        ],
      },
    ],
  ])('%s', async (_, one) => {
    const { original, made } = await written(one, level);
    expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(60);
  });
});

describe('weights', () => {
  const product = (values: Float32Array): Case => ({
    node: [node('MatMul', ['x', 'keep.w'], ['y'])],
    initializer: [float('keep.w', [64, 64], values)],
    input: [value('x', 'float32', [4, 64])],
    output: [value('y', 'float32', [4, 64])],
    feeds: { x: floats([4, 64]) },
  });
  const plain = randomValues(3, 64 * 64, 0.02);

  test.each<[string, Float32Array, string]>([
    ['ordinary ones, some of them close to 0', plain, 'float16'],
    [
      'of which a third are next to nothing',
      plain.map((number, i) => (i % 3 === 0 ? number * 1e-9 : number)),
      'float16',
    ],
    ['of 1e-9', plain.map((number) => number * 1e-8), 'float32'],
    ['of 1e-9, and one of 1', plain.map((number, i) => (i === 9 ? 1 : number * 1e-8)), 'float32'],
    ['with one of 1e5', plain.map((number, i) => (i === 9 ? 1e5 : number)), 'float32'],
  ])('%s', async (_, values, to) => {
    for (const level of LEVELS) {
      const { original, made } = await written(product(values), level);
      expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(60);
    }
    const { plan } = await quantize(build(product(values)), 'fp16');
    expect(plan.ledger.find(({ tensor: name }) => name === 'keep.w')).toMatchObject({ from: 'float32', to });
  });

  test('worked out of constants are rounded as those they are worked out of', async () => {
    const values = randomValues(4, 64 * 64, 0.3);
    const one: Case = {
      ...product(values),
      node: [
        node('ReduceL2', ['keep.v'], ['length'], { axes: [0], keepdims: 1 }),
        node('Div', ['keep.v', 'length'], ['unit']),
        node('Mul', ['unit', 'keep.g'], ['weight']),
        node('MatMul', ['x', 'weight'], ['y']),
      ],
      initializer: [float('keep.v', [64, 64], values), float('keep.g', [1, 64], randomValues(6, 64))],
    };
    const { original, made } = await written(one, 'fp16');
    expect(decibels(original['y']!, made['y']!)).toBeGreaterThan(60);
    const { plan } = await quantize(build(one), 'fp16');
    expect(plan.ledger.find(({ tensor: name }) => name === 'keep.v')).toMatchObject({ from: 'float32', to: 'float16' });
    expect(plan.ledger.find(({ tensor: name }) => name === 'keep.g')).toMatchObject({ from: 'float32', to: 'float32' });
  });

  test('every level can hold one of 1e5, but for fp16, which leaves it', async () => {
    const source = build(product(plain.map((number, i) => (i === 9 ? 1e5 : number))));
    for (const [level, to] of [
      ['fp16', 'float32'],
      ['int8', 'int8'],
      ['uint8', 'uint8'],
      ['int4', 'int4'],
      ['q4f16', 'int4'],
      ['int8:mode=dynamic', 'int8'],
    ] as const) {
      const { plan, bytes } = await quantize(source, level);
      expect(plan.ledger.find(({ tensor: name }) => name === 'keep.w')).toMatchObject({ from: 'float32', to });
      await loads(bytes);
    }
  });
});

/** Two layers of attention over a padding mask and a causal one. */
function masked(mask: NodeProto[], initializer: TensorProto[], rows: number[][], join = 'Add'): Case {
  const [batch, length] = [rows.length, rows[0]!.length];
  const layer = (x: string, y: string, at: number) => [
    node('MatMul', [x, 'keep.q'], [`q${at}`]),
    node('MatMul', [x, 'keep.k'], [`k${at}`]),
    node('Transpose', [`k${at}`], [`t${at}`], { perm: [0, 2, 1] }),
    node('MatMul', [`q${at}`, `t${at}`], [`s${at}`]),
    node('Add', [`s${at}`, 'bias'], [`m${at}`]),
    node('Softmax', [`m${at}`], [`p${at}`], { axis: -1 }),
    node('MatMul', [`p${at}`, x], [`c${at}`]),
    node('MatMul', [`c${at}`, 'keep.o'], [`o${at}`]),
    node('Add', [x, `o${at}`], [y]),
  ];
  return {
    node: [
      node('Shape', ['mask'], ['sh']),
      node('Gather', ['sh', 'i1'], ['S'], { axis: 0 }),
      node('Range', ['i0', 'S', 'i1'], ['p']),
      node('Unsqueeze', ['p', 'a0'], ['k']),
      node('Unsqueeze', ['p', 'a1'], ['q']),
      node('Greater', ['k', 'q'], ['future']),
      ...mask,
      node(join, ['padding', 'causal'], ['bias']),
      ...layer('x', 'x1', 0),
      ...layer('x1', 'y', 1),
    ],
    initializer: [
      weight('q', [64, 64], 0.05),
      weight('k', [64, 64], 0.05),
      weight('o', [64, 64]),
      scalar('one', 1),
      scalar('zero', 0),
      scalar('min', LOWEST),
      scalar('inf', -Infinity),
      scalar('low', -1e4),
      scalar('high', 1e9),
      int64('a0', [1], [0]),
      int64('a1', [1], [1]),
      int64('i0', [], [0]),
      int64('i1', [], [1]),
      ...initializer,
    ],
    input: [value('x', 'float32', ['b', 's', 64]), value('mask', 'int64', ['b', 's'])],
    output: [value('y', 'float32', ['b', 's', 64])],
    feeds: { x: floats([batch, length, 64], 8), mask: ids([batch, length], rows.flat()) },
  };
}

const LEFT = [0, 0, 1, 1, 1, 1, 1, 1];
const NONE = LEFT.map(() => 0);
const FULL = LEFT.map(() => 1);
const BY_FACTOR = (factor: string) => [
  node('Cast', ['mask'], ['mf'], { to: 1 }),
  node('Sub', ['one', 'mf'], ['mi']),
  node('Mul', ['mi', factor], ['mb']),
  node('Unsqueeze', ['mb', 'a1'], ['padding']),
];
const BY_WHERE = (low: string) => [
  node('Cast', ['mask'], ['seen'], { to: BOOL }),
  node('Where', ['seen', 'zero', low], ['mb']),
  node('Unsqueeze', ['mb', 'a1'], ['padding']),
];
const CAUSAL = (low: string) => [node('Where', ['future', low, 'zero'], ['causal'])];
const TRIANGLE = (low: string) => [
  node('Concat', ['S1', 'S1'], ['square'], { axis: 0 }),
  node('Expand', [low, 'square'], ['full']),
  node('Trilu', ['full', 'i1'], ['causal'], { upper: 1 }),
];

const MASKS: Record<string, [NodeProto[], TensorProto[], string?]> = {
  'the minimum twice, added': [[...BY_FACTOR('min'), ...CAUSAL('min')], []],
  'the minimum twice, the lesser': [[...BY_FACTOR('min'), ...CAUSAL('min')], [], 'Min'],
  'the minimum by Where': [[...BY_WHERE('min'), ...CAUSAL('min')], []],
  '−∞ by Where': [[...BY_WHERE('inf'), ...CAUSAL('inf')], []],
  '−10,000 and the minimum': [[...BY_FACTOR('low'), ...CAUSAL('min')], []],
  'flags less one, times 1e9': [
    [
      node('Cast', ['mask'], ['mf'], { to: 1 }),
      node('Sub', ['mf', 'one'], ['mi']),
      node('Mul', ['mi', 'high'], ['mb']),
      node('Unsqueeze', ['mb', 'a1'], ['padding']),
      ...CAUSAL('inf'),
    ],
    [],
  ],
  'an upper triangle of the minimum': [
    [...BY_WHERE('min'), node('Unsqueeze', ['S', 'a0'], ['S1']), ...TRIANGLE('min')],
    [],
  ],
  'the minimum of padding three times': [[...BY_FACTOR('min'), node('Add', ['padding', 'padding'], ['causal'])], []],
  'the logarithm of flags': [
    [
      node('Cast', ['mask'], ['mf'], { to: 1 }),
      node('Log', ['mf'], ['mb']),
      node('Unsqueeze', ['mb', 'a1'], ['padding']),
      ...CAUSAL('inf'),
    ],
    [],
  ],
  'a table of the causal mask': [
    [
      ...BY_FACTOR('min'),
      node('Unsqueeze', ['S', 'a0'], ['S1']),
      node('Slice', ['triangle', 'a0', 'S1', 'a1'], ['rows']),
      node('Slice', ['rows', 'a0', 'S1', 'a0'], ['causal']),
    ],
    [
      float(
        'triangle',
        [32, 32],
        Float32Array.from({ length: 1024 }, (_, i) => (i % 32 > Math.floor(i / 32) ? LOWEST : 0)),
      ),
    ],
  ],
};

describe.each(['fp16', 'q4f16:exclude=keep*'])('masks at %s', (level) => {
  test.each(Object.entries(MASKS))('%s', async (_, [nodes, initializer, join]) => {
    const { original, made } = await written(masked(nodes, initializer, [FULL, LEFT], join), level);
    // Rows of padding see nothing in one model and all of it in another; what is not padding, and no number in the model either, is compared.
    const numbers = original['y']!.data;
    const real = ({ data }: Value): Value => {
      const left = [...data].filter((_, i) => (i < 8 * 64 || i >= 10 * 64) && Number.isFinite(numbers[i]));
      return valueOf(FLOAT32, [left.length], left);
    };
    expect(decibels(real(original['y']!), real(made['y']!))).toBeGreaterThan(50);
    if (level !== 'fp16') expect([...made['y']!.data].every(Number.isFinite)).toBe(true);
  });

  test('rows that are padding alone are finite', async () => {
    for (const [nodes, initializer, join] of Object.values(MASKS)) {
      const { made } = await written(masked(nodes, initializer, [FULL, NONE], join), 'q4f16:exclude=keep*');
      expect([...made['y']!.data].every(Number.isFinite)).toBe(true);
    }
  });
});

test('minima of fp16 would not add up', () => {
  const [nodes, initializer] = MASKS['the minimum twice, added']!;
  const one = masked(nodes, initializer, [NONE], 'Add');
  const half = one.initializer.map((constant) => (constant.name === 'min' ? scalar('min', -65_504) : constant));
  const made = interpret(
    build({
      ...one,
      initializer: half,
      node: one.node
        .map((each) =>
          each.output[0] === 'bias'
            ? [
                node('Add', ['padding', 'padding'], ['wide']),
                node('Cast', ['wide'], ['half'], { to: 10 }),
                node('Cast', ['half'], ['bias'], { to: 1 }),
              ]
            : [each],
        )
        .flat(),
    }),
    { ...one.feeds, spare: floats([1, 64]) },
  );
  expect(made['y']!.data.every(Number.isFinite)).toBe(false);
});

describe('types follow', () => {
  const like = (operator: string, tail: NodeProto[], more: Partial<Case> = {}): Case => ({
    node: [node('MatMul', ['x', 'keep.w'], ['z']), node(operator, ['z'], ['r']), ...tail],
    initializer: [weight('w', [64, 64]), scalar('k', 0.5)],
    input: [value('x', 'float32', [4, 64])],
    output: [value('y', 'float32', [4, 64])],
    feeds: { x: floats([4, 64]) },
    ...more,
  });
  const PLAIN = [node('Mul', ['r', 'k'], ['s']), node('Add', ['z', 's'], ['y'])];
  const ROOTED = [node('Mul', ['r', 'r'], ['r2']), node('Sqrt', ['r2'], ['s']), node('Add', ['z', 's'], ['y'])];
  const BY_TYPE = [node('CastLike', ['r', 'z'], ['c']), node('Add', ['z', 'c'], ['y'])];
  test.each(['RandomNormalLike', 'RandomUniformLike', 'EyeLike', 'Bernoulli', 'Identity'])('%s', async (operator) => {
    const tails: Partial<Case>[] = [
      {},
      { values: [value('r', 'float32', [4, 64]), value('z', 'float32', [4, 64])] },
      { output: [value('y', 'float32', [4, 64]), value('r', 'float32', [4, 64])] },
    ];
    for (const [tail, more] of [
      ...tails.map((each) => [PLAIN, each] as const),
      [ROOTED, {}] as const,
      [BY_TYPE, {}] as const,
    ]) {
      const one = like(operator, tail, {
        ...more,
        ...(operator === 'Bernoulli' && {
          node: [
            node('MatMul', ['x', 'keep.w'], ['z']),
            node('Sigmoid', ['z'], ['chance']),
            node('Bernoulli', ['chance'], ['r']),
            ...tail,
          ],
        }),
      });
      const source = build(one);
      const { bytes, plan } = await quantize(source, 'q4f16:exclude=keep*');
      expect(plan.problem).toBeNull();
      expect(checkModel(bytes).filter((problem) => !checkModel(source).includes(problem))).toEqual([]);
      await loads(source);
      await loads(bytes);
      if (operator === 'EyeLike' || operator === 'Identity')
        expect(
          decibels(
            interpret(source, { ...one.feeds, spare: floats([1, 64]) })['y']!,
            interpret(bytes, { ...one.feeds, spare: floats([1, 64]) })['y']!,
          ),
        ).toBeGreaterThan(55);
    }
  });
});
