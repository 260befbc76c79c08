import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooser, pcg32, type Choose } from './sampling.ts';

function choose(sampling: Parameters<typeof chooser>[0]): Choose {
  const made = chooser(sampling);
  if (!made.ok) throw new Error(made.error.message);
  return made.value;
}

const LOGITS = Float32Array.of(1, 3, 2, 3, -Infinity, 0);

describe('pcg32', () => {
  it("gives the numbers of the reference implementation's demo", () => {
    const random = pcg32(42n, 54n);
    expect(Array.from({ length: 6 }, random)).toEqual([
      0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e,
    ]);
  });
});

describe('greedy', () => {
  it('takes the most likely, of equals the first', () => {
    expect(choose({ kind: 'greedy' })(LOGITS)).toBe(1);
  });
});

describe('seeded', () => {
  it('is the same for the same seed, and another for another', () => {
    const drawn = (seed: number) => {
      const next = choose({ kind: 'seeded', seed, temperature: 2, topK: 6 });
      return Array.from({ length: 40 }, () => next(LOGITS));
    };
    expect(drawn(7)).toEqual(drawn(7));
    expect(drawn(7)).not.toEqual(drawn(8));
  });

  it('from one is the most likely', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 1, maxLength: 50, noNaN: true, noDefaultInfinity: true }),
        fc.nat(),
        (logits, seed) => {
          expect(choose({ kind: 'seeded', seed, temperature: 1, topK: 1 })(logits)).toBe(
            choose({ kind: 'greedy' })(logits),
          );
        },
      ),
    );
  });

  it('never leaves the most likely k', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 1, maxLength: 60, noNaN: true, noDefaultInfinity: true, min: -30, max: 30 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(),
        (logits, topK, seed) => {
          const id = choose({ kind: 'seeded', seed, temperature: 3, topK })(logits);
          const allowed = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, topK);
          expect(allowed).toContain(id);
        },
      ),
    );
  });

  it('draws in proportion to the probabilities', () => {
    const next = choose({ kind: 'seeded', seed: 1, temperature: 2, topK: 3 });
    const counts = new Map<number | null, number>();
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const id = next(LOGITS);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    const weights = [
      [1, Math.exp(3 / 2)],
      [3, Math.exp(3 / 2)],
      [2, Math.exp(2 / 2)],
    ] as const;
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    expect([...counts.keys()].sort((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3]);
    // Four standard errors.
    for (const [id, weight] of weights)
      expect(Math.abs((counts.get(id) ?? 0) / draws - weight / total)).toBeLessThan(4 * Math.sqrt(0.25 / draws));
  });

  it.each([
    [{ temperature: 0 }],
    [{ temperature: NaN }],
    [{ topK: 0 }],
    [{ topK: 1.5 }],
    [{ seed: -1 }],
    [{ seed: 0.5 }],
  ])('%j is refused', (wrong) => {
    expect(chooser({ kind: 'seeded', seed: 1, temperature: 1, topK: 40, ...wrong })).toMatchObject({
      ok: false,
      error: { code: 'usage' },
    });
  });
});

it.each<[string, Float32Array]>([
  ['a NaN', Float32Array.of(1, NaN, 2)],
  ['an infinity', Float32Array.of(1, Infinity)],
  ['nothing possible', Float32Array.of(-Infinity, -Infinity)],
])('%s among the logits is told', (_, logits) => {
  expect(choose({ kind: 'greedy' })(logits)).toBeNull();
  expect(choose({ kind: 'seeded', seed: 1, temperature: 1, topK: 2 })(logits)).toBeNull();
});
