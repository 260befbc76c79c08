/**
 * The one place that knows the order of things: open → plan → quantize and write → measure → report.
 * It works on files and blobs only, so it is the same in a browser worker and in Node; what differs is handed in.
 */
import { inOneFile } from '../onnx/model-files.ts';
import type { ModelFiles } from '../contract/files.ts';
import pLimit from 'p-limit';
import { executeTasks } from '../quantize/execute-tasks.ts';
import { countTogether } from './check-progress.ts';
import { checkSpeed } from './check-speed.ts';
import { engineError, failure, isAboutLevel, settle, toEngineError } from '../contract/errors.ts';
import type { SpeedMeter } from '../evaluate/speed/speed-meter.ts';
import { memoryByProvider } from '../evaluate/speed/predict-memory.ts';
import { openTokenizer } from '../evaluate/text/tokenizer/tokenizer.ts';
import { whatIsMissing } from '../io/external-data.ts';
import { classifyFiles, type ClassifiedFiles } from '../io/classify-files.ts';
import { runnableModel } from './runnable-model.ts';
import { hashContent, hashModel, type ContentHash } from '../io/hash.ts';
import type { Kernel } from '../kernels/kernel.ts';
import { quantizeChunk } from '../quantize/quantize-chunk.ts';
import { prefetch } from '../quantize/prefetch.ts';
import type { WorkerPool } from '../quantize/worker-pool.ts';
import { check, measure, type LevelJob, type Measurement, type MeasurePlatform } from './measure.ts';
import { piecesLength } from '../onnx/writing/splice.ts';
import { gatheredSink } from '../onnx/writing/gathered-sink.ts';
import { writePieces, type ExternalBlobs, type Place, type Sink, type WriteProgress } from '../onnx/writing/write.ts';
import { baselineBytes, compareSizes } from '../plan/sizes/compare-plans.ts';
import { sameAsEarlier } from '../plan/sizes/same-content.ts';
import { SINGLE_FILE_LIMIT } from '../plan/data-file.ts';
import { findMisfits, NO_MISFITS, type Misfits } from '../plan/precision/fits.ts';
import { describePattern } from '../plan/patterns.ts';
import { reportedSettings } from '../contract/levels/reported.ts';
import { planAnyLevel } from '../plan/half/plan-half.ts';
import { modelBytes, judgedTensors, preparePlan, type Plan, type PlanInput } from '../plan/plan.ts';
import type { EngineError } from '../contract/errors.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Job, LevelRequest, Stage } from '../contract/job.ts';
import type { LevelPlan } from '../contract/level-plan.ts';
import type { LevelReport, Report, SkippedLevel } from '../contract/report.ts';
import type { Opened } from '../contract/files.ts';
import { fileName, levelSuffix } from '../contract/levels/file-name.ts';
import { formatLevel } from '../contract/levels/level.ts';
import { checkPlannedFile } from '../plan/self-check.ts';
import { unsupportedTargets } from '../plan/targets.ts';
import { readText } from '../io/read-text.ts';
import { shown, shownSentence } from '../lib/shown.ts';
import type { ReadThread } from '../io/read-thread.ts';
import { distinctLevels } from './same-files.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { outputBytes, CHUNK_LIMITS } from '../quantize/chunks.ts';
import { asSingleFile } from '../io/single-file.ts';
import { blobSource, blobSources, type ByteSource, type ExternalFiles } from '../io/source.ts';
import { splitSpellings } from '../storage/job-key.ts';
import type { Original as StoredOriginal, OnceTask } from '../storage/measure-once.ts';
import type { PlannedFile } from '../storage/job-room.ts';
import type { LevelFile } from '../storage/stored-sink.ts';
import { summarizeModel } from './summarize-model.ts';
import { estimateSecondsLeft } from '../lib/time-left.ts';
import { laps, timing } from '../lib/timing.ts';
import { windowedSource, windowedSources } from '../io/windowed-source.ts';

/** Placeholder with the length of a real fingerprint, which is known only after the model has been read; planned sizes stay exact. */
const SOME_FINGERPRINT = '0'.repeat(64);

/** What the surroundings provide: a tab or Node. */
export interface Platform extends MeasurePlatform {
  kernel(): Promise<Kernel>;
  /** Kernel workers that take over from a WASM kernel, where there are threads. */
  pool?: WorkerPool;
  /** Reads files on a thread of its own; without it they are read on this one. */
  reader?: ReadThread;
  /** Hears of all files before the first is written; rejects when there is no room for them. */
  checkFreeSpace?(files: readonly PlannedFile[]): Promise<void>;
  /** Where the file of a level goes. */
  sink(fileName: string, source: File, file: LevelFile): Promise<Sink>;
  /** Bytes a file may have before its weights go to a second one; what protobuf can hold when absent. */
  singleFileLimit?: number;
  /** For jobs that ask for speed; without it none is measured. */
  speedMeter?: SpeedMeter;
  /** Measures, unless the same has been measured before: see storage/measure-once.ts. Measures each time when absent. */
  once?(task: OnceTask): Promise<{ report: Report; known: boolean }>;
}

/** Looks at dropped files without loading weights. */
export async function open(files: readonly File[]): Promise<Opened> {
  const sorted = await classifyFiles(files);
  const opened: Opened = {
    files: sorted.files,
    model: null,
    tokenizer: null,
    text: null,
    problems: sorted.files.flatMap(({ problem }) => problem ?? []),
  };
  const note = (thrown: unknown) => {
    opened.problems.push(toEngineError(thrown));
  };
  if (sorted.model) {
    try {
      const { input, missing } = openModel(sorted);
      if (missing) opened.problems.push(missing);
      else opened.model = summarizeModel(input);
    } catch (thrown) {
      note(thrown);
    }
    if (sorted.data.missing.length > 0) opened.missing = sorted.data.missing;
  }
  const tokenizer = sorted.tokenizer ? await openTokenizer(sorted.tokenizer.json, sorted.tokenizerConfig) : null;
  if (tokenizer?.ok === false) opened.problems.push(tokenizer.error);
  if (tokenizer?.ok && sorted.tokenizer) {
    const { vocabulary, addsBos } = tokenizer.value;
    opened.tokenizer = { name: sorted.tokenizer.file.name, vocabulary, addsBos };
  }
  let ids: Int32Array | null = null;
  if (sorted.text) {
    const { text, note: howRead } = await readText(sorted.text);
    ids = tokenizer?.ok ? tokenizer.value.encode(text) : null;
    opened.text = {
      name: sorted.text.name,
      bytes: sorted.text.size,
      tokens: ids && ids.length + Number(tokenizer?.ok && tokenizer.value.addsBos),
      ...(howRead !== null && { note: howRead }),
    };
  }
  const known = opened.model?.languageModel?.vocabulary;
  if (opened.tokenizer && known && !fits(opened.tokenizer.vocabulary, ids, known))
    opened.problems.push(mismatch(opened.tokenizer.name, opened.tokenizer.vocabulary, known));
  return opened;
}

/** More than this is too much to load for a prediction. */
const LARGEST_CALIBRATED = 300e6;

/** The model among dropped files, in one piece; null where there is none that can be run as a trial. */
export async function modelToCalibrate(files: readonly File[]): Promise<ModelFiles | null> {
  const { model, scanned, data } = await classifyFiles(files);
  if (!model || !scanned?.ok || data.missing.length > 0) return null;
  const whole = asSingleFile(scanned.value, model, data.files);
  return whole && whole.size <= LARGEST_CALIBRATED ? inOneFile(whole) : null;
}

/** What each level would write, exact to the byte but for weights that turn out not to fit fp16. */
export async function plan(
  files: readonly File[],
  levels: readonly LevelRequest[],
  variants: readonly LevelRequest[] = [],
): Promise<LevelPlan[]> {
  const { input, missing } = openModel(await classifyFiles(files));
  const options = { fingerprint: SOME_FINGERPRINT };
  const baseline = await baselineBytes(input, NO_MISFITS, options);
  const asked = [...levels, ...variants];
  const attempts = await Promise.all(
    asked.map(({ id, settings }) => settle(() => planAnyLevel(input, SCHEMES[id], settings, NO_MISFITS, options))),
  );
  const firsts = sameAsEarlier(attempts.slice(0, levels.length).map((attempt) => (attempt.ok ? attempt.value : null)));
  return Promise.all(
    asked.map(async ({ key, id, settings }, at): Promise<LevelPlan> => {
      const attempt = attempts[at]!;
      if (!attempt.ok)
        return {
          key,
          bytes: 0,
          weightBytes: 0,
          quantizedTensors: 0,
          summary: '',
          ledger: [],
          notOn: [],
          problem: attempt.error,
        };
      const planned = attempt.value;
      const first = asked[firsts[at] ?? -1];
      const { bytes, data, weightBytes, graphBytes, changed, summary, patterns, ledger, problem } = planned;
      return {
        key,
        file: fileName(input.model.source.name, levelSuffix({ id, settings })),
        bytes,
        ...(data && { data: { file: data.file, bytes: data.bytes } }),
        weightBytes,
        graphBytes,
        quantizedTensors: changed,
        summary,
        ...(patterns && { patterns }),
        ledger: at < levels.length ? ledger : [],
        notOn: problem ? [] : unsupportedTargets(planned),
        problem: missing ?? problem,
        ...(first && { sameFileAs: first.key }),
        ...(at < levels.length &&
          (await compareSizes(input, { id, settings }, planned, baseline, NO_MISFITS, options))),
      };
    }),
  );
}

/** @param finish Ends the measurement early; the report is on what was measured until then. */
export async function compare(
  job: Job,
  surroundings: Platform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
  finish?: AbortSignal,
): Promise<Report> {
  const { seconds, stage } = stageClock();
  const sorted = await classifyFiles(job.files, job.text);
  const { file, input, missing } = openModel(sorted);
  if (missing) throw failure(missing);
  const external = sorted.data.files;
  const model = summarizeModel(input);
  const kernel = await surroundings.kernel();
  if (kernel.backend === 'wasm') surroundings.pool?.warm();
  surroundings.reader?.warm();
  const inOrder = surroundings.reader?.inOrder;
  const lap = laps();
  const hash = await hashAndScan(
    windowedSource(blobSource(file.name, file, inOrder)),
    windowedSources(blobSources(external, inOrder)),
    input,
    onEvent,
    signal,
  );
  onEvent(timing('open', lap(), { amount: modelBytes(input.model) }));

  const planned = await planLevels(
    job,
    input,
    { ...hash, limit: surroundings.singleFileLimit ?? SINGLE_FILE_LIMIT },
    onEvent,
  );
  stage('open');
  const original = {
    file,
    external,
    input,
    fingerprint: hash.fingerprint,
    vocabulary: model.languageModel?.vocabulary ?? 0,
  };
  const { levels, skipped: notWritten } = await writeLevels(
    planned.levels,
    original,
    kernel,
    surroundings,
    onEvent,
    signal,
  );
  const skipped = [...planned.skipped, ...notWritten];
  surroundings.pool?.dispose();
  surroundings.reader?.dispose();
  stage('quantize');

  const measureAll = async (report: (event: EngineEvent) => void): Promise<Report> => {
    const distinct =
      job.measure === false ? { levels, shareFigures: () => undefined, notes: [] } : distinctLevels(levels);
    const measured =
      job.measure === false
        ? NOT_MEASURED
        : await measure(distinct.levels, job, sorted, model, surroundings, report, signal, finish);
    stage('measure');
    const timesSpeed =
      job.measure !== false && job.extras?.speed && surroundings.speedMeter ? surroundings.speedMeter : null;
    const [onCheck = report, onSpeed = report] = countTogether(
      [
        job.extras?.runtimeDrift && surroundings.evaluator.checkRuntimes ? distinct.levels.length : 0,
        timesSpeed ? distinct.levels.length * (await timesSpeed.providers()).length : 0,
      ],
      report,
    );
    const checked =
      job.measure === false
        ? { overflow: null, notes: [] }
        : await check(distinct.levels, job, sorted, model, measured, surroundings, onCheck, signal, finish);
    const speedNotes = timesSpeed
      ? await checkSpeed(distinct.levels, {
          meter: timesSpeed,
          threads: surroundings.threads,
          onEvent: onSpeed,
          signal,
          finish,
        })
      : [];
    stage('check');
    distinct.shareFigures();
    return {
      schema: 'nibble.report/1',
      model: {
        name: file.name,
        sha256: hash.sha256,
        fingerprint: hash.fingerprint,
        bytes: model.bytes,
        parameters: model.parameters,
        cacheBytesPerToken: model.cacheBytesPerToken,
      },
      protocol: measured.protocol,
      backend: kernel.backend,
      levels: levels.flatMap((level) => level.keys.map(() => levelReport(level))),
      ...(skipped.length > 0 && { skipped }),
      seconds,
      noiseFloor: measured.noiseFloor,
      ...(measured.words && { words: measured.words }),
      inputs: measured.inputs,
      overflow: checked.overflow,
      notes: [
        ...levels.flatMap(patternNotes),
        ...distinct.notes,
        ...measured.notes,
        ...checked.notes,
        ...speedNotes,
      ].map(shownSentence),
    };
  };
  if (!surroundings.once || job.measure === false) return measureAll(onEvent);
  const identity = {
    model: { name: file.name, fingerprint: hash.fingerprint },
    levels: levels.flatMap((level) => level.keys.map(() => formatLevel(level))),
    text: sorted.text && { name: sorted.text.name, content: (await readText(sorted.text)).text },
    tokenizer: sorted.tokenizer && { json: sorted.tokenizer.json, config: sorted.tokenizerConfig },
    inputs: await Promise.all(
      sorted.inputs.map(async (input) => ({
        name: input.name,
        ...(await hashContent(blobSource(input.name, input), () => undefined, signal)),
      })),
    ),
    protocol: job.protocol,
    maxTokens: job.maxTokens,
    extras: job.extras,
    provider: job.provider,
    threads: surroundings.threads,
  };
  const beside = { files: job.files, original: originalBaseline(levels, original) };
  const { report, known } = await surroundings.once({ identity, onEvent, signal, finish, beside, measure: measureAll });
  if (known) announce(report, levels, onEvent);
  // What was measured before may have been in files of other names.
  const names = levels.flatMap(({ keys, file }) => keys.map(() => file));
  const { skipped: _, ...kept } = report;
  return {
    ...kept,
    ...(skipped.length > 0 && { skipped }),
    levels: report.levels.map((line, i) => ({ ...line, file: names[i] ?? line.file })),
  };
}

const NOT_MEASURED: Measurement = {
  protocol: null,
  words: null,
  noiseFloor: null,
  inputs: null,
  notes: ['Nothing was measured, as asked.'],
};
/** What a level's patterns apply to, in sentences. */
function patternNotes(level: LevelJob): string[] {
  return (level.plan.patterns ?? []).map((use) => `${formatLevel(level)}: ${describePattern(use)}`);
}

/** The figures of a report that was there already, as if they had just been measured. */
function announce(
  { protocol, levels: figures }: Report,
  levels: readonly LevelJob[],
  onEvent: (event: EngineEvent) => void,
): void {
  levels
    .flatMap(({ keys }) => keys)
    .forEach((level, i) => {
      const { perplexity, drift } = figures[i] ?? {};
      if (protocol && perplexity)
        onEvent({ type: 'measured', level, tokens: protocol.tokens, perplexity, drift: drift ?? null, final: true });
    });
}

/** Times stages that follow one another: `stage` ends one and begins the next. */
function stageClock(): { seconds: Partial<Record<Stage, number>>; stage: (ended: Stage) => void } {
  const seconds: Partial<Record<Stage, number>> = {};
  let began = performance.now();
  return {
    seconds,
    stage(ended) {
      const now = performance.now();
      seconds[ended] = (now - began) / 1000;
      began = now;
    },
  };
}

/** `missing` says what external data is not there; planning is exact all the same. */
function openModel(sorted: ClassifiedFiles): { file: File; input: PlanInput; missing: EngineError | null } {
  const { model: file, scanned } = sorted;
  if (!file || !scanned) return noModel(sorted);
  if (!scanned.ok) throw failure(scanned.error);
  return { file, input: preparePlan(scanned.value), missing: whatIsMissing(file.name, sorted.data.missing) };
}

/** One pass over all files before anything is written: its hash, and which tensors fp16 does not hold. */
async function hashAndScan(
  source: ByteSource,
  external: ExternalFiles,
  input: PlanInput,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
): Promise<ContentHash & { misfits: Misfits }> {
  const toCheck = judgedTensors(input);
  const total = modelBytes(input.model) + toCheck.reduce((sum, { bytes }) => sum + bytes, 0);
  const secondsLeft = estimateSecondsLeft();
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onEvent({
      type: 'progress',
      stage: 'open',
      level: null,
      done,
      total,
      unit: 'bytes',
      tensor: null,
      secondsLeft: secondsLeft(done, total),
    });
  };
  const hash = await hashModel(source, external, onBytes, signal);
  return { ...hash, misfits: await findMisfits(source, toCheck, signal, onBytes, external) };
}

async function planLevels(
  job: Job,
  input: PlanInput,
  { misfits, fingerprint, limit }: ContentHash & { misfits: Misfits; limit: number },
  onEvent: (event: EngineEvent) => void,
): Promise<Outcome> {
  const requests: LevelRequest[] = job.levels.some(({ id }) => id === 'fp16')
    ? job.levels
    : [{ key: 'fp16', id: 'fp16', settings: {} }, ...job.levels];
  const bySpelling = new Map<string, LevelJob>();
  const skipped: SkippedLevel[] = [];
  for (const { key, id, settings } of requests) {
    const spelling = formatLevel({ id, settings });
    const same = bySpelling.get(spelling);
    if (same) {
      same.keys.push(key);
      continue;
    }
    const attempt = await settle(() => planAnyLevel(input, SCHEMES[id], settings, misfits, { fingerprint, limit }));
    if (!attempt.ok && !endsLevelOnly(attempt.error, id)) throw failure(attempt.error);
    const error = attempt.ok ? attempt.value.problem : attempt.error;
    if (error) {
      skipped.push({ level: spelling, error, ...(attempt.ok && { ledger: attempt.value.ledger }) });
      onEvent({ type: 'warning', error, level: key });
    }
    if (error || !attempt.ok) continue;
    const planned = attempt.value;
    bySpelling.set(spelling, {
      keys: [key],
      id,
      settings,
      plan: planned,
      file: fileName(input.model.source.name, levelSuffix({ id, settings })),
      blob: null,
      perplexity: null,
      drift: null,
      outputs: null,
      runtimeDrift: null,
    });
  }
  const levels = [...bySpelling.values()].sort((a, b) => Number(b.id === 'fp16') - Number(a.id === 'fp16'));
  return { levels, skipped };
}

/** Levels that go on, and those that cannot be made. */
interface Outcome {
  levels: LevelJob[];
  skipped: SkippedLevel[];
}

/** Whether the job goes on without the level. Without the baseline there is nothing to compare the others with. */
function endsLevelOnly(error: EngineError, id: LevelRequest['id']): boolean {
  return id !== 'fp16' && (isAboutLevel(failure(error)) || error.code === 'internal');
}

/** Slabs made at once where there are no kernel workers: one computes while the next is read. */
const SLABS_IN_PLACE = 2;
/** How far ahead of the file the work is, so that no worker waits for it to be written. */
const STRETCHES_A_LANE = 3;
/** What is made and not written yet; a weight whose slabs are joined may take as much alone. */
const BYTES_UNDER_WAY = CHUNK_LIMITS.joined;

/** What levels are made of. */
interface Original {
  file: File;
  external: ExternalBlobs;
  input: PlanInput;
  fingerprint: string;
  /** Entries of the logits; 0 where there are none. */ vocabulary: number;
}

async function writeLevels(
  levels: LevelJob[],
  original: Original,
  kernel: Kernel,
  surroundings: Platform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  await surroundings.checkFreeSpace?.(levels.flatMap((level) => plannedFiles(level, original.fingerprint)));
  const written: LevelJob[] = [];
  const skipped: SkippedLevel[] = [];
  for (const level of levels) {
    const attempt = await settle(() => writeLevel(level, original, kernel, surroundings, onEvent, signal));
    signal.throwIfAborted();
    if (attempt.ok) {
      written.push(level);
      continue;
    }
    const { error } = attempt;
    if (!endsLevelOnly(error, level.id)) throw failure(error);
    skipped.push({ level: formatLevel(level), error });
    for (const key of level.keys) onEvent({ type: 'warning', error, level: key });
  }
  return { levels: written, skipped };
}

/** Writes a level's file, or both of its files. Of a level that cannot be made nothing stays. */
async function writeLevel(
  level: LevelJob,
  original: Original,
  kernel: Kernel,
  surroundings: Platform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { pieces, data, bytes, weightBytes } = level.plan;
  await checkPlannedFile(original.input.model, level.plan);
  const secondsLeft = estimateSecondsLeft();
  const lap = laps();
  // What is stored already costs no time worth learning from.
  const work = { isMade: false };
  const onDone = (done: number, tensor: string | null) => {
    work.isMade ||= tensor !== null;
    for (const key of level.keys)
      onEvent({
        type: 'progress',
        stage: 'quantize',
        level: key,
        done,
        total: bytes,
        unit: 'bytes',
        tensor,
        secondsLeft: secondsLeft(done, bytes),
      });
  };
  const spelling = spellingsOf(level);
  const write = (file: string, part: string, content: Plan['pieces'], before: number, fixedName?: true) =>
    writeFile(
      content,
      {
        file,
        part,
        bytes: piecesLength(content),
        ...(fixedName && { fixedName }),
        onProgress: ({ done, tensor }) => {
          onDone(before + done, tensor);
        },
      },
      original,
      kernel,
      surroundings,
      signal,
    );
  // The data first: a model is there only when what it needs is.
  const beside = data && (await write(data.file, spelling.data, data.pieces, 0, true));
  try {
    if (data && beside) level.data = { file: data.file, bytes: data.bytes, blob: beside.blob };
    const { blob, place } = await write(level.file, spelling.model, pieces, data?.bytes ?? 0);
    level.blob = blob;
    level.file = place?.file ?? level.file;
    if (work.isMade) onEvent(timing('quantize', lap(), { level: level.keys[0] ?? null, amount: bytes }));
    const runnable = runnableModel(level);
    const memory = runnable && (await memoryByProvider(runnable, original.vocabulary));
    if (memory) level.memory = memory;
    for (const key of level.keys)
      onEvent({
        type: 'written',
        level: key,
        file: level.file,
        blob,
        ...(place && { folder: place.folder }),
        bytes,
        ...(level.data && { data: level.data }),
        weightBytes,
        ...(memory && { memory }),
      });
  } catch (thrown) {
    if (isAboutLevel(thrown)) await beside?.remove?.();
    throw thrown;
  }
}

function plannedFiles(level: LevelJob, fingerprint: string): PlannedFile[] {
  const { pieces, data } = level.plan;
  const spelling = spellingsOf(level);
  const planned = (name: string, part: string, content: Plan['pieces']): PlannedFile => ({
    name,
    fingerprint,
    level: part,
    bytes: piecesLength(content),
    madeBytes: madeLength(content),
  });
  return [
    ...(data ? [{ ...planned(data.file, spelling.data, data.pieces), fixedName: true as const }] : []),
    planned(level.file, spelling.model, pieces),
  ];
}

/** The baseline where it is the model as it is, in one file; null where it was made. */
function originalBaseline(
  levels: readonly LevelJob[],
  { file, external, fingerprint }: Original,
): StoredOriginal | null {
  const baseline = levels.find(({ id }) => id === 'fp16');
  if (
    !baseline ||
    external.size > 0 ||
    baseline.plan.data ||
    baseline.plan.bytes !== file.size ||
    madeLength(baseline.plan.pieces) > 0
  )
    return null;
  return { file, name: baseline.file, level: formatLevel(baseline), fingerprint };
}

/** What the files of a level are stored by. */
function spellingsOf(level: LevelJob): { model: string; data: string } {
  const spelling = formatLevel(level);
  return level.plan.data ? splitSpellings(spelling, level.plan.data.file) : { model: spelling, data: spelling };
}

const madeLength = (pieces: Plan['pieces']): number => piecesLength(pieces.filter(({ kind }) => kind !== 'copy'));

interface Writing {
  file: string;
  part: string;
  bytes: number;
  fixedName?: true;
  onProgress(progress: WriteProgress): void;
}

async function writeFile(
  pieces: Plan['pieces'],
  { file: name, part, bytes, fixedName, onProgress }: Writing,
  { file, external, input, fingerprint }: Original,
  kernel: Kernel,
  surroundings: Platform,
  signal: AbortSignal,
): Promise<{ blob: Blob; place: Place | undefined; remove: Sink['remove'] }> {
  const { model } = input;
  const [from, outside] = [windowedSource(model.source), windowedSources(model.external)];
  const whole = await surroundings.sink(name, file, {
    name,
    source: file,
    external,
    fingerprint,
    level: part,
    bytes,
    madeBytes: madeLength(pieces),
    ...(fixedName && { fixedName }),
    onProgress,
    signal,
    inOrder: surroundings.reader?.inOrder,
  });
  // A level that is the model as it is goes to its sink as one copy.
  const sink =
    pieces.length < 2
      ? whole
      : gatheredSink(whole, (start, end, location) =>
          (location === undefined ? from : (outside.get(location) ?? missingData(location))).read(start, end - start),
        );
  const recipes = new Set(pieces.flatMap((piece) => (piece.kind === 'made' ? [piece.recipe] : [])));
  const { pool } = surroundings;
  const oneByOne = pLimit(SLABS_IN_PLACE);
  const inWorkers = pool && kernel.backend === 'wasm' ? pool : null;
  // What comes from workers is in memory of its own.
  const release = inWorkers?.recycle;
  const carrying = executeTasks(
    (slab, stop) =>
      inWorkers
        ? inWorkers.make(slab, file, stop, external)
        : oneByOne(() => quantizeChunk(slab, from, kernel, stop, outside)),
    { release },
  );
  const { stretchesOf } = carrying;
  const ahead = prefetch([...recipes].flatMap(stretchesOf), outputBytes, carrying.make, {
    count: STRETCHES_A_LANE * (pool?.threads ?? SLABS_IN_PLACE),
    bytes: BYTES_UNDER_WAY,
  });
  // What comes first may be a long copy. Of a file that is gone on with it is not known what is needed.
  if (!sink.resumeAt) ahead.begin(signal);
  const blob = await writePieces({
    pieces,
    stretchesOf,
    make: ahead.make,
    nameOf: (recipe) => recipe.tensor.name,
    sink,
    onProgress,
    signal,
    release,
  });
  return { blob, place: sink.place, remove: sink.remove };
}

function missingData(location: string): never {
  throw new Error(`${location} is not there to copy from`);
}

function levelReport({
  id,
  settings,
  plan,
  data,
  file,
  perplexity,
  drift,
  activationRanges,
  outputs,
  runtimeDrift,
  speed,
  memory,
  sameFileAs,
}: LevelJob): LevelReport {
  return {
    id,
    level: formatLevel({ id, settings }),
    baseline: SCHEMES[id].resolve(settings).baseline,
    settings: reportedSettings({ id, settings }),
    suffix: levelSuffix({ id, settings }),
    file,
    bytes: plan.bytes,
    ...(data && { data: { file: data.file, bytes: data.bytes } }),
    weightBytes: plan.weightBytes,
    ...(memory && { memory }),
    ...(sameFileAs !== undefined && { sameFileAs }),
    perplexity,
    drift,
    ...(activationRanges && { activationRanges }),
    outputs,
    runtimeDrift,
    ...(speed && { speed }),
    ...(plan.patterns && { patterns: plan.patterns }),
    ledger: plan.ledger,
  };
}

/** With a text, whether the model knows every token in it; without one, whether sizes are about equal: a few added tokens may never occur. */
function fits(vocabulary: number, ids: Int32Array | null, known: number): boolean {
  return ids ? ids.every((id) => id < known) : vocabulary <= known * 1.1;
}

function mismatch(name: string, vocabulary: number, expected: number): EngineError {
  return engineError(
    'tokenizer-mismatch',
    `${shown(name)} has ${vocabulary.toLocaleString('en')} tokens, the model knows ${expected.toLocaleString('en')}: they do not belong together.`,
    'Use the tokenizer.json that came with this model.',
  );
}

function noModel(sorted?: ClassifiedFiles): never {
  const problem = sorted?.files.find((file) => file.problem)?.problem;
  throw failure(problem ?? engineError('no-model', 'There is no model.', 'Give an .onnx file.'));
}
