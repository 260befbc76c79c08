import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expOfNonPositive } from './exponential.ts';

describe('expOfNonPositive', () => {
  it('is exactly 1 at 0', () => {
    expect(expOfNonPositive(0)).toBe(1);
    expect(expOfNonPositive(-0)).toBe(1);
  });

  it('agrees with Math.exp to 1e-15 wherever the result is a normal double', () => {
    fc.assert(
      fc.property(fc.double({ min: -708, max: 0, noNaN: true }), (x) => {
        expect(Math.abs(expOfNonPositive(x) / Math.exp(x) - 1)).toBeLessThan(1e-15);
      }),
      { numRuns: 5000 },
    );
  });

  it('agrees on both sides of every step of its table', () => {
    for (let k = 0; k < 4096; k++) {
      for (const offset of [-1e-12, 0, 1e-12, 0.49, 0.51]) {
        const x = (-(k + 1 + offset) * Math.LN2) / 256;
        expect(Math.abs(expOfNonPositive(x) / Math.exp(x) - 1)).toBeLessThan(1e-15);
      }
    }
  });

  it('gives 0 for what is too small, -Infinity included, and NaN for NaN', () => {
    expect(expOfNonPositive(-709)).toBe(0);
    expect(expOfNonPositive(-Infinity)).toBe(0);
    expect(expOfNonPositive(NaN)).toBeNaN();
  });
});
