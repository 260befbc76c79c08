/**
 * Perplexity of a baseline, and of levels against it, on the same tokens in the same pass: each window goes through
 * the baseline once and then through every level, and is forgotten. Where the heap does not hold all sessions at
 * once, the levels are taken in smaller groups and the baseline runs again for each.
 */
import type { Drift, EngineError, Estimate, Measured, Progress, Protocol, Result } from '../protocol.ts';
import { estimateSecondsLeft } from '../time-left.ts';
import { cancelled, failure, type Failure } from './errors.ts';
import { planWindows, tokenizeText, windowIds, windowTargets, type TokenizedText, type Windows } from './perplexity.ts';
import type { EvaluationRuntime, LanguageModel } from './session.ts';
import { createScorer, tallyDrift, tallyPerplexity, type DriftTally, type PerplexityTally } from './statistics.ts';
import { openTokenizer } from './tokenizer.ts';

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
}

/** Running figures come at most every `MEASURED_EVERY_MS` for all levels, progress every `PROGRESS_EVERY_MS`. */
export type EvaluationEvent = Progress | Measured;

export interface MeasuredLevel {
  key: string;
  /** Null when this level could not be measured; `problem` says why. */
  perplexity: Estimate | null;
  /** Null for the baseline. */
  drift: Drift | null;
  problem: EngineError | null;
}

export interface EvaluationOutcome {
  protocol: Protocol;
  /** The baseline first, then the levels in the order of the job. */
  levels: MeasuredLevel[];
  /** Sentences a reader must know. */
  notes: string[];
}

/** Measures in a worker (client.ts) or in place (evaluator.node.ts). */
export interface Evaluator {
  /** Settles with `cancelled` soon after the signal fires. */
  evaluate(job: EvaluationJob, onEvent: (event: EvaluationEvent) => void, signal?: AbortSignal): Promise<Result<EvaluationOutcome>>;
}

export const PROGRESS_EVERY_MS = 100;
export const MEASURED_EVERY_MS = 250;
/** How long to compute before timers, messages and signals get their turn. */
const TURN_EVERY_MS = 250;

/**
 * Errors: `tokenizer-invalid`, `text-too-short`, `tokenizer-mismatch`, `not-a-language-model`, `inputs-unknown`,
 * `session-failed`, `out-of-memory`, `cancelled`. What is wrong with one level only is its `problem`.
 */
export async function evaluate(
  runtime: EvaluationRuntime,
  job: EvaluationJob,
  onEvent: (event: EvaluationEvent) => void,
  signal?: AbortSignal,
): Promise<Result<EvaluationOutcome>> {
  const tokenizer = await openTokenizer(job.tokenizerJson, job.tokenizerConfig);
  if (!tokenizer.ok) return tokenizer;
  const text = tokenizeText(tokenizer.value, job.text);
  const enough = planWindows(text.tokens.length, job.maxTokens, null);
  if (!enough.ok) return enough;

  const task: Task = { runtime, job, text, longest: tokenizer.value.maxLength, onEvent, signal };
  const measured = await measure(task, job.levels, { from: 0, to: 1 });
  if (!measured.ok) return measured;

  const { windows, passes, levels } = measured.value;
  const severalPasses = `There was not enough memory for all levels at once; they were measured in ${passes} passes over the same windows.`;
  return {
    ok: true,
    value: {
      protocol: {
        name: 'llama.cpp', context: windows.context, tokens: windows.count * windows.scored, chunks: windows.count,
        textTokens: text.tokens.length, textBytes: new TextEncoder().encode(job.text).length,
        provider: 'wasm', threads: runtime.threads(), text: job.textName,
      },
      levels,
      notes: passes > 1 ? [...windows.notes, severalPasses] : windows.notes,
    },
  };
}

interface Task {
  runtime: EvaluationRuntime;
  job: EvaluationJob;
  text: TokenizedText;
  /** Tokens the tokenizer's configuration allows at once; null when it does not say. */
  longest: number | null;
  onEvent: (event: EvaluationEvent) => void;
  signal: AbortSignal | undefined;
}

/** The part of the whole work a pass is, as fractions. */
interface Share { from: number; to: number }

interface Measurement {
  windows: Windows;
  passes: number;
  /** The baseline first. */
  levels: MeasuredLevel[];
}

/** Measures all levels in one pass, or in halves where memory does not suffice for that. */
async function measure(task: Task, levels: EvaluationModel[], share: Share): Promise<Result<Measurement>> {
  const together = await measureTogether(task, levels, share);
  const [only] = levels;
  if (together.ok || together.error.code !== 'out-of-memory' || !only) return together;

  if (levels.length === 1) {
    const baseline = await measure(task, [], share);
    if (!baseline.ok) return baseline;
    const unmeasured = { key: only.key, perplexity: null, drift: null, problem: together.error };
    return { ok: true, value: { ...baseline.value, levels: [...baseline.value.levels, unmeasured] } };
  }
  const half = Math.ceil(levels.length / 2);
  const middle = share.from + (share.to - share.from) * half / levels.length;
  const first = await measure(task, levels.slice(0, half), { from: share.from, to: middle });
  if (!first.ok) return first;
  const second = await measure(task, levels.slice(half), { from: middle, to: share.to });
  if (!second.ok) return second;
  return {
    ok: true,
    value: {
      windows: first.value.windows,
      passes: first.value.passes + second.value.passes,
      levels: [...first.value.levels, ...second.value.levels.slice(1)],
    },
  };
}

/** One pass: all sessions open side by side. */
async function measureTogether(task: Task, levels: EvaluationModel[], share: Share): Promise<Result<Measurement>> {
  const open: LanguageModel[] = [];
  const openModel = async ({ key, model }: EvaluationModel): Promise<Result<LanguageModel>> => {
    const opened = await task.runtime.open(model);
    if (opened.ok) open.push(opened.value);
    return opened.ok ? opened : about(key, opened.error);
  };
  try {
    const baseline = await openModel(task.job.baseline);
    if (!baseline.ok) return baseline;
    const windows = planWindows(task.text.tokens.length, task.job.maxTokens, shortest(task.longest, baseline.value.longest));
    if (!windows.ok) return windows;
    const mismatch = tokensBeyond(task.text, windows.value, baseline.value.vocabulary);
    if (mismatch) return mismatch;

    const runs: LevelRun[] = [];
    for (const level of levels) {
      if (task.signal?.aborted) return cancelled();
      const opened = await openModel(level);
      if (!opened.ok && opened.error.code === 'out-of-memory') return opened;
      runs.push({ key: level.key, perplexity: tallyPerplexity(), drift: tallyDrift(), state: stateOf(opened, baseline.value) });
    }
    return await runWindows(task, baseline.value, runs, windows.value, share);
  } finally {
    for (const model of open) await model.release();
  }
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
    problem: failure('session-failed', `The level gives logits for ${opened.value.vocabulary} tokens, the baseline for ${baseline.vocabulary}.`,
      'Report this; a level of the same model should give as many.').error,
  };
}

async function runWindows(task: Task, baseline: LanguageModel, runs: LevelRun[], windows: Windows, share: Share): Promise<Result<Measurement>> {
  const { text, onEvent, signal } = task;
  const scorer = createScorer(windows.scored, baseline.vocabulary);
  const perplexity = tallyPerplexity();
  const progress = progressReporter(onEvent, windows, 1 + runs.length, share);
  const figuresDue = every(MEASURED_EVERY_MS);
  const turnDue = every(TURN_EVERY_MS);

  const figures = (final: boolean) => {
    const tokens = perplexity.tokens;
    onEvent({ type: 'measured', level: task.job.baseline.key, tokens, perplexity: perplexity.estimate(), drift: null, final });
    for (const run of runs) {
      if ('problem' in run.state) continue;
      onEvent({ type: 'measured', level: run.key, tokens, perplexity: run.perplexity.estimate(), drift: run.drift.drift(), final });
    }
  };

  for (let index = 0; index < windows.count; index++) {
    if (signal?.aborted) return cancelled();
    const ids = windowIds(text, windows, index);
    const logits = await baseline.logits(ids, windows.firstScored, windows.scored);
    if (!logits.ok) return about(task.job.baseline.key, logits.error);
    const baseScores = scorer.baseline(logits.value, windowTargets(ids, windows));
    if (!allFinite(baseScores.nll)) return about(task.job.baseline.key, notFinite('The baseline').error);
    perplexity.add(baseScores.nll);
    progress.ran(index, 1);

    for (const [place, run] of runs.entries()) {
      if (signal?.aborted) return cancelled();
      if ('model' in run.state) {
        const level = await run.state.model.logits(ids, windows.firstScored, windows.scored);
        if (!level.ok && level.error.code === 'out-of-memory') return about(run.key, level.error);
        if (level.ok) {
          const scores = scorer.compare(level.value);
          if (allFinite(scores.nll) && allFinite(scores.kld)) {
            run.perplexity.add(scores.nll);
            run.drift.add(baseScores, scores);
          } else {
            run.state = { problem: notFinite('The level').error };
          }
        } else {
          run.state = { problem: level.error };
        }
      }
      progress.ran(index, 2 + place);
    }
    if (figuresDue() && index < windows.count - 1) figures(false);
    if (turnDue()) await new Promise((resolve) => { setTimeout(resolve, 0); });
  }
  figures(true);

  const levels: MeasuredLevel[] = [
    { key: task.job.baseline.key, perplexity: perplexity.estimate(), drift: null, problem: null },
    ...runs.map((run) => ('problem' in run.state
      ? { key: run.key, perplexity: null, drift: null, problem: run.state.problem }
      : { key: run.key, perplexity: run.perplexity.estimate(), drift: run.drift.drift(), problem: null })),
  ];
  return { ok: true, value: { windows, passes: 1, levels } };
}

interface ProgressReporter {
  /** `models` of the pass's models have run over window `index`. */
  ran(index: number, models: number): void;
}

/** Counts tokens of the text; time left is what the rest takes at the pace of this pass. */
function progressReporter(onEvent: (event: EvaluationEvent) => void, windows: Windows, models: number, share: Share): ProgressReporter {
  const due = every(PROGRESS_EVERY_MS);
  const secondsLeft = estimateSecondsLeft();
  const total = windows.count * windows.context;
  return {
    ran(index, modelsRun) {
      const passDone = (index * models + modelsRun) / (windows.count * models);
      if (!due() && passDone < 1) return;
      const sinceStart = (share.to - share.from) * passDone;
      onEvent({
        type: 'progress', stage: 'measure', level: null, done: Math.round((share.from + sinceStart) * total), total, unit: 'tokens',
        tensor: null, secondsLeft: secondsLeft(sinceStart, 1 - share.from),
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

function tokensBeyond(text: TokenizedText, windows: Windows, vocabulary: number): Failure | null {
  let highest = text.bos ?? 0;
  for (const id of text.tokens.subarray(0, windows.count * windows.context)) highest = Math.max(highest, id);
  return highest < vocabulary ? null : failure('tokenizer-mismatch',
    `The tokenizer does not fit the model: it makes token ${highest}, and the model knows only tokens 0 to ${vocabulary - 1}.`,
    'Use the tokenizer.json that was published with this model.');
}

function notFinite(subject: string): Failure {
  return failure('session-failed', `${subject} gives values that are not finite numbers, so its perplexity cannot be measured.`,
    'The model probably overflows fp16 in its activations; try an export with float32 activations.');
}

function allFinite(values: Float64Array): boolean {
  let sum = 0;
  for (const value of values) sum += value;
  return Number.isFinite(sum);
}

function about(key: string, error: EngineError): Failure {
  return { ok: false, error: { ...error, details: error.details ? `${key}: ${error.details}` : key } };
}

const shortest = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.min(a, b));
