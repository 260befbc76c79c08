/** A quantized matrix before it is packed, and the ways from stored weights and to MatMulNBits' layout. */
import { asUint16, asFloat32 } from '../../lib/bytes.ts';
import type { BlockScheme, QuantizedMatrix, WeightMatrix } from '../../kernels/kernel.ts';
import { emptyResult, layoutOfShape } from '../../kernels/layout.ts';
import { fromFloat16Array, toFloat16Array } from '../../onnx/numbers/float16.ts';

/** Codes of a [K, N] matrix by output channel: weight (n, k) is scale · step, and its code is step + zero point. */
export interface BlockCodes {
  k: number;
  n: number;
  scheme: BlockScheme;
  /** Element type of the scales as stored. */
  type: 'float32' | 'float16';
  /** [N, K], code less zero point. */
  steps: Int16Array;
  /** [N, kb], values that `type` can hold. */
  scales: Float32Array;
  /** [N, kb]. */
  zeroPoints: Uint8Array;
}

/** All codes at the zero point. */
export function emptyCodes({ k, n, type }: Pick<WeightMatrix, 'k' | 'n' | 'type'>, scheme: BlockScheme): BlockCodes {
  const blocks = Math.ceil(k / scheme.block);
  return {
    k,
    n,
    scheme,
    type,
    steps: new Int16Array(n * k),
    scales: new Float32Array(n * blocks),
    zeroPoints: new Uint8Array(n * blocks).fill(2 ** (scheme.bits - 1)),
  };
}

/** The weights as [N, K] float32. */
export function weightRows({ data, type, layout, k, n }: WeightMatrix): Float32Array {
  const stored = type === 'float16' ? fromFloat16Array(asUint16(data)) : asFloat32(data);
  if (layout === 'nk') return stored;
  const rows = new Float32Array(n * k);
  for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) rows[j * k + i] = stored[i * n + j]!;
  return rows;
}

/** What the codes stand for, as [N, K] float32. */
export function dequantizedRows({ k, n, scheme, steps, scales }: BlockCodes): Float32Array {
  const blocks = Math.ceil(k / scheme.block);
  const rows = new Float32Array(n * k);
  for (let j = 0; j < n; j++)
    for (let i = 0; i < k; i++)
      rows[j * k + i] = steps[j * k + i]! * scales[j * blocks + Math.floor(i / scheme.block)]!;
  return rows;
}

/** The same bytes as a kernel makes. */
export function packCodes({ k, n, scheme, type, steps, scales, zeroPoints }: BlockCodes): QuantizedMatrix {
  const { bits, block, symmetric } = scheme;
  const layout = layoutOfShape(k, type === 'float16' ? 2 : 4, scheme);
  const packed = emptyResult(n, layout, symmetric);
  const perByte = 8 / bits;
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < k; i++) {
      const code = steps[j * k + i]! + zeroPoints[j * layout.blocks + Math.floor(i / block)]!;
      const at = j * layout.blocks * layout.blockBytes + Math.floor(i / perByte);
      packed.codes[at] = packed.codes[at]! | (code << ((i % perByte) * bits));
    }
    if (packed.zeroPoints)
      for (let b = 0; b < layout.blocks; b++) {
        const at = j * layout.zeroPointBytes + Math.floor(b / perByte);
        packed.zeroPoints[at] = packed.zeroPoints[at]! | (zeroPoints[j * layout.blocks + b]! << ((b % perByte) * bits));
      }
  }
  const { buffer } = type === 'float16' ? toFloat16Array(scales) : scales;
  return { ...packed, scales: new Uint8Array(buffer as ArrayBuffer, 0, packed.scales.length) };
}

/** The inverse of `packCodes`. */
export function unpackCodes(
  { codes, scales, zeroPoints }: QuantizedMatrix,
  { k, n, type }: Pick<WeightMatrix, 'k' | 'n' | 'type'>,
  scheme: BlockScheme,
): BlockCodes {
  const { bits, block } = scheme;
  const result = emptyCodes({ k, n, type }, scheme);
  const { blocks, blockBytes, zeroPointBytes } = layoutOfShape(k, type === 'float16' ? 2 : 4, scheme);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const pick = (bytes: Uint8Array, start: number, index: number) =>
    (bytes[start + Math.floor(index / perByte)]! >> ((index % perByte) * bits)) & mask;
  result.scales.set(type === 'float16' ? fromFloat16Array(asUint16(scales)) : asFloat32(scales));
  for (let j = 0; j < n; j++) {
    if (zeroPoints)
      for (let b = 0; b < blocks; b++) result.zeroPoints[j * blocks + b] = pick(zeroPoints, j * zeroPointBytes, b);
    for (let i = 0; i < k; i++)
      result.steps[j * k + i] =
        pick(codes, j * blocks * blockBytes, i) - result.zeroPoints[j * blocks + Math.floor(i / block)]!;
  }
  return result;
}
