/** What has to be computed while a file is written. Plain values: a plan holds no weights, and a task may cross to a worker. */
import type { BlockScheme, LinearScheme, QuantizedMatrix } from '../kernels/kernel.ts';
import { elementCount, FLOAT16, packedBytes } from '../onnx/numbers/element-types.ts';
import type { Tensor } from '../onnx/model.ts';
import type { View } from '../onnx/graph/constant-view.ts';

interface Weight {
  tensor: Tensor;
  /** How its elements are taken; absent means as they are stored. */
  view?: View;
  /** Element type of the arithmetic; what is stored is converted to it. */
  type: number;
  /** Round the weights to fp16 first, as the baseline has them. */
  rounded: boolean;
}

export type QuantizeTask =
  /**
   * Blocks along K. Parts `codes`, `rows` (codes without the padding of a ragged last block), `scales`, `zeroPoints`.
   * With `nibbles`, of 4-bit weights, instead `nibbles`, `nibbleScales`, `nibbleZeroPoints` as ONNX's own 4-bit types
   * have them: int4 when symmetric, uint4 when not, laid out [N, K] (`rows`) or [K, N] (`columns`).
   */
  | (Weight & {
      kind: 'quantize';
      layout: 'kn' | 'nk';
      k: number;
      n: number;
      scheme: BlockScheme;
      nibbles?: 'rows' | 'columns';
      /** E[x²] of each input channel [K], from calibration. */
      meanSquares?: Float32Array;
      /** What calibration has made of the whole weight: nothing is read or computed for it. */
      ready?: QuantizedMatrix;
    })
  /** One scale a channel. Parts `codes`, `scales` (float32), `zeroPoints`. */
  | (Weight & { kind: 'linear'; outer: number; channels: number; inner: number; scheme: LinearScheme })
  /** Part `values`. With `limit`, numbers beyond it, to either side of zero, become it. */
  | { kind: 'to-float16'; tensor: Tensor; limit?: number };

/** Bytes of each part of what a task makes; parts that are some other part's bytes in another order are counted, too. */
export function partBytes(task: QuantizeTask): ReadonlyMap<string, number> {
  switch (task.kind) {
    case 'to-float16':
      return new Map([['values', float16Bytes(task.tensor)]]);
    case 'linear':
      return new Map([
        ['codes', task.outer * task.channels * task.inner],
        ['scales', task.channels * 4],
        ['zeroPoints', task.channels],
      ]);
    case 'quantize': {
      const { k, n, scheme, type, nibbles } = task;
      const { codes, rows, scales, zeroPoints } = blockedBytes(k, n, scheme, type);
      const packed = (elements: number) => Math.ceil(elements / 2);
      return new Map(
        nibbles
          ? [
              ['nibbles', packed(k * n)],
              ['nibbleScales', scales],
              ...(scheme.symmetric ? [] : [['nibbleZeroPoints', packed(n * Math.ceil(k / scheme.block))] as const]),
            ]
          : [
              ['codes', codes],
              ['rows', rows],
              ['scales', scales],
              ...(scheme.symmetric ? [] : [['zeroPoints', zeroPoints] as const]),
            ],
      );
    }
  }
}

/** Dimensions of what MatMulNBits takes for a [K, N] weight (onnxruntime's ContribOperators.md). */
export function blockedShape(
  k: number,
  n: number,
  { bits, block }: BlockScheme,
): { blocks: number; codes: [number, number, number]; scales: [number, number]; zeroPoints: [number, number] } {
  const blocks = Math.ceil(k / block);
  return {
    blocks,
    codes: [n, blocks, (block * bits) / 8],
    scales: [n, blocks],
    zeroPoints: [n, Math.ceil((blocks * bits) / 8)],
  };
}

/** Bytes of each part of a quantized weight. */
export function blockedBytes(
  k: number,
  n: number,
  scheme: BlockScheme,
  scaleType: number,
): { codes: number; rows: number; scales: number; zeroPoints: number } {
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
