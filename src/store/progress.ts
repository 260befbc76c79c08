/** How far a run is, by time. Pure. */
import { secondsLeft, shareDone } from './forecast/forecast.ts';
import { overall } from './live.ts';
import { isActive, stagesOf, type Run } from './run.ts';

/** The run at another moment: its share never falls. */
export function advance(run: Run, now: number): Run {
  if (!isActive(run)) return run;
  const before = run.progress?.share ?? 0;
  if (!run.forecast)
    return { ...run, progress: { share: Math.max(before, overall(run.live, stagesOf(run))), secondsLeft: null } };
  const left = secondsLeft(run.forecast, run.live.observed, run.startedAt, now);
  return { ...run, progress: { share: shareDone(left, run.startedAt, now, before), secondsLeft: left } };
}
