/**
 * Blockwise round-to-nearest quantization of a tile of weights, eight output channels at a time.
 *
 * A row of blocks goes through three steps, each of them for all of its channels before the next, so that no block waits
 * for the divisions of its own scale: `range` finds what each channel's weights lie between, `prepare` makes scales and
 * zero points of that, and `encode` the codes. [K, N] weights are read where they lie; others are first brought to float32
 * rows of eight channels (`gather`).
 *
 * All arithmetic is IEEE float32, one rounding an operation, as in `reference.ts`.
 */

import { widen, widenedRoughly } from './half';

/** The most neighbouring channels whose blocks are done together: what blocks of 16 halves make of `PANEL_BYTES`. */
const MOST_CHANNELS: usize = 512;

/** Float32 [256][8]: one block of eight channels. */
const VALUES: usize = memory.data(256 * 32, 16);
/** Uint16 [128][8]: packed codes of one block of eight channels. */
const PACKED: usize = memory.data(128 * 16, 16);
/** 32-bit [channels] each: the largest weight of each channel as a signed number, and as an unsigned one. */
const SIGNED: usize = memory.data(512 * 4, 16);
const UNSIGNED: usize = memory.data(512 * 4, 16);
/** Float32 [channels]: the first weight of each channel; only that of a channel of zeros counts. */
const FIRST: usize = memory.data(512 * 4, 16);
/** Float32 [channels] each: reciprocals of the scales, and what is added to a weight times that, see `code`. */
const RECIPROCALS: usize = memory.data(512 * 4, 16);
const OFFSETS: usize = memory.data(512 * 4, 16);
/** Uint8 [channels / 4]: whether the short way of `encode` will do for these four. */
const PLAIN: usize = memory.data(512 / 4, 16);

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
  const size: usize = half ? 2 : 4;
  const blockBytes = (block * bits) >> 3;
  // As many channels as keep a block's lines in the first-level cache.
  const panel: i32 = transposed ? 8 : PANEL_BYTES / block / <i32>size;
  for (let left = 0; left < columns; left += panel) {
    const width = min(panel, columns - left);
    for (let row = 0, b = first; row < rows; row += block, b++) {
      const count = min(block, rows - row);
      let from = source + (transposed ? <usize>left * stride + <usize>row * size : <usize>row * stride + <usize>left * size);
      let step = stride;
      if (transposed) {
        if (half) gather16(from, stride, count);
        else gather32(from, stride, count);
        from = VALUES;
        step = 32;
      }
      const narrow = half && !transposed;
      if (narrow) range16(from, step, count, width);
      else range32(from, step, count, width);
      const at = <usize>(left * blocks + b);
      prepare(bits, symmetric, half, width, scales + at * size, zeroPoints + at, <usize>blocks);
      const target = codes + <usize>left * codesStride + <usize>(b * blockBytes);
      if (narrow) encode<u16>(from, step, count, block, bits, width, target, codesStride);
      else encode<f32>(from, step, count, block, bits, width, target, codesStride);
    }
  }
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

function gather32(source: usize, stride: usize, count: i32): void {
  for (let side: usize = 0; side < 2; side++) {
    const base = source + side * 4 * stride;
    for (let k: usize = 0; k < <usize>count; k += 4) {
      const at = base + (k << 2);
      transpose4(
        v128.load(at), v128.load(at + stride), v128.load(at + 2 * stride), v128.load(at + 3 * stride),
        VALUES + (k << 5) + side * 16, 32,
      );
    }
  }
}

function gather16(source: usize, stride: usize, count: i32): void {
  // Four rows of eight halves as float32; the packed codes' scratch space is free until `encode`.
  for (let side: usize = 0; side < 2; side++) {
    const base = source + side * 4 * stride;
    for (let k: usize = 0; k < <usize>count; k += 8) {
      const at = base + (k << 1);
      widen(v128.load(at), PACKED, PACKED + 64);
      widen(v128.load(at + stride), PACKED + 16, PACKED + 80);
      widen(v128.load(at + 2 * stride), PACKED + 32, PACKED + 96);
      widen(v128.load(at + 3 * stride), PACKED + 48, PACKED + 112);
      for (let part: usize = 0; part < 2; part++) {
        const words = PACKED + part * 64;
        transpose4(
          v128.load(words), v128.load(words, 16), v128.load(words, 32), v128.load(words, 48),
          VALUES + (k << 5) + part * 128 + side * 16, 32,
        );
      }
    }
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

function range32(source: usize, step: usize, count: i32, width: i32): void {
  for (let column: usize = 0; column < <usize>width; column += 8) {
    const at = column << 2;
    let from = source + at;
    let signed0 = v128.load(from);
    let signed1 = v128.load(from, 16);
    let unsigned0 = signed0;
    let unsigned1 = signed1;
    v128.store(FIRST + at, signed0);
    v128.store(FIRST + at, signed1, 16);
    for (let i = 1; i < count; i++) {
      from += step;
      const v0 = v128.load(from);
      const v1 = v128.load(from, 16);
      signed0 = i32x4.max_s(signed0, v0);
      signed1 = i32x4.max_s(signed1, v1);
      unsigned0 = i32x4.max_u(unsigned0, v0);
      unsigned1 = i32x4.max_u(unsigned1, v1);
    }
    v128.store(SIGNED + at, signed0);
    v128.store(SIGNED + at, signed1, 16);
    v128.store(UNSIGNED + at, unsigned0);
    v128.store(UNSIGNED + at, unsigned1, 16);
  }
}

function range16(source: usize, step: usize, count: i32, width: i32): void {
  for (let column: usize = 0; column < <usize>width; column += 8) {
    let from = source + (column << 1);
    const first = v128.load(from);
    let signed = first;
    let unsigned = first;
    for (let i = 1; i < count; i++) {
      from += step;
      const v = v128.load(from);
      signed = i16x8.max_s(signed, v);
      unsigned = i16x8.max_u(unsigned, v);
    }
    const at = column << 2;
    widen(first, FIRST + at, FIRST + at + 16);
    widen(signed, SIGNED + at, SIGNED + at + 16);
    widen(unsigned, UNSIGNED + at, UNSIGNED + at + 16);
  }
}

/** Stores `width` channels' scales and zero points, `blocks` elements apart, and what `encode` needs of them. */
function prepare(bits: i32, symmetric: bool, half: bool, width: i32, scales: usize, zeroPoints: usize, blocks: usize): void {
  const zero = f32x4.splat(0);
  const middle = <f32>(1 << (bits - 1));
  const largest = f32x4.splat(2 * middle - 1);
  // Widened halves that are not finite are 65536 or more.
  const limit = i32x4.splat(half ? 0x477fffff : 0x7f7fffff);
  const stride = blocks * (half ? 2 : 4);
  for (let channel: usize = 0; channel < <usize>width; channel += 4) {
    const at = channel << 2;
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
    scales += 4 * stride;

    const none = v128.or(notFinite, f32x4.eq(stored, zero));
    const reciprocal = v128.andnot(f32x4.div(f32x4.splat(1), stored), none);
    v128.store(RECIPROCALS + at, reciprocal);
    v128.store(OFFSETS + at, v128.bitselect(f32x4.splat(0.49999997), f32x4.add(zeroPoint, f32x4.splat(0.5)), f32x4.eq(zeroPoint, zero)));
    store<u8>(PLAIN + (channel >> 2), isPlain(furthest, reciprocal, largest, half));
    if (!symmetric) {
      const bytes = i32x4.trunc_sat_f32x4_u(zeroPoint);
      v128.store_lane<u8>(zeroPoints, bytes, 0);
      v128.store_lane<u8>(zeroPoints + blocks, bytes, 4);
      v128.store_lane<u8>(zeroPoints + 2 * blocks, bytes, 8);
      v128.store_lane<u8>(zeroPoints + 3 * blocks, bytes, 12);
      zeroPoints += 4 * blocks;
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
  // An infinity or a NaN times anything is not below. Scales of few bits are up to half as large as the formula's.
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

/** Makes the codes of a row of blocks: `width` channels, `stride` bytes apart. `T`: f32, or u16 for halves. */
function encode<T>(source: usize, step: usize, count: i32, block: i32, bits: i32, width: i32, codes: usize, stride: usize): void {
  for (let column = 0; column < width; column += 8) {
    const at = <usize>column << 2;
    const from = source + <usize>column * sizeof<T>();
    const r0 = v128.load(RECIPROCALS + at);
    const r1 = v128.load(RECIPROCALS + at, 16);
    const o0 = v128.load(OFFSETS + at);
    const o1 = v128.load(OFFSETS + at, 16);
    // Both bytes are 1.
    if (load<u16>(PLAIN + (<usize>column >> 2)) == 0x0101) {
      if (bits == 8) encode8<T>(from, step, block, r0, r1, o0, o1);
      else if (bits == 4) encode4<T>(from, step, block, r0, r1, o0, o1);
      else encode2<T>(from, step, block, r0, r1, o0, o1);
    } else {
      // The codes as weights that have these codes.
      calculate<T>(from, step, count, f32x4.splat(<f32>((1 << bits) - 1)), r0, r1, o0, o1);
      const one = f32x4.splat(1);
      const rounding = f32x4.splat(0.5);
      if (bits == 8) encode8<f32>(VALUES, 32, block, one, one, rounding, rounding);
      else if (bits == 4) encode4<f32>(VALUES, 32, block, one, one, rounding, rounding);
      else encode2<f32>(VALUES, 32, block, one, one, rounding, rounding);
    }
    if (count < block) clearFrom(count * bits, block * bits);
    scatter(codes, stride, (block * bits) >> 4);
    codes += 8 * stride;
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

/** Two bytes of rows `a` and `b` for each of eight channels, with saturation: the sum of `code`, `fraction` bits of it shifted out to the right. */
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

function encode8<T>(from: usize, step: usize, block: i32, r0: v128, r1: v128, o0: v128, o1: v128): void {
  let target = PACKED;
  for (let row = 0; row < block; row += 2) {
    v128.store(target, bytes<T>(from, from + step, r0, r1, o0, o1, 1, 1));
    from += 2 * step;
    target += 16;
  }
}

function encode4<T>(from: usize, step: usize, block: i32, r0: v128, r1: v128, o0: v128, o1: v128): void {
  let target = PACKED;
  for (let row = 0; row < block; row += 4) {
    // With four bits behind the point a byte saturates where the code does, and its upper half is the code.
    const even = bytes<T>(from, from + 2 * step, r0, r1, o0, o1, 4, 0);
    const odd = bytes<T>(from + step, from + 3 * step, r0, r1, o0, o1, 4, 0);
    v128.store(target, v128.or(
      v128.and(i16x8.shr_u(even, 4), i8x16.splat(0x0f)),
      v128.and(odd, i8x16.splat(<i8>0xf0)),
    ));
    from += 4 * step;
    target += 16;
  }
}

function encode2<T>(from: usize, step: usize, block: i32, r0: v128, r1: v128, o0: v128, o1: v128): void {
  let target = PACKED;
  for (let row = 0; row < block; row += 8) {
    let packed = i8x16.splat(0);
    for (let i = 0; i < 4; i++) {
      // The upper two bits are the code; those of earlier rows move down.
      const upper = v128.and(bytes<T>(from, from + 4 * step, r0, r1, o0, o1, 6, 0), i8x16.splat(<i8>0xc0));
      packed = v128.or(i16x8.shr_u(packed, 2), upper);
      from += step;
    }
    v128.store(target, packed);
    from += 4 * step;
    target += 16;
  }
}

/** Clears each channel's packed bits from number `start` up to `end`, a multiple of 16. */
function clearFrom(start: i32, end: i32): void {
  for (let bit = start & ~15; bit < end; bit += 16) {
    const at = PACKED + <usize>bit;
    const kept = bit < start ? (1 << (start - bit)) - 1 : 0;
    v128.store(at, v128.and(v128.load(at), i16x8.splat(<i16>kept)));
  }
}

/** From `PACKED` to eight channels `stride` bytes apart. `count`: of 16 bits of a channel; 2, 4 or a multiple of 8. */
@inline
function scatter(target: usize, stride: usize, count: i32): void {
  for (let i = 0; i < count; i += 8) {
    transpose8(PACKED + (<usize>i << 4), target + (<usize>i << 1), stride, count);
  }
}

/** Stores the columns of eight rows of eight 16-bit lanes, `stride` bytes apart; of fewer than 8 rows, `count`, only so much. */
@inline
function transpose8(source: usize, target: usize, stride: usize, count: i32): void {
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
  storeTwo(target, stride, count, abcd0, efgh0);
  storeTwo(target + 2 * stride, stride, count, abcd1, efgh1);
  storeTwo(target + 4 * stride, stride, count, abcd2, efgh2);
  storeTwo(target + 6 * stride, stride, count, abcd3, efgh3);
}

/** Two channels, whose first eight bytes are the two halves of `first`. */
@inline
function storeTwo(target: usize, stride: usize, count: i32, first: v128, last: v128): void {
  if (count >= 8) {
    v128.store(target, v128.shuffle<u64>(first, last, 0, 2));
    v128.store(target + stride, v128.shuffle<u64>(first, last, 1, 3));
  } else if (count == 4) {
    v128.store_lane<u64>(target, first, 0);
    v128.store_lane<u64>(target + stride, first, 1);
  } else {
    v128.store_lane<u32>(target, first, 0);
    v128.store_lane<u32>(target + stride, first, 2);
  }
}
