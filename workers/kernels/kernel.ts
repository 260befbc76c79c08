/**
 * The one interface every quantization backend implements: `reference` (readable, obviously right),
 * `wasm` (AssemblyScript SIMD) and `webgpu` (WGSL). All three give the same bytes for the same input,
 * and the bytes onnxruntime 1.30's quantizers give: MatMulNBits' for blocks, QuantizeLinear's for whole channels.
 *
 * What the scales tell: a block that holds a NaN or an infinity gets the scale NaN (0x7fc00000, or 0x7e00 in float16),
 * codes 0 and zero point 0, in all three. By the formula, an asymmetric float32 block whose max − min overflows gets an
 * infinite scale and codes 0. So weights that cannot be quantized show as scales that are not finite.
 * Where the reciprocal of a scale overflows (float32 blocks below 2^-120 or so), 0·∞ counts as code 0.
 * It is the same with channels, but for one whose max − min overflows: its codes are its zero point.
 */
import type { Backend } from '../contract/capabilities.ts';
import type { MethodId } from '../contract/methods.ts';
import type { BlockSize } from '../contract/levels/scheme.ts';

/** Quantization over blocks of `block` consecutive elements of K. */
export interface BlockScheme {
  bits: 2 | 4 | 8;
  block: BlockSize;
  symmetric: boolean;
  /**
   * How scales and zero points are chosen; round to nearest when absent. Kernels search for them (search.ts) with every
   * method: what `gptq` makes of a whole model is made elsewhere, and this is what it falls back to.
   */
  method?: Exclude<MethodId, 'rtn'>;
}

/** A weight matrix as it lies in the model file: little-endian, row-major. */
export interface WeightMatrix {
  /** k·n elements; may be unaligned, and is not modified. */
  data: Uint8Array;
  type: 'float32' | 'float16';
  /** `kn`: [K, N], as MatMul stores weights. `nk`: [N, K], as an embedding table or a transposed weight. */
  layout: 'kn' | 'nk';
  k: number;
  n: number;
  /** E[x²] of each input channel [K], by which the method `search` weighs squared errors; all count alike when absent. */
  meanSquares?: Float32Array;
}

/** Shapes with kb = ceil(K / block); bits that hold no element of the matrix are 0. */
export interface QuantizedMatrix {
  /** [N, kb, block·bits/8], first element in the low bits. */
  codes: Uint8Array;
  /** [N, kb] of the weight's own type, little-endian. */
  scales: Uint8Array;
  /** [N, ceil(kb·bits/8)], packed as the codes are; null when symmetric. */
  zeroPoints: Uint8Array | null;
}

/** One scale for each channel, over the whole range of an 8-bit type. */
export interface LinearScheme {
  type: 'int8' | 'uint8';
  symmetric: boolean;
}

/** A weight tensor as it lies in the model file, with its axis of channels: [outer, channels, inner], little-endian. */
export interface WeightTensor {
  /** outer·channels·inner elements; may be unaligned, and is not modified. */
  data: Uint8Array;
  type: 'float32' | 'float16';
  /** The product of the dimensions before the axis. */
  outer: number;
  /** 1 for one scale over the whole tensor. */
  channels: number;
  /** The product of the dimensions after the axis. */
  inner: number;
}

export interface LinearTensor {
  /** [outer, channels, inner] int8 or uint8. */
  codes: Uint8Array;
  /** [channels] float32, little-endian, for weights of either type. A channel without elements has the scale 1. */
  scales: Uint8Array;
  /** [channels] int8 or uint8. */
  zeroPoints: Uint8Array;
}

export interface Kernel {
  readonly backend: Backend;
  /**
   * Rejects with an `AbortError` when the signal fires between pieces of work.
   * @param memory Where codes may go if there is room, whatever it holds: new memory can cost as much as the arithmetic.
   */
  quantize(
    matrix: WeightMatrix,
    scheme: BlockScheme,
    signal?: AbortSignal,
    memory?: ArrayBuffer,
  ): Promise<QuantizedMatrix>;
  /** The same for one scale a channel. */
  quantizePerChannel(tensor: WeightTensor, scheme: LinearScheme, signal?: AbortSignal): Promise<LinearTensor>;
  dispose(): void;
}
