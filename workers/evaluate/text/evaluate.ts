/**
 * Perplexity of a baseline, and of levels against it, on the same tokens in the same pass: each window goes through
 * the baseline once and then through every level, and is forgotten. Where the heap does not hold all sessions at
 * once, the levels are taken in smaller groups and the baseline runs again for each.
 */
import { filesSize } from '../../onnx/model-files.ts';
import { greatest } from '../../contract/extremes.ts';
import type { Drift, DriftInWords, NoiseFloor, Perplexity, Protocol } from '../../contract/report.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { Measured, Progress, Timing } from '../../contract/events.ts';
import type { ProtocolRequest } from '../../contract/job.ts';
import type { Provider } from '../../contract/capabilities.ts';
import { every } from '../../lib/rate-limit.ts';
import { laps, runTimer, timing } from '../../lib/timing.ts';
import { collectWords, inWords, type CollectedWords } from './drift-in-words.ts';
import type { OverflowJob, OverflowOutcome, RuntimesJob, RuntimesOutcome } from '../runtimes/check-runtimes.ts';
import type { OutputsJob, OutputsOutcome } from '../outputs/compare-outputs.ts';
import { hasDynamicRanges } from './dynamic-ranges.ts';
import { mayOverflow16Bits } from '../saturating-products.ts';
import { failure, type Failure } from '../errors.ts';
import { measurePaired, type KeyedModel, type PairedPass } from '../paired-measurement.ts';
import { DEFAULT_CONTEXT, SMALLEST_CONTEXT, tokenizeText, type TokenizedText } from './perplexity.ts';
import { planProtocol, tokensReached, tokensScored, windowOf, type WindowPlan } from './protocols.ts';
import { addsUp, bytesOf, wordCounter } from './scored-text.ts';
import type { EvaluationRuntime, LanguageModel } from './language-model.ts';
import { noiseMeter, type NoiseMeter, type Reference } from './noise-floor.ts';
import { allFinite, tallyDrift, tallyPerplexity, type Scores, type ScoredText } from '../statistics/statistics.ts';
import { checkText } from './tokenizer/text-check.ts';
import { openTokenizer, type Tokenizer } from './tokenizer/tokenizer.ts';
import { createWasmScorer } from '../statistics/wasm/scorer.ts';

export interface EvaluationJob {
  baseline: KeyedModel;
  levels: KeyedModel[];
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

/** Running figures come at most every `MEASURED_EVERY_MS` for all levels, progress more often. */
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

const MEASURED_EVERY_MS = 250;

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
  const task: TextMeasurement = {
    runtime,
    job,
    noise,
    plan,
    text: textMeter(job.text, textBytes, text, tokenizer.value),
    longest: tokenizer.value.maxLength,
    onEvent,
  };
  const measured = await measurePaired<LanguageModel, TextPass>({
    baseline: job.baseline,
    levels: job.levels,
    async open({ key, model }, isBaseline) {
      const loading = laps();
      // A level has the baseline's graph, and its rounding is not to be taken for reading later tokens.
      const opened = await runtime.open(model, isBaseline ? {} : { causal: true });
      if (opened.ok)
        onEvent(timing('load', loading(), { level: key, provider: runtime.provider, amount: filesSize(model) }));
      return opened;
    },
    begin: (baseline, levels) => beginPass(task, baseline, levels),
    giveWay: () => noise?.giveWay() ?? false,
    unit: 'tokens',
    onProgress: onEvent,
    signal,
    finish,
  });
  if (!measured.ok) return measured;

  const { first, samplesRun: windowsRun, complete, passes } = measured.value;
  const { windows } = first;
  const scored = first.scored();
  const levels = await withRanges(
    [
      { key: job.baseline.key, perplexity: first.baselinePerplexity(), drift: null, problem: null },
      ...measured.value.levels.map((level): MeasuredLevel =>
        'problem' in level
          ? { key: level.key, perplexity: null, drift: null, problem: level.problem }
          : { key: level.key, ...level.pass.figures(level.level), problem: null },
      ),
    ],
    job,
  );
  const words = complete.flatMap((pass) =>
    pass.words(measured.value.levels.flatMap((level) => ('pass' in level && level.pass === pass ? [level.key] : []))),
  );
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
      return model && (await hasDynamicRanges(model.model)) ? { ...level, activationRanges: 'run' } : level;
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
    measured.map(async ({ key, model }) => ((await mayOverflow16Bits(model.model)) ? [key] : [])),
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

/** What all passes over the text share. */
interface TextMeasurement {
  runtime: EvaluationRuntime;
  job: EvaluationJob;
  noise: NoiseMeter | null;
  plan: (longest: number | null) => Result<WindowPlan>;
  text: TextMeter;
  /** Tokens the tokenizer's configuration allows at once; null when it does not say. */
  longest: number | null;
  onEvent: (event: EvaluationEvent) => void;
}

/** A pass over windows of the text. Figures are of the windows run so far. */
interface TextPass extends PairedPass<LanguageModel> {
  windows: WindowPlan;
  scored(): ScoredText;
  baselinePerplexity(): Perplexity;
  figures(level: number): { perplexity: Perplexity; drift: Drift };
  /** @param keys Levels that were measured. */
  words(keys: readonly string[]): CollectedWords[];
}

/** Errors: `text-too-short`, `tokenizer-mismatch`, those of planning windows. */
async function beginPass(
  { runtime, job, noise, plan, text, longest, onEvent }: TextMeasurement,
  baseline: LanguageModel,
  levels: readonly KeyedModel[],
): Promise<Result<TextPass>> {
  const planned = await windowsFor(baseline, plan, longest);
  if (!planned.ok) return planned;
  const windows = planned.value;
  const mismatch = tokensBeyond(windows, baseline.vocabulary);
  if (mismatch) return mismatch;

  const scorer = await createWasmScorer(greatest(windows.spans.map(({ from, to }) => to - from)), baseline.vocabulary);
  const perplexity = tallyPerplexity();
  const tallies = levels.map(() => ({ perplexity: tallyPerplexity(), drift: tallyDrift() }));
  const words = job.words ? collectWords() : null;
  const timer = runTimer(runtime.provider, onEvent);
  const lap = laps();
  const figuresDue = every(MEASURED_EVERY_MS);
  const samples = windows.spans.length;
  let windowsRun = 0;
  let bytes = 0;
  let window = windowOf(windows, 0);
  let baseScores: Scores | null = null;

  const scored = () => text.scored(windows, windowsRun, bytes);
  const baselinePerplexity = () => perplexity.estimate(scored());
  const figures = (level: number) => {
    const tally = tallies[level]!;
    return { perplexity: tally.perplexity.estimate(scored()), drift: tally.drift.drift(scored().words) };
  };
  const sendFigures = (final: boolean, takesPart: (level: number) => boolean) => {
    const { tokens } = perplexity;
    onEvent({
      type: 'measured',
      level: job.baseline.key,
      tokens,
      perplexity: baselinePerplexity(),
      drift: null,
      final,
    });
    for (const [level, { key }] of levels.entries())
      if (takesPart(level)) onEvent({ type: 'measured', level: key, tokens, ...figures(level), final });
  };

  return {
    ok: true,
    value: {
      windows,
      samples,
      total: tokensReached(windows, samples),
      scored,
      baselinePerplexity,
      figures,
      words: (keys) => (words ? [words.collected(keys)] : []),
      refuse: (level) => otherVocabulary(level, baseline),
      async ready() {
        if (!noise || !job.reference) return;
        const loading = laps();
        await noise.open();
        onEvent(timing('load', loading(), { provider: runtime.provider, amount: filesSize(job.reference.model) }));
      },
      async runBaseline(model, index) {
        window = windowOf(windows, index);
        const { ids, first, targets } = window;
        lap();
        const logits = await model.logits(ids, first, targets.length);
        if (!logits.ok) return logits;
        baseScores = scorer.baseline(logits.value, targets);
        if (!allFinite(baseScores.nll)) return notFinite('The baseline');
        perplexity.add(baseScores.nll);
        timer.ran(job.baseline.key, ids.length, lap());
        const compared = await noise?.window(index, window, logits.value);
        const noiseSeconds = lap();
        if (compared) timer.ran(null, ids.length, noiseSeconds);
        words?.baseline(window, logits.value, baseScores);
        return logits;
      },
      async runLevel(model, level) {
        const { ids, first, targets } = window;
        const { key } = levels[level]!;
        const tally = tallies[level]!;
        const logits = await model.logits(ids, first, targets.length);
        if (!logits.ok) return logits;
        const scores = scorer.compare(logits.value);
        timer.ran(key, ids.length, lap());
        if (!allFinite(scores.nll) || !allFinite(scores.kld)) return notFinite('The level');
        tally.perplexity.add(scores.nll);
        tally.drift.add(baseScores!, scores);
        words?.level(key, logits.value, scores);
        return logits;
      },
      sampleDone(run, takesPart) {
        words?.windowDone();
        windowsRun = run;
        bytes += text.bytes?.(window.targets) ?? 0;
        timer.send(run === samples);
        if (figuresDue() && run < samples) sendFigures(false, takesPart);
      },
      samplesDone(takesPart) {
        sendFigures(true, takesPart);
      },
      close: async () => noise?.close(),
    },
  };
}

/** Windows that the model can run: no longer than it, or its tokenizer, allows. */
async function windowsFor(
  baseline: LanguageModel,
  plan: (longest: number | null) => Result<WindowPlan>,
  longest: number | null,
): Promise<Result<WindowPlan>> {
  const stated = shortest(longest, baseline.longest);
  const windows = plan(stated);
  if (!windows.ok) return windows;
  const found = await longestRun(baseline, windows.value);
  return found === null ? windows : plan(shortest(stated, found));
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

function otherVocabulary(level: LanguageModel, baseline: LanguageModel): EngineError | null {
  if (level.vocabulary === baseline.vocabulary) return null;
  return failure(
    'session-failed',
    `The level gives logits for ${level.vocabulary} tokens, the baseline for ${baseline.vocabulary}.`,
    'Report this; a level of the same model should give as many.',
  ).error;
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

const shortest = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b);
