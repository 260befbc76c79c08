/** How exactly the difference between two levels is known after an amount of text. Both see the same tokens, so it is known better than either perplexity. Pure. */
import { greatest } from '../../workers/contract/extremes.ts';
import type { Report } from '../../workers/contract/report.ts';

/** Before anything was measured: the standard deviation of a token's change of log loss, in nats, as the sample model's int4 has it. */
const ASSUMED_CHANGE_SPREAD = 0.3;

/** One standard error of the logarithm of two perplexities' ratio, so nearly a share of the perplexity. */
export function differenceError(scored: number, report: Report | null): number {
  return spreadOfChange(report) / Math.sqrt(scored);
}

/** Of the level whose difference was known worst; assumed without a report on a text. */
function spreadOfChange(report: Report | null): number {
  const scored = report?.protocol?.words ?? report?.protocol?.tokens ?? 0;
  const errors = (report?.levels ?? []).flatMap(({ baseline, drift }) =>
    baseline || !drift || !(drift.lnRatio.error > 0) ? [] : [drift.lnRatio.error],
  );
  return scored > 0 && errors.length > 0 ? greatest(errors) * Math.sqrt(scored) : ASSUMED_CHANGE_SPREAD;
}
