/** What has to be computed while a file is written. Plain values: a plan holds no weights. */
import type { BlockScheme } from '../kernels/kernel.ts';
import { elementCount, FLOAT16, packedBytes } from '../onnx/element-types.ts';
import type { Tensor } from '../onnx/model.ts';

export type Recipe =
  /** Parts `codes`, `rows` (codes without the padding of a ragged last block), `scales`, `zeroPoints`. */
  | {
    kind: 'quantize'; tensor: Tensor; layout: 'kn' | 'nk'; k: number; n: number; scheme: BlockScheme;
    /** Element type of the arithmetic, and so of the scales; a float16 tensor may be widened to it. */
    type: number;
    /** Round the weights to fp16 first, as the baseline has them. */
    rounded: boolean;
  }
  /** Part `values`. */
  | { kind: 'to-float16'; tensor: Tensor };

/** Dimensions of what MatMulNBits takes for a [K, N] weight (onnxruntime's ContribOperators.md). */
export function blockedShape(k: number, n: number, { bits, block }: BlockScheme): { blocks: number; codes: [number, number, number]; scales: [number, number]; zeroPoints: [number, number] } {
  const blocks = Math.ceil(k / block);
  return { blocks, codes: [n, blocks, (block * bits) / 8], scales: [n, blocks], zeroPoints: [n, Math.ceil((blocks * bits) / 8)] };
}

/** Bytes of each part of a quantized weight. */
export function blockedBytes(k: number, n: number, scheme: BlockScheme, scaleType: number): { codes: number; rows: number; scales: number; zeroPoints: number } {
  const shape = blockedShape(k, n, scheme);
  return {
    codes: elementCount(shape.codes),
    rows: n * Math.ceil((k * scheme.bits) / 8),
    scales: packedBytes(scaleType, elementCount(shape.scales)) ?? 0,
    zeroPoints: scheme.symmetric ? 0 : elementCount(shape.zeroPoints),
  };
}

export function float16Bytes(tensor: Tensor): number {
  return packedBytes(FLOAT16, elementCount(tensor.dims)) ?? 0;
}
