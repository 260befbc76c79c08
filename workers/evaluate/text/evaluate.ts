/**
 * Perplexity of a baseline, and of levels against it, on the same tokens in the same pass: each window goes through
 * the baseline once and then through every level, and is forgotten. Where the heap does not hold all sessions at
 * once, the levels are taken in smaller groups and the baseline runs again for each.
 */
import { greatest } from '../../lib/extremes.ts';
import type { Drift, DriftInWords, NoiseFloor, Perplexity, Protocol } from '../../contract/report.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { Measured, Progress, Timing } from '../../contract/events.ts';
import type { ProtocolRequest } from '../../contract/job.ts';
import type { Provider } from '../../contract/capabilities.ts';
import { estimateSecondsLeft } from '../../pipeline/time-left.ts';
import { laps, runTimer, timing } from '../../lib/timing.ts';
import { collectWords, inWords, type CollectedWords } from './drift-in-words.ts';
import type { OverflowJob, OverflowOutcome, RuntimesJob, RuntimesOutcome } from '../runtimes/check-runtimes.ts';
import type { OutputsJob, OutputsOutcome } from '../outputs/compare-outputs.ts';
import { hasDynamicRanges } from './dynamic-ranges.ts';
import { mayOverflow16Bits } from '../saturating-products.ts';
import { cancelled, failure, type Failure } from '../errors.ts';
import { splitOnOutOfMemory, type Measuring, type Share } from '../split-on-out-of-memory.ts';
import { DEFAULT_CONTEXT, SMALLEST_CONTEXT, tokenizeText, type TokenizedText } from './perplexity.ts';
import { planProtocol, tokensReached, tokensScored, windowOf, type WindowPlan } from './protocols.ts';
import { addsUp, bytesOf, wordCounter } from './scored-text.ts';
import type { EvaluationRuntime, LanguageModel, OpenLanguageModel } from './language-model.ts';
import { noiseMeter, type NoiseMeter, type Reference } from './noise-floor.ts';
import {
  tallyDrift,
  tallyPerplexity,
  type DriftTally,
  type PerplexityTally,
  type ScoredText,
} from '../statistics/statistics.ts';
import { checkText } from './tokenizer/text-check.ts';
import { openTokenizer, type Tokenizer } from './tokenizer/tokenizer.ts';
import { createWasmScorer } from '../statistics/wasm/scorer.ts';

export interface EvaluationModel {
  /** The caller's name for it; comes back in events and in the outcome. */
  key: string;
  model: Blob;
}

export interface EvaluationJob {
  baseline: EvaluationModel;
  levels: EvaluationModel[];
  tokenizerJson: string;
  tokenizerConfig: string | null;
  text: string;
  textName: string;
  /** Tokens of the text to run at most, one window at least; null for all of it. */
  maxTokens: number | null;
  /** Threads of the WASM provider. */
  threads: number;
  /** As llama.cpp does when absent. */
  protocol?: ProtocolRequest;
  /** The baseline in float32, for the noise floor. */
  reference?: Reference;
  /** The provider to run on; `faster` tries the baseline on both for a moment. WASM when absent. */
  provider?: Provider | 'faster';
  /** Whether to tell where the drift is, in words. */
  words?: boolean;
}

/** Running figures come at most every `MEASURED_EVERY_MS` for all levels, progress every `PROGRESS_EVERY_MS`. */
export type EvaluationEvent = Progress | Measured | Timing;

export interface MeasuredLevel {
  key: string;
  /** Null when this level could not be measured; `problem` says why. */
  perplexity: Perplexity | null;
  /** Null for the baseline. */
  drift: Drift | null;
  problem: EngineError | null;
  /** As of a `LevelReport`. */
  activationRanges?: 'run';
}

export interface EvaluationOutcome {
  protocol: Protocol;
  /** The baseline first, then the levels in the order of the job. */
  levels: MeasuredLevel[];
  /** Null without a reference, and when it could not be measured; a note says why. */
  noiseFloor: NoiseFloor | null;
  /** Null unless asked for. */
  words: DriftInWords | null;
  /** Sentences a reader must know. */
  notes: string[];
}

/** Measures in a worker (client.ts) or in place (evaluator.node.ts). */
export interface Evaluator {
  /**
   * Settles with `cancelled` soon after `signal` fires; when `finish` does, with what has been measured after the
   * window in hand, one at least.
   */
  evaluate(
    job: EvaluationJob,
    onEvent: (event: EvaluationEvent) => void,
    signal?: AbortSignal,
    finish?: AbortSignal,
  ): Promise<Result<EvaluationOutcome>>;
  /** The same for the outputs of models whose perplexity is not measured: samples where the other has windows. */
  compareOutputs(
    job: OutputsJob,
    onEvent: (event: Progress) => void,
    signal?: AbortSignal,
    finish?: AbortSignal,
  ): Promise<Result<OutputsOutcome>>;
  /** Whether activations in float32 go beyond fp16. */
  checkOverflow(job: OverflowJob, signal?: AbortSignal): Promise<Result<OverflowOutcome>>;
  /** Each model on WebGPU against WASM; absent where there can be no WebGPU. */
  checkRuntimes?(
    job: RuntimesJob,
    onEvent: (event: Progress | Timing) => void,
    signal?: AbortSignal,
    finish?: AbortSignal,
  ): Promise<Result<RuntimesOutcome>>;
}

export const PROGRESS_EVERY_MS = 100;
export const MEASURED_EVERY_MS = 250;
/** How long to compute before timers, messages and signals get their turn. */
const TURN_EVERY_MS = 250;

/**
 * Errors: `usage`, `tokenizer-invalid`, `text-too-short`, `tokenizer-mismatch`, `not-a-language-model`, `inputs-unknown`,
 * `session-failed`, `out-of-memory`, `cancelled`. What is wrong with one level only is its `problem`.
 */
export async function evaluate(
  runtime: EvaluationRuntime,
  job: EvaluationJob,
  onEvent: (event: EvaluationEvent) => void,
  signal?: AbortSignal,
  finish?: AbortSignal,
): Promise<Result<EvaluationOutcome>> {
  const lap = laps();
  const tokenizer = await openTokenizer(job.tokenizerJson, job.tokenizerConfig);
  if (!tokenizer.ok) return tokenizer;
  const text = tokenizeText(tokenizer.value, job.text);
  onEvent(timing('tokenize', lap(), { amount: job.text.length }));
  const plan = (longest: number | null) =>
    planProtocol(job.protocol ?? { name: 'llama.cpp' }, text, tokenizer.value, job.maxTokens, longest);
  const enough = plan(null);
  if (!enough.ok) return enough;
  const checked = checkText(tokenizer.value, job.text, text.tokens);
  if (!checked.ok) return checked;

  const textBytes = new TextEncoder().encode(job.text).length;
  const noise = job.reference ? noiseMeter(runtime, job.reference) : null;
  const task: Task = {
    runtime,
    job,
    noise,
    plan,
    text: textMeter(job.text, textBytes, text, tokenizer.value),
    longest: tokenizer.value.maxLength,
    onEvent,
    signal,
    finish,
  };
  const measured = await splitOnOutOfMemory(measuring(task), job.levels, { from: 0, to: 1 });
  if (!measured.ok) return measured;

  const { windows, windowsRun, scored, passes, words } = measured.value;
  const levels = await withRanges(measured.value.levels, job);
  const planned = windows.spans.length;
  const notes = [...windows.notes, ...checked.value];
  if (passes > 1)
    notes.push(
      `There was not enough memory for all levels at once; they were measured in ${passes} passes over the same windows.`,
    );
  if (job.words && passes > 1)
    notes.push('Of each of the worst tokens only the levels measured in the same pass are shown.');
  if (windowsRun < planned) notes.push(stoppedNote(windows, windowsRun));
  for (const note of [...rangeNotes(levels, windows.context), ...(await overflowNotes(levels, job))]) notes.push(note);
  const { noiseFloor, problem } = noise?.result() ?? { noiseFloor: null, problem: null };
  if (problem) notes.push(`The noise floor was not measured: ${problem.message}`);
  return {
    ok: true,
    value: {
      protocol: {
        name: windows.name,
        context: windows.context,
        ...(windows.stride !== null && { stride: windows.stride }),
        unit: windows.unit,
        tokens: tokensScored(windows, windowsRun),
        ...(scored.words !== null && { words: scored.words }),
        scoredBytes: scored.bytes,
        chunks: windowsRun,
        plannedChunks: planned,
        stoppedEarly: windowsRun < planned,
        textTokens: text.tokens.length,
        textBytes,
        provider: runtime.provider,
        threads: runtime.threads(),
        text: job.textName,
      },
      levels,
      noiseFloor,
      words: job.words ? inWords(words, tokenizer.value, job.text) : null,
      notes,
    },
  };
}

/** Says of each level that was measured whether its activations are quantized with ranges over all that is run. */
async function withRanges(
  levels: readonly MeasuredLevel[],
  { baseline, levels: others }: EvaluationJob,
): Promise<MeasuredLevel[]> {
  const models = new Map([baseline, ...others].map(({ key, model }) => [key, model]));
  return Promise.all(
    levels.map(async (level): Promise<MeasuredLevel> => {
      const model = level.perplexity ? models.get(level.key) : undefined;
      return model && (await hasDynamicRanges(model)) ? { ...level, activationRanges: 'run' } : level;
    }),
  );
}

function rangeNotes(levels: readonly MeasuredLevel[], context: number): string[] {
  const keys = levels.filter(({ activationRanges }) => activationRanges === 'run').map(({ key }) => key);
  if (keys.length === 0) return [];
  return [
    `${keys.join(', ')}: activations are quantized while the model runs, with ranges over all tokens that are run together. The figures are those of windows of ${context.toLocaleString('en')} tokens run at once; ` +
      'the same tokens run in other company, or one by one, are rounded a little differently.',
  ];
}

/** Of measured levels that onnxruntime's CPU provider computes otherwise on some CPUs. */
async function overflowNotes(levels: readonly MeasuredLevel[], { levels: models }: EvaluationJob): Promise<string[]> {
  const measured = models.filter(({ key }) => levels.some((level) => level.key === key && level.perplexity));
  const overflowing = await Promise.all(
    measured.map(async ({ key, model }) => ((await mayOverflow16Bits(model)) ? [key] : [])),
  );
  const keys = overflowing.flat();
  if (keys.length === 0) return [];
  return [
    `${keys.join(', ')}: measured with exact sums of integer products, as WebAssembly, ARM and x86 CPUs with VNNI compute them. On x86 CPUs without VNNI, onnxruntime's CPU provider saturates these sums at 16 bits, which may cost much accuracy. ` +
      'There, use uint8, or set the session option session.x64quantprecision to 1. See https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.',
  ];
}

function stoppedNote(windows: WindowPlan, run: number): string {
  const planned = windows.spans.length;
  const share = tokensReached(windows, run) / tokensReached(windows, planned);
  return (
    `Stopped early: ${run.toLocaleString('en')} of ${planned.toLocaleString('en')} windows were run, the first ${(share * 100).toFixed(1)} % of what was to be measured. ` +
    'The figures are of that part; the errors do not cover how the rest of the text differs from it.'
  );
}

/** Tells how much text the scored tokens are. */
interface TextMeter {
  /** Bytes of UTF-8 of some tokens; null where the tokenizer does not tell. */
  bytes: ((tokens: Int32Array) => number) | null;
  /** The text scored by the first `windows` windows, whose targets have `bytes` bytes. */
  scored(windows: WindowPlan, count: number, bytes: number): ScoredText;
}

function textMeter(text: string, textBytes: number, { tokens, bos }: TokenizedText, tokenizer: Tokenizer): TextMeter {
  const lengths = tokenizer.byteLengths();
  const known =
    lengths !== null && addsUp(lengths, bos === null ? tokens : tokens.subarray(1), textBytes) ? lengths : null;
  let words: ReturnType<typeof wordCounter> | null = null;
  return {
    bytes: known && ((targets) => bytesOf(known, targets)),
    scored(windows, count, targetBytes) {
      if (windows.unit === 'token') return { bytes: known && targetBytes, words: null };
      // Scored is the text from its beginning, so that its words can be counted; where tokens do not tell where a
      // part ends, it is taken to end after as large a share of the bytes as of the tokens.
      const share = tokensReached(windows, count) / windows.sequence.length;
      const bytes = share === 1 ? textBytes : known ? targetBytes : Math.round(share * textBytes);
      words ??= wordCounter(text);
      return { bytes, words: words(bytes) };
    },
  };
}

interface Task {
  runtime: EvaluationRuntime;
  job: EvaluationJob;
  noise: NoiseMeter | null;
  plan: (longest: number | null) => Result<WindowPlan>;
  text: TextMeter;
  /** Tokens the tokenizer's configuration allows at once; null when it does not say. */
  longest: number | null;
  onEvent: (event: EvaluationEvent) => void;
  signal: AbortSignal | undefined;
  finish: AbortSignal | undefined;
}

interface Measurement {
  windows: WindowPlan;
  windowsRun: number;
  scored: ScoredText;
  passes: number;
  /** The baseline first. */
  levels: MeasuredLevel[];
  /** Of each pass over these windows, where asked for. */
  words: CollectedWords[];
}

function measuring(task: Task): Measuring<EvaluationModel, Measurement> {
  return {
    async pass(levels, share) {
      for (;;) {
        const measured = await measureTogether(task, levels, share);
        if (measured.ok || measured.error.code !== 'out-of-memory' || !task.noise?.giveWay()) return measured;
      }
    },
    unmeasured: (baseline, { key }, problem) => ({
      ...baseline,
      levels: [...baseline.levels, { key, perplexity: null, drift: null, problem }],
    }),
    join(first, second, rest) {
      // Stopped on the way, a later pass has fewer windows than the first: its figures would not compare.
      const same = second?.windowsRun === first.windowsRun ? second : null;
      return {
        ...first,
        passes: first.passes + (second?.passes ?? 0),
        levels: [...first.levels, ...(same ? same.levels.slice(1) : rest.map(notReached))],
        words: [...first.words, ...(same?.words ?? [])],
      };
    },
    finish: task.finish,
  };
}

function notReached({ key }: EvaluationModel): MeasuredLevel {
  const { error } = failure(
    'cancelled',
    'The measurement was finished before this level had been run over the same windows as the others.',
    'Measure it again, alone or on less text.',
  );
  return { key, perplexity: null, drift: null, problem: error };
}

/** One pass: all sessions open side by side. */
async function measureTogether(task: Task, levels: EvaluationModel[], share: Share): Promise<Result<Measurement>> {
  const open: LanguageModel[] = [];
  const openModel = async (
    { key, model }: EvaluationModel,
    options: OpenLanguageModel = {},
  ): Promise<Result<LanguageModel>> => {
    const lap = laps();
    const opened = await task.runtime.open(model, options);
    if (!opened.ok) return about(key, opened.error);
    task.onEvent(timing('load', lap(), { level: key, provider: task.runtime.provider, amount: model.size }));
    open.push(opened.value);
    return opened;
  };
  try {
    const baseline = await openModel(task.job.baseline);
    if (!baseline.ok) return baseline;
    const stated = shortest(task.longest, baseline.value.longest);
    let windows = task.plan(stated);
    if (!windows.ok) return windows;
    const found = await longestRun(baseline.value, windows.value);
    if (found !== null) windows = task.plan(shortest(stated, found));
    if (!windows.ok) return windows;
    const mismatch = tokensBeyond(windows.value, baseline.value.vocabulary);
    if (mismatch) return mismatch;

    const runs: LevelRun[] = [];
    for (const level of levels) {
      if (task.signal?.aborted) return cancelled();
      // A level has the baseline's graph, and its rounding is not to be taken for reading.
      const opened = await openModel(level, { causal: true });
      if (!opened.ok && opened.error.code === 'out-of-memory') return opened;
      runs.push({
        key: level.key,
        perplexity: tallyPerplexity(),
        drift: tallyDrift(),
        state: stateOf(opened, baseline.value),
      });
    }
    if (task.noise && task.job.reference) {
      const lap = laps();
      await task.noise.open();
      task.onEvent(timing('load', lap(), { provider: task.runtime.provider, amount: task.job.reference.model.size }));
    }
    return await runWindows(task, baseline.value, runs, windows.value, share);
  } finally {
    await task.noise?.close();
    for (const model of open) await model.release();
  }
}

/**
 * Tokens the model can run at once where that is fewer than the windows have and nothing says so, as with a table of
 * positions that ends. Windows of the usual size are not tried out; null when windows run, or nothing does.
 */
async function longestRun(model: LanguageModel, windows: WindowPlan): Promise<number | null> {
  const { ids } = windowOf(windows, 0);
  if (ids.length <= DEFAULT_CONTEXT) return null;
  const runs = async (length: number) => {
    const logits = await model.logits(ids.slice(0, length), 0, 1);
    return logits.ok || logits.error.code !== 'session-failed';
  };
  if ((await runs(ids.length)) || !(await runs(SMALLEST_CONTEXT))) return null;
  let most = SMALLEST_CONTEXT;
  for (let tooMany = ids.length; tooMany - most > 1;) {
    const middle = (most + tooMany) >> 1;
    if (await runs(middle)) most = middle;
    else tooMany = middle;
  }
  return most;
}

interface LevelRun {
  key: string;
  perplexity: PerplexityTally;
  drift: DriftTally;
  /** A level in trouble takes no part in the windows that follow. */
  state: { model: LanguageModel } | { problem: EngineError };
}

function stateOf(opened: Result<LanguageModel>, baseline: LanguageModel): LevelRun['state'] {
  if (!opened.ok) return { problem: opened.error };
  if (opened.value.vocabulary === baseline.vocabulary) return { model: opened.value };
  return {
    problem: failure(
      'session-failed',
      `The level gives logits for ${opened.value.vocabulary} tokens, the baseline for ${baseline.vocabulary}.`,
      'Report this; a level of the same model should give as many.',
    ).error,
  };
}

async function runWindows(
  task: Task,
  baseline: LanguageModel,
  runs: LevelRun[],
  windows: WindowPlan,
  share: Share,
): Promise<Result<Measurement>> {
  const { text, onEvent, signal } = task;
  const planned = windows.spans.length;
  const scorer = await createWasmScorer(greatest(windows.spans.map(({ from, to }) => to - from)), baseline.vocabulary);
  const perplexity = tallyPerplexity();
  const words = task.job.words ? collectWords() : null;
  const progress = progressReporter(onEvent, windows, 1 + runs.length, share);
  const timer = runTimer(task.runtime.provider, onEvent);
  const lap = laps();
  const figuresDue = every(MEASURED_EVERY_MS);
  const turnDue = every(TURN_EVERY_MS);
  let windowsRun = 0;
  let bytes = 0;

  const figures = (final: boolean) => {
    const tokens = perplexity.tokens;
    const scored = text.scored(windows, windowsRun, bytes);
    onEvent({
      type: 'measured',
      level: task.job.baseline.key,
      tokens,
      perplexity: perplexity.estimate(scored),
      drift: null,
      final,
    });
    for (const run of runs) {
      if ('problem' in run.state) continue;
      onEvent({
        type: 'measured',
        level: run.key,
        tokens,
        perplexity: run.perplexity.estimate(scored),
        drift: run.drift.drift(scored.words),
        final,
      });
    }
  };

  for (let index = 0; index < planned && !(index > 0 && task.finish?.aborted); index++) {
    if (signal?.aborted) return cancelled();
    const window = windowOf(windows, index);
    const { ids, first, targets } = window;
    lap();
    const logits = await baseline.logits(ids, first, targets.length);
    if (!logits.ok) return about(task.job.baseline.key, logits.error);
    const baseScores = scorer.baseline(logits.value, targets);
    if (!allFinite(baseScores.nll)) return about(task.job.baseline.key, notFinite('The baseline').error);
    perplexity.add(baseScores.nll);
    timer.ran(task.job.baseline.key, ids.length, lap());
    const compared = await task.noise?.window(index, { ids, first, targets }, logits.value);
    const noiseSeconds = lap();
    if (compared) timer.ran(null, ids.length, noiseSeconds);
    words?.baseline(window, logits.value, baseScores);
    progress.ran(index, 1);

    for (const [place, run] of runs.entries()) {
      if (signal?.aborted) return cancelled();
      if ('model' in run.state) {
        const level = await run.state.model.logits(ids, first, targets.length);
        if (!level.ok && level.error.code === 'out-of-memory') return about(run.key, level.error);
        if (level.ok) {
          const scores = scorer.compare(level.value);
          timer.ran(run.key, ids.length, lap());
          if (allFinite(scores.nll) && allFinite(scores.kld)) {
            run.perplexity.add(scores.nll);
            run.drift.add(baseScores, scores);
            words?.level(run.key, level.value, scores);
          } else {
            run.state = { problem: notFinite('The level').error };
          }
        } else {
          run.state = { problem: level.error };
        }
      }
      progress.ran(index, 2 + place);
    }
    words?.windowDone();
    windowsRun++;
    bytes += text.bytes?.(targets) ?? 0;
    timer.send(windowsRun === planned);
    if (figuresDue() && windowsRun < planned) figures(false);
    if (turnDue())
      await new Promise((resolve) => {
        setTimeout(resolve, 0);
      });
  }
  figures(true);

  const scored = text.scored(windows, windowsRun, bytes);
  const levels: MeasuredLevel[] = [
    { key: task.job.baseline.key, perplexity: perplexity.estimate(scored), drift: null, problem: null },
    ...runs.map((run) =>
      'problem' in run.state
        ? { key: run.key, perplexity: null, drift: null, problem: run.state.problem }
        : {
            key: run.key,
            perplexity: run.perplexity.estimate(scored),
            drift: run.drift.drift(scored.words),
            problem: null,
          },
    ),
  ];
  return {
    ok: true,
    value: {
      windows,
      windowsRun,
      scored,
      passes: 1,
      levels,
      words: words ? [words.collected(runs.flatMap(({ key, state }) => ('model' in state ? [key] : [])))] : [],
    },
  };
}

interface ProgressReporter {
  /** `models` of the pass's models have run over window `index`. */
  ran(index: number, models: number): void;
}

/** Counts tokens of the text; time left is what the rest takes at the pace of this pass. */
function progressReporter(
  onEvent: (event: EvaluationEvent) => void,
  windows: WindowPlan,
  models: number,
  share: Share,
): ProgressReporter {
  const due = every(PROGRESS_EVERY_MS);
  const secondsLeft = estimateSecondsLeft();
  const { length } = windows.spans;
  const total = tokensReached(windows, length);
  return {
    ran(index, modelsRun) {
      const passDone = (index * models + modelsRun) / (length * models);
      if (!due() && passDone < 1) return;
      const sinceStart = (share.to - share.from) * passDone;
      onEvent({
        type: 'progress',
        stage: 'measure',
        level: null,
        done: Math.round((share.from + sinceStart) * total),
        total,
        unit: 'tokens',
        tensor: null,
        secondsLeft: secondsLeft(sinceStart, 1 - share.from),
      });
    },
  };
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

function tokensBeyond(windows: WindowPlan, vocabulary: number): Failure | null {
  let highest = windows.bos ?? 0;
  for (const id of windows.sequence.subarray(0, tokensReached(windows, windows.spans.length)))
    highest = Math.max(highest, id);
  return highest < vocabulary
    ? null
    : failure(
        'tokenizer-mismatch',
        `The tokenizer does not fit the model: it makes token ${highest}, and the model knows only tokens 0 to ${vocabulary - 1}.`,
        'Use the tokenizer.json that was published with this model.',
      );
}

function notFinite(subject: string): Failure {
  return failure(
    'session-failed',
    `${subject} gives values that are not finite numbers, so its perplexity cannot be measured.`,
    'The model probably overflows fp16 in its activations; try an export with float32 activations.',
  );
}

function allFinite(values: Float64Array): boolean {
  let sum = 0;
  for (const value of values) sum += value;
  return Number.isFinite(sum);
}

function about(key: string, error: EngineError): Failure {
  return { ok: false, error: { ...error, details: error.details ? `${key}: ${error.details}` : key } };
}

const shortest = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b);
