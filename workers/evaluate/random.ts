/**
 * Random numbers that are the same on every machine: mulberry32 (T. Ettinger, 2017), all in 32-bit integers, and
 * normal ones as sums of uniform ones, since logarithms and cosines differ between browsers in the last bit.
 */

export interface RandomNumbers {
  /** A whole number from 0 to `below` − 1; `below` at most 2³². */
  below(limit: number): number;
  /** A multiple of 2⁻²⁴ in [0, 1): exact in float32. */
  uniform(): number;
  /**
   * Mean 0, variance 1, within ±6: the sum of twelve uniform numbers of 16 bits, less its mean (Irwin–Hall).
   * A multiple of 2⁻¹⁶, exact in float32.
   */
  normal(): number;
}

/** @param path Whole numbers that name a stream of its own: the seed, the sample, the input. */
export function randomNumbers(...path: number[]): RandomNumbers {
  let state = path.reduce((mixed, number) => mix(Math.imul(mixed ^ number, 0x9e3779b1) + 0x7f4a7c15), 0);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    below: (limit) => Math.floor((next() / 2 ** 32) * limit),
    uniform: () => (next() >>> 8) / 2 ** 24,
    normal() {
      let sum = 0;
      for (let pair = 0; pair < 6; pair++) {
        const bits = next();
        sum += (bits >>> 16) + (bits & 0xffff);
      }
      return (sum - 6 * 0xffff) / 0x10000;
    },
  };
}

/** Spreads every bit over all others (the finalizer of MurmurHash3). */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
