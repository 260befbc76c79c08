/**
 * Which float32 constants are weights. Only those may be rounded to fp16 in the baseline: what is multiplied with, or
 * looked up, contributes to sums in which an error of 2^-11 stays what it is. Other constants are part of a formula
 * (an epsilon, a divisor, a frequency, a position, a bound), where a small error can become a large one.
 */
import { elementCount, FLOAT16, FLOAT32, FLOAT64, elementType } from '../../onnx/numbers/element-types.ts';
import type { Node } from '../../onnx/model.ts';
import { isTokenLookup } from '../families/gather.ts';
import { intAttribute } from '../../onnx/graph/attributes.ts';
import type { Constant } from '../../onnx/graph/scopes.ts';
import { definingScope, type Scope } from '../../onnx/graph/scopes.ts';
import { viewConstant } from '../../onnx/graph/constant-view.ts';
import { valueType } from '../half/value-types.ts';
import type { Flow, ScopedValue } from './flow.ts';
import {
  ANGLES,
  COMPARES,
  isPassThrough,
  JOINS,
  MOVES,
  operatorOf,
  PRODUCTS,
  SCALES,
  SUMS,
  takesPlace,
  takesWeight,
} from './operators.ts';

/** Why a constant is not a weight, for the ledger. */
export interface NoWeight {
  why: string;
  /** Whether it makes angles or positions, which no level may quantize either. */
  exact: boolean;
}

/** A factor of angles or positions has fewer elements; more are a weight, whatever its product goes to. */
export const MOST_OF_AN_ANGLE = 4096;
/** Fewer numbers that are added save no bytes worth the doubt. */
const LEAST_ADDED = 4096;
/** A weight takes fewer steps to be worked out. */
const MOST_FOLDED = 6;
/** Longer ways through a graph are followed no further. */
const MAX_STEPS = 400;

type LookedUp = 'no' | 'tokens' | 'table';

const FORMULA: NoWeight['why'] = 'makes angles or positions, which have to be exact';

/** Why a constant is not a weight; null for a weight. */
export function whyNoWeight(constant: Constant, flow: Flow): NoWeight | null {
  const { scope, name, tensor } = constant;
  const seen = new Map<Scope, Set<string>>();
  const waiting: (ScopedValue & { looked: LookedUp })[] = [{ scope, name, looked: 'no' }];
  let used = false;
  for (let at = waiting.pop(); at; at = waiting.pop()) {
    const owner = definingScope(at.scope, at.name) ?? at.scope;
    const names = seen.get(owner) ?? new Set();
    if (names.has(at.name)) continue;
    seen.set(owner, names.add(at.name));
    const { looked } = at;
    const outside = flow.outside({ scope: owner, name: at.name });
    if (owner.outputs.has(at.name) && outside.length === 0 && looked === 'no')
      return { why: 'given out by the graph as it is', exact: false };
    for (const value of outside) waiting.push({ ...value, looked });
    for (const use of flow.uses({ scope: owner, name: at.name })) {
      used = true;
      const { node, input } = use;
      const within = flow.inside(use);
      const next = (as: LookedUp) => {
        for (const output of node.outputs)
          if (output !== '') waiting.push({ scope: use.scope, name: output, looked: as });
      };
      if (within.length > 0) for (const value of within) waiting.push({ ...value, looked });
      else if (operatorOf(node) === 'Gather' && input === 0)
        next(looked === 'no' ? (isTokenLookup(use.scope, node) ? 'tokens' : 'table') : looked);
      else if ((MOVES.has(operatorOf(node)) && input === 0) || operatorOf(node) === 'Concat' || isFloatCast(node))
        next(looked);
      else {
        const why = whyNoWeightFor(constant, use.scope, node, input, looked, flow);
        if (why === 'follow') next(looked);
        else if (why) return why;
      }
    }
  }
  return used || tensor.dims.length === 0 ? null : { why: 'not used by any operator', exact: false };
}

function isFloatCast(node: Node): boolean {
  return node.type === 'Cast' && [FLOAT32, FLOAT16, FLOAT64].includes(intAttribute(node, 'to', 0));
}

function whyNoWeightFor(
  { tensor }: Constant,
  scope: Scope,
  node: Node,
  input: number,
  looked: LookedUp,
  flow: Flow,
): NoWeight | 'follow' | null {
  const operator = operatorOf(node);
  const count = elementCount(tensor.dims);
  const results = node.outputs.flatMap((name) => (name === '' ? [] : [{ scope, name }]));
  if (takesWeight(node, input)) {
    if (!PRODUCTS.has(operator)) return null;
    const isVector = tensor.dims.some((size) => size === count);
    const others = node.inputs.filter((name, at) => at !== input && at < 2 && name !== '');
    const isOfPlaces = (count <= MOST_OF_AN_ANGLE || isVector) && others.some((name) => comesFromIntegers(scope, name));
    const isOfAngles =
      count <= MOST_OF_AN_ANGLE && results.some((value) => reaches(value, flow, (use) => ANGLES.has(operatorOf(use))));
    return isOfPlaces || isOfAngles ? { why: FORMULA, exact: true } : null;
  }
  if (SUMS.has(operator) && (operator === 'Add' || operator === 'Sum') && (looked !== 'no' || count >= LEAST_ADDED)) {
    return results.some((value) => reaches(value, flow, isExact)) ? { why: FORMULA, exact: false } : null;
  }
  // A weight may be normalized, or put together, before it is multiplied with.
  if (
    looked === 'no' &&
    count >= LEAST_ADDED &&
    isPassThrough(node) &&
    !isExact(node, input) &&
    node.inputs.every((name) => isConstant(scope, name))
  )
    return 'follow';
  if (looked === 'no') return { why: `used by ${node.type}, which does not take it as a weight`, exact: false };
  if (isExact(node, input)) return { why: FORMULA, exact: false };
  if (looked === 'tokens') return null;
  if (!isPassThrough(node) && operator !== 'com.microsoft:RotaryEmbedding' && operator !== 'RotaryEmbedding')
    return null;
  const isByConstant =
    SCALES.has(operator) && node.inputs.every((name, at) => at === input || viewConstant(scope, name) !== null);
  if (isByConstant || JOINS.has(operator)) return 'follow';
  return {
    why: `a table whose numbers ${node.type} computes with, such as sines and cosines of positions: kept exact`,
    exact: false,
  };
}

/** Whether a value is worked out of constants alone. */
function isConstant(scope: Scope, name: string, steps = MOST_FOLDED): boolean {
  const owner = definingScope(scope, name);
  if (name === '' || owner?.constants.has(name)) return true;
  const node = owner?.producer.get(name);
  return (
    steps > 0 &&
    owner !== null &&
    node !== undefined &&
    node.inputs.length > 0 &&
    isPassThrough(node) &&
    node.inputs.every((input) => isConstant(owner, input, steps - 1))
  );
}

/** Whether a node works on angles, sizes, places or comparisons, which rounding may turn into others. */
function isExact(node: Node, input: number): boolean {
  const operator = operatorOf(node);
  return (
    ANGLES.has(operator) ||
    COMPARES.has(operator) ||
    takesPlace(node, input) ||
    (operator === 'Cast' && !isFloatCast(node))
  );
}

/** Whether a value goes to such a node through cheap operators alone. */
function reaches(from: ScopedValue, flow: Flow, test: (node: Node, input: number) => boolean): boolean {
  const seen = new Set<Node>();
  const waiting = [from];
  for (let at = waiting.pop(); at && seen.size < MAX_STEPS; at = waiting.pop()) {
    for (const value of flow.outside(at).slice(0, MAX_STEPS)) waiting.push(value);
    for (const use of flow.uses(at)) {
      if (test(use.node, use.input)) return true;
      if (seen.has(use.node)) continue;
      seen.add(use.node);
      for (const value of flow.inside(use)) waiting.push(value);
      if (isPassThrough(use.node))
        for (const name of use.node.outputs) if (name !== '') waiting.push({ scope: use.scope, name });
    }
  }
  return false;
}

/** Whether a floating-point value is made of integers alone, such as positions and lengths, and of constants. */
function comesFromIntegers(scope: Scope, name: string): boolean {
  const seen = new Set<Node>();
  const waiting: ScopedValue[] = [{ scope, name }];
  let found = false;
  for (let at = waiting.pop(); at; at = waiting.pop()) {
    const owner = definingScope(at.scope, at.name);
    if (!owner) return false;
    if (owner.constants.has(at.name)) continue;
    const node = owner.producer.get(at.name);
    if (!node || seen.size > MAX_STEPS) return false;
    if (seen.has(node)) continue;
    seen.add(node);
    const operator = operatorOf(node);
    if (operator === 'Range' || operator === 'CumSum') {
      found = true;
      continue;
    }
    if (operator === 'Cast' || operator === 'CastLike') {
      const from = valueType(owner, node.inputs[0] ?? '');
      if (from !== null && isInteger(from)) {
        found = true;
        continue;
      }
    } else if (!isPassThrough(node) || (operator === 'Gather' && owner.constants.has(node.inputs[0] ?? '')))
      return false;
    for (const input of node.inputs) {
      const type = input === '' ? null : valueType(owner, input);
      if (type === FLOAT32 || type === FLOAT64 || type === FLOAT16) waiting.push({ scope: owner, name: input });
    }
  }
  return found;
}

/** Whether an element type is an integer type. */
export function isInteger(type: number): boolean {
  return /^u?int/.test(elementType(type).name);
}
