/** Times the steps of a job. The page predicts the time of later jobs from what these took. */
import type { Provider } from '../contract/capabilities.ts';
import type { TimedStep, Timing } from '../contract/events.ts';

const RUNS_EVERY_SECONDS = 1;

/** A clock started now: each call returns the seconds since the call before. */
export function laps(now: () => number = () => performance.now()): () => number {
  let last = now();
  return () => {
    const before = last;
    last = now();
    return (last - before) / 1000;
  };
}

export function timing(
  step: TimedStep,
  seconds: number,
  {
    level = null,
    provider = null,
    amount = 1,
  }: { level?: string | null; provider?: Provider | null; amount?: number } = {},
): Timing {
  return { type: 'timing', step, level, provider, amount, seconds };
}

export interface RunTimer {
  /** Adds a run over `tokens` tokens of a level's model; null is the model in float32. */
  ran(level: string | null, tokens: number, seconds: number): void;
  /** Sends what was added since the last time: about once a second, or now. */
  send(now?: boolean): void;
}

/** Sums up the runs of each model, so that there are a few events a second instead of one for each window. */
export function runTimer(
  provider: Provider,
  onEvent: (event: Timing) => void,
  clock: () => number = () => performance.now(),
): RunTimer {
  const sums = new Map<string | null, { tokens: number; seconds: number }>();
  let sent = clock();
  return {
    ran(level, tokens, seconds) {
      const sum = sums.get(level) ?? { tokens: 0, seconds: 0 };
      sums.set(level, { tokens: sum.tokens + tokens, seconds: sum.seconds + seconds });
    },
    send(now = false) {
      if (!now && clock() - sent < RUNS_EVERY_SECONDS * 1000) return;
      sent = clock();
      for (const [level, { tokens, seconds }] of sums)
        onEvent(timing('run', seconds, { level, provider, amount: tokens }));
      sums.clear();
    },
  };
}
