/** float16 by integer arithmetic: WASM's SIMD has no conversion. */

/**
 * Eight float16 to two times four float32, exact; infinities and NaNs come out as ±65536 and beyond.
 * A subnormal is read as if its exponent were the smallest normal one, then 2^-14 is taken off: no float32 subnormal
 * appears, which some processors multiply slowly.
 */
@inline
export function widen(halves: v128, low: usize, high: usize): void {
  const zero = i16x8.splat(0);
  const magnitude = v128.and(halves, i16x8.splat(0x7fff));
  const subnormal = i16x8.lt_s(magnitude, i16x8.splat(0x0400));
  const top = i16x8.add(
    i16x8.add(i16x8.shr_u(magnitude, 3), i16x8.splat(0x3800)),
    v128.and(subnormal, i16x8.splat(0x0080)),
  );
  const bottom = i16x8.shl(magnitude, 13);
  const surplus = v128.and(subnormal, i16x8.splat(0x3880));
  const sign = v128.and(halves, i16x8.splat(<i16>0x8000));
  v128.store(low, v128.or(
    f32x4.sub(interleaveLow(bottom, top), interleaveLow(zero, surplus)),
    interleaveLow(zero, sign),
  ));
  v128.store(high, v128.or(
    f32x4.sub(interleaveHigh(bottom, top), interleaveHigh(zero, surplus)),
    interleaveHigh(zero, sign),
  ));
}

/**
 * Four of eight float16 as float32, the first or the `last`, for who does not care what 0 and subnormals are, as long as
 * it is below 2^-14 and has their sign: they come out as numbers from 2^-15 on.
 */
@inline
export function widenedRoughly(halves: v128, last: bool): v128 {
  const bottom = i16x8.shl(halves, 13);
  // The shift brings more of the sign along, which is masked out.
  const top = i16x8.add(v128.and(i16x8.shr_s(halves, 3), i16x8.splat(<i16>0x8fff)), i16x8.splat(0x3800));
  return last ? interleaveHigh(bottom, top) : interleaveLow(bottom, top);
}

@inline
function interleaveLow(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
function interleaveHigh(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
