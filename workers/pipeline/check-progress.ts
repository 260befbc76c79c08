/** Progress of the checks that follow the figures, counted as one stage: each check counts its own runs. */
import type { EngineEvent } from '../contract/events.ts';

/**
 * Gives a listener for each of several checks, in order. Progress that a check sends as its own `done` of `total`
 * arrives as a count over all checks, so that it never falls when one check follows another.
 * @param runs How many runs each check has; 0 for one that is not made.
 */
export function countTogether(
  runs: readonly number[],
  onEvent: (event: EngineEvent) => void,
): ((event: EngineEvent) => void)[] {
  const total = runs.reduce((sum, count) => sum + count, 0);
  let before = 0;
  return runs.map((count) => {
    const offset = before;
    before += count;
    return (event) => {
      if (event.type !== 'progress' || event.stage !== 'check') onEvent(event);
      else if (total > 0)
        onEvent({
          ...event,
          done: offset + (event.total > 0 ? Math.min(1, event.done / event.total) * count : 0),
          total,
        });
    };
  });
}
