/**
 * How far up from the logits every operator treats each position by itself: computes it from the same position of what
 * comes in, and from constants that are the same for all. What is behind can be computed for some positions only.
 */
import { findStated } from '../../onnx/graph/lookups.ts';
import { elementCount, FLOAT16, FLOAT32 } from '../../onnx/numbers/element-types.ts';
import type { Node } from '../../onnx/model.ts';
import { constantDims } from '../../onnx/graph/constant-view.ts';
import { intAttribute, intsAttribute } from '../../onnx/graph/attributes.ts';
import type { Scope } from '../../onnx/graph/scopes.ts';

/** A place to take positions out: all that is behind needs only those of these values, which are [batch, positions, …]. */
export interface Cut {
  /** Nodes behind. */
  nodes: ReadonlySet<Node>;
  /** Where they begin: values by name, with their element types, float32 or float16. */
  values: ReadonlyMap<string, number>;
}

interface Candidate {
  /** Nodes behind, counted from the logits. */
  count: number;
  values: string[];
  /** Multiplications with a weight behind. */
  projections: number;
}

/** A second value is worth its Slice only where it saves more than the projection it comes from. */
const WORTH_TWO = 2;

/** Cuts behind which there is at least the output projection: the one that saves most first, then the one closest to the logits. */
export function findCuts(scope: Scope, logits: string): Cut[] {
  if (scope.uses.has(logits)) return [];
  const behind = new Set<Node>();
  const open = new Set([logits]);
  const candidates: Candidate[] = [];
  let projections = 0;
  for (const node of scope.nodes.toReversed()) {
    const outputs = node.outputs.filter((output) => output !== '');
    if (
      !outputs.some((output) => open.has(output)) ||
      !outputs.every((output) => output === logits || usedOnlyBy(scope, behind, output))
    )
      continue;
    const rows = rowInputs(scope, node);
    if (!rows) continue;
    behind.add(node);
    for (const output of outputs) open.delete(output);
    for (const input of rows) open.add(input);
    if (isProjection(scope, node)) projections++;
    if (projections > 0 && open.size <= 2) candidates.push({ count: behind.size, values: [...open], projections });
  }
  const order = [...behind];
  const types = new Map<string, number | null>();
  const isFloat = (value: string) => {
    const type = types.get(value) ?? typeOf(scope, value);
    types.set(value, type);
    return type === FLOAT32 || type === FLOAT16;
  };
  const cuts = candidates.filter(({ values }) => values.every(isFloat));
  const single = cuts.findLast(({ values }) => values.length === 1);
  const double = cuts.findLast(({ values }) => values.length === 2);
  const best = !single || (double && double.projections - single.projections >= WORTH_TWO) ? double : single;
  // Only of the cuts that are taken: in a long chain every node is a candidate.
  return [...new Set([best, cuts[0]])].flatMap((found): Cut[] =>
    found
      ? [
          {
            nodes: new Set(order.slice(0, found.count)),
            values: new Map(found.values.map((value) => [value, types.get(value) ?? FLOAT32])),
          },
        ]
      : [],
  );
}

function usedOnlyBy(scope: Scope, nodes: ReadonlySet<Node>, value: string): boolean {
  return !scope.outputs.has(value) && (scope.uses.get(value) ?? []).every(({ node }) => nodes.has(node));
}

const CONTRIB = 'com.microsoft';
const UNARY = new Set([
  'Abs',
  'Cast',
  'Celu',
  'Elu',
  'Erf',
  'Exp',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'Identity',
  'LeakyRelu',
  'Log',
  'Mish',
  'Neg',
  'QuickGelu',
  'Reciprocal',
  'Relu',
  'Selu',
  'Sigmoid',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Swish',
  'Tanh',
]);
/** Element by element, with broadcasting. */
const ELEMENTWISE = new Set(['Add', 'BiasGelu', 'Clip', 'Div', 'FastGelu', 'Max', 'Min', 'Mul', 'Pow', 'Sub']);
const REDUCTIONS = new Set(['ReduceL2', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum', 'ReduceSumSquare']);
const NORMS = new Set([
  'LayerNormalization',
  'RMSNormalization',
  'SimplifiedLayerNormalization',
  'SkipLayerNormalization',
  'SkipSimplifiedLayerNormalization',
]);

/** The inputs a node takes position by position, where it does so; null where it may not. */
function rowInputs(scope: Scope, node: Node): string[] | null {
  const { domain, type } = node;
  const inputs = node.inputs.filter((input) => input !== '');
  if ((domain !== '' && domain !== CONTRIB) || inputs.length === 0) return null;
  if (isProjection(scope, node)) return inputs.slice(0, 1);
  if (UNARY.has(type)) return inputs.length === 1 ? inputs : null;
  if (ELEMENTWISE.has(type) || (NORMS.has(type) && isLastAxis(intAttribute(node, 'axis', -1)))) {
    const computed = inputs.filter((input) => !sameForEveryPosition(constantDims(scope, input)));
    return computed.length > 0 && computed.every((input) => constantDims(scope, input) === null)
      ? [...new Set(computed)]
      : null;
  }
  if (type === 'Split')
    return isLastAxis(intAttribute(node, 'axis', 0)) && areConstant(scope, inputs.slice(1)) ? inputs.slice(0, 1) : null;
  if (!REDUCTIONS.has(type) || intAttribute(node, 'keepdims', 1) !== 1) return null;
  const axes =
    intsAttribute(node, 'axes') ??
    (inputs[1] === undefined ? null : (scope.constants.get(inputs[1])?.tensor.ints ?? null));
  return axes?.length === 1 && isLastAxis(axes[0]) ? inputs.slice(0, 1) : null;
}

/** Positions are on the second of three axes. */
function isLastAxis(axis: number | undefined): boolean {
  return axis === -1 || axis === 2;
}

/** [.., K] times a constant [K, N]: as many dimensions come out as go in, and each position is multiplied by itself. */
function isProjection(scope: Scope, { domain, type, inputs }: Node): boolean {
  if (constantDims(scope, inputs[0] ?? '') !== null) return false;
  if (type === 'MatMulNBits') return domain === CONTRIB;
  return type === 'MatMul' && domain === '' && constantDims(scope, inputs[1] ?? '')?.length === 2;
}

function areConstant(scope: Scope, inputs: readonly string[]): boolean {
  return inputs.every((input) => input === '' || constantDims(scope, input) !== null);
}

function sameForEveryPosition(dims: readonly number[] | null): boolean {
  return dims !== null && dims.length <= 3 && elementCount(dims.slice(0, -1)) === 1;
}

/** Longer chains of operators without a stated type are not followed. */
const MAX_STEPS = 8;

/** Where results have the type of what comes in, or of one of these inputs. */
const TYPE_FROM: Readonly<Record<string, number>> = { MatMulNBits: 2, DequantizeLinear: 1, GatherBlockQuantized: 2 };
const KEEPS_TYPE = new Set([
  ...UNARY,
  ...ELEMENTWISE,
  ...REDUCTIONS,
  ...NORMS,
  'Concat',
  'CumSum',
  'Gather',
  'GroupQueryAttention',
  'MatMul',
  'MultiHeadAttention',
  'Reshape',
  'Slice',
  'Split',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
]);

/** Element type of a value; null where it takes more than a few steps to tell. */
function typeOf(scope: Scope, value: string, steps = MAX_STEPS): number | null {
  const known = scope.constants.get(value);
  if (known) return known.tensor.type;
  const stated = findStated(scope.inputValues, value)?.proto.type?.value;
  if (stated?.case === 'tensorType') return stated.value.elemType;
  const node = scope.producer.get(value);
  if (!node || steps === 0) return null;
  if (node.type === 'Cast') return intAttribute(node, 'to', 0);
  const from = TYPE_FROM[node.type];
  if (from !== undefined) return typeOf(scope, node.inputs[from] ?? '', steps - 1);
  if (!KEEPS_TYPE.has(node.type)) return null;
  for (const input of node.inputs) {
    const type = typeOf(scope, input, steps - 1);
    if (type === FLOAT32 || type === FLOAT16) return type;
  }
  return null;
}
