/**
 * Output drift: baseline and levels run on the same inputs, dropped or made up, and each output compared. For models
 * that are not language models, and for language models without a text. A sample goes through the baseline once and
 * through every level, and is forgotten; where memory does not hold all sessions, the levels are taken in groups.
 */
import type { EngineError, Result } from '../../contract/errors.ts';
import type { InputsUsed, OutputDrift } from '../../contract/report.ts';
import type { Progress } from '../../contract/events.ts';
import type { Provider } from '../../contract/capabilities.ts';
import { cancelled, failure } from '../errors.ts';
import type { GraphRuntime, GraphSession, HostTensor } from '../sessions/graph-session.ts';
import { measurePaired, type KeyedModel, type PairedPass } from '../paired-measurement.ts';
import { readInputHints } from './input-hints.ts';
import { prepareSamples, type InputSamples } from './input-samples.ts';
import { recogniseSignature, type ValueInfo } from '../inputs.ts';
import { isComparable, tallyOutput, type OutputTally } from './output-drift.ts';
import { DEFAULT_SAMPLES, DEFAULT_SEED } from './seeded-inputs.ts';

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
  const compared = await measurePaired<GraphSession, OutputsPass>({
    baseline: job.baseline,
    levels: job.levels,
    open: ({ model }) => runtime.open(model),
    begin: (baseline, levels) => beginPass(job, baseline, levels, signal),
    unit: 'runs',
    onProgress: onEvent,
    signal,
    finish,
  });
  if (!compared.ok) return compared;
  const { first, samplesRun, complete, passes, levels } = compared.value;
  return {
    ok: true,
    value: {
      inputs: { ...first.inputs.used, samples: samplesRun, provider: runtime.provider, threads: runtime.threads() },
      levels: levels.map((level) =>
        'problem' in level
          ? { key: level.key, outputs: null, problem: level.problem }
          : { key: level.key, ...level.pass.figures(level.level) },
      ),
      notes: [
        ...first.inputs.notes,
        ...new Set(
          complete.flatMap((pass) => [
            ...pass.notes,
            ...levels.flatMap((level) => ('pass' in level && level.pass === pass ? pass.leftOut(level.level) : [])),
          ]),
        ),
        ...(passes > 1
          ? [
              `There was not enough memory for all levels at once; they were run in ${passes} passes over the same inputs.`,
            ]
          : []),
        ...(samplesRun < first.samples
          ? [`Stopped early: ${samplesRun} of ${first.samples} samples were run, and the figures are of those.`]
          : []),
      ],
    },
  };
}

interface OutputsPass extends PairedPass<GraphSession> {
  inputs: InputSamples;
  /** Sentences on the model's outputs. */
  notes: string[];
  /** What was measured of a level. */
  figures(level: number): Pick<ComparedLevel, 'outputs' | 'problem'>;
  /** Sentences on what was not compared of a level's outputs. */
  leftOut(level: number): string[];
}

/** Errors: `input-invalid`, `inputs-unknown`, `cancelled`. */
async function beginPass(
  job: OutputsJob,
  baseline: GraphSession,
  levels: readonly KeyedModel[],
  signal: AbortSignal | undefined,
): Promise<Result<OutputsPass>> {
  const chosen = chooseOutputs(baseline);
  if (!chosen.ok) return chosen;
  const { outputs, notes } = chosen.value;
  const hints = await readInputHints(job.baseline.model.model);
  if (signal?.aborted) return cancelled();
  const prepared = await prepareSamples(
    baseline,
    outputs,
    hints,
    { files: job.files, seed: job.seed ?? DEFAULT_SEED, samples: job.samples ?? DEFAULT_SAMPLES },
    signal,
  );
  if (signal?.aborted) return cancelled();
  if (!prepared.ok) return prepared;
  const inputs = prepared.value;
  const tallies = levels.map(() => new Map(outputs.map((output) => [output, tallyOutput(output)])));
  let feeds: Record<string, HostTensor> = {};
  let expected: Record<string, HostTensor> = {};
  return {
    ok: true,
    value: {
      inputs,
      notes,
      samples: inputs.count,
      total: inputs.count * (1 + job.levels.length),
      async runBaseline(session, sample) {
        const made = inputs.feeds(sample);
        if (!made.ok) return made;
        feeds = made.value;
        expected = {};
        const ran = await session.run(feeds, outputs);
        if (ran.ok) expected = ran.value;
        return ran;
      },
      async runLevel(session, level) {
        const ran = await session.run(feeds, outputs);
        if (!ran.ok) return ran;
        for (const [output, tally] of tallies[level] ?? []) {
          const [base, actual] = [expected[output], ran.value[output]];
          if (base && actual) tally.add(base, actual);
        }
        return ran;
      },
      figures: (level) => figuresOf(tallies[level]),
      leftOut: (level) =>
        [...(tallies[level] ?? [])].flatMap(([output, tally]) =>
          tally.leftOut().map((sentence) => `${levels[level]?.key ?? ''}: the output "${output}" ${sentence}.`),
        ),
    },
  };
}

function figuresOf(tallies: ReadonlyMap<string, OutputTally> = new Map()): Pick<ComparedLevel, 'outputs' | 'problem'> {
  const outputs = [...tallies.values()].flatMap((tally) => tally.drift() ?? []);
  if (outputs.length > 0) return { outputs, problem: null };
  return {
    outputs: null,
    problem: failure(
      'session-failed',
      "No output of the level can be compared with the baseline's.",
      'Give it inputs on which the model gives finite numbers of the same shape each time.',
    ).error,
  };
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
