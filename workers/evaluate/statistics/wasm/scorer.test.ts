import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createReferenceScorer } from '../reference-scorer.ts';
import { generator } from '../../test-models.ts';
import { createWasmScorer } from './scorer.ts';

const TOLERANCE = 1e-12;

/** Logits of several models over one window, and its targets; vocabularies that fill rows and that do not. */
const windowOf = (models: number, logit: fc.Arbitrary<number>) =>
  fc
    .record({ rows: fc.integer({ min: 1, max: 9 }), vocabulary: fc.integer({ min: 2, max: 40 }) })
    .chain(({ rows, vocabulary }) =>
      fc.record({
        rows: fc.constant(rows),
        vocabulary: fc.constant(vocabulary),
        targets: fc
          .array(fc.integer({ min: 0, max: vocabulary - 1 }), { minLength: rows, maxLength: rows })
          .map((ids) => Int32Array.from(ids)),
        logits: fc.array(
          fc
            .array(logit, { minLength: rows * vocabulary, maxLength: rows * vocabulary })
            .map((values) => Float32Array.from(values)),
          { minLength: models, maxLength: models },
        ),
      }),
    );

const logit = fc.float({ min: -40, max: 40, noNaN: true });

/** Both agree where the reference has finite numbers, and are both not finite elsewhere. `scale`: what the terms of the sum are like. */
function expectSame(got: Float64Array, expected: Float64Array, scale = 1): void {
  expect(got).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) {
    if (Number.isFinite(value))
      expect(Math.abs(got[index]! - value)).toBeLessThanOrEqual(TOLERANCE * Math.max(scale, Math.abs(value)));
    else expect(got[index]).not.toSatisfy(Number.isFinite);
  }
}

describe('scoring on WASM', () => {
  it('gives what the reference gives, however few rows are taken at a time', async () => {
    await fc.assert(
      fc.asyncProperty(
        windowOf(3, logit),
        fc.integer({ min: 1, max: 2000 }),
        async ({ rows, vocabulary, targets, logits }, tileBytes) => {
          const reference = createReferenceScorer(rows, vocabulary);
          const scorer = await createWasmScorer(rows, vocabulary, tileBytes);
          const [baseline, ...levels] = logits;
          const expected = reference.baseline(baseline!, targets);
          const got = scorer.baseline(baseline!, targets);
          expectSame(got.nll, expected.nll);
          expect(got.top).toEqual(expected.top);
          for (const level of levels) {
            const expectedLevel = reference.compare(level);
            const gotLevel = scorer.compare(level);
            expectSame(gotLevel.nll, expectedLevel.nll);
            expectSame(gotLevel.kld, expectedLevel.kld);
            expect(gotLevel.top).toEqual(expectedLevel.top);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('finds no divergence of a model against itself, to the last bit', async () => {
    await fc.assert(
      fc.asyncProperty(windowOf(1, logit), async ({ rows, vocabulary, targets, logits }) => {
        const scorer = await createWasmScorer(rows, vocabulary);
        const base = scorer.baseline(logits[0]!, targets);
        const same = scorer.compare(logits[0]!);
        expect([...same.kld]).toEqual(Array.from({ length: rows }, () => 0));
        expect([...same.nll]).toEqual([...base.nll]);
      }),
      { numRuns: 100 },
    );
  });

  it('takes the first of equally likely tokens, wherever they are', async () => {
    const vocabulary = 20;
    for (let first = 0; first < vocabulary; first++) {
      const logits = Float32Array.from({ length: vocabulary }, (_, index) =>
        index === first || (index % 7 === first % 7 && index > first) ? 3 : -1,
      );
      expect((await createWasmScorer(1, vocabulary)).baseline(logits, Int32Array.of(0)).top[0]).toBe(first);
    }
    expect(
      (await createWasmScorer(1, 9)).baseline(Float32Array.of(-1, -0, 0, -1, -1, -1, -1, -1, 0), Int32Array.of(0))
        .top[0],
    ).toBe(1);
  });

  it('gives no finite figures of what is not finite, and takes −∞ for a token ruled out', async () => {
    const strange = fc.oneof(
      { weight: 12, arbitrary: logit },
      { weight: 1, arbitrary: fc.constantFrom(NaN, Infinity, -Infinity) },
    );
    await fc.assert(
      fc.asyncProperty(windowOf(2, strange), async ({ rows, vocabulary, targets, logits }) => {
        const reference = createReferenceScorer(rows, vocabulary);
        const scorer = await createWasmScorer(rows, vocabulary);
        const baseline = reference.baseline(logits[0]!, targets).nll;
        expectSame(scorer.baseline(logits[0]!, targets).nll, baseline);
        // A baseline that is not finite is the end of a measurement.
        if (!baseline.every(Number.isFinite)) return;
        const [got, expected] = [scorer.compare(logits[1]!), reference.compare(logits[1]!)];
        expectSame(got.nll, expected.nll);
        expectSame(got.kld, expected.kld);
      }),
      { numRuns: 300 },
    );
  });

  it('is right for logits thousands apart, and for the entry just above and below what counts', async () => {
    const scorer = await createWasmScorer(1, 3);
    expect(scorer.baseline(Float32Array.of(30000, 29999, -30000), Int32Array.of(1)).nll[0]).toBeCloseTo(
      1 + Math.log1p(Math.exp(-1)),
      12,
    );
    for (const low of [-15.41, -15.3069, -15.3068, -15.2]) {
      const reference = createReferenceScorer(1, 3);
      const logits = Float32Array.of(0, 0, low);
      scorer.baseline(logits, Int32Array.of(0));
      reference.baseline(logits, Int32Array.of(0));
      const level = Float32Array.of(0, 0, -1000);
      expectSame(scorer.compare(level).kld, reference.compare(level).kld);
    }
  });

  it('keeps to the reference over a vocabulary of usual size, and windows of fewer rows', async () => {
    const vocabulary = 32003;
    const rows = 6;
    const random = generator(5);
    const normal = () => random() + random() + random() + random() - 2;
    const base = Float32Array.from({ length: rows * vocabulary }, () => 6 * normal());
    const level = base.map((value) => value + 0.3 * normal());
    const [reference, scorer] = [createReferenceScorer(rows, vocabulary), await createWasmScorer(rows, vocabulary)];
    for (const count of [rows, 3, 1]) {
      const targets = Int32Array.from({ length: count }, (_, row) => row * 5000);
      const part = (logits: Float32Array) => logits.subarray(0, count * vocabulary);
      expectSame(scorer.baseline(part(base), targets).nll, reference.baseline(part(base), targets).nll);
      const [got, expected] = [scorer.compare(part(level)), reference.compare(part(level))];
      expectSame(got.nll, expected.nll);
      expectSame(got.kld, expected.kld, 0.1);
      expect(got.kld[0]).toBeGreaterThan(0.001);
    }
  });
});
