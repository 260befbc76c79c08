/** Sizes and places of what a kernel reads and writes. */
import type { BlockScheme, QuantizedMatrix, WeightMatrix } from './kernel.ts';

/** Scale bits that mark a block holding a NaN or an infinity. */
export const NOT_FINITE = { float32: 0x7fc00000, float16: 0x7e00 } as const;

/** Sizes of a quantized matrix, in bytes unless stated otherwise. */
export interface Layout {
  /** Of one weight, and of one scale. */
  elementBytes: 2 | 4;
  /** Blocks in one output channel: ceil(K / block). */
  blocks: number;
  /** Of one block's codes. */
  blockBytes: number;
  /** Of one output channel's packed zero points. */
  zeroPointBytes: number;
}

/** Throws a `RangeError` when the data is not k·n elements long. */
export function layoutOf(matrix: WeightMatrix, { bits, block }: BlockScheme): Layout {
  const { data, type, k, n } = matrix;
  const elementBytes = type === 'float16' ? 2 : 4;
  if (data.byteLength !== k * n * elementBytes) {
    throw new RangeError(`${k}×${n} ${type} weights are ${k * n * elementBytes} bytes, not ${data.byteLength}`);
  }
  return layoutOfShape(k, elementBytes, { bits, block });
}

/** The layout of a [K, N] matrix in blocks. */
export function layoutOfShape(
  k: number,
  elementBytes: 2 | 4,
  { bits, block }: Pick<BlockScheme, 'bits' | 'block'>,
): Layout {
  const blocks = Math.ceil(k / block);
  return { elementBytes, blocks, blockBytes: (block * bits) / 8, zeroPointBytes: Math.ceil((blocks * bits) / 8) };
}

/** All zero, ready to be written; codes for which there is room in `memory` are what that holds. */
export function emptyResult(
  n: number,
  { elementBytes, blocks, blockBytes, zeroPointBytes }: Layout,
  symmetric: boolean,
  memory?: ArrayBuffer,
): QuantizedMatrix {
  const codes = n * blocks * blockBytes;
  return {
    codes: memory && memory.byteLength >= codes ? new Uint8Array(memory, 0, codes) : new Uint8Array(codes),
    scales: new Uint8Array(n * blocks * elementBytes),
    zeroPoints: symmetric ? null : new Uint8Array(n * zeroPointBytes),
  };
}
