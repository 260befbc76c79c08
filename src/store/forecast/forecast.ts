/** Seconds that a comparison takes, before it starts and while it runs. Pure. */
import type { Timing } from '../../../workers/contract/events.ts';
import type { Pace } from './pace.ts';
import { secondsOf, type Paces } from './paces.ts';
import { FLOAT32, type RunShape, type Step } from './steps.ts';

export interface PredictedStep extends Step {
  seconds: number;
}

/** A run's steps with their predicted times, as it starts. */
export interface Forecast {
  steps: readonly PredictedStep[];
  seconds: number;
  /** Of these, what is not needed for the figures of the text. */
  extraSeconds: number;
  /** Whether anything was measured on this machine before. */
  basis: 'assumed' | 'measured';
}

export function forecast(steps: readonly Step[], paces: Paces, machinePace: number | null): Forecast {
  const predicted = steps.map((step) => ({ ...step, seconds: secondsOf(step, paces, machinePace) }));
  const sum = (list: readonly PredictedStep[]) => list.reduce((all, { seconds }) => all + seconds, 0);
  return {
    steps: predicted,
    seconds: sum(predicted),
    extraSeconds: sum(predicted.filter(({ order, kind }) => order > 5 || kind === FLOAT32)),
    basis: paces.length > 0 ? 'measured' : 'assumed',
  };
}

/** What was seen of a run's steps so far. */
export interface Observed {
  /** By step, level and provider. */
  work: ReadonlyMap<string, Pick<Timing, 'step' | 'level' | 'provider' | 'amount' | 'seconds'>>;
  /** When the last of them ended, milliseconds; null before the first. */
  at: number | null;
}

export const NOTHING_OBSERVED: Observed = { work: new Map(), at: null };

const keyOf = ({ step, level, provider }: Pick<Timing, 'step' | 'level' | 'provider'>): string =>
  JSON.stringify([step, level, provider]);

/** Amounts and times of a step that is timed in parts add up. */
export function observe({ work }: Observed, timing: Timing, now: number): Observed {
  const { step, level, provider } = timing;
  const key = keyOf(timing);
  const before = work.get(key);
  return {
    work: new Map(work).set(key, {
      step,
      level,
      provider,
      amount: timing.amount + (before?.amount ?? 0),
      seconds: timing.seconds + (before?.seconds ?? 0),
    }),
    at: now,
  };
}

/** What a run took as paces to remember. */
export function samplesOf({ work }: Observed, { model, levels }: RunShape): Pace[] {
  return [...work.values()].flatMap(({ step, level, provider, amount, seconds }): Pace[] => {
    const ofModel = step === 'load' || step === 'run';
    const kind = level === null ? (ofModel ? FLOAT32 : '') : levels.find(({ key }) => key === level)?.kind;
    return kind === undefined ? [] : [{ step, provider, kind, size: model.parameters, amount, seconds }];
  });
}

/** How much the first seconds of a run may change the forecast of the rest: they count as if so many had gone as predicted. */
const CONFIDENCE_SECONDS = 3;
const MOST_CORRECTION = 6;
/** A step that takes longer than predicted is expected to take this share of its time so far in addition. */
const OVERDUE = 0.2;

/**
 * Seconds left of a run: steps under way at the pace they have shown, later ones as predicted, corrected by how far
 * the steps so far were off.
 */
export function secondsLeft({ steps }: Forecast, { work, at }: Observed, startedAt: number, now: number): number {
  const reached = steps.reduce((order, step) => (work.has(keyOf(step)) ? Math.max(order, step.order) : order), -1);
  const parts = steps.map((step) => {
    const seen = work.get(keyOf(step));
    const share = seen ? Math.min(1, seen.amount / step.amount) : 0;
    return { step, seen, share: step.order < reached ? 1 : share };
  });
  const seen = parts.filter((part) => part.seen);
  const took = seen.reduce((sum, part) => sum + (part.seen?.seconds ?? 0), 0);
  const expected = seen.reduce((sum, { step, share }) => sum + step.seconds * share, 0);
  const correction = Math.min(
    MOST_CORRECTION,
    Math.max(1 / MOST_CORRECTION, (took + CONFIDENCE_SECONDS) / (expected + CONFIDENCE_SECONDS)),
  );
  const left = parts.map(({ step, seen: part, share }) => {
    if (share >= 1) return 0;
    const predicted = step.seconds * correction * (1 - share);
    if (!part || share === 0) return predicted;
    const byPace = (step.amount - part.amount) * (part.seconds / part.amount);
    // A few tokens say little about the pace.
    const trust = Math.min(1, 5 * share);
    return trust * byPace + (1 - trust) * predicted;
  });
  const total = left.reduce((sum, seconds) => sum + seconds, 0);
  // Since the last event the step under way has gone on.
  const current = left.find((seconds) => seconds > 0) ?? 0;
  const since = Math.max(0, (now - (at ?? startedAt)) / 1000);
  return total - current + (since < current ? current - since : Math.max(0, OVERDUE * since));
}

/** Share of a run that is done, by time: 1 only at its end. Never less than `before`. */
export function shareDone(left: number, startedAt: number, now: number, before: number): number {
  const elapsed = Math.max(0, (now - startedAt) / 1000);
  const share = elapsed + left > 0 ? elapsed / (elapsed + left) : 0;
  return Math.max(before, Math.min(0.99, share));
}
