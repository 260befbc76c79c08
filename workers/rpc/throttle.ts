/** Progress in moderation: a bar needs no more than twenty positions a second, and the page has other things to do. */
import type { EngineEvent } from '../contract/events.ts';

export const PROGRESS_EVERY_MS = 50;

/** Passes everything but progress on at once; of progress, the first of a step, the last, and one every 50 ms. */
export function throttleProgress(
  send: (event: EngineEvent) => void,
  now: () => number = () => performance.now(),
): (event: EngineEvent) => void {
  const sent = new Map<string, number>();
  return (event) => {
    if (event.type === 'progress') {
      const step = `${event.stage} ${event.level ?? ''}`;
      const last = sent.get(step);
      const time = now();
      if (last !== undefined && time - last < PROGRESS_EVERY_MS && event.done < event.total) return;
      sent.set(step, time);
    }
    send(event);
  };
}

/** The same of work with one step only. */
export function throttleSteps<T extends { done: number; total: number }>(
  send: (step: T) => void,
  now: () => number = () => performance.now(),
): (step: T) => void {
  let last = -Infinity;
  return (step) => {
    const time = now();
    if (time - last < PROGRESS_EVERY_MS && step.done < step.total) return;
    last = time;
    send(step);
  };
}
