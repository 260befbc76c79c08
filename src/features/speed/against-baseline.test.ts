import { describe, expect, it } from 'vitest';
import type { Report, Speed, Spread } from '../../../workers/contract/report.ts';
import { figuresIn } from '../results/test-figures.ts';
import { languageReport } from '../results/test-reports.ts';
import { changeInWords, speedChanges, speedSentence } from './against-baseline.ts';

const spread = (low: number, median: number, high: number): Spread => ({ low, median, high, runs: 3 });
const decode = (tokensPerSecond: Spread): Partial<Speed> => ({
  decode: { tokens: 32, tokensPerSecond, cached: true },
  run: null,
});
const run = (seconds: Spread): Partial<Speed> => ({ decode: null, prefill: null, run: seconds });

/** The figures of fp16 and of int4, timed so on WASM. */
function figuresTimed(fp16: Partial<Speed>, int4: Partial<Speed>, sameFileAs?: string) {
  const report: Report = {
    ...languageReport,
    levels: languageReport.levels
      .filter(({ id }) => id !== 'int8')
      .map((level) => ({
        ...level,
        ...(level.id === 'int4' && sameFileAs !== undefined && { sameFileAs }),
        speed: (level.speed ?? []).slice(0, 1).map((line) => ({ ...line, ...(level.id === 'fp16' ? fp16 : int4) })),
      })),
  };
  const [first, second] = figuresIn(report);
  if (!first || !second) throw new Error('two figures were expected');
  return { fp16: first, int4: second };
}

describe('speed beside fp16', () => {
  it('is how many times as fast a level decodes', () => {
    const { fp16, int4 } = figuresTimed(decode(spread(17, 17.3, 18)), decode(spread(2.3, 2.38, 2.4)));
    const [change] = speedChanges(int4, fp16);
    expect(change).toMatchObject({ provider: 'wasm', of: 'decode' });
    expect(change?.times).toBeCloseTo(2.38 / 17.3, 9);
    expect(change && changeInWords(change)).toContain('7.3×');
    expect(speedSentence(int4, fp16)).toContain('7.3× slower than fp16 on WASM');
  });

  it('is by the seconds of a run for other models', () => {
    const { fp16, int4 } = figuresTimed(run(spread(0.08, 0.1, 0.12)), run(spread(0.019, 0.02, 0.021)));
    expect(speedChanges(int4, fp16)[0]).toMatchObject({ of: 'run' });
    expect(speedChanges(int4, fp16)[0]?.times).toBeCloseTo(5, 9);
  });

  it('says nothing where the runs of both overlap, or of a difference too small to matter', () => {
    const overlapping = figuresTimed(decode(spread(15, 17, 19)), decode(spread(10, 14, 15.5)));
    expect(speedChanges(overlapping.int4, overlapping.fp16)[0]?.times).toBeNull();
    expect(speedSentence(overlapping.int4, overlapping.fp16)).toBeNull();
    const small = figuresTimed(decode(spread(17, 17, 17)), decode(spread(16, 16.5, 16.9)));
    expect(speedSentence(small.int4, small.fp16)).toBeNull();
  });

  it('says nothing of the baseline, of the same file, and of what was not timed', () => {
    const { fp16, int4 } = figuresTimed(decode(spread(17, 17.3, 18)), decode(spread(2.3, 2.38, 2.4)), 'fp16');
    expect(speedChanges(fp16, fp16)).toEqual([]);
    expect(speedChanges(int4, fp16)).toEqual([]);
    expect(speedChanges({ ...int4, sameFileAs: null, speed: [] }, fp16)).toEqual([]);
    expect(speedSentence(int4, undefined)).toBeNull();
  });
});
