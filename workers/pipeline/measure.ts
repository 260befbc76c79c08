/**
 * The part of a job after its files are written: perplexity where there is a language model, a tokenizer and a text,
 * output drift where one of them is missing.
 */
import { inOneFile } from '../onnx/model-files.ts';
import type { KeyedModel } from '../evaluate/paired-measurement.ts';
import type { ModelFiles } from '../contract/files.ts';
import { whyNotRunnable } from './custom-operators.ts';
import { engineError, failure } from '../contract/errors.ts';
import { notChecked, type EvaluationInput } from '../evaluate/runtimes/check-runtimes.ts';
import type { Evaluator } from '../evaluate/text/evaluate.ts';
import { FLOAT32_KEY, whyOutputsUnfair, whyUnfair } from '../evaluate/text/fair-baseline.ts';
import type { Reference } from '../evaluate/text/noise-floor.ts';
import type { ClassifiedFiles } from '../io/classify-files.ts';
import { runnableModel, whyTooLarge } from './runnable-model.ts';
import type { Plan } from '../plan/plan.ts';
import type { DataFile } from '../contract/level-plan.ts';
import type {
  Drift,
  DriftInWords,
  InputsUsed,
  MemoryPrediction,
  NoiseFloor,
  OutputDrift,
  Perplexity,
  Protocol,
  Report,
  RuntimeDrift,
  Speed,
} from '../contract/report.ts';
import type { EngineError, Result } from '../contract/errors.ts';
import type { EngineEvent, Progress } from '../contract/events.ts';
import type { Job, LevelRequest } from '../contract/job.ts';
import type { LevelSettings } from '../contract/settings.ts';
import type { ModelSummary } from '../contract/files.ts';
import type { Provider } from '../contract/capabilities.ts';
import { widenModel } from '../onnx/widen.ts';
import { formatLevel } from '../contract/levels/level.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { readText } from '../io/read-text.ts';
import { shown } from '../lib/shown.ts';
import { asSingleFile } from '../io/single-file.ts';
import { laps, timing } from '../lib/timing.ts';

/** A level on its way through the job; what is measured is filled in. */
export interface LevelJob {
  /** Keys of the requests it answers; equal requests are done once. */
  keys: string[];
  id: LevelRequest['id'];
  settings: LevelSettings;
  plan: Plan;
  file: string;
  blob: Blob | null;
  /** The second file, of a model too large for one. */
  data?: DataFile & { blob: Blob };
  perplexity: Perplexity | null;
  drift: Drift | null;
  activationRanges?: 'run';
  outputs: OutputDrift[] | null;
  runtimeDrift: RuntimeDrift | null;
  speed?: Speed[];
  /** Predicted; absent until the file is written, and where it cannot be told. */
  memory?: Record<Provider, MemoryPrediction>;
  /** The level, as spelled, that has the same content. */
  sameFileAs?: string;
}

/** What measuring found beside the figures of each level. */
export interface Measurement {
  /** Null when perplexity was not measured. */
  protocol: Protocol | null;
  words: DriftInWords | null;
  noiseFloor: NoiseFloor | null;
  /** Null when output drift was not measured. */
  inputs: InputsUsed | null;
  notes: string[];
}

/** What measuring needs of the surroundings. */
export interface MeasurePlatform {
  evaluator: Evaluator;
  /** Threads for evaluation. */
  threads: number;
}

interface Measuring {
  levels: LevelJob[];
  job: Job;
  sorted: ClassifiedFiles;
  model: ModelSummary;
  surroundings: MeasurePlatform;
  onEvent: (event: EngineEvent) => void;
  signal: AbortSignal;
  finish: AbortSignal | undefined;
}

/** Problems with a language model that another model does not have: its outputs can be compared all the same. */
const NO_LANGUAGE_MODEL: readonly EngineError['code'][] = ['not-a-language-model', 'inputs-unknown'];

/** Perplexity where there is a language model, a tokenizer and a text; output drift where one of them is missing. */
export async function measure(
  levels: LevelJob[],
  job: Job,
  sorted: ClassifiedFiles,
  model: ModelSummary,
  surroundings: MeasurePlatform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
  finish: AbortSignal | undefined,
): Promise<Measurement> {
  const [baseline] = levels;
  const tooLarge = baseline && whyTooLarge(baseline);
  if (tooLarge) {
    onEvent({ type: 'warning', error: tooLarge });
    return {
      protocol: null,
      words: null,
      noiseFloor: null,
      inputs: null,
      notes: [`${tooLarge.message} ${tooLarge.action} Only sizes were compared.`],
    };
  }
  const custom = sorted.scanned?.ok ? whyNotRunnable(sorted.scanned.value) : null;
  if (custom) {
    onEvent({ type: 'warning', error: custom });
    return {
      protocol: null,
      words: null,
      noiseFloor: null,
      inputs: null,
      notes: [`${custom.message} ${custom.action} Only sizes were compared.`],
    };
  }
  const measuring: Measuring = { levels, job, sorted, model, surroundings, onEvent, signal, finish };
  const missing = whyNotMeasured(sorted, model);
  if (!missing) {
    const measured = await measurePerplexity(measuring);
    if (measured.ok) return measured.value;
    onEvent({ type: 'warning', error: measured.error });
    if (!NO_LANGUAGE_MODEL.includes(measured.error.code)) {
      return {
        protocol: null,
        words: null,
        noiseFloor: null,
        inputs: null,
        notes: [`${measured.error.message} ${measured.error.action} Only sizes were compared.`],
      };
    }
    return measureOutputs(measuring, measured.error);
  }
  // A model of another kind is no mistake, unless everything for perplexity is there.
  if (missing !== model.languageModelProblem || (sorted.tokenizer && sorted.text))
    onEvent({ type: 'warning', error: missing });
  return measureOutputs(measuring, missing);
}

async function measurePerplexity({
  levels: [baseline, ...others],
  levels,
  job,
  sorted,
  model,
  surroundings,
  onEvent,
  signal,
  finish,
}: Measuring): Promise<Result<Measurement>> {
  const first = baseline && runnableModel(baseline);
  if (!first || !sorted.tokenizer || !sorted.text)
    return { ok: true, value: { protocol: null, words: null, noiseFloor: null, inputs: null, notes: [] } };
  const byKey = new Map(levels.map((level) => [formatLevel(level), level]));
  const { text, note: howRead } = await readText(sorted.text);
  const reference = job.extras?.noiseFloor ? await inFloat32(sorted, model, first) : null;
  const result = await surroundings.evaluator.evaluate(
    {
      baseline: { key: formatLevel(baseline), model: first },
      levels: withModels(others),
      tokenizerJson: sorted.tokenizer.json,
      tokenizerConfig: sorted.tokenizerConfig,
      text,
      textName: sorted.text.name,
      maxTokens: job.maxTokens,
      threads: surroundings.threads,
      ...(job.protocol && { protocol: job.protocol }),
      ...(job.extras?.words && { words: true }),
      ...(job.provider && { provider: job.provider }),
      ...(reference && { reference }),
    },
    (event) => {
      const keys = event.level === null ? [null] : (byKey.get(event.level)?.keys ?? []);
      if (event.type === 'timing') onEvent({ ...event, level: keys[0] ?? null });
      else
        for (const key of keys) {
          if (event.type === 'progress') onEvent({ ...event, level: key });
          else if (key !== null) onEvent({ ...event, level: key });
        }
    },
    signal,
    finish,
  );
  signal.throwIfAborted();
  if (!result.ok) {
    if (result.error.code === 'cancelled') throw failure(result.error);
    return result;
  }
  const notes = [...(howRead === null ? [] : [howRead]), ...result.value.notes];
  if (sorted.inputs.length > 0)
    notes.push(
      `${sorted.inputs
        .map(({ name }) => shown(name))
        .slice(0, 3)
        .join(
          ', ',
        )}${sorted.inputs.length > 3 ? ' and more' : ''} had no use: a language model is measured on the text.`,
    );
  for (const { key, perplexity, drift, problem, activationRanges } of result.value.levels) {
    const level = byKey.get(key);
    if (level) Object.assign(level, { perplexity, drift, ...(activationRanges && { activationRanges }) });
    if (!problem) continue;
    onEvent({ type: 'warning', error: problem });
    notes.push(`${key}: ${problem.message}`);
  }
  const unfair = whyUnfair(result.value.noiseFloor);
  if (unfair !== null) notes.push(unfair);
  return {
    ok: true,
    value: {
      protocol: result.value.protocol,
      words: result.value.words,
      noiseFloor: result.value.noiseFloor,
      inputs: null,
      notes,
    },
  };
}

/** @param reason Why perplexity was not measured. */
async function measureOutputs(
  { levels: [baseline, ...others], levels, job, sorted, model, surroundings, onEvent, signal, finish }: Measuring,
  reason: EngineError,
): Promise<Measurement> {
  const models = withModels(others);
  const first = baseline && runnableModel(baseline);
  if (!first || models.length === 0)
    return {
      protocol: null,
      words: null,
      noiseFloor: null,
      inputs: null,
      notes: [`${reason.message} Only sizes were compared.`],
    };
  const reference = job.extras?.noiseFloor ? await inFloat32(sorted, model, first) : null;
  const comparison = {
    baseline: { key: formatLevel(baseline), model: first },
    levels: reference ? [...models, { key: FLOAT32_KEY, model: reference.model }] : models,
    files: sorted.inputs,
    threads: surroundings.threads,
    ...(job.provider && { provider: job.provider }),
  };
  const result = await surroundings.evaluator.compareOutputs(
    comparison,
    (event: Progress) => {
      onEvent(event);
    },
    signal,
    finish,
  );
  signal.throwIfAborted();
  if (!result.ok) {
    if (result.error.code === 'cancelled') throw failure(result.error);
    onEvent({ type: 'warning', error: result.error });
    return {
      protocol: null,
      words: null,
      noiseFloor: null,
      inputs: null,
      notes: [`${reason.message} ${result.error.message} ${result.error.action} Only sizes were compared.`],
    };
  }
  const { inputs } = result.value;
  const notes = [`${reason.message} ${describeInputs(inputs)}`, ...result.value.notes];
  for (const { key, outputs, problem } of result.value.levels) {
    if (key === FLOAT32_KEY) {
      const unfair = whyOutputsUnfair(outputs ?? []);
      if (unfair !== null) notes.push(unfair);
      continue;
    }
    const level = levels.find((candidate) => formatLevel(candidate) === key);
    if (level) level.outputs = outputs;
    if (!problem) continue;
    onEvent({ type: 'warning', error: problem });
    notes.push(`${key}: ${problem.message}`);
  }
  return { protocol: null, words: null, noiseFloor: null, inputs, notes };
}

function withModels(levels: readonly LevelJob[]): KeyedModel[] {
  return levels.flatMap((level) => {
    const model = runnableModel(level);
    return model ? [{ key: formatLevel(level), model }] : [];
  });
}

function describeInputs({ kind, samples, seed }: InputsUsed): string {
  const count = `${samples} ${samples === 1 ? 'sample' : 'samples'}`;
  return kind === 'files'
    ? `Outputs were compared instead, on ${count} from the files given.`
    : `Outputs were compared instead, on ${count} of random inputs (seed ${seed ?? 0}), which real inputs may differ from.`;
}

function whyNotMeasured(sorted: ClassifiedFiles, { languageModelProblem }: ModelSummary): EngineError | null {
  if (languageModelProblem) return languageModelProblem;
  if (!sorted.tokenizer)
    return engineError(
      'no-tokenizer',
      'There is no tokenizer, so perplexity was not measured.',
      'Add the tokenizer.json that came with the model.',
    );
  const unusable = sorted.files.find(({ kind, problem }) => kind === 'text' && problem)?.problem;
  if (!sorted.text && unusable)
    return engineError('no-text', `${unusable.message} Perplexity was not measured.`, unusable.action);
  if (!sorted.text)
    return engineError(
      'no-text',
      'There is no text, so perplexity was not measured.',
      'Add a text file to measure on.',
    );
  return null;
}

/** The model in float32: the file itself where its weights were rounded for the baseline, else the baseline widened. */
async function inFloat32(
  sorted: ClassifiedFiles,
  model: ModelSummary,
  baseline: ModelFiles,
): Promise<Reference | null> {
  if (model.baseline === 'rounded-to-fp16') {
    const original =
      sorted.model && sorted.scanned?.ok ? asSingleFile(sorted.scanned.value, sorted.model, sorted.data.files) : null;
    return original && { kind: 'original', model: inOneFile(original) };
  }
  const widened = await widenModel(baseline).catch(() => null);
  return widened && { kind: 'widened', model: widened };
}

/** What the checks found, beside the runtime drift of each level. */
export interface Checks {
  overflow: NonNullable<Report['overflow']> | null;
  notes: string[];
}

/** What follows the figures: runtime drift where there is WebGPU, and activations that fp16 cannot hold. */
export async function check(
  levels: LevelJob[],
  job: Job,
  sorted: ClassifiedFiles,
  model: ModelSummary,
  measured: Measurement,
  surroundings: MeasurePlatform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
  finish?: AbortSignal,
): Promise<Checks> {
  const checks: Checks = { overflow: null, notes: [] };
  const [baseline] = levels;
  const material = await materialOf(job, sorted, measured);
  const first = baseline && runnableModel(baseline);
  if (!first || !material) return checks;
  const { evaluator, threads } = surroundings;
  const inHalf =
    model.baseline === 'rounded-to-fp16'
      ? levels.filter(({ id, settings }) => SCHEMES[id].resolve(settings).halfActivations)
      : [];
  if ((job.extras?.noiseFloor || inHalf.length > 0) && !finish?.aborted) {
    const lap = laps();
    const reference = await inFloat32(sorted, model, first);
    const overflow =
      reference && (await evaluator.checkOverflow({ model: reference.model, material, threads }, signal));
    signal.throwIfAborted();
    if (overflow?.ok) {
      onEvent(timing('overflow', lap(), { provider: 'wasm' }));
      checks.overflow = overflow.value.overflow;
      for (const level of inHalf) {
        const spoiled = overflow.value.overflow.filter(({ tensor }) => !level.plan.floats?.has(tensor));
        if (spoiled.length > 0) checks.notes.push(`${formatLevel(level)}: ${whatOverflows(spoiled)}`);
      }
    } else if (overflow) checks.notes.push(notChecked('Whether activations overflow fp16', overflow.error));
  }
  if (job.extras?.runtimeDrift && evaluator.checkRuntimes && !finish?.aborted) {
    const models = levels.flatMap((level) => {
      const model = runnableModel(level);
      return model
        ? [{ key: formatLevel(level), model, kld: level.drift?.kld.mean ?? null, outputs: level.outputs }]
        : [];
    });
    const checked = await evaluator.checkRuntimes(
      { models, material, threads },
      (event) => {
        const keys = levels.find((level) => formatLevel(level) === event.level)?.keys ?? [null];
        if (event.type === 'timing') onEvent({ ...event, level: keys[0] ?? null });
        else for (const key of keys) onEvent({ ...event, level: key });
      },
      signal,
      finish,
    );
    signal.throwIfAborted();
    if (!checked.ok) checks.notes.push(notChecked('Runtime drift', checked.error));
    else
      for (const { key, runtimeDrift } of checked.value.levels) {
        const level = levels.find((candidate) => formatLevel(candidate) === key);
        if (level) level.runtimeDrift = runtimeDrift;
      }
  }
  if (finish?.aborted && (job.extras?.noiseFloor || job.extras?.runtimeDrift))
    checks.notes.push('Noise floor and runtime drift not measured, or not for every level (stopped).');
  return checks;
}

/** For levels with fp16 activations: which nodes give numbers that those cannot hold. */
function whatOverflows(overflow: NonNullable<Report['overflow']>): string {
  const named = overflow
    .slice(0, 3)
    .map(({ node, operator, largest }) => `${node} (${operator}, ${scientific(largest)})`)
    .join(', ');
  return `${overflow.length === 1 ? 'a node gives' : `${overflow.length} nodes give`} numbers beyond 65,504, which fp16 activations cannot hold: ${named}${overflow.length > 3 ? ' and more' : ''}. Its figures are those of a model that overflows there.`;
}

/** Three digits and a power of ten: `1.31e5`. */
function scientific(value: number): string {
  return value.toExponential(2).replace('e+', 'e');
}

/** What the figures were measured on; null when there were none. */
async function materialOf(
  job: Job,
  { tokenizer, tokenizerConfig, text, inputs }: ClassifiedFiles,
  { protocol, inputs: used }: Measurement,
): Promise<EvaluationInput | null> {
  if (protocol && tokenizer && text) {
    return {
      kind: 'text',
      tokenizerJson: tokenizer.json,
      tokenizerConfig,
      text: (await readText(text)).text,
      maxTokens: job.maxTokens,
      ...(job.protocol && { protocol: job.protocol }),
    };
  }
  return used ? { kind: 'inputs', files: inputs } : null;
}
