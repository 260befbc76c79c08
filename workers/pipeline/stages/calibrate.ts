/** Stage `calibrate`: measures activations for the levels whose method needs them, before anything is quantized. */
import { createSHA256 } from 'hash-wasm';
import { generateWindows } from '../../calibrate/generate-windows.ts';
import { calibrateTasks, type BlockTask, type CalibratedTasks } from '../../calibrate/calibrate-tasks.ts';
import { CALIBRATION, ENOUGH_TOKENS, windowsOfText, type CalibrationWindows } from '../../calibrate/windows.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { EngineEvent } from '../../contract/events.ts';
import type { LevelRequest } from '../../contract/job.ts';
import { formatLevel } from '../../contract/levels/level.ts';
import { METHODS } from '../../contract/methods.ts';
import { failure } from '../../evaluate/errors.ts';
import { asSingleFile } from '../../io/single-file.ts';
import { readText } from '../../io/read-text.ts';
import type { CalibrationRecord } from '../../calibrate/record.ts';
import type { JobContext } from '../job-context.ts';
import type { OpenedJob } from './open.ts';
import { openTokenizer } from '../../evaluate/text/tokenizer/tokenizer.ts';
import type { GraphRuntime } from '../../evaluate/sessions/graph-session.ts';
import type { Tokenizer } from '../../evaluate/text/tokenizer/tokenizer.ts';
import type { ByteSource, ExternalFiles } from '../../io/source.ts';
import { inOneFile } from '../../onnx/model-files.ts';
import { widenModel } from '../../onnx/widen.ts';
import type { Plan } from '../../plan/plan.ts';
import type { QuantizeTask } from '../../plan/quantize-task.ts';
import { estimateSecondsLeft } from '../../lib/time-left.ts';

/** The part of a level's job that this stage reads and replaces. */
export interface PlannedLevel {
  readonly keys: readonly string[];
  readonly id: LevelRequest['id'];
  readonly settings: LevelRequest['settings'];
  readonly plan: Plan;
}

export interface CalibrateInput<L extends PlannedLevel> {
  levels: readonly L[];
  /** The model in one file, as it is run; null where it cannot be. */
  model: Blob | null;
  /** What weights are read from. */
  source: ByteSource;
  external: ExternalFiles;
  /** Null when there is none: then the model writes the calibration text. */
  tokenizer: Tokenizer | null;
  /** Calibration text; null for one that the model writes. */
  text: string | null;
  /** Text that quality is measured on, which calibration must not see; null for none. */
  evaluation: string | null;
  openRuntime(): Promise<Result<GraphRuntime>>;
  onEvent(event: EngineEvent): void;
  signal: AbortSignal;
}

export interface Calibrated<L> {
  /** In the order they came in; plans of calibrated levels have tasks with what was measured. */
  levels: (L & { calibration?: CalibrationRecord })[];
  /** Sentences for the report. */
  notes: string[];
}

/** The tasks of a plan that calibration has to do with. */
function tasksNeeding({ pieces, data }: Plan): BlockTask[] {
  const all = [...pieces, ...(data?.pieces ?? [])].flatMap((piece) => (piece.kind === 'made' ? [piece.task] : []));
  return [...new Set(all)].filter(
    (task): task is BlockTask =>
      task.kind === 'quantize' && task.scheme.method !== undefined && METHODS[task.scheme.method].needs !== 'nothing',
  );
}

/** Calibrates the levels of a job that need it. Rejects with what reading the files throws. */
export async function calibrateJob<L extends PlannedLevel>(
  { job, platform, onEvent, signal }: JobContext,
  { sorted, file, external, input: { model } }: OpenedJob,
  levels: readonly L[],
): Promise<Calibrated<L>> {
  if (levels.every(({ plan }) => tasksNeeding(plan).length === 0)) return { levels: [...levels], notes: [] };
  const tokenizer = sorted.tokenizer ? await openTokenizer(sorted.tokenizer.json, sorted.tokenizerConfig) : null;
  return calibrate({
    levels,
    model: asSingleFile(model, file, external),
    source: model.source,
    external: model.external,
    tokenizer: tokenizer?.ok ? tokenizer.value : null,
    text: job.calibration ? (await readText(job.calibration)).text : null,
    evaluation: sorted.text ? (await readText(sorted.text)).text : null,
    openRuntime: () =>
      platform.openRuntime?.(platform.threads) ??
      Promise.resolve(
        failure('session-failed', 'Models cannot be run here for calibration.', 'Use the method search.'),
      ),
    onEvent,
    signal,
  });
}

/**
 * Calibrates what has to be. A level that cannot be calibrated stays as planned, which is a search without data, with a
 * warning that says why. Rejects with what reading the model throws, and when the signal fires.
 */
export async function calibrate<L extends PlannedLevel>(input: CalibrateInput<L>): Promise<Calibrated<L>> {
  const needing = input.levels.filter(({ plan }) => tasksNeeding(plan).length > 0);
  if (needing.length === 0) return { levels: [...input.levels], notes: [] };

  const began = performance.now();
  const notes: string[] = [];
  const giveUp = (level: L, error: EngineError) => {
    notes.push(`${formatLevel(level)}: scales were searched without calibration. ${error.message}`);
    for (const key of level.keys) input.onEvent({ type: 'warning', error, level: key });
  };
  const ready = await prepare(input, progressOf(input, needing));
  if (!ready.ok) {
    for (const level of needing) giveUp(level, ready.error);
    return { levels: [...input.levels], notes };
  }
  const { runtime, model, windows, source } = ready.value;
  const shared = (performance.now() - began) / 1000 / needing.length;
  const hash = await hashOf(windows.windows);
  for (const note of windowNotes(windows, source)) notes.push(note);

  const levels: Calibrated<L>['levels'] = [];
  for (const level of input.levels) {
    const tasks = tasksNeeding(level.plan);
    if (tasks.length === 0) {
      levels.push(level);
      continue;
    }
    const start = performance.now();
    const calibrated = await calibrateTasks(runtime, {
      model,
      source: input.source,
      external: input.external,
      tasks,
      windows: windows.windows,
      onProgress: progressOf(input, [level]),
      signal: input.signal,
    });
    if (!calibrated.ok) {
      giveUp(level, calibrated.error);
      levels.push(level);
      continue;
    }
    const seconds = shared + (performance.now() - start) / 1000;
    const calibration = { source, sha256: hash, tokens: windows.tokens, seconds };
    notes.push(recordNote(level, calibration, calibrated.value));
    for (const note of taskNotes(level, calibrated.value)) notes.push(note);
    levels.push({
      ...level,
      plan: withTasks(level.plan, calibrated.value.tasks),
      calibration,
    });
  }
  return { levels, notes };
}

/** Reports progress of levels that are calibrated: nothing of their files is written yet, and the time left is of the calibration. */
function progressOf(
  { onEvent }: Pick<CalibrateInput<PlannedLevel>, 'onEvent'>,
  levels: readonly PlannedLevel[],
): (done: number, total: number, tensor: string | null) => void {
  const secondsLeft = estimateSecondsLeft();
  return (done, total, tensor) => {
    for (const { keys, plan } of levels)
      for (const level of keys)
        onEvent({
          type: 'progress',
          stage: 'quantize',
          level,
          done: 0,
          total: plan.bytes,
          unit: 'bytes',
          tensor,
          secondsLeft: secondsLeft(done, total),
        });
  };
}

interface Prepared {
  runtime: GraphRuntime;
  model: Blob;
  windows: CalibrationWindows;
  source: CalibrationRecord['source'];
}

async function prepare<L extends PlannedLevel>(
  { model, tokenizer, text, evaluation, openRuntime, signal }: CalibrateInput<L>,
  onProgress: (done: number, total: number, tensor: string | null) => void,
): Promise<Result<Prepared>> {
  if (!model)
    return {
      ok: false,
      error: {
        code: 'session-failed',
        message: 'The model is too large to be run here.',
        action: 'Use the method search, which needs no calibration.',
        details: '',
      },
    };
  const runtime = await openRuntime();
  if (!runtime.ok) return runtime;
  if (text !== null && tokenizer) {
    const windows = windowsOfText(tokenizer, text, evaluation === null ? null : tokenizer.encode(evaluation));
    return windows.ok
      ? { ok: true, value: { runtime: runtime.value, model, windows: windows.value, source: 'text' } }
      : windows;
  }
  const written = await generateWindows(runtime.value, (await widenModel(inOneFile(model)))?.model ?? model, {
    windows: GENERATED.windows,
    context: GENERATED.context,
    bos: tokenizer?.bosId ?? null,
    onProgress: (done, total) => {
      onProgress(done, total, null);
    },
    signal,
  });
  if (!written.ok) return written;
  const windows = { windows: written.value, tokens: GENERATED.windows * GENERATED.context, refused: 0 };
  return { ok: true, value: { runtime: runtime.value, model, windows, source: 'generated' } };
}

/** Text that the model writes: shorter windows, since writing a token takes a run of the model. */
const GENERATED = { windows: CALIBRATION.windows, context: CALIBRATION.context / 2 } as const;

/** SHA-256 of the token ids of all windows, little-endian. */
async function hashOf(windows: readonly Int32Array[]): Promise<string> {
  const hasher = await createSHA256();
  for (const ids of windows) hasher.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return hasher.digest('hex');
}

function recordNote(
  level: PlannedLevel,
  { source, sha256, tokens, seconds }: CalibrationRecord,
  { kld }: CalibratedTasks,
): string {
  const text = source === 'text' ? 'the calibration text' : 'text that the model wrote';
  const reached = kld === null ? '' : `; mean KL divergence there ${kld.toPrecision(3)}`;
  return `${formatLevel(level)}: calibrated on ${tokens} tokens of ${text} (SHA-256 ${sha256.slice(0, 16)}…) in ${seconds.toFixed(0)} s${reached}.`;
}

function windowNotes({ tokens, refused }: CalibrationWindows, source: CalibrationRecord['source']): string[] {
  return [
    ...(refused > 0
      ? [`${refused} windows of the calibration text also occur in the evaluation text and were left out.`]
      : []),
    ...(source === 'text' && tokens < ENOUGH_TOKENS
      ? [`The calibration text has ${tokens} tokens; ${ENOUGH_TOKENS} or more are advisable.`]
      : []),
  ];
}

function taskNotes(level: PlannedLevel, { skipped }: CalibratedTasks): string[] {
  return [...skipped].map(
    ([tensor, why]) => `${formatLevel(level)}: ${tensor} was searched without calibration: ${why}.`,
  );
}

function withTasks(plan: Plan, tasks: CalibratedTasks['tasks']): Plan {
  const replaced = (pieces: Plan['pieces']) =>
    pieces.map((piece) => {
      const task: QuantizeTask | undefined = piece.kind === 'made' ? tasks.get(piece.task as BlockTask) : undefined;
      return piece.kind === 'made' && task ? { ...piece, task } : piece;
    });
  return {
    ...plan,
    pieces: replaced(plan.pieces),
    data: plan.data && { ...plan.data, pieces: replaced(plan.data.pieces) },
  };
}
