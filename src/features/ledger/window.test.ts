import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ROW, widest, windowOf } from './window.ts';

it('every row in view is drawn, wherever one has scrolled, and never many more', () => {
  fc.assert(
    fc.property(
      fc.nat(400_000),
      fc.integer({ min: 100, max: 2000 }),
      fc.integer({ min: 1, max: 10_000 }),
      (scrolled, height, count) => {
        const { first, last } = windowOf(Math.min(scrolled, Math.max(0, count * ROW - height)), height, count);
        const at = Math.min(scrolled, Math.max(0, count * ROW - height));
        expect(first).toBeLessThanOrEqual(Math.floor(at / ROW));
        expect(last).toBeGreaterThanOrEqual(Math.min(count, Math.ceil((at + height) / ROW)));
        expect(last - first).toBeLessThanOrEqual(Math.ceil(height / ROW) + 40);
      },
    ),
  );
});

it('a list that became shorter under a scrolled view still shows something', () => {
  expect(windowOf(300_000, 500, 3)).toEqual({ first: 2, last: 3 });
});

it('a column is as wide as its longest entry, within bounds', () => {
  expect(widest(['abc', 'abcdef'], 4, 90)).toBe(6);
  expect(widest(['abc'], 4, 90)).toBe(4);
  expect(widest(['x'.repeat(200)], 4, 90)).toBe(90);
});
