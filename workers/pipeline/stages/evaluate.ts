/**
 * Stage `evaluate`: perplexity where there is a language model, a tokenizer and a text; drift of outputs where one of them
 * is missing.
 */
import { engineError, failure, type EngineError, type Result } from '../../contract/errors.ts';
import type { ModelSummary } from '../../contract/files.ts';
import { formatLevel } from '../../contract/levels/level.ts';
import type { DriftInWords, InputsUsed, NoiseFloor, Protocol } from '../../contract/report.ts';
import type { KeyedModel } from '../../evaluate/paired-measurement.ts';
import { FLOAT32_KEY, whyOutputsUnfair, whyUnfair } from '../../evaluate/text/fair-baseline.ts';
import type { ClassifiedFiles } from '../../io/classify-files.ts';
import { readText } from '../../io/read-text.ts';
import { shown } from '../../lib/shown.ts';
import { whyNotRunnable } from '../custom-operators.ts';
import { modelInFloat32 } from '../float32-model.ts';
import { NO_FIGURES, type Figures, type JobContext, type MeasuredLevel, type WrittenLevel } from '../job-context.ts';
import { runnableModel, whyTooLarge } from '../runnable-model.ts';
import type { OpenedJob } from './open.ts';

/** What was measured. */
export interface Evaluated {
  readonly levels: readonly MeasuredLevel[];
  /** Null when perplexity was not measured. */
  readonly protocol: Protocol | null;
  readonly words: DriftInWords | null;
  readonly noiseFloor: NoiseFloor | null;
  /** Null when output drift was not measured. */
  readonly inputs: InputsUsed | null;
  /** Sentences for the report. */
  readonly notes: readonly string[];
}

export interface EvaluateInput {
  readonly opened: OpenedJob;
  /** The baseline first. */
  readonly levels: readonly WrittenLevel[];
}

/** Problems with a language model that another model does not have: its outputs can be compared all the same. */
const NO_LANGUAGE_MODEL: readonly EngineError['code'][] = ['not-a-language-model', 'inputs-unknown'];

/** Measures the levels against the first of them. Errors: `cancelled`; what else goes wrong is a warning and a note. */
export async function evaluate(context: JobContext, input: EvaluateInput): Promise<Evaluated> {
  const { job, onEvent } = context;
  const { levels, opened } = input;
  const { sorted, model } = opened;
  if (job.measure === false) return notMeasured(levels, 'Nothing was measured, as asked.');
  const [baseline] = levels;
  const impossible =
    (baseline && whyTooLarge(baseline)) ?? (sorted.scanned?.ok ? whyNotRunnable(sorted.scanned.value) : null);
  if (impossible) {
    onEvent({ type: 'warning', error: impossible });
    return sizesOnly(levels, impossible);
  }
  const missing = whyNotPerplexity(sorted, model);
  if (missing) {
    // A model of another kind is no mistake, unless everything for perplexity is there.
    if (missing !== model.languageModelProblem || (sorted.tokenizer && sorted.text))
      onEvent({ type: 'warning', error: missing });
    return measureOutputs(context, input, missing);
  }
  const measured = await measurePerplexity(context, input);
  if (measured.ok) return measured.value;
  onEvent({ type: 'warning', error: measured.error });
  return NO_LANGUAGE_MODEL.includes(measured.error.code)
    ? measureOutputs(context, input, measured.error)
    : sizesOnly(levels, measured.error);
}

function notMeasured(levels: readonly WrittenLevel[], ...notes: string[]): Evaluated {
  return {
    levels: levels.map((level) => ({ ...level, figures: NO_FIGURES })),
    protocol: null,
    words: null,
    noiseFloor: null,
    inputs: null,
    notes,
  };
}

function sizesOnly(levels: readonly WrittenLevel[], { message, action }: EngineError): Evaluated {
  return notMeasured(levels, `${message} ${action} Only sizes were compared.`);
}

async function measurePerplexity(
  { job, platform, onEvent, signal, finish }: JobContext,
  { levels, opened: { sorted, model } }: EvaluateInput,
): Promise<Result<Evaluated>> {
  const [baseline, ...others] = levels;
  const first = baseline && runnableModel(baseline);
  if (!first || !sorted.tokenizer || !sorted.text) return { ok: true, value: notMeasured(levels) };
  const keysOf = new Map(levels.map((level) => [formatLevel(level), level.keys]));
  const { text, note: howRead } = await readText(sorted.text);
  const reference = job.extras?.noiseFloor ? await modelInFloat32(sorted, model, first) : null;
  const result = await platform.evaluator.evaluate(
    {
      baseline: { key: formatLevel(baseline), model: first },
      levels: runnable(others),
      tokenizerJson: sorted.tokenizer.json,
      tokenizerConfig: sorted.tokenizerConfig,
      text,
      textName: sorted.text.name,
      maxTokens: job.maxTokens,
      threads: platform.threads,
      ...(job.protocol && { protocol: job.protocol }),
      ...(job.extras?.words && { words: true }),
      ...(job.provider && { provider: job.provider }),
      ...(reference && { reference }),
    },
    (event) => {
      const keys = event.level === null ? [null] : (keysOf.get(event.level) ?? []);
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
  const { protocol, words, noiseFloor } = result.value;
  const notes = [...(howRead === null ? [] : [howRead]), ...result.value.notes];
  if (sorted.inputs.length > 0) notes.push(inputsUnused(sorted.inputs));
  const figures = new Map<string, Figures>();
  for (const { key, perplexity, drift, problem, activationRanges } of result.value.levels) {
    figures.set(key, { ...NO_FIGURES, perplexity, drift, ...(activationRanges && { activationRanges }) });
    if (!problem) continue;
    onEvent({ type: 'warning', error: problem });
    notes.push(`${key}: ${problem.message}`);
  }
  const unfair = whyUnfair(noiseFloor);
  if (unfair !== null) notes.push(unfair);
  return {
    ok: true,
    value: { levels: withFigures(levels, figures), protocol, words, noiseFloor, inputs: null, notes },
  };
}

/** @param reason Why perplexity was not measured. */
async function measureOutputs(
  { job, platform, onEvent, signal, finish }: JobContext,
  { levels, opened: { sorted, model } }: EvaluateInput,
  reason: EngineError,
): Promise<Evaluated> {
  const [baseline, ...others] = levels;
  const models = runnable(others);
  const first = baseline && runnableModel(baseline);
  if (!first || models.length === 0) return notMeasured(levels, `${reason.message} Only sizes were compared.`);
  const reference = job.extras?.noiseFloor ? await modelInFloat32(sorted, model, first) : null;
  const result = await platform.evaluator.compareOutputs(
    {
      baseline: { key: formatLevel(baseline), model: first },
      levels: reference ? [...models, { key: FLOAT32_KEY, model: reference.model }] : models,
      files: sorted.inputs,
      threads: platform.threads,
      ...(job.provider && { provider: job.provider }),
    },
    onEvent,
    signal,
    finish,
  );
  signal.throwIfAborted();
  if (!result.ok) {
    if (result.error.code === 'cancelled') throw failure(result.error);
    onEvent({ type: 'warning', error: result.error });
    const { message, action } = result.error;
    return notMeasured(levels, `${reason.message} ${message} ${action} Only sizes were compared.`);
  }
  const { inputs } = result.value;
  const notes = [`${reason.message} ${describeInputs(inputs)}`, ...result.value.notes];
  const figures = new Map<string, Figures>();
  for (const { key, outputs, problem } of result.value.levels) {
    if (key === FLOAT32_KEY) {
      const unfair = whyOutputsUnfair(outputs ?? []);
      if (unfair !== null) notes.push(unfair);
      continue;
    }
    figures.set(key, { ...NO_FIGURES, outputs });
    if (!problem) continue;
    onEvent({ type: 'warning', error: problem });
    notes.push(`${key}: ${problem.message}`);
  }
  return { levels: withFigures(levels, figures), protocol: null, words: null, noiseFloor: null, inputs, notes };
}

/** @param figures By level, as spelled. */
function withFigures(levels: readonly WrittenLevel[], figures: ReadonlyMap<string, Figures>): MeasuredLevel[] {
  return levels.map((level) => ({ ...level, figures: figures.get(formatLevel(level)) ?? NO_FIGURES }));
}

/** Levels that can be run here, by their spelling. */
function runnable(levels: readonly WrittenLevel[]): KeyedModel[] {
  return levels.flatMap((level) => {
    const model = runnableModel(level);
    return model ? [{ key: formatLevel(level), model }] : [];
  });
}

function inputsUnused(inputs: readonly File[]): string {
  const names = inputs.slice(0, 3).map(({ name }) => shown(name));
  return `${names.join(', ')}${inputs.length > 3 ? ' and more' : ''} had no use: a language model is measured on the text.`;
}

function describeInputs({ kind, samples, seed }: InputsUsed): string {
  const count = `${samples} ${samples === 1 ? 'sample' : 'samples'}`;
  return kind === 'files'
    ? `Outputs were compared instead, on ${count} from the files given.`
    : `Outputs were compared instead, on ${count} of random inputs (seed ${seed ?? 0}), which real inputs may differ from.`;
}

function whyNotPerplexity(sorted: ClassifiedFiles, { languageModelProblem }: ModelSummary): EngineError | null {
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
