import { describe, expect, it } from 'vitest';
import { imageReport, languageReport } from '../features/results/test-reports.ts';
import { differenceError } from './difference.ts';

describe('the error of a difference', () => {
  it('falls with the root of the text', () => {
    expect(differenceError(40_000, null)).toBeCloseTo(differenceError(10_000, null) / 2, 12);
  });

  it('is that of the last report, on as much text', () => {
    const worst = Math.max(
      ...languageReport.levels.flatMap(({ baseline, drift }) => (baseline || !drift ? [] : [drift.lnRatio.error])),
    );
    const tokens = languageReport.protocol?.tokens ?? 0;
    expect(differenceError(tokens, languageReport)).toBeCloseTo(worst, 12);
    expect(differenceError(tokens * 4, languageReport)).toBeCloseTo(worst / 2, 12);
  });

  it('is assumed where no text was measured', () => {
    expect(differenceError(10_000, imageReport)).toBe(differenceError(10_000, null));
  });
});
