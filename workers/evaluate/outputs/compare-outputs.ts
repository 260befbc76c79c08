/**
 * Output drift: baseline and levels run on the same inputs, dropped or made up, and each output compared. For models
 * that are not language models, and for language models without a text. A sample goes through the baseline once and
 * through every level, and is forgotten; where memory does not hold all sessions, the levels are taken in groups.
 */
import type { EngineError, Result } from '../../contract/errors.ts';
import type { InputsUsed, OutputDrift } from '../../contract/report.ts';
import type { Progress } from '../../contract/events.ts';
import type { Provider } from '../../contract/capabilities.ts';
import { estimateSecondsLeft } from '../../pipeline/time-left.ts';
import { cancelled, failure, type Failure } from '../errors.ts';
import type { GraphRuntime, GraphSession } from '../sessions/graph-session.ts';
import { splitOnOutOfMemory, type Measuring, type Share } from '../split-on-out-of-memory.ts';
import { readInputHints } from './input-hints.ts';
import { prepareSamples, type InputSamples } from './input-samples.ts';
import { recogniseSignature, type ValueInfo } from '../inputs.ts';
import { isComparable, tallyOutput, type OutputTally } from './output-drift.ts';
import { DEFAULT_SAMPLES, DEFAULT_SEED } from './seeded-inputs.ts';

interface KeyedModel {
  key: string;
  model: Blob;
}

export interface OutputsJob {
  baseline: KeyedModel;
  levels: KeyedModel[];
  /** Inputs a person dropped; random ones are made up when there are none. */
  files: File[];
  /** Of made-up inputs. */
  seed?: number;
  /** How many inputs to make up. */
  samples?: number;
  /** Threads of the WASM provider. */
  threads: number;
  /** As of an `EvaluationJob`; `faster` is WASM, since there is no telling before the inputs are known. */
  provider?: Provider | 'faster';
}

export interface ComparedLevel {
  key: string;
  /** Null when nothing could be compared; `problem` says why. */
  outputs: OutputDrift[] | null;
  problem: EngineError | null;
}

export interface OutputsOutcome {
  inputs: InputsUsed;
  /** In the order of the job, the baseline left out. */
  levels: ComparedLevel[];
  /** Sentences a reader must know. */
  notes: string[];
}

const PROGRESS_EVERY_MS = 100;
/** How long to compute before timers, messages and signals get their turn. */
const TURN_EVERY_MS = 100;

/**
 * Settles with `cancelled` soon after `signal` fires; when `finish` does, with the samples run until then, one at least.
 * Errors: `input-invalid`, `inputs-unknown`, `session-failed`, `out-of-memory`, `cancelled`. What is wrong with one
 * level only is its `problem`.
 */
export async function compareOutputs(
  runtime: GraphRuntime,
  job: OutputsJob,
  onEvent: (event: Progress) => void,
  signal?: AbortSignal,
  finish?: AbortSignal,
): Promise<Result<OutputsOutcome>> {
  const task: Task = { runtime, job, onEvent, signal, finish, secondsLeft: estimateSecondsLeft() };
  const compared = await splitOnOutOfMemory(comparing(task), job.levels, { from: 0, to: 1 });
  if (!compared.ok) return compared;
  const { samples, samplesRun, levels, passes, notes } = compared.value;
  return {
    ok: true,
    value: {
      inputs: { ...samples.used, samples: samplesRun, provider: runtime.provider, threads: runtime.threads() },
      levels,
      notes: [
        ...samples.notes,
        ...notes,
        ...(passes > 1
          ? [
              `There was not enough memory for all levels at once; they were run in ${passes} passes over the same inputs.`,
            ]
          : []),
        ...(samplesRun < samples.count
          ? [`Stopped early: ${samplesRun} of ${samples.count} samples were run, and the figures are of those.`]
          : []),
      ],
    },
  };
}

interface Task {
  runtime: GraphRuntime;
  job: OutputsJob;
  onEvent: (event: Progress) => void;
  signal: AbortSignal | undefined;
  finish: AbortSignal | undefined;
  secondsLeft: (done: number, total: number) => number | null;
}

interface Comparison {
  samples: InputSamples;
  samplesRun: number;
  levels: ComparedLevel[];
  passes: number;
  notes: string[];
}

function comparing(task: Task): Measuring<KeyedModel, Comparison> {
  return {
    pass: (levels, share) => compareTogether(task, levels, share),
    unmeasured: (baseline, { key }, problem) => ({ ...baseline, levels: [{ key, outputs: null, problem }] }),
    join(first, second, rest) {
      // Stopped on the way, a later pass has fewer samples than the first: its figures would not compare.
      const complete = second?.samplesRun === first.samplesRun ? second : null;
      return {
        ...first,
        passes: first.passes + (second?.passes ?? 0),
        levels: [...first.levels, ...(complete?.levels ?? rest.map(notReached))],
        notes: [...first.notes, ...(complete?.notes ?? []).filter((note) => !first.notes.includes(note))],
      };
    },
    finish: task.finish,
  };
}

function notReached({ key }: KeyedModel): ComparedLevel {
  const { error } = failure(
    'cancelled',
    'The measurement was finished before this level had been run on the same inputs as the others.',
    'Measure it again, alone.',
  );
  return { key, outputs: null, problem: error };
}

interface LevelRun {
  key: string;
  tallies: ReadonlyMap<string, OutputTally>;
  /** A level in trouble takes no part in the samples that follow. */
  state: { session: GraphSession } | { problem: EngineError };
}

/** One pass: all sessions open side by side. */
async function compareTogether(task: Task, levels: KeyedModel[], share: Share): Promise<Result<Comparison>> {
  const { runtime, job, signal } = task;
  const open: GraphSession[] = [];
  const openModel = async ({ key, model }: KeyedModel): Promise<Result<GraphSession>> => {
    const opened = await runtime.open(model);
    if (opened.ok) open.push(opened.value);
    return opened.ok ? opened : about(key, opened.error);
  };
  try {
    const baseline = await openModel(job.baseline);
    if (!baseline.ok) return baseline;
    const chosen = chooseOutputs(baseline.value);
    if (!chosen.ok) return chosen;
    const { outputs, notes } = chosen.value;
    const hints = await readInputHints(job.baseline.model);
    if (signal?.aborted) return cancelled();
    const samples = await prepareSamples(
      baseline.value,
      outputs,
      hints,
      { files: job.files, seed: job.seed ?? DEFAULT_SEED, samples: job.samples ?? DEFAULT_SAMPLES },
      signal,
    );
    if (signal?.aborted) return cancelled();
    if (!samples.ok) return samples;

    const runs: LevelRun[] = [];
    for (const level of levels) {
      if (signal?.aborted) return cancelled();
      const opened = await openModel(level);
      if (!opened.ok && opened.error.code === 'out-of-memory') return opened;
      runs.push({
        key: level.key,
        tallies: new Map(outputs.map((output) => [output, tallyOutput(output)])),
        state: opened.ok ? { session: opened.value } : { problem: opened.error },
      });
    }
    const ran = await runSamples(task, baseline.value, runs, samples.value, outputs, share);
    if (!ran.ok) return ran;
    return {
      ok: true,
      value: {
        samples: samples.value,
        samplesRun: ran.value,
        passes: 1,
        levels: runs.map(comparedLevel),
        notes: [...notes, ...runs.flatMap(leftOut)],
      },
    };
  } finally {
    for (const session of open) await session.release();
  }
}

/** @returns how many samples were run. */
async function runSamples(
  task: Task,
  baseline: GraphSession,
  runs: LevelRun[],
  samples: InputSamples,
  outputs: readonly string[],
  share: Share,
): Promise<Result<number>> {
  const { job, onEvent, signal, finish, secondsLeft } = task;
  const perSample = 1 + runs.length;
  const total = samples.count * (1 + job.levels.length);
  const progressDue = every(PROGRESS_EVERY_MS);
  const turnDue = every(TURN_EVERY_MS);
  const progress = (runsDone: number) => {
    const passDone = runsDone / (samples.count * perSample);
    if (!progressDue() && passDone < 1) return;
    const done = share.from + (share.to - share.from) * passDone;
    onEvent({
      type: 'progress',
      stage: 'measure',
      level: null,
      done: Math.round(done * total),
      total,
      unit: 'runs',
      tensor: null,
      secondsLeft: secondsLeft(done, 1),
    });
  };

  let index = 0;
  for (; index < samples.count && !(index > 0 && finish?.aborted); index++) {
    if (signal?.aborted) return cancelled();
    const feeds = samples.feeds(index);
    if (!feeds.ok) return feeds;
    const expected = await baseline.run(feeds.value, outputs);
    if (!expected.ok) return about(job.baseline.key, expected.error);
    progress(index * perSample + 1);
    for (const [place, run] of runs.entries()) {
      if (signal?.aborted) return cancelled();
      if ('session' in run.state) {
        const actual = await run.state.session.run(feeds.value, outputs);
        if (!actual.ok && actual.error.code === 'out-of-memory') return about(run.key, actual.error);
        if (actual.ok) {
          for (const [output, tally] of run.tallies) {
            const [base, level] = [expected.value[output], actual.value[output]];
            if (base && level) tally.add(base, level);
          }
        } else {
          run.state = { problem: actual.error };
        }
      }
      progress(index * perSample + 2 + place);
    }
    if (turnDue())
      await new Promise((resolve) => {
        setTimeout(resolve, 0);
      });
  }
  return { ok: true, value: index };
}

function comparedLevel({ key, tallies, state }: LevelRun): ComparedLevel {
  if ('problem' in state) return { key, outputs: null, problem: state.problem };
  const outputs = [...tallies.values()].flatMap((tally) => tally.drift() ?? []);
  if (outputs.length > 0) return { key, outputs, problem: null };
  return {
    key,
    outputs: null,
    problem: failure(
      'session-failed',
      "No output of the level can be compared with the baseline's.",
      'Give it inputs on which the model gives finite numbers of the same shape each time.',
    ).error,
  };
}

function leftOut({ key, tallies, state }: LevelRun): string[] {
  return 'problem' in state
    ? []
    : [...tallies].flatMap(([output, tally]) =>
        tally.leftOut().map((sentence) => `${key}: the output "${output}" ${sentence}.`),
      );
}

/** Caches are for the next token, not for a reader; of a language model the logits are what counts. */
const CACHE = /present|past|cache/i;

/** Errors: `inputs-unknown` when no output can be compared. */
function chooseOutputs({ inputs, outputs }: GraphSession): Result<{ outputs: string[]; notes: string[] }> {
  const signature = recogniseSignature(inputs, outputs);
  if (signature.ok) return { ok: true, value: { outputs: [signature.value.logits.name], notes: [] } };
  const comparable = outputs.filter(isComparable);
  const chosen = comparable.some(({ name }) => !CACHE.test(name))
    ? comparable.filter(({ name }) => !CACHE.test(name))
    : comparable;
  if (chosen.length === 0) {
    return failure(
      'inputs-unknown',
      'The model has no output of numbers, so there is nothing to compare.',
      'Compare sizes only.',
      list(outputs),
    );
  }
  const others = outputs.filter((output) => !isComparable(output));
  return {
    ok: true,
    value: {
      outputs: chosen.map(({ name }) => name),
      notes:
        others.length > 0
          ? [
              `${others.map(({ name }) => `"${name}"`).join(', ')} ${others.length === 1 ? 'holds' : 'hold'} no numbers and ${others.length === 1 ? 'was' : 'were'} not compared.`,
            ]
          : [],
    },
  };
}

function list(values: readonly ValueInfo[]): string {
  return values.map(({ name, type }) => `${name}: ${type ?? 'not a tensor'}`).join('\n');
}

/** Says yes at most once in `milliseconds`, counted from now. */
function every(milliseconds: number): () => boolean {
  let last = performance.now();
  return () => {
    const now = performance.now();
    if (now - last < milliseconds) return false;
    last = now;
    return true;
  };
}

function about(key: string, error: EngineError): Failure {
  return { ok: false, error: { ...error, details: error.details ? `${key}: ${error.details}` : key } };
}
