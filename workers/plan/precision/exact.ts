/**
 * Which nodes of a float32 graph stay float32 when the graph is turned to fp16. Values are followed from the front to
 * the end by what they are made of, and from the end to the front by what they go to.
 *
 * Made of: what comes from integers (positions, lengths, ids, counts) or from constants that fp16 does not hold stays
 * float32, until an operator makes numbers of another kind of it. Masks are the exception: numbers far below zero on
 * their way to a softmax are as good as any other number far below zero, so they are clamped where they become fp16.
 *
 * Going to: what does nothing but prepare a value for a node that stays float32 stays float32, too, and so does what
 * becomes an integer, a size or a place.
 */
import { greatest } from '../../contract/extremes.ts';
import { elementCount, elementType, FLOAT32 } from '../../onnx/numbers/element-types.ts';
import type { Node } from '../../onnx/model.ts';
import { float16Handling } from '../half/operators.ts';
import { valueType } from '../half/value-types.ts';
import { intAttribute } from '../../onnx/graph/attributes.ts';
import type { Constant } from '../../onnx/graph/scopes.ts';
import { definingScope, type Scope, type Use } from '../../onnx/graph/scopes.ts';
import { viewConstant } from '../../onnx/graph/constant-view.ts';
import type { Misfit } from './fits.ts';
import type { Flow } from './flow.ts';
import {
  ANGLES,
  carriesMask,
  COMPARES,
  endsMask,
  isPassThrough,
  JOINS,
  MOVES,
  operatorOf,
  PRODUCTS,
  REDUCES,
  SCALES,
  SUMS,
  takesPlace,
  UNARY,
} from './operators.ts';
import { isInteger, MOST_OF_AN_ANGLE } from './weights.ts';

/**
 * What a float32 value is:
 * `data` is anything fp16 may hold, `fit` a constant that it holds, `flag` 0 and 1, `table` rows of a table that stays float32,
 * `mask` zeros and numbers far below on their way to a softmax; `exact` has to stay float32, and so has `wide`, which is
 * a sum of such a value and of data.
 */
type Kind = 'data' | 'fit' | 'flag' | 'table' | 'mask' | 'wide' | 'exact';

interface State {
  kind: Kind;
  isConstant: boolean;
  /** What the value is at least, when a small constant was added to what is not negative; else 0. */
  least: number;
  /** Whether it is a constant of a size that makes a mask of flags. */
  isFar: boolean;
}

/** What is known about the numbers of a constant. */
export interface ConstantValues {
  misfit: Misfit | null;
  /** Whether some are far below zero. */
  isLow: boolean;
  /** Whether some are far from zero, to either side. */
  isFar: boolean;
  /** The smallest size. */
  least: number;
}

/** Which nodes of a graph in fp16 stay in float32. */
export interface Precision {
  /** Nodes that compute in float32. */
  kept: ReadonlySet<Node>;
  /** Whether a value is clamped where it becomes fp16 for the given uses. */
  isClamped(scope: Scope, name: string, uses: readonly Use[]): boolean;
}

/** Numbers below minus this are mask values. */
export const FAR = 1e4;
/**
 * Masks are clamped to this. Three of them and a score add up to a number fp16 has, so a row that is masked wholly, by
 * several masks at once, is no row of −∞, whose softmax is no number; and from it on fp16 counts in steps of 16, so
 * that scores hardly show in such a row, as they do not in float32.
 */
export const MASK_LIMIT = 20_000;
/** The smallest divisor that fp16 has with all of its bits. */
const SMALLEST_NORMAL = 2 ** -14;
/** Masks take fewer steps to their softmax. */
const MAX_STEPS = 64;

const DATA: State = { kind: 'data', isConstant: false, least: 0, isFar: false };
const of = (kind: Kind, more: Partial<State> = {}): State => ({ ...DATA, kind, ...more });

/** Decides which nodes stay in float32. */
export function decidePrecision(
  scopes: readonly Scope[],
  flow: Flow,
  numbersOf: (constant: Constant) => ConstantValues,
  fillOf: (node: Node) => number,
  isTable: (constant: Constant) => boolean,
): Precision {
  const states = new Map<Scope, Map<string, State>>();
  const kept = new Set<Node>();
  const softenedBy = new Map<Scope, Map<string, boolean>>();

  const set = (scope: Scope, name: string, state: State) => {
    const known = states.get(scope);
    if (known) known.set(name, state);
    else states.set(scope, new Map([[name, state]]));
  };

  /** Whether a value goes nowhere but to a softmax, as scores and masks do. */
  const isSoftened = (scope: Scope, name: string, steps = MAX_STEPS): boolean => {
    const owner = definingScope(scope, name);
    if (!owner || steps === 0) return false;
    const known = softenedBy.get(owner) ?? new Map<string, boolean>();
    softenedBy.set(owner, known);
    const before = known.get(name);
    if (before !== undefined) return before;
    known.set(name, false);
    const uses = owner.uses.get(name) ?? [];
    const result = !owner.outputs.has(name) && uses.length > 0 && uses.every((use) => isMaskUse(use, steps - 1));
    known.set(name, result);
    return result;
  };
  const isMaskUse = ({ node, input, scope }: Use, steps = MAX_STEPS): boolean =>
    endsMask(node, input) ||
    (carriesMask(node) && node.outputs.every((output) => output === '' || isSoftened(scope, output, steps)));

  /** Of a constant as a node takes it. */
  const constantState = (constant: Constant, use: Use): State => {
    const { misfit, isLow, isFar, least } = numbersOf(constant);
    const isFactor = SCALES.has(operatorOf(use.node));
    if (isLow && !isFactor && isMaskUse(use)) return of('mask', { isConstant: true, isFar });
    if (misfit !== null) return of('exact', { isConstant: true, isFar, least: misfit === 'small' ? least : 0 });
    const isMoved =
      MOVES.has(operatorOf(use.node)) || JOINS.has(operatorOf(use.node)) || operatorOf(use.node) === 'Gather';
    return of(isMoved && isTable(constant) && !isMaskUse(use) ? 'table' : 'fit', { isConstant: true, isFar });
  };

  const stateAt = (use: Use): State => {
    const { node, input, scope } = use;
    const name = node.inputs[input] ?? '';
    const owner = definingScope(scope, name);
    const constant = owner?.constants.get(name);
    if (constant && !(owner?.parent && owner.inputs.has(name))) return constantState(constant, use);
    return (owner && states.get(owner)?.get(name)) ?? DATA;
  };

  const visit = (scope: Scope) => {
    for (const node of scope.nodes) {
      if (node.type === 'Constant' && node.domain === '') continue;
      const bodies = flow.bodiesOf(node);
      const floats = node.inputs.flatMap((name, input) =>
        name !== '' && valueType(scope, name) === FLOAT32 ? [{ input, state: stateAt({ node, input, scope }) }] : [],
      );
      if (bodies.length > 0) {
        kept.add(node);
        for (const { input, state } of floats) {
          // What a body is given changes from one run of it to the next, and a constant is only where it begins.
          for (const value of flow.inside({ node, input, scope }))
            set(value.scope, value.name, of(state.kind === 'data' || state.kind === 'wide' ? state.kind : 'exact'));
        }
        for (const body of bodies) visit(body);
        const results = bodies.flatMap((body) =>
          [...body.outputs].flatMap((name) =>
            flow
              .outside({ scope: body, name })
              .map((value) => ({ ...value, state: states.get(body)?.get(name) ?? DATA })),
          ),
        );
        for (const { scope: where, name, state } of results) {
          if (where !== scope) continue;
          const before = states.get(scope)?.get(name);
          set(scope, name, before ? joined([before, state]) : state);
        }
        continue;
      }
      const result = resultOf(node, scope, floats);
      // Of flags, too, sums are counts.
      const isExact =
        result.kind === 'exact' ||
        result.kind === 'wide' ||
        floats.some(({ input, state }) => staysFor(node, input, state));
      if (float16Handling(node) === 'float' || (floats.length > 0 && (isExact || COMPARES.has(operatorOf(node)))))
        kept.add(node);
      for (const name of node.outputs) if (name !== '') set(scope, name, result);
    }
  };

  const resultOf = (node: Node, scope: Scope, floats: readonly { input: number; state: State }[]): State => {
    const operator = operatorOf(node);
    const [output = ''] = node.outputs;
    const all = floats.map(({ state }) => state);
    const first = floats.find(({ input }) => input === 0)?.state ?? DATA;
    if (operator === 'Cast' || operator === 'CastLike') return castState(node, scope, floats);
    if (operator === 'ConstantOfShape') {
      const number = fillOf(node);
      const isLow = number <= -FAR;
      if (isLow && isSoftened(scope, output)) return of('mask', { isConstant: true, isFar: true });
      return of(Math.abs(number) >= 65_520 && number > -Infinity && number < Infinity ? 'exact' : 'fit', {
        isConstant: true,
        isFar: Math.abs(number) >= FAR,
      });
    }
    if (operator === 'EyeLike' || operator === 'Bernoulli' || operator === 'OneHot')
      return operator === 'OneHot' ? DATA : of('flag');
    if (operator === 'Range') return of('exact');
    if (operator === 'Gather')
      return first.kind === 'fit' && !isWorkedOut(node, scope) ? DATA : { ...first, isConstant: false };
    if (MOVES.has(operator)) return first;
    if (JOINS.has(operator)) return joined(all);
    if (SUMS.has(operator)) return summed(all, operator);
    if (SCALES.has(operator)) return scaled(all, () => isSoftened(scope, output));
    if (operator === 'Pow' || UNARY.has(operator)) return changed(first, operator, () => isSoftened(scope, output));
    if (REDUCES.has(operator)) return reduced(first, operator);
    if (PRODUCTS.has(operator)) {
      const isPure =
        all.length > 0 &&
        floats.every(
          ({ input, state: { kind } }) =>
            kind === 'exact' || kind === 'flag' || (kind === 'fit' && isSmallFactor(node, input, scope)),
        );
      return isPure ? of('exact') : DATA;
    }
    return DATA;
  };

  const castState = (node: Node, scope: Scope, floats: readonly { state: State }[]): State => {
    const [name = ''] = node.inputs;
    const [output = ''] = node.outputs;
    const from = valueType(scope, name);
    if (from === FLOAT32) return floats[0]?.state ?? DATA;
    if (from === null) return DATA;
    if (elementType(from).name === 'bool') return of('flag');
    if (isInteger(from)) {
      const seen = definingScope(scope, name)?.constants.get(name);
      return of('exact', { isConstant: seen !== undefined });
    }
    const seen = viewConstant(scope, output);
    const [use] = definingScope(scope, output)?.uses.get(output) ?? [];
    return seen && use ? constantState(seen.constant, use) : DATA;
  };

  visit(scopes[0]!);
  followBack(scopes, kept);

  return {
    kept,
    isClamped(scope, name, uses) {
      if (uses.length === 0 || !uses.every((use) => isMaskUse(use))) return false;
      const owner = definingScope(scope, name);
      if (!owner) return false;
      if (owner.constants.has(name) || !owner.producer.has(name)) return true;
      const kind = states.get(owner)?.get(name)?.kind;
      return kind === 'mask' || kind === 'exact';
    },
  };
}

/** Whether a value of a kind keeps the node that takes it in float32. */
function staysFor(node: Node, input: number, { kind }: State): boolean {
  if (kind === 'exact') return true;
  const operator = operatorOf(node);
  if (kind === 'table') return MOVES.has(operator) || operator === 'Gather' || operator === 'Concat';
  // Products and normalizations of data bring it back to a usual size.
  return (kind === 'wide' && !HEAVY.has(operator)) || (takesPlace(node, input) && kind !== 'fit');
}

const HEAVY: ReadonlySet<string> = new Set([
  ...PRODUCTS,
  'Conv',
  'ConvTranspose',
  'LSTM',
  'GRU',
  'RNN',
  'Attention',
  'com.microsoft:Attention',
  'com.microsoft:MultiHeadAttention',
  'com.microsoft:GroupQueryAttention',
  'com.microsoft:MoE',
  'com.microsoft:FusedConv',
]);

function has(states: readonly State[], kind: Kind): boolean {
  return states.some((state) => state.kind === kind);
}

function isData({ kind }: State): boolean {
  return kind === 'data' || kind === 'table' || kind === 'wide';
}

function joined(states: readonly State[]): State {
  const isFar = states.some((state) => state.isFar);
  if (has(states, 'exact')) return of(states.some(isData) ? 'wide' : 'exact');
  for (const kind of ['wide', 'data', 'table', 'mask', 'flag'] as const)
    if (has(states, kind)) return of(kind, { isFar });
  return states.length > 0 ? of('fit', { isFar, isConstant: states.every(({ isConstant }) => isConstant) }) : DATA;
}

function summed(states: readonly State[], operator: string): State {
  const least =
    operator === 'Sub' || operator === 'Min' || operator === 'Mod'
      ? 0
      : greatest(
          states.map((state) => state.least),
          0,
        );
  if (has(states, 'wide') || (has(states, 'exact') && states.some(isData))) return of('wide', { least });
  if (has(states, 'exact')) return of('exact', { least });
  if (states.some(isData)) return DATA;
  if (has(states, 'mask')) return of('mask');
  return of(has(states, 'flag') ? 'flag' : 'exact');
}

function scaled(states: readonly State[], isSoftened: () => boolean): State {
  if (states.some(isData)) {
    // What a constant takes out of fp16's range may come back to it only by another one.
    const isMoved =
      states.some(({ kind, isConstant }) => kind === 'exact' && isConstant) ||
      (has(states, 'wide') && states.every((state) => state.kind === 'wide' || state.isConstant));
    return isMoved ? of('wide') : DATA;
  }
  if (has(states, 'mask') && !has(states, 'exact')) return of('mask');
  if (states.some(({ isFar }) => isFar) && states.some(({ isConstant }) => !isConstant) && isSoftened())
    return of('mask');
  if (has(states, 'exact')) return of('exact');
  return of(has(states, 'flag') && !states.some(({ isFar }) => isFar) ? 'flag' : 'exact');
}

function changed(state: State, operator: string, isSoftened: () => boolean): State {
  const { kind, least } = state;
  if (kind === 'data' || kind === 'table') return DATA;
  if (operator === 'Sqrt' && least > 0)
    return kind === 'wide' && Math.sqrt(least) >= SMALLEST_NORMAL ? DATA : of(kind, { least: Math.sqrt(least) });
  if (operator === 'Log' && kind !== 'wide' && isSoftened()) return of('mask');
  if (kind === 'flag' && (operator === 'Neg' || operator === 'Abs' || operator === 'Relu')) return of('flag');
  return of(kind === 'wide' ? 'wide' : 'exact');
}

function reduced(state: State, operator: string): State {
  const { kind } = state;
  if (kind === 'data' || kind === 'table') return DATA;
  if (operator === 'ReduceMax' || operator === 'ReduceMin') return of(kind === 'fit' ? 'exact' : kind);
  return of(kind === 'wide' ? 'wide' : 'exact');
}

/** Whether a factor is so small that it is part of a formula: frequencies, or a vector of them. */
function isSmallFactor(node: Node, input: number, scope: Scope): boolean {
  const dims = viewConstant(scope, node.inputs[input] ?? '')?.view.dims;
  if (!dims) return true;
  const count = elementCount(dims);
  return count <= MOST_OF_AN_ANGLE || dims.some((size) => size === count);
}

/** Whether all a node takes is constant. */
function isWorkedOut(node: Node, scope: Scope): boolean {
  return node.inputs.every((name) => name === '' || viewConstant(scope, name) !== null);
}

/** Adds what prepares values for nodes that stay in float32. */
function followBack(scopes: readonly Scope[], kept: Set<Node>): void {
  const precise = new Set<Node>();
  // From the end to the front: what a node prepares comes behind it.
  for (const scope of [...scopes].reverse()) {
    for (const node of [...scope.nodes].reverse()) {
      if (float16Handling(node) === 'makes' || !isFollowed(node)) continue;
      const uses = node.outputs.flatMap((name) => scope.uses.get(name) ?? []);
      const isLarge = node.inputs.some(
        (name) => elementCount(definingScope(scope, name)?.constants.get(name)?.tensor.dims ?? []) > MOST_OF_AN_ANGLE,
      );
      if (uses.length === 0 || isLarge) continue;
      const isPrecise = uses.some(
        (use) =>
          isInteger(castTo(use.node) ?? FLOAT32) ||
          (takesPlace(use.node, use.input) && operatorOf(use.node) !== 'GridSample') ||
          precise.has(use.node),
      );
      if (isPrecise) precise.add(node);
      if (
        isPrecise ||
        (!node.outputs.some((name) => scope.outputs.has(name)) && uses.every((use) => kept.has(use.node)))
      )
        kept.add(node);
    }
  }
}

function isFollowed(node: Node): boolean {
  const operator = operatorOf(node);
  return (isPassThrough(node) || operator === 'MatMul' || operator === 'Einsum') && !ANGLES.has(operator);
}

/** The type a Cast makes; null for other nodes. */
function castTo(node: Node): number | null {
  return operatorOf(node) === 'Cast' ? intAttribute(node, 'to', 0) : null;
}
