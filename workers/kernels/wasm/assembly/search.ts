/**
 * The search for better scales and zero points, for a block of four channels at once: see search.ts of the reference. The
 * lanes of a vector are the channels.
 */

/** Float32 [256][4]: the block's weights. */
export const VALUES_OF_FOUR: usize = memory.data(256 * 16 + 16, 16);
/** Float32 [4] each: the best grid so far. */
export const FOUND_SCALES: usize = memory.data(16, 16);
export const FOUND_ZERO_POINTS: usize = memory.data(16, 16);
/** Float32 [4]: how far the best grid lowers the error. */
const SCORES: usize = memory.data(16, 16);

// As FACTORS of search.ts.
const SYMMETRIC2: usize = memory.data<f32>([1, 0.86, 0.72, 0.6, -1.25, -1.1, -0.95, -0.8]);
const SYMMETRIC4: usize = memory.data<f32>([1.02, 0.97, 0.92, 0.87, 0.82, -1.14, -1.08, -1.02, -0.96, -0.9]);
const SYMMETRIC8: usize = memory.data<f32>([1, 0.998, 0.996, 0.99, -1.007, -1.003, -1, -0.995]);
const ASYMMETRIC2: usize = memory.data<f32>([1, 0.85, 0.7, 0.55]);
const ASYMMETRIC4: usize = memory.data<f32>([1.04, 1, 0.96, 0.92, 0.88, 0.84]);
const ASYMMETRIC8: usize = memory.data<f32>([1.004, 1, 0.996, 0.992]);

/**
 * Searches from the grid of round to nearest on; gives the lanes in which a better one was found, which is in
 * `FOUND_SCALES` and `FOUND_ZERO_POINTS` then.
 * @param furthest The largest magnitude of each channel's weights.
 */
@inline
export function searchFour(
  count: i32, weights: usize, scale: v128, zeroPoint: v128, furthest: v128, bits: i32, symmetric: bool, half: bool,
): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const largest = f32x4.splat(<f32>((1 << bits) - 1));
  v128.store(SCORES, zero);
  v128.store(FOUND_SCALES, scale);
  v128.store(FOUND_ZERO_POINTS, zeroPoint);

  let factors = symmetric ? SYMMETRIC4 : ASYMMETRIC4;
  let number = symmetric ? 10 : 6;
  if (bits == 2) {
    factors = symmetric ? SYMMETRIC2 : ASYMMETRIC2;
    number = symmetric ? 8 : 4;
  } else if (bits == 8) {
    factors = symmetric ? SYMMETRIC8 : ASYMMETRIC8;
    number = symmetric ? 8 : 4;
  }
  const reach = symmetric ? 0 : 1;
  for (let shift = -reach; shift <= reach; shift++) {
    const shifted = f32x4.add(zeroPoint, f32x4.splat(<f32>shift));
    const allowed = v128.and(f32x4.ge(shifted, zero), f32x4.le(shifted, largest));
    const least = f32x4.neg(shifted);
    const most = f32x4.sub(largest, shifted);
    for (let i: usize = 0; i < <usize>number; i += 2) {
      const first = f32x4.div(one, f32x4.mul(scale, v128.load32_splat(factors + (i << 2))));
      const second = f32x4.div(one, f32x4.mul(scale, v128.load32_splat(factors + (i << 2), 4)));
      if (weights != 0) fitTwo<f32>(count, weights, first, second, least, most, allowed, shifted);
      else fitTwo<u8>(count, weights, first, second, least, most, allowed, shifted);
    }
  }

  const best = v128.load(FOUND_ZERO_POINTS);
  const again = f32x4.div(one, v128.load(FOUND_SCALES));
  const improved = f32x4.gt(v128.load(SCORES), zero);
  const bestMost = f32x4.sub(largest, best);
  if (weights != 0) fitOne<f32>(count, weights, again, f32x4.neg(best), bestMost, improved, best);
  else fitOne<u8>(count, weights, again, f32x4.neg(best), bestMost, improved, best);

  const size = f32x4.abs(v128.load(FOUND_SCALES));
  // 2^-40 and 2^40; 2^-24 and 65504, or 2^-100 and 2^100.
  const searched = v128.and(
    f32x4.ge(furthest, f32x4.splat(reinterpret<f32>((127 - 40) << 23))),
    f32x4.le(furthest, f32x4.splat(reinterpret<f32>((127 + 40) << 23))),
  );
  const kept = v128.and(
    f32x4.ge(size, f32x4.splat(reinterpret<f32>(half ? (127 - 24) << 23 : (127 - 100) << 23))),
    f32x4.le(size, f32x4.splat(half ? 65504 : reinterpret<f32>((127 + 100) << 23))),
  );
  return v128.and(v128.and(searched, kept), improved);
}

/** Tries two grids of the same zero point. `W`: f32 with weights, u8 without. */
function fitTwo<W>(
  count: i32, weights: usize, first: v128, second: v128, least: v128, most: v128, allowed: v128, zeroPoint: v128,
): void {
  let a0 = f32x4.splat(0);
  let b0 = a0;
  let a1 = a0;
  let b1 = a0;
  for (let at = VALUES_OF_FOUR, end = VALUES_OF_FOUR + (<usize>count << 4); at < end; at += 16) {
    const value = v128.load(at);
    const step0 = f32x4.pmin(most, f32x4.pmax(least, f32x4.nearest(f32x4.mul(value, first))));
    const step1 = f32x4.pmin(most, f32x4.pmax(least, f32x4.nearest(f32x4.mul(value, second))));
    let weighted0 = step0;
    let weighted1 = step1;
    if (sizeof<W>() == 4) {
      const weight = v128.load32_splat(weights);
      weights += 4;
      weighted0 = f32x4.mul(step0, weight);
      weighted1 = f32x4.mul(step1, weight);
    }
    a0 = f32x4.add(a0, f32x4.mul(value, weighted0));
    b0 = f32x4.add(b0, f32x4.mul(step0, weighted0));
    a1 = f32x4.add(a1, f32x4.mul(value, weighted1));
    b1 = f32x4.add(b1, f32x4.mul(step1, weighted1));
  }
  keep(a0, b0, allowed, zeroPoint);
  keep(a1, b1, allowed, zeroPoint);
}

function fitOne<W>(
  count: i32, weights: usize, reciprocal: v128, least: v128, most: v128, allowed: v128, zeroPoint: v128,
): void {
  let a = f32x4.splat(0);
  let b = a;
  for (let at = VALUES_OF_FOUR, end = VALUES_OF_FOUR + (<usize>count << 4); at < end; at += 16) {
    const value = v128.load(at);
    const step = f32x4.pmin(most, f32x4.pmax(least, f32x4.nearest(f32x4.mul(value, reciprocal))));
    let weighted = step;
    if (sizeof<W>() == 4) {
      weighted = f32x4.mul(step, v128.load32_splat(weights));
      weights += 4;
    }
    a = f32x4.add(a, f32x4.mul(value, weighted));
    b = f32x4.add(b, f32x4.mul(step, weighted));
  }
  keep(a, b, allowed, zeroPoint);
}

/** Keeps a grid, with its scale refitted, in the allowed lanes where it is better than what was found before. */
@inline
function keep(a: v128, b: v128, allowed: v128, zeroPoint: v128): void {
  const scale = f32x4.div(a, b);
  const score = v128.and(f32x4.mul(a, scale), f32x4.gt(b, f32x4.splat(0)));
  const known = v128.load(SCORES);
  const better = v128.and(f32x4.gt(score, known), allowed);
  v128.store(SCORES, v128.bitselect(score, known, better));
  v128.store(FOUND_SCALES, v128.bitselect(scale, v128.load(FOUND_SCALES), better));
  v128.store(FOUND_ZERO_POINTS, v128.bitselect(zeroPoint, v128.load(FOUND_ZERO_POINTS), better));
}
