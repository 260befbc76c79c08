/**
 * Models made at random from a seed, for tests: weights held and shared in every way ONNX has, in graphs, bodies and
 * local functions, of IR versions from 3 on. All of them load in onnxruntime.
 */
import type { FunctionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from 'onnx-buf';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from './build.ts';

const WIDTH = 64;
const ROWS = 3;
/** IR versions with an operator set of their time. */
const VERSIONS = [
  [3, 7],
  [3, 9],
  [4, 9],
  [6, 11],
  [7, 13],
  [8, 17],
  [10, 21],
] as const;

export interface RandomModel {
  bytes: Uint8Array<ArrayBuffer>;
  irVersion: number;
  /** Initializers that callers may override. */
  overridable: string[];
}

/** x [3, 64] and flag → y [3, 64]. */
export function randomModel(seed: number): RandomModel {
  const random = numbers(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const chance = (of: number) => random() < of;
  const [irVersion, opset] = pick(VERSIONS);
  const initializer: TensorProto[] = [];
  const input: ValueInfoProto[] = [];
  const functions: FunctionProto[] = [];
  const valueInfo: ValueInfoProto[] = [];
  const overridable: string[] = [];
  let count = 0;
  const fresh = (prefix: string) => `${prefix}${count++}`;
  const values = (size: number) => randomValues(seed * 1000 + count, size, 0.1);
  const square = (name: string) => tensor(name, 'float32', [WIDTH, WIDTH], values(WIDTH * WIDTH));

  /** Before IR version 4 every initializer is an input; later one that is, may be overridden. */
  const addInitializer = (one: TensorProto) => {
    initializer.push(one);
    const isListed = irVersion < 4 || chance(0.15);
    if (isListed)
      input.push(
        value(one.name, one.dataType === 7 ? 'int64' : one.dataType === 9 ? 'bool' : 'float32', one.dims.map(Number)),
      );
    if (isListed && irVersion >= 4) overridable.push(one.name);
  };
  /** Constants have names of their own, one for many, or none. */
  const constant = (one: TensorProto): NodeProto => ({
    ...node('Constant', [], [one.name], { value: { ...one, name: '' } }),
    name: pick(['', 'const', `${one.name}/Constant`]),
  });

  const weights: string[] = [];
  /** A weight [64, 64] of the main graph, an earlier one at times. */
  const weight = (nodes: NodeProto[]): string => {
    if (weights.length > 0 && chance(0.25)) return pick(weights);
    const name = fresh('w');
    if (chance(0.3)) nodes.push(constant(square(name)));
    else addInitializer(square(name));
    weights.push(name);
    if (!chance(0.2)) return name;
    nodes.push(node('Transpose', [name], [`${name}_t`], { perm: [1, 0] }));
    weights[weights.length - 1] = `${name}_t`;
    return `${name}_t`;
  };
  const branch = (from: string, depth: number): GraphProto => {
    const nodes: NodeProto[] = [];
    const inner: TensorProto[] = [];
    const out = fresh('b');
    let at = from;
    for (let steps = 1 + Math.floor(random() * 2); steps > 0; steps--) {
      const next = fresh('b');
      if (depth < 2 && chance(0.25)) nodes.push(branching(at, next, depth + 1));
      else if (weights.length > 0 && chance(0.5)) nodes.push(node('MatMul', [at, pick(weights)], [next]));
      else {
        const name = fresh('inner');
        if (irVersion >= 4 && chance(0.5)) inner.push(square(name));
        else nodes.push(constant(square(name)));
        nodes.push(node('MatMul', [at, name], [next]));
      }
      at = next;
    }
    nodes.push(node('Tanh', [at], [out]));
    return graph({ node: nodes, initializer: inner, output: [value(out, 'float32', [ROWS, WIDTH])] });
  };
  const branching = (from: string, to: string, depth = 0) =>
    node('If', ['flag'], [to], { then_branch: branch(from, depth), else_branch: branch(from, depth) });

  const nodes: NodeProto[] = [];
  let at = 'x';
  const steps: (() => void)[] = [
    () => {
      nodes.push(node('MatMul', [at, weight(nodes)], [next()]));
    },
    () => {
      nodes.push(node('Tanh', [at], [next()]));
    },
    () => {
      nodes.push(branching(at, next()));
    },
    () => {
      const bias = fresh('bias');
      if (chance(0.5)) nodes.push(constant(tensor(bias, 'float32', [WIDTH], values(WIDTH))));
      else addInitializer(tensor(bias, 'float32', [WIDTH], values(WIDTH)));
      nodes.push(node('Gemm', [at, weight(nodes), bias], [next()], { transB: Number(chance(0.5)) }));
    },
    () => {
      const [trips, go] = [fresh('trips'), fresh('go')];
      nodes.push(constant(tensor(trips, 'int64', [], [2])), constant(tensor(go, 'bool', [], [1])));
      const [again, state, made] = [fresh('again'), fresh('state'), fresh('made')];
      const used = weight(nodes);
      const condition = fresh('condition');
      nodes.push(
        node('Loop', [trips, go, at], [next()], {
          body: graph({
            node: [
              node('Identity', [condition], [again]),
              node('MatMul', [state, used], [`${made}_product`]),
              node('Tanh', [`${made}_product`], [made]),
            ],
            input: [
              value(fresh('i'), 'int64', []),
              value(condition, 'bool', []),
              value(state, 'float32', [ROWS, WIDTH]),
            ],
            output: [value(again, 'bool', []), value(made, 'float32', [ROWS, WIDTH])],
          }),
        }),
      );
    },
    () => {
      if (irVersion < 8) return;
      const name = fresh('Dense');
      functions.push(
        localFunction(
          'local',
          name,
          ['v', 'p'],
          ['out'],
          [
            constant(square('f')),
            node('MatMul', ['v', 'f'], ['m']),
            node('MatMul', ['m', 'p'], ['n']),
            node('Tanh', ['n'], ['out']),
          ],
          opset,
        ),
      );
      nodes.push(node(name, [at, weight(nodes)], [next()], {}, 'local'));
    },
  ];
  const next = () => {
    at = fresh('h');
    if (chance(0.3)) valueInfo.push(value(at, 'float32', [ROWS, WIDTH]));
    return at;
  };
  for (let i = 3 + Math.floor(random() * 5); i > 0; i--) pick(steps)();
  nodes.push(node('MatMul', [at, weight(nodes)], ['last']), node('Tanh', ['last'], ['y']));
  const bytes = encode(
    model(
      graph({
        node: nodes,
        initializer,
        valueInfo,
        input: [value('x', 'float32', [ROWS, WIDTH]), value('flag', 'bool', [1]), ...input],
        output: [value('y', 'float32', [ROWS, WIDTH])],
      }),
      opset,
      irVersion,
      functions,
    ),
  );
  return { bytes, irVersion, overridable };
}

/** Numbers in [0, 1), from a seed (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
