import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createReferenceScorer } from './reference-scorer.ts';
import { percentiles, tallyDrift, tallyPerplexity } from './statistics.ts';

/** Logits of which a softmax makes exactly these probabilities, but for rounding to float32. */
const logitsOf = (...rows: number[][]) => Float32Array.from(rows.flat().map((p) => Math.log(p)));

/** Means, errors and percentiles the long way: from all values, in float64, with no running sums. */
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const standardError = (values: number[]) => {
  const center = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - center) ** 2)) / (values.length - 1));
};

/** Logits of one window: as many positions as models share, and a target for each. */
const windowOf = (models: number) =>
  fc
    .record({ rows: fc.integer({ min: 1, max: 8 }), vocabulary: fc.integer({ min: 2, max: 20 }) })
    .chain(({ rows, vocabulary }) =>
      fc.record({
        rows: fc.constant(rows),
        vocabulary: fc.constant(vocabulary),
        targets: fc
          .array(fc.integer({ min: 0, max: vocabulary - 1 }), { minLength: rows, maxLength: rows })
          .map((ids) => Int32Array.from(ids)),
        logits: fc.array(
          fc
            .array(fc.float({ min: -30, max: 30, noNaN: true }), {
              minLength: rows * vocabulary,
              maxLength: rows * vocabulary,
            })
            .map((values) => Float32Array.from(values)),
          { minLength: models, maxLength: models },
        ),
      }),
    );

describe('scorer', () => {
  it('gives −ln p of the correct token and the most likely token', () => {
    const scores = createReferenceScorer(2, 3).baseline(
      logitsOf([0.5, 0.25, 0.25], [0.1, 0.2, 0.7]),
      Int32Array.of(0, 1),
    );
    expect(scores.nll[0]).toBeCloseTo(Math.log(2), 6);
    expect(scores.nll[1]).toBeCloseTo(Math.log(5), 6);
    expect([...scores.top]).toEqual([0, 2]);
  });

  it('takes the first of equally likely tokens', () => {
    expect(createReferenceScorer(1, 4).baseline(Float32Array.of(0, 3, 3, 1), Int32Array.of(0)).top[0]).toBe(1);
  });

  it('gives the divergence worked out by hand', () => {
    // Σ p ln(p/q) = ½ ln(½ / ¼) + ½ ln(½ / ¾) = ½ ln 2 − ½ ln 1.5
    const scorer = createReferenceScorer(1, 2);
    scorer.baseline(logitsOf([0.5, 0.5]), Int32Array.of(1));
    const scores = scorer.compare(logitsOf([0.25, 0.75]));
    expect(scores.kld[0]).toBeCloseTo(0.5 * Math.log(2) - 0.5 * Math.log(1.5), 7);
    expect(scores.nll[0]).toBeCloseTo(-Math.log(0.75), 7);
    expect(scores.top[0]).toBe(1);
  });

  it('leaves out what the baseline holds less likely than e^-16', () => {
    const scorer = createReferenceScorer(1, 3);
    // Entry 2 has ln p ≈ −16.1 in the baseline; what the level makes of it changes nothing but the softmax.
    scorer.baseline(Float32Array.of(0, 0, -15.41), Int32Array.of(0));
    const without = scorer.compare(Float32Array.of(0, 0, -1000)).kld[0]!;
    expect(without).toBeCloseTo(-Math.exp(-15.41) / 2, 10);
    scorer.baseline(Float32Array.of(0, 0, -15.2), Int32Array.of(0));
    expect(scorer.compare(Float32Array.of(0, 0, -1000)).kld[0]).toBeGreaterThan(1e-4); // e^−15.9 · 984
  });

  it('is not disturbed by very large logits', () => {
    const scorer = createReferenceScorer(1, 2);
    expect(scorer.baseline(Float32Array.of(30000, 29999), Int32Array.of(1)).nll[0]).toBeCloseTo(
      1 + Math.log1p(Math.exp(-1)),
      12,
    );
  });

  it('does not depend on whether exponentials were kept: vocabularies too large to keep all rows', () => {
    const vocabulary = 2 ** 21 - 1;
    const rows = 3; // two rows fit what is kept
    const base = new Float32Array(rows * vocabulary);
    const level = new Float32Array(rows * vocabulary);
    for (let row = 0; row < rows; row++) {
      for (let index = 0; index < 50; index++) {
        base[row * vocabulary + index * 1000] = 10 + Math.sin(index);
        level[row * vocabulary + index * 1000] = 10 + Math.cos(index);
      }
    }
    const scorer = createReferenceScorer(rows, vocabulary);
    scorer.baseline(base, Int32Array.of(0, 0, 0));
    const { kld } = scorer.compare(level);
    expect(kld[0]).toBeGreaterThan(0.1);
    expect(kld[2]).toBe(kld[0]);
    expect(kld[1]).toBe(kld[0]);
  });

  it('scores windows of fewer positions too, and forgets those of the last', () => {
    const scorer = createReferenceScorer(3, 2);
    scorer.baseline(logitsOf([0.5, 0.5], [0.5, 0.5], [0.5, 0.5]), Int32Array.of(0, 0, 0));
    expect(scorer.baseline(logitsOf([0.25, 0.75]), Int32Array.of(1)).nll).toHaveLength(1);
    const { nll, top, kld } = scorer.compare(logitsOf([0.25, 0.75]));
    expect([...kld]).toEqual([0]);
    expect(nll[0]).toBeCloseTo(-Math.log(0.75), 7);
    expect([...top]).toEqual([1]);
  });

  it('finds no divergence of a model against itself, and none below zero of any', () => {
    fc.assert(
      fc.property(windowOf(2), ({ rows, vocabulary, targets, logits }) => {
        const scorer = createReferenceScorer(rows, vocabulary);
        const base = scorer.baseline(logits[0]!, targets);
        const same = scorer.compare(logits[0]!);
        expect([...same.kld]).toEqual(Array.from({ length: rows }, () => 0));
        expect([...same.nll]).toEqual([...base.nll]);
        // Entries below e^−16 are left out, which may cost that much for each.
        for (const kld of scorer.compare(logits[1]!).kld) expect(kld).toBeGreaterThan(-vocabulary * Math.exp(-16));
      }),
    );
  });

  it('agrees with the definitions in float64', () => {
    fc.assert(
      fc.property(windowOf(2), ({ rows, vocabulary, targets, logits }) => {
        const [base, level] = logits.map((values) =>
          Array.from({ length: rows }, (_, row) => {
            const entries = [...values.subarray(row * vocabulary, (row + 1) * vocabulary)];
            const max = Math.max(...entries);
            const logSum = max + Math.log(entries.reduce((sum, value) => sum + Math.exp(value - max), 0));
            return entries.map((value) => value - logSum);
          }),
        );
        const scorer = createReferenceScorer(rows, vocabulary);
        const baseNll = [...scorer.baseline(logits[0]!, targets).nll];
        const scores = scorer.compare(logits[1]!);
        for (let row = 0; row < rows; row++) {
          const p = base![row]!;
          const q = level![row]!;
          const kld = p.reduce((sum, logP, index) => (logP > -16 ? sum + Math.exp(logP) * (logP - q[index]!) : sum), 0);
          expect(baseNll[row]).toBeCloseTo(-p[targets[row]!]!, 10);
          expect(scores.nll[row]).toBeCloseTo(-q[targets[row]!]!, 10);
          expect(scores.kld[row]).toBeCloseTo(kld, 10);
        }
      }),
    );
  });
});

describe('perplexity', () => {
  it('is exp of the mean, with its error', () => {
    const tally = tallyPerplexity();
    tally.add(Float64Array.of(1, 2));
    tally.add(Float64Array.of(6));
    const { value, error } = tally.estimate();
    expect(value).toBeCloseTo(Math.exp(3), 12);
    // E[nll²] − E[nll]² = 41/3 − 9 = 14/3, over n − 1 = 2
    expect(error).toBeCloseTo(Math.exp(3) * Math.sqrt(14 / 3 / 2), 12);
    expect(tally.tokens).toBe(3);
  });

  it('of a uniform guess is the size of the vocabulary, without error', () => {
    const scorer = createReferenceScorer(4, 7);
    const tally = tallyPerplexity();
    tally.add(scorer.baseline(new Float32Array(28), Int32Array.of(0, 1, 2, 6)).nll);
    expect(tally.estimate().value).toBeCloseTo(7, 12);
    expect(tally.estimate().error).toBe(0);
  });
});

describe('figures by text', () => {
  const tally = tallyPerplexity();
  tally.add(Float64Array.of(Math.LN2, 2 * Math.LN2, 3 * Math.LN2));
  const error = standardError([Math.LN2, 2 * Math.LN2, 3 * Math.LN2]);

  it('are bits by byte: six bits for twelve bytes', () => {
    const { value, bitsPerByte, bytePerplexity } = tally.estimate({ bytes: 12, words: null });
    expect(value).toBeCloseTo(4, 12);
    expect(bitsPerByte?.value).toBeCloseTo(0.5, 12);
    expect(bitsPerByte?.error).toBeCloseTo((error * 3) / 12 / Math.LN2, 12);
    expect(bytePerplexity).toBeUndefined();
  });

  it('are by word: six bits for two words and four bytes', () => {
    const { value, error: wordError, bitsPerByte, bytePerplexity } = tally.estimate({ bytes: 4, words: 2 });
    expect(value).toBeCloseTo(8, 12);
    expect(wordError).toBeCloseTo((8 * error * 3) / 2, 12);
    expect(bitsPerByte?.value).toBeCloseTo(1.5, 12);
    expect(bytePerplexity?.value).toBeCloseTo(2 ** 1.5, 12);
    expect(bytePerplexity?.error).toBeCloseTo((2 ** 1.5 * error * 3) / 4, 12);
  });

  it('leave out what is not known', () => {
    expect(Object.keys(tally.estimate())).toEqual(['value', 'error']);
    expect(Object.keys(tally.estimate({ bytes: 0, words: null }))).toEqual(['value', 'error']);
  });
});

describe('percentiles', () => {
  it('go straight between neighbours', () => {
    const at = percentiles(Float64Array.of(1, 2, 4, 8));
    expect(at(0)).toBe(1);
    expect(at(0.5)).toBe(3);
    expect(at(0.9)).toBeCloseTo(4 + 0.7 * 4, 12);
    expect(at(1)).toBe(8);
    expect(percentiles(Float64Array.of(5))(0.99)).toBe(5);
  });
});

const scoresOf = (values: { nll: number[]; top: number[]; kld: number[] }) => ({
  nll: Float64Array.from(values.nll),
  top: Int32Array.from(values.top),
  kld: Float64Array.from(values.kld),
});

describe('drift', () => {
  it('gives what llama.cpp defines, worked out by hand', () => {
    const tally = tallyDrift();
    const ln2 = Math.LN2;
    // p(correct) of the baseline ½ ½ ¼, of the level ¼ ½ ½.
    tally.add(
      scoresOf({ nll: [ln2, ln2, 2 * ln2], top: [1, 2, 3], kld: [] }),
      scoresOf({ nll: [2 * ln2, ln2, ln2], top: [1, 2, 4], kld: [0.3, 0, 0.1] }),
    );
    const drift = tally.drift();
    expect(drift.lnRatio.value).toBeCloseTo(0, 15);
    // differences ln2, 0, −ln2: variance ⅔ ln²2, over 2
    expect(drift.lnRatio.error).toBeCloseTo(ln2 * Math.sqrt(1 / 3), 12);
    expect(drift.ratio?.value).toBeCloseTo(1, 12);
    expect(drift.ratio?.error).toBeCloseTo(drift.lnRatio.error, 12);
    // Three tokens, two words.
    expect(tally.drift(2).lnRatio.error).toBeCloseTo((ln2 * Math.sqrt(1 / 3) * 3) / 2, 12);
    // cov = ln²2 (5/3 − 16/9) = −1/9, var = ln²2 (2 − 16/9) = 2/9
    expect(drift.correlation).toBeCloseTo(-0.5, 12);
    expect(drift.kld.mean).toBeCloseTo(0.4 / 3, 12);
    expect(drift.kld.error).toBeCloseTo(standardError([0.3, 0, 0.1]), 12);
    expect(drift.kld.median).toBe(0.1);
    expect(drift.kld.p90).toBeCloseTo(0.1 + 0.8 * 0.2, 12);
    expect(drift.kld.max).toBe(0.3);
    expect(drift.sameTop.value).toBeCloseTo(2 / 3, 12);
    expect(drift.sameTop.error).toBeCloseTo(Math.sqrt(2 / 9 / 2), 12);
    // Δp = −¼, 0, ¼
    expect(drift.deltaP.mean).toBeCloseTo(0, 12);
    const rms = Math.sqrt(2 / 48);
    expect(drift.deltaP.rms.value).toBeCloseTo(rms, 12);
    expect(drift.deltaP.rms.error).toBeCloseTo(standardError([1 / 16, 0, 1 / 16]) / (2 * rms), 12);
    expect(drift.deltaP.median).toBeCloseTo(0, 12);
    expect(drift.deltaP.p1).toBeCloseTo(-0.25 + 0.02 * 0.25, 12);
    expect(drift.deltaP.p99).toBeCloseTo(0.25 - 0.02 * 0.25, 12);
  });

  it('of a model against itself is none at all', () => {
    fc.assert(
      fc.property(windowOf(1), ({ rows, vocabulary, targets, logits }) => {
        const scorer = createReferenceScorer(rows, vocabulary);
        const tally = tallyDrift();
        tally.add(scorer.baseline(logits[0]!, targets), scorer.compare(logits[0]!));
        const drift = tally.drift();
        expect(drift.ratio).toEqual({ value: 1, error: 0 });
        expect(drift.lnRatio.error).toBe(0);
        expect(drift.correlation).toBeCloseTo(1, 6);
        expect(drift.kld.max).toBe(0);
        expect(drift.kld.error).toBe(0);
        expect(drift.sameTop).toEqual({ value: 1, error: 0 });
        expect(drift.deltaP.rms).toEqual({ value: 0, error: 0 });
      }),
    );
  });

  it('agrees with the paired error, and with percentiles of everything sorted, however it arrives', () => {
    const token = fc.record({
      base: fc.double({ min: 0, max: 12, noNaN: true }),
      level: fc.double({ min: 0, max: 12, noNaN: true }),
      kld: fc.double({ min: 0, max: 5, noNaN: true }),
      same: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(fc.array(token, { minLength: 1, maxLength: 40 }), { minLength: 2, maxLength: 6 }),
        (windows) => {
          const tally = tallyDrift();
          for (const tokens of windows) {
            tally.add(
              scoresOf({ nll: tokens.map(({ base }) => base), top: tokens.map(() => 0), kld: [] }),
              scoresOf({
                nll: tokens.map(({ level }) => level),
                top: tokens.map(({ same }) => (same ? 0 : 1)),
                kld: tokens.map(({ kld }) => kld),
              }),
            );
            tally.drift(); // running figures must not disturb later ones
          }
          const all = windows.flat();
          const base = all.map((entry) => entry.base);
          const level = all.map((entry) => entry.level);
          const drift = tally.drift();
          const n = all.length;
          const variance = (values: number[]) => standardError(values) ** 2 * (n - 1);
          const covariance = mean(base.map((value, index) => (value - mean(base)) * (level[index]! - mean(level))));
          const paired = Math.sqrt(Math.max(0, variance(base) + variance(level) - 2 * covariance) / (n - 1));
          expect(drift.lnRatio.value).toBeCloseTo(mean(level) - mean(base), 9);
          expect(drift.lnRatio.error).toBeCloseTo(paired, 6);
          expect(drift.kld.mean).toBeCloseTo(mean(all.map(({ kld }) => kld)), 9);
          const at = percentiles(Float64Array.from(all.map(({ kld }) => kld)).sort());
          expect([drift.kld.median, drift.kld.p99, drift.kld.p999, drift.kld.max]).toEqual([
            at(0.5),
            at(0.99),
            at(0.999),
            at(1),
          ]);
          const changes = percentiles(
            Float64Array.from(all.map((entry) => Math.exp(-entry.level) - Math.exp(-entry.base))).sort(),
          );
          expect([drift.deltaP.p1, drift.deltaP.p5, drift.deltaP.p95]).toEqual([
            changes(0.01),
            changes(0.05),
            changes(0.95),
          ]);
          expect(drift.sameTop.value).toBe(all.filter(({ same }) => same).length / n);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps every value past the first thousands', () => {
    const tally = tallyDrift();
    const size = 5000;
    const values = Array.from({ length: size }, (_, index) => (index * 7919) % size);
    tally.add(scoresOf({ nll: values, top: values, kld: [] }), scoresOf({ nll: values, top: values, kld: values }));
    const { kld } = tally.drift();
    expect(kld.median).toBe((size - 1) / 2);
    expect(kld.max).toBe(size - 1);
  });
});
