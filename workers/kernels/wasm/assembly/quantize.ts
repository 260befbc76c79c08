/**
 * Blockwise round-to-nearest quantization of a tile of weights, eight output channels at a time.
 *
 * A block of eight channels goes through two steps: `prepare` finds each channel's range, scale and zero point, and
 * `encode` makes the codes. [K, N] weights are read where they lie; others, and halves whose scales are too small for
 * the short way of widening them, are first brought to float32 rows of eight channels (`gather`). Four channels are a
 * vector: the first and the last four, or, where halves are read as they lie, the even and the odd ones. Codes are packed
 * along K inside the 32-bit lane of their channel, so that a 4×4 transpose of whole words puts every channel's bytes in order.
 *
 * All arithmetic is IEEE float32, one rounding an operation, as in `reference.ts`.
 */

import { widen, widenEvery2nd, widenRoughly } from './half';

/** Float32 [256][8]: one block of eight channels. */
const VALUES: usize = memory.data(256 * 32, 16);
/** Uint32 [64][8]: packed codes of one block of eight channels. */
const WORDS: usize = memory.data(64 * 32, 16);
/** 32-bit [8] each: the largest weight of each channel as a signed number, and as an unsigned one. */
const SIGNED: usize = memory.data(32, 16);
const UNSIGNED: usize = memory.data(32, 16);
/** Float32 [8]: the first weight of each channel; only that of a channel of zeros counts. */
const FIRST: usize = memory.data(32, 16);
/** Float32 [8] each: reciprocals of the scales, and what is added to a weight times that, see `code`. */
const RECIPROCALS: usize = memory.data(32, 16);
const OFFSETS: usize = memory.data(32, 16);

/** Half of a small first-level cache; a 256th of it is a line of 16 float32. */
const PANEL_BYTES: i32 = 16384;

/** The first address the caller may use. */
export function heapBase(): usize {
  return __heap_base;
}

/**
 * Quantizes `rows` × `columns` weights (along K × along N). Whole blocks of eight channels are read and written, so that
 * the tile needs room up to the next multiple of eight columns and of `block` rows, and 32 bytes after its last line.
 *
 * `source`: the tile; `stride`: bytes from one row to the next of the matrix as it is stored (a step of K for [K, N],
 * of N for [N, K]), a multiple of the element size.
 * `codes` [columns, blocks, block·bits/8], channels `codesStride` bytes apart, `scales` [columns, blocks] of the weight's
 * type and `zeroPoints` [columns, blocks], a byte each: addresses of the output, whose block `first` is the tile's first.
 */
export function quantizeTile(
  source: usize, stride: usize, rows: i32, columns: i32,
  block: i32, bits: i32, symmetric: bool, half: bool, transposed: bool,
  codes: usize, codesStride: usize, scales: usize, zeroPoints: usize, blocks: i32, first: i32,
): void {
  // Neighbouring channels are done together, as many as keep a block's lines in the first-level cache.
  const panel: i32 = transposed ? 8 : PANEL_BYTES / block / (half ? 2 : 4);
  for (let left = 0; left < columns; left += panel) {
    const right = min(left + panel, columns);
    for (let row = 0, b = first; row < rows; row += block, b++) {
      const count = min(block, rows - row);
      for (let column = left; column < right; column += 8) {
        quantizeBlock(
          source, stride, row, column, count, block, bits, symmetric, half, transposed,
          codes, codesStride, scales, zeroPoints, blocks, b,
        );
      }
    }
  }
}

@inline
function quantizeBlock(
  source: usize, stride: usize, row: i32, column: i32, count: i32,
  block: i32, bits: i32, symmetric: bool, half: bool, transposed: bool,
  codes: usize, codesStride: usize, scales: usize, zeroPoints: usize, blocks: i32, b: i32,
): void {
  const size: usize = half ? 2 : 4;
  const first = transposed
    ? source + <usize>column * stride + <usize>row * size
    : source + <usize>row * stride + <usize>column * size;
  let from = first;
  let step = stride;
  if (transposed) {
    if (half) gatherTransposed16(first, stride, count);
    else gatherTransposed32(first, stride, count);
    from = VALUES;
    step = 32;
  }
  const narrow = half && !transposed;
  if (narrow) range16(first, stride, count);
  else range32(from, step, count);
  const at = <usize>(column * blocks + b);
  const coarse = prepare(bits, symmetric, half, narrow, scales + at * size, zeroPoints + at, <usize>blocks);
  if (narrow && coarse) {
    if (bits == 8) encode(first, stride, count, block, 8, true);
    else if (bits == 4) encode(first, stride, count, block, 4, true);
    else encode(first, stride, count, block, 2, true);
  } else {
    if (narrow) {
      gather16(first, stride, count);
      from = VALUES;
      step = 32;
    }
    if (bits == 8) encode(from, step, count, block, 8, false);
    else if (bits == 4) encode(from, step, count, block, 4, false);
    else encode(from, step, count, block, 2, false);
  }
  const blockBytes = (block * bits) >> 3;
  scatter(codes + <usize>column * codesStride + <usize>(b * blockBytes), codesStride, blockBytes >> 2, narrow);
}

/** Packs rows of values of 2 or 4 bits, one a byte, several to a byte: first in the low bits, each row padded to a whole byte. */
export function packBits(source: usize, target: usize, rows: i32, length: i32, bits: i32): void {
  for (let row = 0; row < rows; row++) {
    let byte = 0;
    let used = 0;
    for (let i = 0; i < length; i++) {
      byte |= <i32>load<u8>(source++) << used;
      used += bits;
      if (used == 8 || i + 1 == length) {
        store<u8>(target++, byte);
        byte = 0;
        used = 0;
      }
    }
  }
}

// Gathering. Rows past `count`, up to the next vector, are whatever lies there: ranges and codes leave them out.

function gather16(source: usize, stride: usize, count: i32): void {
  let target = VALUES;
  for (let i = 0; i < count; i++) {
    every2nd(v128.load(source), target);
    source += stride;
    target += 32;
  }
}

@inline
function every2nd(halves: v128, target: usize): void {
  v128.store(target, widenEvery2nd(halves, false));
  v128.store(target, widenEvery2nd(halves, true), 16);
}

function gatherTransposed32(source: usize, stride: usize, count: i32): void {
  for (let side: usize = 0; side < 2; side++) {
    const base = source + side * 4 * stride;
    for (let k: usize = 0; k < <usize>count; k += 4) {
      const at = base + (k << 2);
      transpose(
        v128.load(at), v128.load(at + stride), v128.load(at + 2 * stride), v128.load(at + 3 * stride),
        VALUES + (k << 5) + side * 16, 32,
      );
    }
  }
}

function gatherTransposed16(source: usize, stride: usize, count: i32): void {
  // Four rows of eight halves as float32; the words' scratch space is free until `encode`.
  for (let side: usize = 0; side < 2; side++) {
    const base = source + side * 4 * stride;
    for (let k: usize = 0; k < <usize>count; k += 8) {
      const at = base + (k << 1);
      widen(v128.load(at), WORDS, WORDS + 64);
      widen(v128.load(at + stride), WORDS + 16, WORDS + 80);
      widen(v128.load(at + 2 * stride), WORDS + 32, WORDS + 96);
      widen(v128.load(at + 3 * stride), WORDS + 48, WORDS + 112);
      for (let part: usize = 0; part < 2; part++) {
        const words = WORDS + part * 64;
        transpose(
          v128.load(words), v128.load(words, 16), v128.load(words, 32), v128.load(words, 48),
          VALUES + (k << 5) + part * 128 + side * 16, 32,
        );
      }
    }
  }
}

// Range, scale, zero point
//
// The bits of weights are compared as integers. Signed, those of positive weights are larger than those of negative ones
// and in their order; unsigned, it is the other way round, larger ones being further from 0. So the largest of each kind
// are the ends of the range, or both the same end where all weights have one sign, and an infinity or a NaN is larger
// than any weight of its sign.

function range32(from: usize, step: usize, count: i32): void {
  let signed0 = v128.load(from);
  let signed1 = v128.load(from, 16);
  let unsigned0 = signed0;
  let unsigned1 = signed1;
  v128.store(FIRST, signed0);
  v128.store(FIRST, signed1, 16);
  for (let i = 1; i < count; i++) {
    from += step;
    const v0 = v128.load(from);
    const v1 = v128.load(from, 16);
    signed0 = i32x4.max_s(signed0, v0);
    signed1 = i32x4.max_s(signed1, v1);
    unsigned0 = i32x4.max_u(unsigned0, v0);
    unsigned1 = i32x4.max_u(unsigned1, v1);
  }
  v128.store(SIGNED, signed0);
  v128.store(SIGNED, signed1, 16);
  v128.store(UNSIGNED, unsigned0);
  v128.store(UNSIGNED, unsigned1, 16);
}

function range16(from: usize, step: usize, count: i32): void {
  const first = v128.load(from);
  let signed = first;
  let unsigned = first;
  for (let i = 1; i < count; i++) {
    from += step;
    const v = v128.load(from);
    signed = i16x8.max_s(signed, v);
    unsigned = i16x8.max_u(unsigned, v);
  }
  every2nd(first, FIRST);
  every2nd(signed, SIGNED);
  every2nd(unsigned, UNSIGNED);
}

/**
 * Stores eight channels' scales and zero points, `blocks` elements apart, and what `encode` needs of them. `alternate`: the
 * vectors are of even and of odd channels. Tells whether the scales are so large that halves below the normal ones all have the
 * code of 0.
 */
function prepare(bits: i32, symmetric: bool, half: bool, alternate: bool, scales: usize, zeroPoints: usize, blocks: usize): bool {
  const apart = alternate ? blocks * 2 : blocks;
  const next = alternate ? blocks : blocks * 4;
  prepareFour(bits, symmetric, half, scales, zeroPoints, apart, 0);
  prepareFour(bits, symmetric, half, scales + next * (half ? 2 : 4), zeroPoints + next, apart, 16);
  // Up to 2^-14 off, such a weight is less than half a step away from 0.
  const limit = f32x4.splat(8000);
  return v128.any_true(v128.or(
    f32x4.gt(f32x4.abs(v128.load(RECIPROCALS)), limit), f32x4.gt(f32x4.abs(v128.load(RECIPROCALS, 16)), limit),
  )) == false;
}

/** The same for four of them, which are at `offset`. */
function prepareFour(
  bits: i32, symmetric: bool, half: bool,
  scales: usize, zeroPoints: usize, blocks: usize, offset: usize,
): void {
  const zero = f32x4.splat(0);
  const middle = <f32>(1 << (bits - 1));
  const largest = f32x4.splat(2 * middle - 1);
  const signed = v128.load(SIGNED + offset);
  const unsigned = v128.load(UNSIGNED + offset);
  const upper = f32x4.abs(signed);
  const lower = f32x4.abs(unsigned);
  // Widened halves that are not finite are 65536 or more.
  const limit = i32x4.splat(half ? 0x477fffff : 0x7f7fffff);
  const notFinite = v128.or(i32x4.gt_s(upper, limit), i32x4.gt_s(lower, limit));
  let scale: v128;
  let zeroPoint: v128;
  if (symmetric) {
    let extreme = v128.bitselect(signed, unsigned, i32x4.gt_s(upper, lower));
    // Among zeros the first one counts, with its sign.
    extreme = v128.bitselect(v128.load(FIRST + offset), extreme, f32x4.eq(extreme, zero));
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

  let stored = scale;
  const stride = blocks * (half ? 2 : 4);
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
    v128.store_lane<u16>(scales, bits, 0);
    v128.store_lane<u16>(scales + stride, bits, 2);
    v128.store_lane<u16>(scales + 2 * stride, bits, 4);
    v128.store_lane<u16>(scales + 3 * stride, bits, 6);
  } else {
    const bits = v128.bitselect(i32x4.splat(0x7fc00000), scale, notFinite);
    v128.store_lane<u32>(scales, bits, 0);
    v128.store_lane<u32>(scales + stride, bits, 1);
    v128.store_lane<u32>(scales + 2 * stride, bits, 2);
    v128.store_lane<u32>(scales + 3 * stride, bits, 3);
  }

  const none = v128.or(notFinite, f32x4.eq(stored, zero));
  v128.store(RECIPROCALS + offset, v128.andnot(f32x4.div(f32x4.splat(1), stored), none));
  v128.store(OFFSETS + offset, v128.bitselect(f32x4.splat(0.49999997), f32x4.add(zeroPoint, f32x4.splat(0.5)), f32x4.eq(zeroPoint, zero)));
  if (!symmetric) {
    const bytes = i32x4.trunc_sat_f32x4_u(zeroPoint);
    v128.store_lane<u8>(zeroPoints, bytes, 0);
    v128.store_lane<u8>(zeroPoints + blocks, bytes, 4);
    v128.store_lane<u8>(zeroPoints + 2 * blocks, bytes, 8);
    v128.store_lane<u8>(zeroPoints + 3 * blocks, bytes, 12);
  }
}

// Codes

/**
 * Halves away from zero, then into 0…largest; NaN becomes 0. Clamping first changes nothing and lets `pmax` drop NaN.
 * Adding the number before 1/2 keeps what lies just below a half from being rounded up to it by the addition.
 */
@inline
function roundClamped(value: v128, largest: v128): v128 {
  const clamped = f32x4.pmin(largest, f32x4.pmax(f32x4.splat(0), value));
  return f32x4.floor(f32x4.add(clamped, f32x4.splat(0.49999997)));
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

/** Bits of the codes of the rows a word really has. */
@inline
function wordMask(bits: i32, remaining: i32): v128 {
  if (remaining <= 0) return i32x4.splat(0);
  return i32x4.splat(bits * remaining >= 32 ? -1 : (1 << (bits * remaining)) - 1);
}

/**
 * The codes of the rows of half a word as one float32 below 65536, last row first. `narrow`: rows of halves, widened the short
 * way; `side` chooses the vector of channels.
 */
@inline
function digits(from: usize, step: usize, bits: i32, narrow: bool, side: i32, reciprocal: v128, offset: v128, most: v128): v128 {
  const base = f32x4.splat(<f32>(1 << bits));
  let row = from + step * <usize>(16 / bits - 1);
  let sum = code(weights(row, narrow, side), reciprocal, offset, most);
  row -= step;
  sum = f32x4.add(f32x4.mul(sum, base), code(weights(row, narrow, side), reciprocal, offset, most));
  if (bits == 8) return sum;
  row -= step;
  sum = f32x4.add(f32x4.mul(sum, base), code(weights(row, narrow, side), reciprocal, offset, most));
  row -= step;
  sum = f32x4.add(f32x4.mul(sum, base), code(weights(row, narrow, side), reciprocal, offset, most));
  if (bits == 4) return sum;
  do {
    row -= step;
    sum = f32x4.add(f32x4.mul(sum, base), code(weights(row, narrow, side), reciprocal, offset, most));
  } while (row != from);
  return sum;
}

@inline
function weights(row: usize, narrow: bool, side: i32): v128 {
  if (!narrow) return side == 0 ? v128.load(row) : v128.load(row, 16);
  return widenRoughly(v128.load(row), side == 1);
}

@inline
function word(from: usize, step: usize, bits: i32, narrow: bool, side: i32, reciprocal: v128, offset: v128, most: v128): v128 {
  // 2^23 brings a number into the low bits.
  const low = f32x4.add(digits(from, step, bits, narrow, side, reciprocal, offset, most), f32x4.splat(8388608));
  const high = f32x4.add(digits(from + step * <usize>(16 / bits), step, bits, narrow, side, reciprocal, offset, most), f32x4.splat(8388608));
  return v128.shuffle<u16>(low, i32x4.shl(high, 16), 0, 9, 2, 11, 4, 13, 6, 15);
}

@inline
function encode(from: usize, step: usize, count: i32, block: i32, bits: i32, narrow: bool): void {
  const r0 = v128.load(RECIPROCALS);
  const r1 = v128.load(RECIPROCALS, 16);
  const o0 = v128.load(OFFSETS);
  const o1 = v128.load(OFFSETS, 16);
  const most = f32x4.splat(<f32>((1 << bits) - 1));
  let target = WORDS;
  const perWord = 32 / bits;
  for (let done = 0; done < block; done += perWord) {
    const mask = wordMask(bits, count - done);
    v128.store(target, v128.and(word(from, step, bits, narrow, 0, r0, o0, most), mask));
    v128.store(target, v128.and(word(from, step, bits, narrow, 1, r1, o1, most), mask), 16);
    target += 32;
    from += step * <usize>perWord;
  }
}

/** From [words][8 channels] to channels `apart` bytes apart. `words` is 1, 2 or a multiple of 4. */
function scatter(target: usize, apart: usize, words: i32, alternate: bool): void {
  const stride = alternate ? apart * 2 : apart;
  const next = alternate ? apart : apart * 4;
  for (let side: usize = 0; side < 2; side++) {
    const source = WORDS + side * 16;
    const base = target + side * next;
    if (words == 1) {
      const a = v128.load(source);
      v128.store_lane<u32>(base, a, 0);
      v128.store_lane<u32>(base + stride, a, 1);
      v128.store_lane<u32>(base + 2 * stride, a, 2);
      v128.store_lane<u32>(base + 3 * stride, a, 3);
    } else if (words == 2) {
      const a = v128.load(source);
      const b = v128.load(source, 32);
      const first = v128.shuffle<u32>(a, b, 0, 4, 1, 5);
      const last = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
      v128.store_lane<u64>(base, first, 0);
      v128.store_lane<u64>(base + stride, first, 1);
      v128.store_lane<u64>(base + 2 * stride, last, 0);
      v128.store_lane<u64>(base + 3 * stride, last, 1);
    } else {
      for (let w: usize = 0; w < <usize>words; w += 4) {
        const at = source + (w << 5);
        transpose(v128.load(at), v128.load(at, 32), v128.load(at, 64), v128.load(at, 96), base + (w << 2), stride);
      }
    }
  }
}

/** Stores the columns of four rows of four 32-bit lanes, `stride` bytes apart. */
@inline
function transpose(a: v128, b: v128, c: v128, d: v128, target: usize, stride: usize): void {
  const ab0 = v128.shuffle<u32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<u64>(ab0, cd0, 0, 2));
  v128.store(target + stride, v128.shuffle<u64>(ab0, cd0, 1, 3));
  v128.store(target + 2 * stride, v128.shuffle<u64>(ab1, cd1, 0, 2));
  v128.store(target + 3 * stride, v128.shuffle<u64>(ab1, cd1, 1, 3));
}
