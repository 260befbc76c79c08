/** How far two tensors are apart, in a number that means the same for every tensor. */
import { fromFloat16Array } from '../../onnx/numbers/float16.ts';
import type { HostTensor } from '../sessions/graph-session.ts';

export interface Difference {
  /**
   * RMS of the difference over RMS of the values (of the tensor with the larger one): 0 for equal ones, 2 at most.
   * Tensors that are not of one shape, or are not finite in the same places, are 2 apart; integers 0 or 1.
   */
  relative: number;
  /** RMS of the difference, in the tensor's own unit. */
  error: number;
  /** RMS of the values, those that mask left out. */
  rms: number;
  type: string;
}

/** The difference of tensors that have nothing in common. */
export const FURTHEST = 2;

/**
 * Attention masks are added to scores as −10,000, −65,504, the lowest float or −∞. Beside them a difference of scores
 * would not show, so numbers as low as this are also looked past; and one mask is as good as another.
 */
const MASKED = -5000;

/** Null for what is not numbers. */
export function tensorDifference(left: HostTensor, right: HostTensor): Difference | null {
  const { type } = left;
  if (right.type !== type || !sameDims(left.dims, right.dims))
    return { relative: FURTHEST, error: Infinity, rms: Infinity, type };
  const a = floatValues(left);
  const b = floatValues(right);
  return a && b ? floatDifference(a, b, type) : integerDifference(left, right);
}

/** Values as numbers, or null for integers. */
export function floatValues({ type, data }: HostTensor): Float32Array | Float64Array | null {
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  return type === 'float16' && data instanceof Uint16Array ? fromFloat16Array(data) : null;
}

function floatDifference(a: Float32Array | Float64Array, b: Float32Array | Float64Array, type: string): Difference {
  const masked = sums();
  const others = sums();
  for (let index = 0; index < a.length; index++) {
    const x = a[index]!;
    const y = b[index]!;
    const isMasked = x <= MASKED && y <= MASKED;
    if (Number.isFinite(x) && Number.isFinite(y)) add(isMasked ? masked : others, x, y);
    else if (!isMasked && !Object.is(x, y)) return { relative: FURTHEST, error: Infinity, rms: Infinity, type };
  }
  const all = differenceOf({
    a: masked.a + others.a,
    b: masked.b + others.b,
    squares: masked.squares + others.squares,
    count: masked.count + others.count,
  });
  const unmasked = differenceOf(others);
  const further = unmasked.relative > all.relative ? unmasked : all;
  return { ...further, rms: others.count > 0 ? unmasked.rms : all.rms, type };
}

interface Sums {
  a: number;
  b: number;
  squares: number;
  count: number;
}

const sums = (): Sums => ({ a: 0, b: 0, squares: 0, count: 0 });

function add(to: Sums, x: number, y: number): void {
  to.a += x * x;
  to.b += y * y;
  to.squares += (x - y) ** 2;
  to.count++;
}

function differenceOf({ a, b, squares, count }: Sums): Omit<Difference, 'type'> {
  if (count === 0) return { relative: 0, error: 0, rms: 0 };
  const error = Math.sqrt(squares / count);
  const rms = Math.sqrt(Math.max(a, b) / count);
  return { relative: error === 0 ? 0 : Math.min(FURTHEST, error / rms), error, rms };
}

function integerDifference(left: HostTensor, right: HostTensor): Difference {
  const { data, type } = left;
  for (let index = 0; index < data.length; index++) {
    if (data[index] !== right.data[index]) return { relative: 1, error: Infinity, rms: 0, type };
  }
  return { relative: 0, error: 0, rms: 0, type };
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}
