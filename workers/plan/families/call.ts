/** Weights handed to local functions: behind a DequantizeLinear in front of the call, with the channels the function's operators have. */
import type { Node } from '../../onnx/model.ts';
import { intAttribute } from '../../onnx/graph/attributes.ts';
import type { Scope } from '../../onnx/graph/scopes.ts';
import { isFloat, viewConstant } from '../../onnx/graph/constant-view.ts';
import { behindDequantize } from './behind-dequantize.ts';
import { skipped, type Candidate, type Skipped } from './family.ts';

/** Local functions by domain and name. */
export type Functions = ReadonlyMap<string, { inputs: readonly string[]; scope: Scope }>;

/** Functions that call functions that call functions … end here. */
const MAX_DEPTH = 8;

export function findInCall(node: Node, scope: Scope, functions: Functions): (Candidate | Skipped)[] {
  const called = functions.get(functionKey(node.domain, node.type));
  if (!called) return [];
  return node.inputs.flatMap((name, input) => {
    const seen = name === '' ? null : viewConstant(scope, name);
    if (!seen || seen.view.dims.length < 2 || !isFloat(seen.type)) return [];
    const channels = channelsInside(called.scope, called.inputs[input] ?? '', seen.view.dims.length, functions, 0);
    return [
      typeof channels === 'number'
        ? behindDequantize(node, scope, input, seen, channels)
        : skipped(seen.constant, channels),
    ];
  });
}

export function functionKey(domain: string, name: string): string {
  return `${domain}:${name}`;
}

/** Axis of the channels that all uses of a parameter agree on, or why there is none. */
function channelsInside(
  scope: Scope,
  parameter: string,
  rank: number,
  functions: Functions,
  depth: number,
): number | string {
  const known = CHANNELS.get(functions) ?? new Map<string, number | string>();
  CHANNELS.set(functions, known);
  // A function's title is made of its domain and name, by which it is in `functions` once.
  const key = JSON.stringify([scope.title, parameter, rank, depth]);
  const found = known.get(key) ?? findChannels(scope, parameter, rank, functions, depth);
  known.set(key, found);
  return found;
}

/** What was found, by function, parameter, rank and depth: calls of one function ask the same, and functions call others in turn. */
const CHANNELS = new WeakMap<Functions, Map<string, number | string>>();

function findChannels(
  scope: Scope,
  parameter: string,
  rank: number,
  functions: Functions,
  depth: number,
): number | string {
  const axes = new Set<number>();
  for (const { node, input } of scope.uses.get(parameter) ?? []) {
    const axis = axisOf(node, input, rank, functions, depth);
    if (typeof axis === 'string') return axis;
    axes.add(axis);
  }
  const [axis] = axes;
  if (axis === undefined || scope.outputs.has(parameter))
    return `handed to ${scope.title}, which does not use it as a weight`;
  return axes.size === 1 ? axis : `handed to ${scope.title}, which uses it in several ways`;
}

function axisOf(node: Node, input: number, rank: number, functions: Functions, depth: number): number | string {
  const called = functions.get(functionKey(node.domain, node.type));
  if (called)
    return depth < MAX_DEPTH
      ? channelsInside(called.scope, called.inputs[input] ?? '', rank, functions, depth + 1)
      : 'handed through too many local functions';
  if (node.domain === '' && input === 1) {
    switch (node.type) {
      case 'MatMul':
        return rank - 1;
      case 'Gemm':
        return intAttribute(node, 'transB', 0) !== 0 ? 0 : 1;
      case 'Conv':
        return 0;
      case 'ConvTranspose':
        return 1;
    }
  }
  return `handed to a local function, where ${node.type} uses it`;
}
