/**
 * The exponential of non-positive numbers, several times as fast as `Math.exp`, which dominates the cost of a softmax.
 *
 * exp(x) = 2^(k/256) · exp(r) with k = round(256 x / ln 2) and |r| ≤ ln 2 / 512: the first factor from a table of 256
 * roots and a table of powers, the second from four terms of its series (remainder below 1e-16).
 * Reduction in two steps as Cody and Waite have it, so that r keeps all its bits.
 */

const STEPS = 256;
const STEPS_PER_UNIT = STEPS * Math.LOG2E;
/** ln 2 in two parts; the first has its low bits clear, so that its product with k is exact. */
const LN2_HIGH = 6.9314718036912381649e-1;
const LN2_LOW = 1.90821492927058770002e-10;
const STEP_HIGH = LN2_HIGH / STEPS;
const STEP_LOW = LN2_LOW / STEPS;

/** Below this the result is smaller than any normal double, and taken as 0. */
const UNDERFLOW = -708;
const LOWEST_POWER = -1024;

const roots = Float64Array.from({ length: STEPS }, (_, index) => 2 ** (index / STEPS));
const powers = Float64Array.from({ length: 1 - LOWEST_POWER }, (_, index) => 2 ** (index + LOWEST_POWER));

/** e^x for x ≤ 0, within 1e-15 of it relatively; NaN for NaN. */
export function expOfNonPositive(x: number): number {
  if (x < UNDERFLOW) return 0;
  const k = (x * STEPS_PER_UNIT - 0.5) | 0;
  const r = x - k * STEP_HIGH - k * STEP_LOW;
  const series = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24))));
  return series * roots[k & (STEPS - 1)]! * powers[(k >> 8) - LOWEST_POWER]!;
}
