/**
 * What a softmax over logits needs: the largest, the sum of exponentials, and the divergence of two distributions.
 * Logits are float32, everything after them float64, as in `statistics.ts`. A row is filled up with −∞ to a multiple of
 * eight entries, which are never the largest, and add to a sum less than a double can tell.
 */

/** log2 of the entries of the table of roots. */
const STEP_BITS: i32 = 11;
const STEPS: i32 = 1 << STEP_BITS;
const TABLE: usize = memory.data(8 << STEP_BITS, 16);

const STEPS_PER_UNIT: f64 = 1.44269504088896340736 * <f64>STEPS;
const STEP: f64 = 0.69314718055994530942 / <f64>STEPS;
/** Below this e^x is smaller than any normal double. */
const UNDERFLOW: f64 = -708;
/** 1.5 · 2^52: added to a number it leaves the nearest integer in the low bits. */
const TO_INTEGER: f64 = 6755399441055744;

/** Baseline entries less likely than e^−16 are left out of the divergence. */
const NEGLIGIBLE: f64 = -16;

/** The first address the caller may use. */
export function heapBase(): usize {
  return __heap_base;
}

/**
 * Float64 [steps], for the caller to fill: 2^(i/steps) as bits, less i where `exp` adds k, so that one addition both
 * makes the exponent and takes i out of it.
 */
export function table(): usize {
  return TABLE;
}

export function steps(): i32 {
  return STEPS;
}

/**
 * e^x of two numbers, at most 0; of less than −708 that of −708. NaN for NaN. Relative error below 2^-52 (1 + |x|).
 *
 * e^x = 2^(k/2048) · e^r with k = round(2048 x / ln 2) and |r| ≤ ln 2 / 4096: the first factor from a table and k's high
 * bits, the second from three terms of its series (remainder below 4e-17).
 */
@inline
function exp(given: v128): v128 {
  const x = f64x2.pmax(given, f64x2.splat(UNDERFLOW));
  const shifted = f64x2.add(f64x2.mul(x, f64x2.splat(STEPS_PER_UNIT)), f64x2.splat(TO_INTEGER));
  const k = f64x2.sub(shifted, f64x2.splat(TO_INTEGER));
  const r = f64x2.sub(x, f64x2.mul(k, f64x2.splat(STEP)));
  const root = v128.load_lane<u64>(
    TABLE + (<usize>(i32x4.extract_lane(shifted, 2) & (STEPS - 1)) << 3),
    v128.load_zero<u64>(TABLE + (<usize>(i32x4.extract_lane(shifted, 0) & (STEPS - 1)) << 3)),
    1,
  );
  const power = i64x2.add(root, i64x2.shl(shifted, 52 - STEP_BITS));
  let series = f64x2.add(f64x2.splat(0.5), f64x2.mul(r, f64x2.splat(1.0 / 6)));
  series = f64x2.add(f64x2.splat(1), f64x2.mul(r, series));
  series = f64x2.add(f64x2.splat(1), f64x2.mul(r, series));
  return f64x2.mul(series, power);
}

@inline
function promoteHigh(values: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<u32>(values, values, 2, 3, 2, 3));
}

@inline
function total(values: v128): f64 {
  return f64x2.extract_lane(values, 0) + f64x2.extract_lane(values, 1);
}

/**
 * Of each of `rows` rows of `stride` logits (a multiple of 8): the first place of the largest to `tops` (int32), and the
 * sum of e^(logit − largest) to `sums` (float64), NaN where a logit is NaN or +∞.
 */
export function sums(logits: usize, rows: i32, stride: i32, tops: usize, sums: usize): void {
  for (let row = 0; row < rows; row++) {
    const max = largest(logits, stride);
    store<i32>(tops, find(logits, stride, max));
    store<f64>(sums, sumOfExponentials(logits, stride, <f64>max));
    logits += <usize>stride << 2;
    tops += 4;
    sums += 8;
  }
}

/** A NaN may be passed over. */
function largest(logits: usize, length: i32): f32 {
  let a = v128.load(logits);
  let b = v128.load(logits, 16);
  const end = logits + (<usize>length << 2);
  for (let at = logits + 32; at < end; at += 32) {
    a = f32x4.pmax(a, v128.load(at));
    b = f32x4.pmax(b, v128.load(at, 16));
  }
  a = f32x4.pmax(a, b);
  return max<f32>(
    max<f32>(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1)),
    max<f32>(f32x4.extract_lane(a, 2), f32x4.extract_lane(a, 3)),
  );
}

/** The first place of a value; 0 when it is nowhere. */
function find(logits: usize, length: i32, value: f32): i32 {
  const wanted = f32x4.splat(value);
  for (let i = 0; i < length; i += 8) {
    const at = logits + (<usize>i << 2);
    const found = i32x4.bitmask(f32x4.eq(v128.load(at), wanted)) | (i32x4.bitmask(f32x4.eq(v128.load(at, 16), wanted)) << 4);
    if (found != 0) return i + ctz(found);
  }
  return 0;
}

function sumOfExponentials(logits: usize, length: i32, max: f64): f64 {
  const top = f64x2.splat(max);
  let a = f64x2.splat(0);
  let b = a;
  let c = a;
  let d = a;
  const end = logits + (<usize>length << 2);
  for (let at = logits; at < end; at += 32) {
    const first = v128.load(at);
    const second = v128.load(at, 16);
    a = f64x2.add(a, exp(f64x2.sub(f64x2.promote_low_f32x4(first), top)));
    b = f64x2.add(b, exp(f64x2.sub(promoteHigh(first), top)));
    c = f64x2.add(c, exp(f64x2.sub(f64x2.promote_low_f32x4(second), top)));
    d = f64x2.add(d, exp(f64x2.sub(promoteHigh(second), top)));
  }
  return total(f64x2.add(f64x2.add(a, b), f64x2.add(c, d)));
}

/**
 * Of each row Σ e^(logit − log sum) of the baseline · (ln p of the baseline − ln p of the level), over the entries that
 * count, to `divergences` (float64). `baseLogSums` and `levelLogSums` (float64): ln Σ e^logit.
 */
export function divergences(
  base: usize, level: usize, rows: i32, stride: i32, baseLogSums: usize, levelLogSums: usize, divergences: usize,
): void {
  for (let row = 0; row < rows; row++) {
    const baseLogSum = f64x2.splat(load<f64>(baseLogSums));
    const levelLogSum = f64x2.splat(load<f64>(levelLogSums));
    let a = f64x2.splat(0);
    let b = a;
    for (let i = 0; i < stride; i += 4) {
      const p = v128.load(base);
      const q = v128.load(level);
      a = f64x2.add(a, term(f64x2.promote_low_f32x4(p), f64x2.promote_low_f32x4(q), baseLogSum, levelLogSum));
      b = f64x2.add(b, term(promoteHigh(p), promoteHigh(q), baseLogSum, levelLogSum));
      base += 16;
      level += 16;
    }
    store<f64>(divergences, total(f64x2.add(a, b)));
    baseLogSums += 8;
    levelLogSums += 8;
    divergences += 8;
  }
}

@inline
function term(base: v128, level: v128, baseLogSum: v128, levelLogSum: v128): v128 {
  const logBase = f64x2.sub(base, baseLogSum);
  const difference = f64x2.sub(logBase, f64x2.sub(level, levelLogSum));
  return v128.and(f64x2.gt(logBase, f64x2.splat(NEGLIGIBLE)), f64x2.mul(exp(logBase), difference));
}
