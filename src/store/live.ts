/** What a run's events add up to so far: one row a level, and the stages. Pure. */
import type { EngineError } from '../../workers/contract/errors.ts';
import type { EngineEvent, Measured, Progress, Written } from '../../workers/contract/events.ts';
import { STAGES, type Stage } from '../../workers/contract/job.ts';
import { NOTHING_OBSERVED, observe, type Observed } from './forecast/forecast.ts';

export interface Row {
  progress: Progress | null;
  /** Units a second over the stage in hand; null until there is enough to tell. */
  perSecond: number | null;
  written: Written | null;
  measured: Measured | null;
  /** Why the level is skipped; null when it is not. */
  skipped: EngineError | null;
}

interface Pace {
  stage: Stage;
  since: number;
  from: number;
}

export interface Live {
  rows: ReadonlyMap<string, Row>;
  stage: Stage | null;
  /** Share done of each stage, 0…1, over all levels. */
  done: Readonly<Record<Stage, number>>;
  /** Last word on the stage in hand, whichever level it was about. */
  latest: Progress | null;
  warnings: readonly EngineError[];
  /** What the steps took so far. */
  observed: Observed;
  paces: ReadonlyMap<string, Pace>;
}

const EMPTY_ROW: Row = { progress: null, perSecond: null, written: null, measured: null, skipped: null };
/** Weight of each stage in the progress of the whole, by the time it usually takes. */
const SHARE: Record<Stage, number> = { open: 0.03, quantize: 0.27, measure: 0.5, check: 0.2 };
/** Less than this says nothing about speed. */
const PACE_AFTER_MS = 250;

export function startLive(keys: readonly string[]): Live {
  return {
    rows: new Map(keys.map((key) => [key, EMPTY_ROW])),
    stage: null,
    done: { open: 0, quantize: 0, measure: 0, check: 0 },
    latest: null,
    warnings: [],
    observed: NOTHING_OBSERVED,
    paces: new Map(),
  };
}

export function applyEvent(live: Live, event: EngineEvent, now: number): Live {
  switch (event.type) {
    case 'progress':
      return applyProgress(live, event, now);
    case 'written':
      return withRow(live, event.level, { written: event, progress: null, perSecond: null }, live.done);
    case 'measured':
      return withRow(live, event.level, { measured: event }, live.done);
    case 'timing':
      return { ...live, observed: observe(live.observed, event, now) };
    case 'warning': {
      const noted = { ...live, warnings: [...live.warnings, event.error] };
      return event.level === undefined
        ? noted
        : withRow(noted, event.level, { skipped: event.error, progress: null, perSecond: null }, live.done);
    }
  }
}

function applyProgress(live: Live, event: Progress, now: number): Live {
  const paceKey = event.level ?? '';
  const previous = live.paces.get(paceKey);
  const pace =
    previous?.stage === event.stage && previous.from <= event.done
      ? previous
      : { stage: event.stage, since: now, from: event.done };
  const elapsed = now - pace.since;
  const perSecond =
    elapsed >= PACE_AFTER_MS && event.done > pace.from ? ((event.done - pace.from) / elapsed) * 1000 : null;
  const next: Live = {
    ...live,
    stage: laterStage(live.stage, event.stage),
    latest: event,
    paces: new Map(live.paces).set(paceKey, pace),
  };
  const fraction = event.total > 0 ? event.done / event.total : 0;
  if (event.level === null || !live.rows.has(event.level)) {
    return { ...next, done: reached(live.done, event.stage, fraction) };
  }
  const updated = withRow(next, event.level, { progress: event, perSecond }, next.done);
  const share =
    event.stage === 'quantize'
      ? average(updated.rows, (row) =>
          row.written || row.skipped ? 1 : row.progress?.stage === 'quantize' ? fractionOf(row.progress) : 0,
        )
      : // Checks are counted over all levels, whichever is in hand.
        event.stage === 'check'
        ? Math.min(1, fraction)
        : average(updated.rows, (row) =>
            row.measured?.final || row.skipped ? 1 : row.progress?.stage === event.stage ? fractionOf(row.progress) : 0,
          );
  return { ...updated, done: reached(live.done, event.stage, share) };
}

/** Progress never falls: work that is done once more, as after running out of memory, has been counted. */
function reached(done: Live['done'], stage: Stage, share: number): Live['done'] {
  return { ...stagesBefore(done, stage), [stage]: Math.max(done[stage], Math.min(1, share)) };
}

const fractionOf = (progress: Progress) => (progress.total > 0 ? Math.min(1, progress.done / progress.total) : 0);

function average(rows: ReadonlyMap<string, Row>, of: (row: Row) => number): number {
  let sum = 0;
  for (const row of rows.values()) sum += of(row);
  return rows.size === 0 ? 0 : sum / rows.size;
}

/** A stage that has begun ends the ones before it. */
function stagesBefore(done: Live['done'], stage: Stage): Record<Stage, number> {
  const index = STAGES.indexOf(stage);
  const next = { ...done };
  for (const earlier of STAGES.slice(0, index)) next[earlier] = 1;
  return next;
}

const laterStage = (a: Stage | null, b: Stage): Stage => (a !== null && STAGES.indexOf(a) > STAGES.indexOf(b) ? a : b);

/** Events about levels nobody asked for are dropped, save that the baseline may have been added by the engine. */
function withRow(live: Live, level: string, change: Partial<Row>, done: Live['done']): Live {
  const row = live.rows.get(level);
  if (!row) return live;
  return { ...live, done, rows: new Map(live.rows).set(level, { ...row, ...change }) };
}

/**
 * Whether files are written and the runtime is loading them to measure, of which it says nothing: from the last file
 * to the first word on text. A level that cannot be made has a warning instead of a file.
 */
export function loadingToMeasure({ rows, stage, warnings }: Live): boolean {
  if (stage !== 'quantize') return false;
  const missing = [...rows.values()].filter(({ written }) => written === null);
  return (
    missing.length < rows.size &&
    missing.length <= warnings.length &&
    missing.every(({ progress }) => progress === null)
  );
}

/** Models the runtime has loaded to measure. */
export const modelsLoaded = ({ observed }: Live): number =>
  [...observed.work.values()].filter(({ step }) => step === 'load').length;

/** Share of a run of these stages that is done, 0…1, by the stages' usual times: for runs that have no forecast. */
export function overall(live: Live, stages: readonly Stage[]): number {
  const total = stages.reduce((sum, stage) => sum + SHARE[stage], 0);
  return stages.reduce((sum, stage) => sum + SHARE[stage] * live.done[stage], 0) / total;
}
