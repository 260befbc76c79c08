/**
 * Round-to-nearest quantization and the search for better grids, written to be read: what the fast kernels are checked against.
 * For blocks the formula is that of onnxruntime 1.30's MatMulNBits quantizer, every step one float32 operation; for
 * channels that of its QuantizeLinear weights, whose scale and zero point `linear.ts` computes.
 */
import { fromFloat16Bits, toFloat16Bits } from '../onnx/numbers/float16.ts';
import type {
  BlockScheme,
  Kernel,
  LinearScheme,
  LinearTensor,
  QuantizedMatrix,
  WeightMatrix,
  WeightTensor,
} from './kernel.ts';
import { emptyResult, layoutOf, NOT_FINITE } from './layout.ts';
import { emptyLinear, parametersOf, roundHalfEven, storeParameters } from './linear.ts';
import { blockWeights, searchGrid, type BlockGrid } from './search.ts';
import { createYielder } from './yielder.ts';

const { fround } = Math;

export interface QuantizedBlock {
  /** In the weight's own type. */
  scaleBits: number;
  zeroPoint: number;
  /** One for each element, not packed. */
  codes: number[];
}

/** `sliceMs`: how long it may work before the thread is given away. */
export function createReferenceKernel({ sliceMs = 8 }: { sliceMs?: number } = {}): Kernel {
  let disposed = false;
  return {
    backend: 'reference',
    async quantize(matrix, scheme, signal) {
      if (disposed) throw new Error('The kernel was disposed');
      return quantizeMatrix(matrix, scheme, createYielder(signal, sliceMs));
    },
    async quantizePerChannel(tensor, scheme, signal) {
      if (disposed) throw new Error('The kernel was disposed');
      return quantizeTensor(tensor, scheme, createYielder(signal, sliceMs));
    },
    dispose() {
      disposed = true;
    },
  };
}

async function quantizeMatrix(
  matrix: WeightMatrix,
  scheme: BlockScheme,
  pace: () => Promise<void>,
): Promise<QuantizedMatrix> {
  const { data, type, layout: order, k, n } = matrix;
  const { bits, block, symmetric, method } = scheme;
  const weights = matrix.meanSquares ? blockWeights(matrix.meanSquares, block) : null;
  const layout = layoutOf(matrix, scheme);
  const { codes, scales, zeroPoints } = emptyResult(n, layout, symmetric);

  const scaleView = new DataView(scales.buffer);
  const weightAt = reader(data, type);
  const weight = (row: number, column: number) => weightAt(order === 'kn' ? row * n + column : column * k + row);

  for (let column = 0; column < n; column++) {
    await pace();
    for (let b = 0; b < layout.blocks; b++) {
      const values: number[] = [];
      for (let row = b * block; row < Math.min(k, (b + 1) * block); row++) values.push(weight(row, column));
      const search = method ? { weights: weights?.subarray(b * block, b * block + values.length) ?? null } : null;
      const quantized = quantizeBlock(values, bits, symmetric, type, search);

      const at = column * layout.blocks + b;
      if (type === 'float16') scaleView.setUint16(at * 2, quantized.scaleBits, true);
      else scaleView.setUint32(at * 4, quantized.scaleBits, true);
      quantized.codes.forEach((code, i) => pack(codes, at * layout.blockBytes, i, code, bits));
      if (zeroPoints) pack(zeroPoints, column * layout.zeroPointBytes, b, quantized.zeroPoint, bits);
    }
  }
  return { codes, scales, zeroPoints };
}

/** The weight at an index, as a number. */
function reader(data: Uint8Array, type: WeightMatrix['type']): (index: number) => number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return type === 'float16'
    ? (index) => fromFloat16Bits(view.getUint16(index * 2, true))
    : (index) => view.getFloat32(index * 4, true);
}

/** Elements done before the thread may be given away. */
const PIECE = 1024;

async function quantizeTensor(
  tensor: WeightTensor,
  scheme: LinearScheme,
  pace: () => Promise<void>,
): Promise<LinearTensor> {
  const { data, type, channels, inner } = tensor;
  const result = emptyLinear(tensor);
  const elements = result.codes.length;
  const weight = reader(data, type);
  const channelOf = (index: number) => Math.floor(index / inner) % channels;

  // The range of a channel includes 0; `Math.min` and `Math.max` keep a NaN.
  const lows = new Array<number>(channels).fill(0);
  const highs = new Array<number>(channels).fill(0);
  for (let index = 0; index < elements; index++) {
    if (index % PIECE === 0) await pace();
    const channel = channelOf(index);
    lows[channel] = Math.min(lows[channel]!, weight(index));
    highs[channel] = Math.max(highs[channel]!, weight(index));
  }

  const grids = lows.map((low, channel) => parametersOf(low, highs[channel]!, scheme));
  grids.forEach((grid, channel) => storeParameters(result, channel, grid));
  const [lowest, highest] = scheme.type === 'uint8' ? [0, 255] : [-128, 127];
  for (let index = 0; index < elements; index++) {
    if (index % PIECE === 0) await pace();
    const { scale, zeroPoint } = grids[channelOf(index)]!;
    if (Number.isNaN(scale)) continue;
    const steps = roundHalfEven(fround(weight(index) / scale));
    result.codes[index] = Math.max(lowest, Math.min(steps + zeroPoint, highest));
  }
  return result;
}

/**
 * The elements of one block, at least one.
 * @param search Looks for a better grid than that of round to nearest, by weights of the elements' squared errors, if any.
 */
export function quantizeBlock(
  values: readonly number[],
  bits: BlockScheme['bits'],
  symmetric: boolean,
  type: 'float32' | 'float16',
  search: { weights: Float32Array | null } | null = null,
): QuantizedBlock {
  if (!values.every(Number.isFinite)) return { scaleBits: NOT_FINITE[type], zeroPoint: 0, codes: values.map(() => 0) };
  const largest = 2 ** bits - 1;
  let { scale, zeroPoint } = nearestGrid(values, bits, symmetric);
  if (search) {
    const grid = searchGrid(values, search.weights, { scale, zeroPoint }, { bits, symmetric }, type);
    if (grid) ({ scale, zeroPoint } = grid);
  }

  const scaleBits = type === 'float16' ? toFloat16Bits(scale) : float32Bits(scale);
  const storedScale = type === 'float16' ? fromFloat16Bits(scaleBits) : scale;
  const reciprocal = storedScale === 0 ? 0 : fround(1 / storedScale);
  const codes = values.map((value) => clamp(roundHalfAway(fround(fround(value * reciprocal) + zeroPoint)), largest));
  return { scaleBits, zeroPoint, codes };
}

/** The grid of round to nearest for the elements of one block, at least one, all finite. */
export function nearestGrid(values: ArrayLike<number>, bits: BlockScheme['bits'], symmetric: boolean): BlockGrid {
  const middle = 2 ** (bits - 1);
  const largest = 2 ** bits - 1;

  // Compared with < and >, so that among equals, +0 and −0 too, the first one stays.
  let min = values[0]!;
  let max = values[0]!;
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (symmetric) return { scale: fround((Math.abs(max) > Math.abs(min) ? max : min) / -middle), zeroPoint: middle };

  const low = Math.min(min, 0);
  const high = Math.max(max, 0);
  const scale = fround(fround(high - low) / largest);
  return { scale, zeroPoint: scale === 0 ? 0 : clamp(roundHalfAway(fround(-low / scale)), largest) };
}

/** Into 0…largest; what is not a number into 0. */
function clamp(value: number, largest: number): number {
  return value > 0 ? Math.min(value, largest) : 0;
}

/** C's roundf, but for negative halves, which the clamp that follows makes 0 either way. */
function roundHalfAway(value: number): number {
  const floor = Math.floor(value);
  return value - floor >= 0.5 ? floor + 1 : floor;
}

const bitsOf = new DataView(new ArrayBuffer(4));

function float32Bits(value: number): number {
  bitsOf.setFloat32(0, value);
  return bitsOf.getUint32(0);
}

/** Sets code number `index` of a little-endian bit field that starts at `bytes[start]`. */
function pack(bytes: Uint8Array, start: number, index: number, code: number, bits: number): void {
  const bit = index * bits;
  bytes[start + (bit >> 3)]! |= code << (bit & 7);
}
