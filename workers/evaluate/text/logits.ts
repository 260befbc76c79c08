/** Logits as a graph gives them, and whether two runs gave the same. */
import { fromFloat16Array } from '../../onnx/numbers/float16.ts';
import type { HostTensor } from '../sessions/graph-session.ts';

export interface Logits {
  positions: number;
  vocabulary: number;
  /** [rows, vocabulary]; a view where the model computes in float32. */
  values(first: number, rows: number): Float32Array;
}

/** Logits as they come from a graph: [batch, positions, vocabulary]; the first of the batch is read. */
export function readLogits({ type, dims, data }: HostTensor): Logits {
  const vocabulary = dims.at(-1) ?? 0;
  return {
    positions: dims.length >= 2 ? (dims.at(-2) ?? 0) : 0,
    vocabulary,
    values(first, rows) {
      const from = first * vocabulary;
      const to = (first + rows) * vocabulary;
      if (data instanceof Float32Array) return data.subarray(from, to);
      if (data instanceof Uint16Array && type === 'float16') return fromFloat16Array(data.subarray(from, to));
      throw new TypeError(`logits of type ${type}`);
    },
  };
}

/** Whether the same positions got other logits: a difference above `share` of how far the logits spread. */
export function differ(before: Float32Array, after: Float32Array, share: number): boolean {
  let largest = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let index = 0; index < before.length; index++) {
    const value = before[index]!;
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
    largest = Math.max(largest, Math.abs(value - after[index]!));
  }
  return largest > share * Math.max(0, high - low);
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (const [index, value] of a.entries()) largest = Math.max(largest, Math.abs(value - b[index]!));
  return largest;
}
