/**
 * The driver of paired measurements: a baseline and its levels run on the same samples, one sample after the other, each
 * through the baseline first and then through every level. A sample is a window of text or a set of inputs. All models are
 * open side by side; where memory does not hold them, the levels are measured in smaller groups, one pass over the samples
 * for each group.
 */
import type { ModelFiles } from '../contract/files.ts';
import type { EngineError, Result } from '../contract/errors.ts';
import type { Progress } from '../contract/events.ts';
import { every } from '../lib/rate-limit.ts';
import { estimateSecondsLeft } from '../lib/time-left.ts';
import { cancelled, failure, type Failure } from './errors.ts';

/** A model by the name its caller knows it by; the name comes back in events and outcomes. */
export interface KeyedModel {
  key: string;
  model: ModelFiles;
}

/** What a measurement does with the samples of one pass, and what it keeps of them. `level` is the level's place among those of the pass. */
export interface PairedPass<Session> {
  /** How many samples there are. */
  readonly samples: number;
  /** What progress counts up to, for all passes together. */
  readonly total: number;
  /** Why an opened level cannot take part; null when it can. Every level can when absent. */
  refuse?(session: Session): EngineError | null;
  /** Called when all models are open. */
  ready?(): Promise<void>;
  /** Runs the baseline on a sample. A failure ends the measurement. */
  runBaseline(session: Session, sample: number): Promise<Result<unknown>>;
  /**
   * Runs a level on the sample the baseline has just run. A failure is the problem of that level, which takes no part in
   * later samples; `out-of-memory` ends the pass.
   */
  runLevel(session: Session, level: number, sample: number): Promise<Result<unknown>>;
  /** Called when all models have run on a sample. `takesPart` tells which levels have no problem so far. */
  sampleDone?(samplesRun: number, takesPart: (level: number) => boolean): void;
  /** Called when no more samples are run. */
  samplesDone?(takesPart: (level: number) => boolean): void;
  /** Called when the pass has ended, however it did. */
  close?(): Promise<void>;
}

/** A measurement: which models, how they are opened, and what a pass does. */
export interface PairedMeasurement<Session, Pass> {
  baseline: KeyedModel;
  levels: KeyedModel[];
  open(model: KeyedModel, isBaseline: boolean): Promise<Result<Session>>;
  /** Begins a pass when the baseline is open: chooses the samples. */
  begin(baseline: Session, levels: readonly KeyedModel[]): Promise<Result<Pass>>;
  /** After a pass that ran out of memory: whether the same levels should be tried once more, because something was given up. */
  giveWay?(): boolean;
  /** What progress counts. */
  unit: Progress['unit'];
  onProgress(progress: Progress): void;
  signal: AbortSignal | undefined;
  /** Ends the measurement after the sample in hand, and after at least one. */
  finish: AbortSignal | undefined;
}

/** A level that was measured, as `level` of its pass, or the problem it met. */
export type PairedLevel<Pass> = { key: string } & ({ pass: Pass; level: number } | { problem: EngineError });

export interface PairedOutcome<Pass> {
  /** The first pass, which has the baseline's figures. */
  first: Pass;
  /** Samples that all measured levels ran on. */
  samplesRun: number;
  /** Passes that ran over these samples, the first one included. */
  complete: Pass[];
  /** How many passes there were. */
  passes: number;
  /** The levels of the measurement, in its order. */
  levels: PairedLevel<Pass>[];
}

/** The part of the whole work a pass is, as fractions. */
interface Share {
  from: number;
  to: number;
}

const PROGRESS_EVERY_MS = 100;
/** How long to compute before timers, messages and signals get their turn. */
const TURN_EVERY_MS = 250;

/**
 * Measures all levels. Errors: those of `open` and `runBaseline` for the baseline, those of `begin`, and `cancelled` soon
 * after `signal` fires. What is wrong with one level is its `problem`.
 */
export function measurePaired<Session extends { release(): Promise<void> }, Pass extends PairedPass<Session>>(
  measurement: PairedMeasurement<Session, Pass>,
): Promise<Result<PairedOutcome<Pass>>> {
  return splitOnOutOfMemory(measurement, measurement.levels, { from: 0, to: 1 });
}

async function splitOnOutOfMemory<Session extends { release(): Promise<void> }, Pass extends PairedPass<Session>>(
  measurement: PairedMeasurement<Session, Pass>,
  levels: readonly KeyedModel[],
  share: Share,
): Promise<Result<PairedOutcome<Pass>>> {
  let together = await runPass(measurement, levels, share);
  while (isOutOfMemory(together) && measurement.giveWay?.()) together = await runPass(measurement, levels, share);
  const [only] = levels;
  if (!isOutOfMemory(together) || !only) return together;
  if (levels.length === 1) {
    const baseline = await splitOnOutOfMemory(measurement, [], share);
    return baseline.ok
      ? { ok: true, value: { ...baseline.value, levels: [{ key: only.key, problem: together.error }] } }
      : baseline;
  }
  const half = Math.ceil(levels.length / 2);
  const middle = share.from + ((share.to - share.from) * half) / levels.length;
  const first = await splitOnOutOfMemory(measurement, levels.slice(0, half), { from: share.from, to: middle });
  if (!first.ok) return first;
  const rest = levels.slice(half);
  const second = measurement.finish?.aborted
    ? null
    : await splitOnOutOfMemory(measurement, rest, { from: middle, to: share.to });
  if (second?.ok === false) return second;
  return { ok: true, value: join(first.value, second?.value ?? null, rest) };
}

function isOutOfMemory<T>(result: Result<T>): result is Failure & { error: { code: 'out-of-memory' } } {
  return !result.ok && result.error.code === 'out-of-memory';
}

/** @param second Null when the measurement was finished before it began. */
function join<Pass>(
  first: PairedOutcome<Pass>,
  second: PairedOutcome<Pass> | null,
  rest: readonly KeyedModel[],
): PairedOutcome<Pass> {
  // A later pass that was stopped has fewer samples than the first: its figures would not compare.
  const same = second?.samplesRun === first.samplesRun ? second : null;
  return {
    ...first,
    complete: [...first.complete, ...(same?.complete ?? [])],
    passes: first.passes + (second?.passes ?? 0),
    levels: [...first.levels, ...(same?.levels ?? rest.map(({ key }) => ({ key, problem: notReached() })))],
  };
}

function notReached(): EngineError {
  return failure(
    'cancelled',
    'The measurement was finished before this level had run on as much as the others.',
    'Measure it again, alone or on less.',
  ).error;
}

/** One pass: all sessions open side by side. */
async function runPass<Session extends { release(): Promise<void> }, Pass extends PairedPass<Session>>(
  measurement: PairedMeasurement<Session, Pass>,
  levels: readonly KeyedModel[],
  share: Share,
): Promise<Result<PairedOutcome<Pass>>> {
  const open: Session[] = [];
  const openModel = async (model: KeyedModel, isBaseline: boolean): Promise<Result<Session>> => {
    const opened = await measurement.open(model, isBaseline);
    if (!opened.ok) return about(model.key, opened.error);
    open.push(opened.value);
    return opened;
  };
  let pass: Pass | null = null;
  try {
    const baseline = await openModel(measurement.baseline, true);
    if (!baseline.ok) return baseline;
    const begun = await measurement.begin(baseline.value, levels);
    if (!begun.ok) return begun;
    pass = begun.value;
    const runs: LevelRun<Session>[] = [];
    for (const level of levels) {
      if (measurement.signal?.aborted) return cancelled();
      const opened = await openModel(level, false);
      if (isOutOfMemory(opened)) return opened;
      const problem = opened.ok ? (pass.refuse?.(opened.value) ?? null) : opened.error;
      runs.push({ key: level.key, state: opened.ok && !problem ? { session: opened.value } : { problem: problem! } });
    }
    await pass.ready?.();
    const ran = await runSamples(measurement, pass, baseline.value, runs, share);
    if (!ran.ok) return ran;
    const done = pass;
    return {
      ok: true,
      value: {
        first: done,
        samplesRun: ran.value,
        complete: [done],
        passes: 1,
        levels: runs.map(({ key, state }, level) =>
          'problem' in state ? { key, ...state } : { key, pass: done, level },
        ),
      },
    };
  } finally {
    await pass?.close?.();
    for (const session of open) await session.release();
  }
}

interface LevelRun<Session> {
  key: string;
  /** A level with a problem takes no part in the samples that follow. */
  state: { session: Session } | { problem: EngineError };
}

/** @returns How many samples were run. */
async function runSamples<Session, Pass extends PairedPass<Session>>(
  measurement: PairedMeasurement<Session, Pass>,
  pass: Pass,
  baseline: Session,
  runs: LevelRun<Session>[],
  share: Share,
): Promise<Result<number>> {
  const { signal, finish } = measurement;
  const modelsRun = progressReporter(measurement, pass, 1 + runs.length, share);
  const turnDue = every(TURN_EVERY_MS);
  const takesPart = (level: number) => 'session' in (runs[level]?.state ?? {});
  let sample = 0;
  for (; sample < pass.samples && !(sample > 0 && finish?.aborted); sample++) {
    if (signal?.aborted) return cancelled();
    const expected = await pass.runBaseline(baseline, sample);
    if (!expected.ok) return about(measurement.baseline.key, expected.error);
    modelsRun(sample, 1);
    for (const [level, run] of runs.entries()) {
      if (signal?.aborted) return cancelled();
      if ('session' in run.state) {
        const actual = await pass.runLevel(run.state.session, level, sample);
        if (isOutOfMemory(actual)) return about(run.key, actual.error);
        if (!actual.ok) run.state = { problem: actual.error };
      }
      modelsRun(sample, 2 + level);
    }
    pass.sampleDone?.(sample + 1, takesPart);
    if (turnDue())
      await new Promise((resolve) => {
        setTimeout(resolve, 0);
      });
  }
  pass.samplesDone?.(takesPart);
  return { ok: true, value: sample };
}

/**
 * Reports progress over all passes. The time left is what the rest takes at the pace of this pass.
 * @param models How many models run on each sample.
 */
function progressReporter<Session, Pass>(
  { unit, onProgress }: PairedMeasurement<Session, Pass>,
  { samples, total }: PairedPass<Session>,
  models: number,
  share: Share,
): (sample: number, modelsRun: number) => void {
  const due = every(PROGRESS_EVERY_MS);
  const secondsLeft = estimateSecondsLeft();
  return (sample, modelsRun) => {
    const passDone = (sample * models + modelsRun) / (samples * models);
    if (!due() && passDone < 1) return;
    const sinceStart = (share.to - share.from) * passDone;
    onProgress({
      type: 'progress',
      stage: 'measure',
      level: null,
      done: Math.round((share.from + sinceStart) * total),
      total,
      unit,
      tensor: null,
      secondsLeft: secondsLeft(sinceStart, 1 - share.from),
    });
  };
}

/** The failure of one model, named in its details. */
function about(key: string, error: EngineError): Failure {
  return { ok: false, error: { ...error, details: error.details ? `${key}: ${error.details}` : key } };
}
