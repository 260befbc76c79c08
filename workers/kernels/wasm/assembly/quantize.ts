/**
 * Blockwise round-to-nearest quantization of a tile of weights, eight output channels at a time.
 *
 * As much of a row of blocks as fits into the first-level cache, a panel, goes through three steps, each of them for all
 * channels before the next, so that no block waits for the divisions of its own scale: `collect` brings it together and
 * finds what each channel's weights lie between, `prepare` makes scales and zero points of that, and `encode` the codes.
 * [N, K] weights are turned round first (`gather`).
 *
 * All arithmetic is IEEE float32, one rounding an operation, as in `reference.ts`.
 */

import { widen, widenedRoughly } from './half';
import { FOUND_SCALES, FOUND_ZERO_POINTS, searchFour, VALUES_OF_FOUR } from './search';

/** A quarter of a small first-level cache: the tile's lines, tables and codes pass through it, too. */
const PANEL_BYTES: i32 = 8192;
const LINE_BYTES: i32 = 64;
/** The panel: weights as they are stored, or turned round and float32; a row of it, a step of K, is a line or more. */
const PANEL: usize = memory.data(256 * 64, 64);
/** Float32 [256][8]: one block of eight channels. */
const VALUES: usize = memory.data(256 * 32, 16);
/** Uint16 [16][8]: packed codes of eight channels, a piece of their blocks. */
const PACKED: usize = memory.data(16 * 16, 16);
/** Of a channel's codes, so many are made and stored at once, if its blocks have them. */
const PIECE_BITS: i32 = 256;
/** 32-bit [panel] each, at most 256 channels: the largest weight of each channel as a signed number, and as an unsigned one. */
const SIGNED: usize = memory.data(256 * 4, 16);
const UNSIGNED: usize = memory.data(256 * 4, 16);
/** Float32 [panel]: the first weight of each channel; only that of a channel of zeros counts. */
const FIRST: usize = memory.data(256 * 4, 16);
/** Float32 [panel] each: reciprocals of the scales, and what is added to a weight times that, see `code`. */
const RECIPROCALS: usize = memory.data(256 * 4, 16);
const OFFSETS: usize = memory.data(256 * 4, 16);
/** Uint8 [panel / 4]: whether the short way of `encode` will do for these four. */
const PLAIN: usize = memory.data(256 / 4, 16);

/** The first address the caller may use. */
export function heapBase(): usize {
  return __heap_base;
}

/**
 * Quantizes `rows` × `columns` weights (along K × along N). The tile needs room for 64 bytes after its last line, and the
 * output for whole eights of columns.
 *
 * `source`: the tile; `stride`: bytes from one row to the next of the matrix as it is stored (a step of K for [K, N],
 * of N for [N, K]), a multiple of the element size.
 * `search`: look for better scales and zero points than those of round to nearest; `weights`: float32 [rows], how much the
 * squared error of each step of K counts, or 0.
 * `codes` [columns / 8, blocks · pieces, 8, 32], where blocks have less than 32 bytes [columns / 8, blocks, 8, block·bits/8],
 * `scales` [columns / 8, blocks, 8] of the weight's type and `zeroPoints` [columns / 8, blocks, 8], a byte each: where those
 * of the tile's first block begin, and bytes from eight channels to the next. So what is made at a time lies together;
 * `turn` brings it into the order of the result.
 */
export function quantizeTile(
  source: usize, stride: usize, rows: i32, columns: i32,
  block: i32, bits: i32, symmetric: bool, half: bool, transposed: bool,
  codes: usize, codesStride: usize, scales: usize, scalesStride: usize, zeroPoints: usize, zeroPointsStride: usize,
  search: bool, weights: usize,
): void {
  const size = half ? 2 : 4;
  const narrow = half && !transposed;
  const pitch = max(LINE_BYTES, PANEL_BYTES / block);
  const panel = pitch / (narrow ? 2 : 4);
  for (let left = 0; left < columns; left += panel) {
    const width = min(panel, columns - left);
    const group = <usize>left >> 3;
    for (let row = 0, b: usize = 0; row < rows; row += block, b++) {
      const count = min(block, rows - row);
      if (transposed) {
        gather(source + <usize>left * stride + <usize>(row * size), stride, count, half, width, pitch);
        collect32(PANEL, pitch, count, width, pitch);
      } else {
        const from = source + <usize>row * stride + <usize>(left * size);
        if (half) collect16(from, stride, count, width, pitch);
        else collect32(from, stride, count, width, pitch);
      }
      prepare(
        bits, symmetric, half, width,
        scales + group * scalesStride + b * 8 * size, scalesStride, zeroPoints + group * zeroPointsStride + b * 8, zeroPointsStride,
        search, weights != 0 ? weights + (<usize>row << 2) : 0, pitch, count, narrow,
      );
      const target = codes + group * codesStride + b * <usize>(block * bits);
      if (narrow) encode<u16>(pitch, count, block, bits, width, target, codesStride);
      else encode<f32>(pitch, count, block, bits, width, target, codesStride);
    }
  }
}

/**
 * Packs zero points of 2 or 4 bits, one a byte, in place: `blocks` times eight bytes become as many as hold them, the
 * first blocks in the low bits; so for each of `groups` of eight channels, `stride` bytes apart.
 */
export function packZeroPoints(at: usize, stride: usize, groups: i32, blocks: i32, bits: i32): void {
  for (let group = 0; group < groups; group++) {
    let target = at;
    for (let b = 0; b < blocks; b += 8 / bits) {
      let packed: u64 = 0;
      for (let i = 0; i < min(8 / bits, blocks - b); i++) packed |= load<u64>(at + (<usize>(b + i) << 3)) << (i * bits);
      store<u64>(target, packed);
      target += 8;
    }
    at += stride;
  }
}

/**
 * [groups, rows, 8] things of `size` bytes, each group of eight channels `stride` bytes after the one before, become
 * [groups · 8, rows], all one after the other. `size` is 1, 2, 4, 8, 16 or 32.
 */
export function deinterleave(source: usize, stride: usize, groups: i32, rows: i32, size: i32, target: usize): void {
  const length = <usize>(rows * size);
  for (let group = 0; group < groups; group++) {
    if (size >= 16) turnVectors(source, rows, size, target, length);
    else if (size == 8) turnScalars<u64>(source, 0, rows, target, length);
    else turnNumbers(source, rows, size, target, length);
    source += stride;
    target += 8 * length;
  }
}

function turnVectors(source: usize, rows: i32, size: usize, target: usize, length: usize): void {
  for (let row = 0; row < rows; row++) {
    for (let at = target, end = target + 8 * length; at < end; at += length) {
      v128.store(at, v128.load(source));
      if (size == 32) v128.store(at, v128.load(source, 16), 16);
      source += size;
    }
    target += size;
  }
}

function turnNumbers(source: usize, rows: i32, size: i32, target: usize, length: usize): void {
  let done = 0;
  if (size == 4) {
    for (; done + 4 <= rows; done += 4) {
      const from = source + (<usize>done << 5);
      const to = target + (<usize>done << 2);
      transpose4(v128.load(from), v128.load(from, 32), v128.load(from, 64), v128.load(from, 96), to, length);
      transpose4(v128.load(from, 16), v128.load(from, 48), v128.load(from, 80), v128.load(from, 112), to + 4 * length, length);
    }
    turnScalars<u32>(source, done, rows, target, length);
  } else if (size == 2) {
    for (; done + 8 <= rows; done += 8) transpose8(source + (<usize>done << 4), target + (<usize>done << 1), length, 16);
    turnScalars<u16>(source, done, rows, target, length);
  } else {
    turnScalars<u8>(source, done, rows, target, length);
  }
}

@inline
function turnScalars<T>(source: usize, first: i32, rows: i32, target: usize, length: usize): void {
  for (let row = <usize>first; row < <usize>rows; row++) {
    const from = source + row * 8 * sizeof<T>();
    let to = target + row * sizeof<T>();
    for (let channel: usize = 0; channel < 8; channel++) {
      store<T>(to, load<T>(from + channel * sizeof<T>()));
      to += length;
    }
  }
}

// Gathering. Rows past `count`, up to the next vector, are whatever lies there: ranges and codes leave them out.

/** Brings `count` weights of each of `width` channels, whose lines are `stride` bytes apart, to the panel as float32. */
function gather(source: usize, stride: usize, count: i32, half: bool, width: i32, pitch: usize): void {
  for (let column: usize = 0; column < <usize>width; column += 4) {
    const target = PANEL + (column << 2);
    if (half) gather16(source + column * stride, stride, count, target, pitch);
    else gather32(source + column * stride, stride, count, target, pitch);
  }
}

function gather32(source: usize, stride: usize, count: i32, target: usize, pitch: usize): void {
  for (let k: usize = 0; k < <usize>count; k += 4) {
    transpose4(
      v128.load(source), v128.load(source + stride), v128.load(source + 2 * stride), v128.load(source + 3 * stride),
      target, pitch,
    );
    source += 16;
    target += 4 * pitch;
  }
}

function gather16(source: usize, stride: usize, count: i32, target: usize, pitch: usize): void {
  for (let k: usize = 0; k < <usize>count; k += 8) {
    widen(v128.load(source), VALUES, VALUES + 64);
    widen(v128.load(source + stride), VALUES + 16, VALUES + 80);
    widen(v128.load(source + 2 * stride), VALUES + 32, VALUES + 96);
    widen(v128.load(source + 3 * stride), VALUES + 48, VALUES + 112);
    for (let words = VALUES; words < VALUES + 128; words += 64) {
      transpose4(v128.load(words), v128.load(words, 16), v128.load(words, 32), v128.load(words, 48), target, pitch);
      target += 4 * pitch;
    }
    source += 16;
  }
}

/** Stores the columns of four rows of four 32-bit lanes, `stride` bytes apart. */
@inline
function transpose4(a: v128, b: v128, c: v128, d: v128, target: usize, stride: usize): void {
  const ab0 = v128.shuffle<u32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<u64>(ab0, cd0, 0, 2));
  v128.store(target + stride, v128.shuffle<u64>(ab0, cd0, 1, 3));
  v128.store(target + 2 * stride, v128.shuffle<u64>(ab1, cd1, 0, 2));
  v128.store(target + 3 * stride, v128.shuffle<u64>(ab1, cd1, 1, 3));
}

// Range, scale, zero point
//
// The bits of weights are compared as integers. Signed, those of positive weights are larger than those of negative ones
// and in their order; unsigned, it is the other way round, larger ones being further from 0. So the largest of each kind
// are the ends of the range, or both the same end where all weights have one sign, and an infinity or a NaN is larger
// than any weight of its sign.

// A line of 64 bytes of a row is taken at once, since lines of a matrix whose width is a power of two are all wanted in the
// same place of a cache, and a second look would not find them.

/** `S` and `U`: the bits of a weight as a signed and as an unsigned number. */
@inline
function collect<S, U>(source: usize, stride: usize, count: i32, width: i32, pitch: usize): void {
  for (let at: usize = 0; at < <usize>width * sizeof<S>(); at += 64) {
    let from = source + at;
    let to = PANEL + at;
    let a = v128.load(from);
    let b = v128.load(from, 16);
    let c = v128.load(from, 32);
    let d = v128.load(from, 48);
    storeWide<S>(FIRST, at, a, b, c, d);
    store4(to, a, b, c, d);
    let upperA = a;
    let upperB = b;
    let upperC = c;
    let upperD = d;
    for (let i = 1; i < count; i++) {
      from += stride;
      to += pitch;
      const nextA = v128.load(from);
      const nextB = v128.load(from, 16);
      const nextC = v128.load(from, 32);
      const nextD = v128.load(from, 48);
      store4(to, nextA, nextB, nextC, nextD);
      upperA = v128.max<S>(upperA, nextA);
      upperB = v128.max<S>(upperB, nextB);
      upperC = v128.max<S>(upperC, nextC);
      upperD = v128.max<S>(upperD, nextD);
      a = v128.max<U>(a, nextA);
      b = v128.max<U>(b, nextB);
      c = v128.max<U>(c, nextC);
      d = v128.max<U>(d, nextD);
    }
    storeWide<S>(SIGNED, at, upperA, upperB, upperC, upperD);
    storeWide<S>(UNSIGNED, at, a, b, c, d);
  }
}

function collect32(source: usize, stride: usize, count: i32, width: i32, pitch: usize): void {
  collect<i32, u32>(source, stride, count, width, pitch);
}

function collect16(source: usize, stride: usize, count: i32, width: i32, pitch: usize): void {
  collect<i16, u16>(source, stride, count, width, pitch);
}

/** A line of weights as float32 to their place in a table; `at` is where the line begins in the row. */
@inline
function storeWide<S>(table: usize, at: usize, a: v128, b: v128, c: v128, d: v128): void {
  if (sizeof<S>() == 2) widen4(table + 2 * at, a, b, c, d);
  else store4(table + at, a, b, c, d);
}

@inline
function store4(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
}

function widen4(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  widen(a, to, to + 16);
  widen(b, to + 32, to + 48);
  widen(c, to + 64, to + 80);
  widen(d, to + 96, to + 112);
}

/** Stores `width` channels' scales and zero points, of eight channels together, and what `encode` needs of them. */
function prepare(
  bits: i32, symmetric: bool, half: bool, width: i32,
  scales: usize, scalesStride: usize, zeroPoints: usize, zeroPointsStride: usize,
  search: bool, weights: usize, pitch: usize, count: i32, narrow: bool,
): void {
  const zero = f32x4.splat(0);
  const middle = <f32>(1 << (bits - 1));
  const largest = f32x4.splat(2 * middle - 1);
  // Widened halves that are not finite are 65536 or more.
  const limit = i32x4.splat(half ? 0x477fffff : 0x7f7fffff);
  for (let channel: usize = 0; channel < <usize>width; channel += 4) {
    const at = channel << 2;
    const group = channel >> 3;
    const within = channel & 4;
    const signed = v128.load(SIGNED + at);
    const unsigned = v128.load(UNSIGNED + at);
    const upper = f32x4.abs(signed);
    const lower = f32x4.abs(unsigned);
    const furthest = i32x4.max_s(upper, lower);
    const notFinite = i32x4.gt_s(furthest, limit);
    let scale: v128;
    let zeroPoint: v128;
    if (symmetric) {
      let extreme = v128.bitselect(signed, unsigned, i32x4.gt_s(upper, lower));
      // Among zeros the first one counts, with its sign.
      extreme = v128.bitselect(v128.load(FIRST + at), extreme, f32x4.eq(extreme, zero));
      scale = f32x4.mul(extreme, f32x4.splat(-1 / middle));
      zeroPoint = f32x4.splat(middle);
    } else {
      const low = v128.and(unsigned, i32x4.shr_s(unsigned, 31));
      const high = v128.andnot(signed, i32x4.shr_s(signed, 31));
      scale = f32x4.div(f32x4.sub(high, low), largest);
      zeroPoint = v128.andnot(
        roundClamped(f32x4.div(f32x4.neg(low), scale), largest),
        f32x4.eq(scale, zero),
      );
    }
    zeroPoint = v128.andnot(zeroPoint, notFinite);
    if (search) {
      takeFour(channel, pitch, count, narrow);
      const found = v128.andnot(searchFour(count, weights, scale, zeroPoint, furthest, bits, symmetric, half), notFinite);
      scale = v128.bitselect(v128.load(FOUND_SCALES), scale, found);
      zeroPoint = v128.bitselect(v128.load(FOUND_ZERO_POINTS), zeroPoint, found);
    }

    let stored = scale;
    if (half) {
      // The sign apart; normals rounded by integer arithmetic, subnormals by adding 1/2, whose last place is 2^-24.
      const sign = v128.and(scale, i32x4.splat(0x80000000));
      const magnitude = f32x4.abs(scale);
      const tie = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
      const normal = v128.and(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff)), tie), i32x4.splat(~0x1fff));
      const shifted = f32x4.add(magnitude, f32x4.splat(0.5));
      const small = f32x4.lt(magnitude, f32x4.splat(0.00006103515625));
      stored = v128.or(v128.bitselect(f32x4.sub(shifted, f32x4.splat(0.5)), normal, small), sign);
      let bits = v128.bitselect(
        i32x4.sub(shifted, i32x4.splat(0x3f000000)),
        i32x4.sub(i32x4.shr_u(normal, 13), i32x4.splat(0x1c000)),
        small,
      );
      bits = v128.or(bits, i32x4.shr_u(sign, 16));
      bits = v128.bitselect(i32x4.splat(0x7e00), bits, notFinite);
      bits = v128.shuffle<u16>(bits, bits, 0, 2, 4, 6, 0, 2, 4, 6);
      v128.store_lane<u64>(scales + group * scalesStride + within * 2, bits, 0);
    } else {
      v128.store(scales + group * scalesStride + within * 4, v128.bitselect(i32x4.splat(0x7fc00000), scale, notFinite));
    }

    const none = v128.or(notFinite, f32x4.eq(stored, zero));
    const reciprocal = v128.andnot(f32x4.div(f32x4.splat(1), stored), none);
    v128.store(RECIPROCALS + at, reciprocal);
    v128.store(OFFSETS + at, v128.bitselect(f32x4.splat(0.49999997), f32x4.add(zeroPoint, f32x4.splat(0.5)), f32x4.eq(zeroPoint, zero)));
    store<u8>(PLAIN + (channel >> 2), isPlain(furthest, reciprocal, largest, half));
    if (!symmetric) {
      // 2^23 brings a number into the low bits; what is above them goes.
      const numbers = f32x4.add(zeroPoint, f32x4.splat(8388608));
      const bytes = v128.shuffle<u8>(numbers, numbers, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
      v128.store_lane<u32>(zeroPoints + group * zeroPointsStride + within, bytes, 0);
    }
  }
}

/** Brings the panel's weights of four channels together as float32. */
function takeFour(channel: usize, pitch: usize, count: i32, narrow: bool): void {
  let to = VALUES_OF_FOUR;
  if (narrow) {
    let from = PANEL + (channel << 1);
    for (let i = 0; i < count; i += 2) {
      // Two rows at a time; the second may be beyond the block, and is not looked at then.
      const two = v128.shuffle<u64>(v128.load64_zero(from), v128.load64_zero(from + pitch), 0, 2);
      widen(two, to, to + 16);
      from += 2 * pitch;
      to += 32;
    }
  } else {
    let from = PANEL + (channel << 2);
    for (let i = 0; i < count; i++) {
      v128.store(to, v128.load(from));
      from += pitch;
      to += 16;
    }
  }
}

/**
 * Whether weights times their reciprocal are numbers not far outside the codes, as `fixed` needs them; and, of halves,
 * whether the scales are so large that those below the normal ones all have the code of 0, as widening them roughly needs.
 */
@inline
function isPlain(furthest: v128, reciprocal: v128, largest: v128, half: bool): bool {
  const size = f32x4.abs(reciprocal);
  // An infinity or a NaN times anything is not below; of halves they are numbers here, and times a reciprocal of 0. A scale
  // of few bits is at most by a third smaller than the formula's.
  let plain = f32x4.lt(f32x4.mul(furthest, size), f32x4.mul(largest, f32x4.splat(3)));
  // Up to 2^-14 off, such a weight is less than half a step away from 0.
  if (half) plain = v128.and(plain, f32x4.le(size, f32x4.splat(8000)));
  return i32x4.all_true(plain);
}

/**
 * Halves away from zero, then into 0…largest; NaN becomes 0. Clamping first changes nothing and lets `pmax` drop NaN.
 * Adding the number before 1/2 keeps what lies just below a half from being rounded up to it by the addition.
 */
@inline
function roundClamped(value: v128, largest: v128): v128 {
  const clamped = f32x4.pmin(largest, f32x4.pmax(f32x4.splat(0), value));
  return f32x4.floor(f32x4.add(clamped, f32x4.splat(0.49999997)));
}

// Codes

/** Makes the codes of the panel, eight channels after the other. `T`: f32, or u16 for halves. */
function encode<T>(pitch: usize, count: i32, block: i32, bits: i32, width: i32, codes: usize, stride: usize): void {
  for (let column = 0; column < width; column += 8) {
    const at = <usize>column << 2;
    const from = PANEL + <usize>column * sizeof<T>();
    const r0 = v128.load(RECIPROCALS + at);
    const r1 = v128.load(RECIPROCALS + at, 16);
    const o0 = v128.load(OFFSETS + at);
    const o1 = v128.load(OFFSETS + at, 16);
    if (load<u8>(PLAIN + (at >> 4)) & load<u8>(PLAIN + (at >> 4), 1)) {
      pack<T>(from, pitch, count, block, bits, r0, r1, o0, o1, codes);
    } else {
      // The codes as weights that have these codes.
      calculate<T>(from, pitch, count, f32x4.splat(<f32>((1 << bits) - 1)), r0, r1, o0, o1);
      const one = f32x4.splat(1);
      const rounding = f32x4.splat(0.5);
      pack<f32>(VALUES, 32, count, block, bits, one, one, rounding, rounding, codes);
    }
    codes += stride;
  }
}

/** The codes of a block of eight channels, whatever the weights, as float32 in `VALUES`. */
function calculate<T>(from: usize, step: usize, count: i32, most: v128, r0: v128, r1: v128, o0: v128, o1: v128): void {
  let target = VALUES;
  for (let i = 0; i < count; i++) {
    if (sizeof<T>() == 2) {
      widen(v128.load(from), target, target + 16);
    } else {
      v128.store(target, v128.load(from));
      v128.store(target, v128.load(from, 16), 16);
    }
    v128.store(target, code(v128.load(target), r0, o0, most));
    v128.store(target, code(v128.load(target, 16), r1, o1, most), 16);
    from += step;
    target += 32;
  }
}

/**
 * The code as a float32. In one addition of zero point and half, which rounds as the addition of the zero point alone does:
 * what decides is a sum just below a half, and that much further up there is the same distance between numbers. Only a
 * zero point of 0, whose addition rounds nothing, takes the number before 1/2. NaN becomes 0.
 */
@inline
function code(value: v128, reciprocal: v128, offset: v128, most: v128): v128 {
  const sum = f32x4.add(f32x4.mul(value, reciprocal), offset);
  return f32x4.floor(f32x4.pmin(most, f32x4.pmax(f32x4.splat(0), sum)));
}

/**
 * The sum of which `code` is the floor, in the low 16 bits of each lane as a signed number with `fraction` bits behind the
 * point, 1 or more; exact only as far as its floor is that of the sum, or negative like it.
 *
 * Added to M = 2^(23 − fraction), whose last place is u = 2^-fraction, a sum is rounded to a multiple of u, which shows in
 * the low bits of the result. Less u/2, which can be subtracted from M beforehand, that rounds down: to the nearest
 * multiple above the sum minus u, and an integer, which lies halfway then, to itself, the even one of two multiples.
 * Below M the last place is half as large; negative sums are then less than their double, which is as good.
 */
@inline
function fixed(value: v128, reciprocal: v128, offset: v128, fraction: i32): v128 {
  const magic = <f32>(1 << (23 - fraction)) - <f32>0.5 / <f32>(1 << fraction);
  return f32x4.add(f32x4.add(f32x4.mul(value, reciprocal), offset), f32x4.splat(magic));
}

/** The low 16 bits of `a`, then those of `b`, in each lane. */
@inline
function pair(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(a, i32x4.shl(b, 16), 0, 9, 2, 11, 4, 13, 6, 15);
}

/** The first four of eight weights of a row that begins with the vector `row`. */
@inline
function first4<T>(row: v128): v128 {
  return sizeof<T>() == 2 ? widenedRoughly(row, false) : row;
}

/** The last four. `next`: what lies 16 bytes further, which counts for float32 only. */
@inline
function last4<T>(row: v128, next: v128): v128 {
  return sizeof<T>() == 2 ? widenedRoughly(row, true) : next;
}

/** For each of eight channels a byte of row `a`, then one of row `b`: the sum of `code`, times 2^(`fraction` − `shift`), from 0 to 255. */
@inline
function bytes<T>(a: usize, b: usize, r0: v128, r1: v128, o0: v128, o1: v128, fraction: i32, shift: i32): v128 {
  const a0 = v128.load(a);
  const b0 = v128.load(b);
  const a1 = sizeof<T>() == 2 ? a0 : v128.load(a, 16);
  const b1 = sizeof<T>() == 2 ? b0 : v128.load(b, 16);
  let low = pair(fixed(first4<T>(a0), r0, o0, fraction), fixed(first4<T>(b0), r0, o0, fraction));
  let high = pair(fixed(last4<T>(a0, a1), r1, o1, fraction), fixed(last4<T>(b0, b1), r1, o1, fraction));
  if (shift != 0) {
    low = i16x8.shr_s(low, shift);
    high = i16x8.shr_s(high, shift);
  }
  return i8x16.narrow_i16x8_u(low, high);
}

/**
 * Codes of a block of eight channels, up to 32 bytes of each at a time: storing takes long where the caches do not have
 * the place, and goes on behind the next codes' arithmetic if it is neither too much at once nor line by line.
 */
function pack<T>(
  from: usize, pitch: usize, count: i32, block: i32, bits: i32, r0: v128, r1: v128, o0: v128, o1: v128, codes: usize,
): void {
  const rows = min(block, PIECE_BITS / bits);
  const piece = <usize>(rows * bits) >> 3;
  for (let row = 0; row < block; row += rows) {
    if (bits == 8) pack8<T>(from, pitch, rows, r0, r1, o0, o1);
    else if (bits == 4) pack4<T>(from, pitch, rows, r0, r1, o0, o1);
    else pack2<T>(from, pitch, rows, r0, r1, o0, o1);
    if (count < row + rows) clear(max(count - row, 0) * bits);
    for (let at: usize = 0; at < piece; at += 16) transpose8(PACKED + (at << 3), codes + at, piece, piece);
    codes += 8 * piece;
    from += pitch * <usize>rows;
  }
}

@inline
function pack8<T>(from: usize, step: usize, rows: i32, r0: v128, r1: v128, o0: v128, o1: v128): void {
  for (let target = PACKED, end = PACKED + (<usize>rows << 3); target < end; target += 16) {
    v128.store(target, bytes<T>(from, from + step, r0, r1, o0, o1, 1, 1));
    from += 2 * step;
  }
}

@inline
function pack4<T>(from: usize, step: usize, rows: i32, r0: v128, r1: v128, o0: v128, o1: v128): void {
  for (let target = PACKED, end = PACKED + (<usize>rows << 2); target < end; target += 16) {
    // With four bits behind the point a byte saturates where the code does, and its upper half is the code.
    const even = bytes<T>(from, from + 2 * step, r0, r1, o0, o1, 4, 0);
    const odd = bytes<T>(from + step, from + 3 * step, r0, r1, o0, o1, 4, 0);
    v128.store(target, v128.or(
      v128.and(i16x8.shr_u(even, 4), i8x16.splat(0x0f)),
      v128.and(odd, i8x16.splat(<i8>0xf0)),
    ));
    from += 4 * step;
  }
}

@inline
function pack2<T>(from: usize, step: usize, rows: i32, r0: v128, r1: v128, o0: v128, o1: v128): void {
  for (let target = PACKED, end = PACKED + (<usize>rows << 1); target < end; target += 16) {
    let packed = i8x16.splat(0);
    for (let i = 0; i < 4; i++) {
      // The upper two bits are the code; those of earlier rows move down.
      const upper = v128.and(bytes<T>(from, from + 4 * step, r0, r1, o0, o1, 6, 0), i8x16.splat(<i8>0xc0));
      packed = v128.or(i16x8.shr_u(packed, 2), upper);
      from += step;
    }
    v128.store(target, packed);
    from += 4 * step;
  }
}

/** Clears each channel's packed bits from number `start` on. */
function clear(start: i32): void {
  for (let bit = start & ~15; bit < PIECE_BITS; bit += 16) {
    const at = PACKED + <usize>bit;
    const kept = bit < start ? (1 << (start - bit)) - 1 : 0;
    v128.store(at, v128.and(v128.load(at), i16x8.splat(<i16>kept)));
  }
}

/** Stores the columns of eight rows of eight 16-bit lanes, `stride` bytes apart: their first `most` bytes if that is 4 or 8. */
@inline
function transpose8(source: usize, target: usize, stride: usize, most: usize): void {
  const a = v128.load(source);
  const b = v128.load(source, 16);
  const c = v128.load(source, 32);
  const d = v128.load(source, 48);
  const e = v128.load(source, 64);
  const f = v128.load(source, 80);
  const g = v128.load(source, 96);
  const h = v128.load(source, 112);
  // Two rows of two, four and all eight channels.
  const ab0 = v128.shuffle<u16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  const ab1 = v128.shuffle<u16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  const cd0 = v128.shuffle<u16>(c, d, 0, 8, 1, 9, 2, 10, 3, 11);
  const cd1 = v128.shuffle<u16>(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
  const ef0 = v128.shuffle<u16>(e, f, 0, 8, 1, 9, 2, 10, 3, 11);
  const ef1 = v128.shuffle<u16>(e, f, 4, 12, 5, 13, 6, 14, 7, 15);
  const gh0 = v128.shuffle<u16>(g, h, 0, 8, 1, 9, 2, 10, 3, 11);
  const gh1 = v128.shuffle<u16>(g, h, 4, 12, 5, 13, 6, 14, 7, 15);
  const abcd0 = v128.shuffle<u32>(ab0, cd0, 0, 4, 1, 5);
  const abcd1 = v128.shuffle<u32>(ab0, cd0, 2, 6, 3, 7);
  const abcd2 = v128.shuffle<u32>(ab1, cd1, 0, 4, 1, 5);
  const abcd3 = v128.shuffle<u32>(ab1, cd1, 2, 6, 3, 7);
  const efgh0 = v128.shuffle<u32>(ef0, gh0, 0, 4, 1, 5);
  const efgh1 = v128.shuffle<u32>(ef0, gh0, 2, 6, 3, 7);
  const efgh2 = v128.shuffle<u32>(ef1, gh1, 0, 4, 1, 5);
  const efgh3 = v128.shuffle<u32>(ef1, gh1, 2, 6, 3, 7);
  storeTwo(target, stride, most, abcd0, efgh0);
  storeTwo(target + 2 * stride, stride, most, abcd1, efgh1);
  storeTwo(target + 4 * stride, stride, most, abcd2, efgh2);
  storeTwo(target + 6 * stride, stride, most, abcd3, efgh3);
}

/** Two columns, whose first eight bytes are the two halves of `first`. */
@inline
function storeTwo(target: usize, stride: usize, most: usize, first: v128, last: v128): void {
  if (most >= 16) {
    v128.store(target, v128.shuffle<u64>(first, last, 0, 2));
    v128.store(target + stride, v128.shuffle<u64>(first, last, 1, 3));
  } else if (most == 8) {
    v128.store_lane<u64>(target, first, 0);
    v128.store_lane<u64>(target + stride, first, 1);
  } else {
    v128.store_lane<u32>(target, first, 0);
    v128.store_lane<u32>(target + stride, first, 2);
  }
}
