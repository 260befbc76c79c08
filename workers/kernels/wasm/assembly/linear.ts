/**
 * Quantization of a tile of weights with one scale for each channel: what ONNX calls QuantizeLinear. A tile is a stretch
 * of the tensor's elements in order. Its channels come either as runs, many elements of one channel after another
 * (`…Runs`), or as lines, in which neighbours may be of different channels and each position keeps its own (`…Lines`).
 *
 * `range…` keeps the smallest and largest weight as integers that order as the weights do, of the weights' own width;
 * 0 is among them from the start. `encode…` needs room for 16 more codes after the last, and so many weights to read.
 *
 * Float32 division rounds once, as in `reference.ts`.
 */
import { widen } from './half';

/** Float32 [16]. */
const WIDE: usize = memory.data(64, 16);

/** A weight's bits as a signed integer that orders as the weights do, +0 just above −0; NaNs lie beyond the infinities. */
@inline
function key32(bits: v128): v128 {
  return v128.xor(bits, i32x4.shr_u(i32x4.shr_s(bits, 31), 1));
}

@inline
function key16(bits: v128): v128 {
  return v128.xor(bits, i16x8.shr_u(i16x8.shr_s(bits, 15), 1));
}

/**
 * `count` elements of which `left` belong to channel number `channel`, then `inner` to each that follows, around after
 * `channels`. `lows` and `highs` [channels]: addresses of the ranges so far.
 */
export function rangeRuns(
  source: usize, count: i32, left: i32, inner: i32, channel: i32, channels: i32, half: bool, lows: usize, highs: usize,
): void {
  const size: usize = half ? 2 : 4;
  while (count > 0) {
    const length = min(left, count);
    const at = <usize>channel * size;
    if (half) range16(source, length, lows + at, highs + at);
    else range32(source, length, lows + at, highs + at);
    source += <usize>length * size;
    count -= length;
    left = inner;
    if (++channel == channels) channel = 0;
  }
}

function range32(source: usize, length: i32, low: usize, high: usize): void {
  let low0 = i32x4.splat(load<i32>(low));
  let high0 = i32x4.splat(load<i32>(high));
  let low1 = low0;
  let high1 = high0;
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    const key0 = key32(v128.load(source));
    const key1 = key32(v128.load(source, 16));
    low0 = i32x4.min_s(low0, key0);
    low1 = i32x4.min_s(low1, key1);
    high0 = i32x4.max_s(high0, key0);
    high1 = i32x4.max_s(high1, key1);
    source += 32;
  }
  for (; i < length; i += 4) {
    const key = v128.and(key32(v128.load(source)), i32x4.gt_s(i32x4.splat(length - i), i32x4(0, 1, 2, 3)));
    low0 = i32x4.min_s(low0, key);
    high0 = i32x4.max_s(high0, key);
    source += 16;
  }
  low0 = i32x4.min_s(low0, low1);
  high0 = i32x4.max_s(high0, high1);
  low0 = i32x4.min_s(low0, v128.shuffle<u32>(low0, low0, 2, 3, 0, 1));
  high0 = i32x4.max_s(high0, v128.shuffle<u32>(high0, high0, 2, 3, 0, 1));
  store<i32>(low, min(i32x4.extract_lane(low0, 0), i32x4.extract_lane(low0, 1)));
  store<i32>(high, max(i32x4.extract_lane(high0, 0), i32x4.extract_lane(high0, 1)));
}

function range16(source: usize, length: i32, low: usize, high: usize): void {
  let low0 = i16x8.splat(load<i16>(low));
  let high0 = i16x8.splat(load<i16>(high));
  let low1 = low0;
  let high1 = high0;
  let i = 0;
  for (; i + 16 <= length; i += 16) {
    const key0 = key16(v128.load(source));
    const key1 = key16(v128.load(source, 16));
    low0 = i16x8.min_s(low0, key0);
    low1 = i16x8.min_s(low1, key1);
    high0 = i16x8.max_s(high0, key0);
    high1 = i16x8.max_s(high1, key1);
    source += 32;
  }
  for (; i < length; i += 8) {
    const mask = i16x8.gt_s(i16x8.splat(<i16>(length - i)), i16x8(0, 1, 2, 3, 4, 5, 6, 7));
    const key = v128.and(key16(v128.load(source)), mask);
    low0 = i16x8.min_s(low0, key);
    high0 = i16x8.max_s(high0, key);
    source += 16;
  }
  low0 = i16x8.min_s(low0, low1);
  high0 = i16x8.max_s(high0, high1);
  low0 = i16x8.min_s(low0, v128.shuffle<u32>(low0, low0, 2, 3, 0, 1));
  high0 = i16x8.max_s(high0, v128.shuffle<u32>(high0, high0, 2, 3, 0, 1));
  low0 = i16x8.min_s(low0, v128.shuffle<u32>(low0, low0, 1, 0, 3, 2));
  high0 = i16x8.max_s(high0, v128.shuffle<u32>(high0, high0, 1, 0, 3, 2));
  store<i16>(low, <i16>min<i32>(i16x8.extract_lane_s(low0, 0), i16x8.extract_lane_s(low0, 1)));
  store<i16>(high, <i16>max<i32>(i16x8.extract_lane_s(high0, 0), i16x8.extract_lane_s(high0, 1)));
}

/** `lows` and `highs` [period]: the ranges so far of each position in a line, with room for a vector after the last. */
export function rangeLines(source: usize, lines: i32, period: i32, half: bool, lows: usize, highs: usize): void {
  const bytes = <usize>period * (half ? 2 : 4);
  while (lines >= 4) {
    if (half) rangeLines16(source, bytes, bytes, lows, highs);
    else rangeLines32(source, bytes, bytes, lows, highs);
    source += 4 * bytes;
    lines -= 4;
  }
  for (; lines > 0; lines--) {
    if (half) rangeLines16(source, 0, bytes, lows, highs);
    else rangeLines32(source, 0, bytes, lows, highs);
    source += bytes;
  }
}

/** Four lines of `bytes`, `stride` apart. */
function rangeLines32(source: usize, stride: usize, bytes: usize, lows: usize, highs: usize): void {
  for (let at: usize = 0; at < bytes; at += 16) {
    const from = source + at;
    const a = key32(v128.load(from));
    const b = key32(v128.load(from + stride));
    const c = key32(v128.load(from + 2 * stride));
    const d = key32(v128.load(from + 3 * stride));
    const low = i32x4.min_s(i32x4.min_s(a, b), i32x4.min_s(c, d));
    const high = i32x4.max_s(i32x4.max_s(a, b), i32x4.max_s(c, d));
    v128.store(lows + at, i32x4.min_s(v128.load(lows + at), low));
    v128.store(highs + at, i32x4.max_s(v128.load(highs + at), high));
  }
}

function rangeLines16(source: usize, stride: usize, bytes: usize, lows: usize, highs: usize): void {
  for (let at: usize = 0; at < bytes; at += 16) {
    const from = source + at;
    const a = key16(v128.load(from));
    const b = key16(v128.load(from + stride));
    const c = key16(v128.load(from + 2 * stride));
    const d = key16(v128.load(from + 3 * stride));
    const low = i16x8.min_s(i16x8.min_s(a, b), i16x8.min_s(c, d));
    const high = i16x8.max_s(i16x8.max_s(a, b), i16x8.max_s(c, d));
    v128.store(lows + at, i16x8.min_s(v128.load(lows + at), low));
    v128.store(highs + at, i16x8.max_s(v128.load(highs + at), high));
  }
}

/**
 * Elements as in `rangeRuns`. `scales` float32 [channels]; `offsets` int32 [channels]: zero points, but 512 where the
 * scale is NaN. `codes` [count]: int8, or uint8 if `unsigned`.
 */
export function encodeRuns(
  source: usize, count: i32, left: i32, inner: i32, channel: i32, channels: i32, half: bool, unsigned: bool,
  scales: usize, offsets: usize, codes: usize,
): void {
  const size: usize = half ? 2 : 4;
  while (count > 0) {
    const length = min(left, count);
    const scale = v128.load32_splat(scales + (<usize>channel << 2));
    const offset = withoutMagic(v128.load32_splat(offsets + (<usize>channel << 2)));
    for (let i: usize = 0; i < <usize>length; i += 16) {
      const from = wide(source + i * size, half);
      store16(
        codes + i, unsigned,
        code(v128.load(from), scale, offset), code(v128.load(from, 16), scale, offset),
        code(v128.load(from, 32), scale, offset), code(v128.load(from, 48), scale, offset),
      );
    }
    source += <usize>length * size;
    codes += <usize>length;
    count -= length;
    left = inner;
    if (++channel == channels) channel = 0;
  }
}

/** `scales` and `offsets` [period], as in `encodeRuns`, with room for 16 after the last. */
export function encodeLines(
  source: usize, lines: i32, period: usize, half: bool, unsigned: bool, scales: usize, offsets: usize, codes: usize,
): void {
  const size: usize = half ? 2 : 4;
  for (let line = 0; line < lines; line++) {
    for (let i: usize = 0; i < period; i += 16) {
      const from = wide(source + i * size, half);
      const scale = scales + (i << 2);
      const offset = offsets + (i << 2);
      store16(
        codes + i, unsigned,
        code(v128.load(from), v128.load(scale), withoutMagic(v128.load(offset))),
        code(v128.load(from, 16), v128.load(scale, 16), withoutMagic(v128.load(offset, 16))),
        code(v128.load(from, 32), v128.load(scale, 32), withoutMagic(v128.load(offset, 32))),
        code(v128.load(from, 48), v128.load(scale, 48), withoutMagic(v128.load(offset, 48))),
      );
    }
    source += period * size;
    codes += period;
  }
}

/** Where 16 weights lie as float32. */
@inline
function wide(source: usize, half: bool): usize {
  if (!half) return source;
  widen(v128.load(source), WIDE, WIDE + 16);
  widen(v128.load(source, 16), WIDE + 32, WIDE + 48);
  return WIDE;
}

@inline
function withoutMagic(offset: v128): v128 {
  return i32x4.sub(offset, i32x4.splat(0x4b400000));
}

/**
 * weight / scale rounded, plus the zero point. Adding 3·2^22 rounds halves to even and leaves the integer in the low
 * bits. `pmax` makes of a NaN, which a NaN scale makes of every weight, −512, which its offset takes back.
 */
@inline
function code(weight: v128, scale: v128, offset: v128): v128 {
  const steps = f32x4.pmax(f32x4.splat(-512), f32x4.div(weight, scale));
  return i32x4.add(f32x4.add(steps, f32x4.splat(12582912)), offset);
}

/** Clips to the range of the type. */
@inline
function store16(target: usize, unsigned: bool, a: v128, b: v128, c: v128, d: v128): void {
  const low = i16x8.narrow_i32x4_s(a, b);
  const high = i16x8.narrow_i32x4_s(c, d);
  v128.store(target, unsigned ? i8x16.narrow_i16x8_u(low, high) : i8x16.narrow_i16x8_s(low, high));
}
