/** The quantized forms constants are stored in: each form of a constant once, however many nodes use it. */
import {
  elementCount,
  elementType,
  FLOAT16,
  FLOAT32,
  INT4,
  INT8,
  packedBytes,
  UINT4,
  UINT8,
} from '../onnx/numbers/element-types.ts';
import type { NewNode, NewTensor } from '../onnx/writing/encode.ts';
import { METHODS } from '../contract/methods.ts';
import type { BlockedWeights, LinearWeights } from '../contract/levels/scheme.ts';
import { CONTRIB, type Draft } from './draft.ts';
import { blockedBytes, blockedShape, type QuantizeTask } from './quantize-task.ts';
import type { Constant } from '../onnx/graph/scopes.ts';
import { opsetOf, type Scope } from '../onnx/graph/scopes.ts';
import { isContiguous, type ConstantView, type View } from '../onnx/graph/constant-view.ts';

/** A constant matrix [K, N] to multiply by. */
export interface Matrix {
  /** The constant as [K, N]. */
  seen: ConstantView;
  k: number;
  n: number;
  /** How it lies: [K, N], or [N, K] and turned round on the way. */
  layout: 'kn' | 'nk';
  /** The order its elements are taken in where they lie in neither layout; then they come as `kn`. */
  view: View | null;
}

/** A weight in blocked form and the tensors it is stored as. */
export interface BlockedTensors {
  task: QuantizeTask & { kind: 'quantize' };
  codes: string | null;
  /** Codes without padding, as GatherBlockQuantized takes them; the same tensor as `codes` when nothing is padded. */
  rows: string | null;
  scales: string;
  zeroPoints: string | null;
  /** Names `rows` is seen by as MatMulNBits' codes, by scope. */
  reshaped: Map<Scope, string>;
}

/** The names of the tensors that hold a constant with one scale a channel. */
export interface ChannelScaledTensors {
  codes: string;
  scales: string;
  zeroPoints: string;
}

/** A constant's new form, for the ledger. */
export interface LedgerNote {
  element: string;
  reason: string;
  /** The same without what differs from weight to weight. */
  form: string;
}

/** Creates quantized forms of constants, each once. */
export interface Store {
  blocked(matrix: Matrix, weights: BlockedWeights): BlockedTensors;
  /** Adds the codes of a blocked weight as MatMulNBits (`codes`) or GatherBlockQuantized (`rows`) takes them. */
  addCodes(made: BlockedTensors, part: 'codes' | 'rows', dims: readonly number[]): string;
  /** The constant with one scale for each index of `axis`, or for all of it (null). */
  linear(seen: ConstantView, axis: number | null, weights: LinearWeights): ChannelScaledTensors;
  /** A value that is the constant quantized and dequantized, of the type it was seen as. */
  dequantized(seen: ConstantView, axis: number | null, weights: LinearWeights): string;
  /**
   * The same of 4-bit blocks along K, as [K, N] (`columns`) or [N, K] (`rows`); only where `whyNotInt4` returns null.
   */
  dequantizedBlocks(matrix: Matrix, nibbles: 'columns' | 'rows', weights: BlockedWeights): string;
  told: ReadonlyMap<Constant, LedgerNote[]>;
}

/**
 * Creates an empty store.
 * @param isRounded Whether a constant is rounded to fp16 first, as in the baseline.
 */
export function createStore(draft: Draft, isRounded: (constant: Constant) => boolean): Store {
  const blockedOf = new Map<Constant, BlockedTensors[]>();
  const constantOf = new Map<BlockedTensors, Constant>();
  const linearOf = new Map<string, ChannelScaledTensors>();
  const dequantizedOf = new Map<string, string>();
  const told = new Map<Constant, LedgerNote[]>();
  const numbers = new Map<Constant, number>();

  const tell = ({ constant }: ConstantView, element: string, form: string, reason = form) => {
    const known = told.get(constant) ?? [];
    if (!known.some((line) => line.reason === reason)) told.set(constant, [...known, { element, reason, form }]);
  };
  const keyOf = ({ constant, view, type }: ConstantView, ...more: (string | number | null)[]) => {
    const number = numbers.get(constant) ?? numbers.size;
    numbers.set(constant, number);
    return [number, view.dims, view.strides, type, ...more].join(' ');
  };
  const add = ({ constant }: ConstantView, tensor: NewTensor<QuantizeTask>) => {
    draft.replacementOf(constant).tensors.push(tensor);
    return tensor.name;
  };
  const weightOf = ({ constant, type }: ConstantView, view: View | null) => ({
    tensor: constant.tensor,
    type,
    rounded: isRounded(constant),
    ...(view && { view }),
  });

  const store: Store = {
    told,
    blocked(matrix, weights) {
      const { seen, layout, k, n } = matrix;
      const { constant, type } = seen;
      const known = blockedOf.get(constant) ?? [];
      const view = neededMatrixView(matrix);
      const same = known.find(
        ({ task }) =>
          task.layout === layout &&
          task.type === type &&
          task.scheme.bits === weights.bits &&
          JSON.stringify(task.view ?? null) === JSON.stringify(view),
      );
      if (same) return same;
      const task: BlockedTensors['task'] = {
        kind: 'quantize',
        ...weightOf(seen, view),
        layout,
        k,
        n,
        scheme: weights,
      };
      const bytes = blockedBytes(k, n, weights, type);
      const shape = blockedShape(k, n, weights);
      const scales = add(seen, {
        name: draft.unique(`${constant.name}_scales`),
        type,
        dims: shape.scales,
        data: { kind: 'made', task: task, part: 'scales', length: bytes.scales },
      });
      const zeroPoints = weights.symmetric
        ? null
        : add(seen, {
            name: draft.unique(`${constant.name}_zero_points`),
            type: UINT8,
            dims: shape.zeroPoints,
            data: { kind: 'made', task: task, part: 'zeroPoints', length: bytes.zeroPoints },
          });
      const made: BlockedTensors = { task, codes: null, rows: null, scales, zeroPoints, reshaped: new Map() };
      blockedOf.set(constant, [...known, made]);
      constantOf.set(made, constant);
      tell(seen, `int${weights.bits}`, describeBlocks(weights));
      return made;
    },
    addCodes(made, part, dims) {
      const { tensor, scheme } = made.task;
      const name = draft.unique(`${tensor.name}_Q${scheme.bits}`);
      const constant = constantOf.get(made);
      if (!constant) throw new Error(`${tensor.name} is not in the store`);
      // Codes before scales: they are written as they are made, and what is made beside them is small enough to wait.
      const { tensors } = draft.replacementOf(constant);
      const scales = tensors.findIndex((tensor) => tensor.name === made.scales);
      tensors.splice(scales, 0, {
        name,
        type: UINT8,
        dims,
        data: { kind: 'made', task: made.task, part, length: elementCount(dims) },
      });
      made[part] = name;
      return name;
    },
    linear(seen, axis, weights) {
      const key = keyOf(seen, axis, weights.type);
      const known = linearOf.get(key);
      if (known) return known;
      const { dims } = seen.view;
      const channels = axis === null ? 1 : (dims[axis] ?? 1);
      const inner = elementCount(axis === null ? dims : dims.slice(axis + 1));
      const task: QuantizeTask = {
        kind: 'linear',
        ...weightOf(seen, neededView(seen)),
        outer: axis === null ? 1 : elementCount(dims.slice(0, axis)),
        channels,
        inner,
        scheme: { type: weights.type, symmetric: weights.symmetric },
      };
      const made = (part: string, length: number) => ({ kind: 'made' as const, task, part, length });
      const type = weights.type === 'int8' ? INT8 : UINT8;
      const { name } = seen.constant;
      const each = axis === null ? [] : [channels];
      const linear: ChannelScaledTensors = {
        scales: add(seen, {
          name: draft.unique(`${name}_scale`),
          type: FLOAT32,
          dims: each,
          data: made('scales', channels * 4),
        }),
        zeroPoints: add(seen, {
          name: draft.unique(`${name}_zero_point`),
          type,
          dims: each,
          data: made('zeroPoints', channels),
        }),
        codes: add(seen, {
          name: draft.unique(`${name}_quantized`),
          type,
          dims,
          data: made('codes', elementCount(dims)),
        }),
      };
      linearOf.set(key, linear);
      tell(
        seen,
        weights.type,
        describeLinear(weights, axis === null ? 'one scale' : 'a scale for each channel'),
        describeLinear(weights, axis === null ? 'one scale' : `a scale for each of ${channels} channels`),
      );
      return linear;
    },
    dequantized(seen, axis, weights) {
      const key = keyOf(seen, axis, weights.type);
      const known = dequantizedOf.get(key);
      if (known !== undefined) return known;
      const { codes, scales, zeroPoints } = store.linear(seen, axis, weights);
      const name = draft.unique(`${seen.constant.name}_dequantized`);
      const { scope } = seen.constant;
      const { nodes } = draft.replacementOf(seen.constant);
      for (const node of dequantizeNodes(draft, scope, {
        codes,
        scales,
        zeroPoints,
        axis,
        type: seen.type,
        output: name,
      }))
        nodes.push(node);
      dequantizedOf.set(key, name);
      return name;
    },
    dequantizedBlocks(matrix, nibbles, weights) {
      const { seen, layout, k, n } = matrix;
      const key = keyOf(seen, nibbles, 'blocks');
      const known = dequantizedOf.get(key);
      if (known !== undefined) return known;
      const view = neededMatrixView(matrix);
      const task: QuantizeTask = {
        kind: 'quantize',
        ...weightOf(seen, view),
        layout,
        k,
        n,
        scheme: weights,
        nibbles,
      };
      const blocks = k / weights.block;
      const oriented = (count: number) => (nibbles === 'rows' ? [n, count] : [count, n]);
      const made = (part: string, type: number, dims: number[]) => ({
        dims,
        type,
        data: { kind: 'made' as const, task, part, length: packedBytes(type, elementCount(dims)) ?? 0 },
      });
      const type = weights.symmetric ? INT4 : UINT4;
      const { name } = seen.constant;
      const output = draft.unique(`${name}_dequantized`);
      const codes = add(seen, { name: draft.unique(`${name}_Q4`), ...made('nibbles', type, oriented(k)) });
      const scales = add(seen, {
        name: draft.unique(`${name}_scales`),
        ...made('nibbleScales', seen.type, oriented(blocks)),
      });
      const zeroPoints = weights.symmetric
        ? []
        : [
            add(seen, {
              name: draft.unique(`${name}_zero_points`),
              ...made('nibbleZeroPoints', type, oriented(blocks)),
            }),
          ];
      draft.replacementOf(seen.constant).nodes.push({
        type: 'DequantizeLinear',
        domain: '',
        name: output,
        inputs: [codes, scales, ...zeroPoints],
        outputs: [output],
        attributes: { axis: nibbles === 'rows' ? 1 : 0, block_size: weights.block },
      });
      dequantizedOf.set(key, output);
      tell(seen, 'int4', `${describeBlocks(weights)}, behind a DequantizeLinear`);
      return output;
    },
  };
  return store;
}

/** The view a task needs; null where it takes the elements as they are stored. */
function neededView({ view }: ConstantView): View | null {
  return isContiguous(view) && view.casts.length < 2 ? null : view;
}

/** A matrix in either layout needs no other order, but more than one Cast has to be told. */
function neededMatrixView({ view, seen }: Matrix): View | null {
  const { dims } = seen.constant.tensor;
  return (
    view ??
    (seen.view.casts.length < 2
      ? null
      : { dims, strides: dims.map((_, axis) => elementCount(dims.slice(axis + 1))), casts: seen.view.casts })
  );
}

/**
 * DequantizeLinear of 8-bit codes. Its scales are float32 whatever the arithmetic, so that fp16 loses nothing in them;
 * one scale a channel came with operator set 13, onnxruntime's own operator has it in every one.
 */
export function dequantizeNodes(
  draft: Draft,
  scope: Scope,
  {
    codes,
    scales,
    zeroPoints,
    axis,
    type,
    output,
  }: ChannelScaledTensors & { axis: number | null; type: number; output: string },
): NewNode[] {
  const version = opsetOf(scope);
  const domain = version >= 13 || (version >= 10 && axis === null) ? '' : CONTRIB;
  const wide = type === FLOAT32 ? output : draft.unique(`${output}_float32`);
  return [
    {
      type: 'DequantizeLinear',
      domain,
      name: wide,
      inputs: [codes, scales, zeroPoints],
      outputs: [wide],
      attributes: axis === null ? {} : { axis },
    },
    ...(type === FLOAT32
      ? []
      : [{ type: 'Cast', domain: '', name: output, inputs: [wide], outputs: [output], attributes: { to: type } }]),
  ];
}

/** Bytes a node and the headers around tensors take, about. */
const NODE_BYTES = 200;

/** Why storing a constant with scales for channels would gain nothing, or null. */
export function whyNotLinear({ constant, view, type }: ConstantView, axis: number | null): string | null {
  const reason = whyNotQuantizable(constant, type);
  if (reason !== null) return reason;
  const count = elementCount(view.dims);
  const channels = axis === null ? 1 : (view.dims[axis] ?? 1);
  return count + channels * 5 + NODE_BYTES < constant.tensor.bytes
    ? null
    : 'would not get smaller: scales and a node take what the weights save';
}

/** Why storing a matrix in blocks would gain nothing or cannot be done, or null. */
export function whyNotBlocked({ seen: { constant, type }, k, n }: Matrix, weights: BlockedWeights): string | null {
  const reason = whyNotQuantizable(constant, type);
  if (reason !== null) return reason;
  const { codes, scales, zeroPoints } = blockedBytes(k, n, weights, type);
  return codes + scales + zeroPoints < constant.tensor.bytes
    ? null
    : `would not get smaller: ${k} inputs fill too little of a block of ${weights.block}`;
}

/** Why a matrix cannot be stored as ONNX's own 4-bit type, or null. */
export function whyNotInt4({ k }: Matrix, scope: Scope, { block }: BlockedWeights): string | null {
  if (opsetOf(scope) < 21)
    return `4-bit DequantizeLinear came with operator set 21, the model is written for ${opsetOf(scope)}`;
  return k % block === 0 ? null : `${k} inputs are no multiple of the block of ${block}, which DequantizeLinear needs`;
}

function whyNotQuantizable({ tensor, readable, scope, doubt }: Constant, type: number): string | null {
  if (!readable) return 'stored in another file, which is missing';
  if (doubt !== null) return doubt;
  if (type !== FLOAT32 && type !== FLOAT16)
    return `computes in ${elementType(type).name}, which quantized operators do not`;
  if (type === FLOAT16 && opsetOf(scope) < 6)
    return `a Cast back to float16 came with operator set 6, the model is written for ${opsetOf(scope)}`;
  return elementCount(tensor.dims) === 0 ? 'it is empty' : null;
}

function describeBlocks({ bits, block, symmetric, method }: BlockedWeights): string {
  const how = method ? `, ${METHODS[method].label}` : '';
  return `${bits} bits in blocks of ${block}, ${symmetric ? 'symmetric' : 'asymmetric'}${how}`;
}

function describeLinear({ symmetric }: LinearWeights, scales: string): string {
  return `8 bits, ${scales}, ${symmetric ? 'symmetric' : 'asymmetric'}`;
}
