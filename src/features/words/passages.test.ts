import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Passage } from '../../../workers/contract/report.ts';
import { languageReport } from '../results/test-reports.ts';
import { BOUNDS, pagesOf, stepOf, tokensOn, visible, worstFor } from './passages.ts';

const passage = (scoredFrom: number, scored: number): Passage => ({
  tokens: Array.from({ length: scoredFrom + scored }, (_, index) => ` t${index}`),
  scoredFrom,
  baseline: Array.from({ length: scored }, (_, index) => index),
  levels: [{ level: 'int4', change: Array.from({ length: scored }, (_, index) => -index) }],
});

describe('pages', () => {
  it('hold every scored token once, with its figures', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(50), fc.nat(300)), { maxLength: 5 }),
        fc.integer({ min: 1, max: 100 }),
        (sizes, size) => {
          const passages = sizes.map(([from, scored]) => passage(from, scored));
          const shown = pagesOf(passages, size).flatMap((page) => {
            const tokens = tokensOn(page, passages, 'int4');
            const scored = tokens.filter(({ baseline }) => baseline !== null);
            expect(scored.length).toBeLessThanOrEqual(size);
            for (const token of scored) {
              expect(token.text).toBe(` t${token.index}`);
              expect(token.change === -(token.baseline ?? NaN) || token.baseline === 0).toBe(true);
            }
            return scored.map(({ index }) => `${page.passage}:${index}`);
          });
          expect(shown).toHaveLength(sizes.reduce((sum, [, scored]) => sum + scored, 0));
          expect(new Set(shown).size).toBe(shown.length);
        },
      ),
    );
  });
  it('begin with some context, without figures', () => {
    const passages = [passage(100, 10)];
    const [page] = pagesOf(passages);
    const tokens = page ? tokensOn(page, passages, 'int4') : [];
    expect(tokens.map(({ index }) => index)[0]).toBe(76);
    expect(tokens.filter(({ baseline }) => baseline === null)).toHaveLength(24);
  });
  it('of a level that is not in the passage have no changes', () => {
    const passages = [passage(0, 3)];
    const [page] = pagesOf(passages);
    expect(
      page && tokensOn(page, passages, 'int8').every(({ change, baseline }) => change === null && baseline !== null),
    ).toBe(true);
  });
});

it('colours come in steps, the same up and down', () => {
  expect([0, 0.05, BOUNDS[0], 0.39, BOUNDS[1], 1.59, BOUNDS[2], 9].map(stepOf)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  fc.assert(
    fc.property(fc.double({ noNaN: true }), (change) => {
      expect(stepOf(-change) + stepOf(change)).toBe(0);
    }),
  );
});

it('signs stand for what would not be seen', () => {
  expect([' the', '\n\n', 'a\tb ', '', 'x'].map(visible)).toEqual(['␣the', '↵↵', 'a⇥b␣', '∅', 'x']);
});

it('the worst tokens are the level’s own, worst first', () => {
  const { words } = languageReport;
  if (!words) throw new Error('the report has words');
  const worst = worstFor(words, 'int4', 3);
  expect(worst.map(({ token }) => token)).toEqual(['<b>', ' quarter', 'Chapter']);
  expect(worstFor(words, 'int2', 3)).toEqual([]);
});
