/**
 * What the backends share of one scale a channel: its arithmetic, which is float64 and a few numbers a channel, and how a
 * tensor is cut so that memory does not grow with it. The formula is that of onnxruntime 1.30's weight quantizer,
 * `compute_scale_zp` in onnxruntime/python/tools/quantization/quant_utils.py.
 */
import { fromFloat16Bits } from '../onnx/numbers/float16.ts';
import type { LinearScheme, LinearTensor, WeightTensor } from './kernel.ts';

const SMALLEST_NORMAL = 2 ** -126;

/** Scale and zero point of a channel. */
export interface QuantizationParameters {
  /** float32. NaN marks a channel that holds a NaN or an infinity. */
  scale: number;
  zeroPoint: number;
}

/** All zero, ready to be written. Throws a `RangeError` when the data is not outer·channels·inner elements long. */
export function emptyLinear({ data, type, outer, channels, inner }: WeightTensor): LinearTensor {
  const elements = outer * channels * inner;
  const bytes = elements * elementBytes(type);
  if (data.byteLength !== bytes) {
    throw new RangeError(`${outer}×${channels}×${inner} ${type} weights are ${bytes} bytes, not ${data.byteLength}`);
  }
  return {
    codes: new Uint8Array(elements),
    scales: new Uint8Array(channels * 4),
    zeroPoints: new Uint8Array(channels),
  };
}

/** Bytes of a weight. */
export function elementBytes(type: WeightTensor['type']): 2 | 4 {
  return type === 'float16' ? 2 : 4;
}

/** The scale and zero point of a channel with weights from `min` to `max`, 0 included. */
export function parametersOf(min: number, max: number, { type, symmetric }: LinearScheme): QuantizationParameters {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return { scale: NaN, zeroPoint: 0 };
  const [lowest, highest] = type === 'uint8' ? [0, 255] : [symmetric ? -127 : -128, 127];
  const extreme = Math.max(-min, max);
  const [low, high] = symmetric ? [-extreme, extreme] : [min, max];
  // The difference is a float32, the quotient a float64.
  const step = Math.fround(high - low) / (highest - lowest);
  if (step < SMALLEST_NORMAL) return { scale: 1, zeroPoint: 0 };
  return {
    scale: Math.fround(step),
    zeroPoint: roundHalfEven(symmetric ? (lowest + highest) / 2 : lowest - low / step),
  };
}

/** Rounds to the nearest integer, ties to even. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** Writes channel number `channel` of the result. */
export function storeParameters(
  { scales, zeroPoints }: LinearTensor,
  channel: number,
  { scale, zeroPoint }: QuantizationParameters,
): void {
  const view = new DataView(scales.buffer, scales.byteOffset);
  // A NaN has many bit patterns.
  if (Number.isNaN(scale)) view.setUint32(channel * 4, 0x7fc00000, true);
  else view.setFloat32(channel * 4, scale, true);
  zeroPoints[channel] = zeroPoint;
}

const keyBits = new DataView(new ArrayBuffer(4));

/**
 * The weight of a key. A key is the weight's bits as a signed integer, with all but the sign turned over where that is
 * set: keys order as weights do, NaNs beyond the infinities, so that a range of keys shows whether there was any.
 */
export function weightOfKey(key: number, type: WeightTensor['type']): number {
  if (type === 'float16') return fromFloat16Bits((key < 0 ? key ^ 0x7fff : key) & 0xffff);
  keyBits.setInt32(0, key < 0 ? key ^ 0x7fffffff : key);
  return keyBits.getFloat32(0);
}

/** Some neighbouring channels of a tensor. Their elements are numbered in order, those of other channels left out. */
export interface Part {
  channel: number;
  channels: number;
  /** How many elements it has. */
  elements: number;
  /** Of the tensor: its first element, how many lie together, and from one such stretch to the next. */
  first: number;
  width: number;
  pitch: number;
}

/** Parts of at most `most` channels. */
export function* partsOf({ outer, channels, inner }: WeightTensor, most: number): Generator<Part> {
  for (let channel = 0; channel < channels; channel += most) {
    const count = Math.min(most, channels - channel);
    const width = count * inner;
    yield { channel, channels: count, elements: outer * width, first: channel * inner, width, pitch: channels * inner };
  }
}

/** Copies `count` elements of a part, from number `start` on, to the beginning of `target`. */
export function readPart(
  { data, type }: WeightTensor,
  part: Part,
  start: number,
  count: number,
  target: Uint8Array,
): void {
  const size = elementBytes(type);
  for (const { at, offset, length } of stretchesOf(part, start, count)) {
    target.set(data.subarray(at * size, (at + length) * size), offset * size);
  }
}

/** Copies `count` codes from the beginning of `source` to their place in the result. */
export function writeCodes(
  { codes }: LinearTensor,
  part: Part,
  start: number,
  count: number,
  source: Uint8Array,
): void {
  for (const { at, offset, length } of stretchesOf(part, start, count)) {
    codes.set(source.subarray(offset, offset + length), at);
  }
}

/** Where the elements lie in the tensor, in stretches that are contiguous there. */
function* stretchesOf(
  { first, width, pitch }: Part,
  start: number,
  count: number,
): Generator<{ at: number; offset: number; length: number }> {
  if (width === pitch) {
    yield { at: start, offset: 0, length: count };
    return;
  }
  for (let offset = 0; offset < count;) {
    const line = Math.floor((start + offset) / width);
    const within = start + offset - line * width;
    const length = Math.min(width - within, count - offset);
    yield { at: first + line * pitch + within, offset, length };
    offset += length;
  }
}

/** Of a part, the channel in which element `start` lies, and how many elements from there on do. */
export function positionOf(inner: number, { channels }: Part, start: number): { channel: number; left: number } {
  const run = Math.floor(start / inner);
  return { channel: run % channels, left: (run + 1) * inner - start };
}
