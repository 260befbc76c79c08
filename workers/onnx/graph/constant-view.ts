/**
 * A constant as a node sees it through Constant, Identity, Cast, Transpose, Reshape, Squeeze and Unsqueeze nodes. These
 * nodes are evaluated while planning. No element is moved: a view is a shape and a stride for each dimension, in elements
 * of the stored constant.
 */
import { BFLOAT16, elementCount, FLOAT16, FLOAT32, FLOAT64 } from '../numbers/element-types.ts';
import type { Node } from '../model.ts';
import { hasReferences, intAttribute, intsAttribute } from './attributes.ts';
import type { Constant } from './scopes.ts';
import { definingScope, isNodeKnown, type Scope } from './scopes.ts';

/** The order in which a node sees the elements of a constant, as a shape and a stride for each dimension. */
export interface View {
  dims: number[];
  /** Elements of the stored tensor from one index to the next. */
  strides: number[];
  /** Element types that the Casts produce, in the order they run in. */
  casts: number[];
}

/** Nodes between a constant and its use, nearest to the use first. */
export type Via = readonly { node: Node; scope: Scope }[];

/** A constant and how one of its uses sees it. */
export interface ConstantView {
  constant: Constant;
  view: View;
  /** Element type after all Casts. */
  type: number;
  via: Via;
}

const FLOATS: ReadonlySet<number> = new Set([FLOAT32, FLOAT16, BFLOAT16, FLOAT64]);
/** Exporters do not write longer chains. */
const MAX_STEPS = 16;

/** Whether an element type is a floating-point type that Cast nodes convert here. */
export function isFloat(type: number): boolean {
  return FLOATS.has(type);
}

/** Finds the constant behind a value and how it is seen. Null when there is none, or another operator changes it. */
export function viewConstant(scope: Scope, value: string): ConstantView | null {
  const via: { node: Node; scope: Scope }[] = [];
  let at: Scope = scope;
  let name = value;
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const owner = definingScope(at, name);
    if (!owner) return null;
    const constant = owner.constants.get(name);
    // An input of a body gets a new value in each run. In the main graph it has a default, see `overridable`.
    if (constant) return owner.parent && owner.inputs.has(name) ? null : look(constant, via);
    const node = owner.producer.get(name);
    if (node?.domain !== '' || !STEPS.has(node.type) || !isNodeKnown(node, owner) || hasReferences(node)) return null;
    via.push({ node, scope: owner });
    name = node.inputs[0] ?? '';
    at = owner;
  }
  return null;
}

/** Applies the nodes in the order they run in. */
function look(constant: Constant, via: Via): ConstantView | null {
  const { dims, type } = constant.tensor;
  let view: View | null = { dims, strides: contiguousStrides(dims), casts: [] };
  for (const { node, scope } of [...via].reverse()) {
    view = STEPS.get(node.type)?.(view, node, scope, type) ?? null;
    if (!view) return null;
  }
  return { constant, view, type: view.casts.at(-1) ?? type, via };
}

type Step = (view: View, node: Node, scope: Scope, type: number) => View | null;

const STEPS: ReadonlyMap<string, Step> = new Map(
  Object.entries<Step>({
    Identity: (view) => view,
    Cast(view, node, _, type) {
      const to = intAttribute(node, 'to', 0);
      return isFloat(view.casts.at(-1) ?? type) && isFloat(to) ? { ...view, casts: [...view.casts, to] } : null;
    },
    Transpose({ dims, strides, casts }, node) {
      const perm = intsAttribute(node, 'perm') ?? dims.map((_, axis) => dims.length - 1 - axis);
      const whole =
        perm.length === dims.length &&
        new Set(perm).size === dims.length &&
        perm.every((axis) => axis >= 0 && axis < dims.length);
      return whole
        ? { dims: perm.map((axis) => dims[axis] ?? 1), strides: perm.map((axis) => strides[axis] ?? 0), casts }
        : null;
    },
    Reshape(view, node, scope) {
      const target = listOf(scope, node, 'shape');
      const dims = target && resolveShape(target, view.dims, intAttribute(node, 'allowzero', 0) === 1);
      return dims && reshape(view, dims);
    },
    Unsqueeze(view, node, scope) {
      const given = listOf(scope, node, 'axes');
      if (!given) return null;
      const rank = view.dims.length + given.length;
      const axes = new Set(given.map((axis) => (axis < 0 ? axis + rank : axis)));
      if (axes.size !== given.length || [...axes].some((axis) => axis < 0 || axis >= rank)) return null;
      const rest = [...view.dims];
      return reshape(
        view,
        Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (rest.shift() ?? 1))),
      );
    },
    Squeeze(view, node, scope) {
      const stated = node.inputs.length > 1 || intsAttribute(node, 'axes') !== null;
      const given = stated
        ? listOf(scope, node, 'axes')
        : view.dims.flatMap((size, axis) => (size === 1 ? [axis] : []));
      if (!given) return null;
      const axes = new Set(given.map((axis) => (axis < 0 ? axis + view.dims.length : axis)));
      if ([...axes].some((axis) => view.dims[axis] !== 1)) return null;
      return reshape(
        view,
        view.dims.filter((_, axis) => !axes.has(axis)),
      );
    },
  }),
);

/** A list given as an attribute (older operator sets) or as a constant second input. */
function listOf(scope: Scope, node: Node, attribute: string): number[] | null {
  const stated = intsAttribute(node, attribute);
  if (stated) return stated;
  const name = node.inputs[1] ?? '';
  const constant = name === '' ? undefined : definingScope(scope, name)?.constants.get(name);
  // A caller may give another list for a default.
  return constant && !constant.overridable ? constant.tensor.ints : null;
}

/** Reshape's target in full: 0 keeps a dimension, one −1 takes what is left. */
function resolveShape(target: readonly number[], dims: readonly number[], allowZero: boolean): number[] | null {
  const kept = target.map((size, axis) => (size === 0 && !allowZero ? (dims[axis] ?? -2) : size));
  const known = elementCount(kept.filter((size) => size !== -1));
  const shape = kept.map((size) => (size === -1 ? elementCount(dims) / known : size));
  return shape.every((size) => Number.isSafeInteger(size) && size >= 0) && elementCount(shape) === elementCount(dims)
    ? shape
    : null;
}

/**
 * The view in another shape. Null unless its elements are contiguous or the shape only adds or removes dimensions of 1.
 */
function reshape(view: View, dims: number[]): View | null {
  if (isContiguous(view)) return { ...view, dims, strides: contiguousStrides(dims) };
  const real = view.dims.flatMap((size, axis) => (size === 1 ? [] : [{ size, stride: view.strides[axis] ?? 0 }]));
  const strides: number[] = [];
  for (const size of dims) {
    if (size === 1) {
      strides.push(1);
      continue;
    }
    const next = real.shift();
    if (next?.size !== size) return null;
    strides.push(next.stride);
  }
  return real.length === 0 ? { ...view, dims, strides } : null;
}

function contiguousStrides(dims: readonly number[]): number[] {
  return dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
}

/** Whether a view has the elements in the order they are stored in. */
export function isContiguous({ dims, strides }: View): boolean {
  return dims.every((size, axis) => size === 1 || strides[axis] === elementCount(dims.slice(axis + 1)));
}

/** Operators that keep a constant's dimensions or reorder them, and take it as their first input. */
const KEEPS_DIMENSIONS = new Set(['Transpose', 'Cast', 'Identity', 'DequantizeLinear']);
const MAX_REORDERINGS = 8;

/**
 * Dimensions that a node sees of a constant in the same scope, through Cast, Identity, Transpose and DequantizeLinear.
 * Null for what is computed from inputs.
 */
export function constantDims(scope: Scope, value: string): readonly number[] | null {
  /** Transposes between the constant and the value, nearest to the value first. */
  const transposes: Node[] = [];
  let name = value;
  for (let step = 0; step < MAX_REORDERINGS; step++) {
    const constant = scope.constants.get(name);
    if (constant) {
      return transposes.reduceRight<readonly number[]>((dims, node) => {
        const perm = intsAttribute(node, 'perm');
        return perm ? perm.map((axis) => dims[axis] ?? 1) : dims.toReversed();
      }, constant.tensor.dims);
    }
    const node = scope.producer.get(name);
    if (node?.domain !== '' || !KEEPS_DIMENSIONS.has(node.type)) return null;
    if (node.type === 'Transpose') transposes.push(node);
    name = node.inputs[0] ?? '';
  }
  return null;
}
