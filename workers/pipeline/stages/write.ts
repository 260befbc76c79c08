/** Stage `write`: the files of all levels, each quantized as it is written. Nothing stays of a level that cannot be made. */
import { failure, isAboutLevel, settle } from '../../contract/errors.ts';
import { formatLevel } from '../../contract/levels/level.ts';
import type { SkippedLevel } from '../../contract/report.ts';
import { memoryByProvider } from '../../evaluate/speed/predict-memory.ts';
import { estimateSecondsLeft } from '../../lib/time-left.ts';
import { laps, timing } from '../../lib/timing.ts';
import { piecesLength } from '../../onnx/writing/splice.ts';
import type { WrittenPlace } from '../../onnx/writing/write.ts';
import type { Plan } from '../../plan/plan.ts';
import { checkPlannedFile } from '../../plan/self-check.ts';
import type { PlannedFile } from '../../storage/job-room.ts';
import { splitSpellings } from '../../storage/job-key.ts';
import type { JobContext, LevelJob, WrittenLevel } from '../job-context.ts';
import { runnableModel } from '../runnable-model.ts';
import type { OpenedJob } from './open.ts';
import { endsLevelOnly, type Levels } from './plan.ts';
import type { JobQuantizer } from './quantize.ts';

export interface WriteInput {
  readonly opened: OpenedJob;
  readonly planned: Levels<LevelJob>;
  readonly quantizer: JobQuantizer;
}

/**
 * Writes the levels one after the other, the baseline first. Errors: those of the disk, the source and the workers, and all
 * that concern the baseline; a level with a problem of its own is skipped.
 */
export async function write(context: JobContext, input: WriteInput): Promise<Levels<WrittenLevel>> {
  const { platform, onEvent, signal } = context;
  const { opened, planned } = input;
  await platform.checkFreeSpace?.(planned.levels.flatMap((level) => plannedFiles(level, opened.hash.fingerprint)));
  const levels: WrittenLevel[] = [];
  const skipped: SkippedLevel[] = [...planned.skipped];
  for (const level of planned.levels) {
    const attempt = await settle(() => writeLevel(context, input, level));
    signal.throwIfAborted();
    if (attempt.ok) {
      levels.push(attempt.value);
      continue;
    }
    const { error } = attempt;
    if (!endsLevelOnly(error, level.id)) throw failure(error);
    skipped.push({ level: formatLevel(level), error });
    for (const key of level.keys) onEvent({ type: 'warning', error, level: key });
  }
  return { levels, skipped };
}

/** Writes a level's file, or both of its files. */
async function writeLevel(
  { platform, onEvent, signal }: JobContext,
  { opened, quantizer }: WriteInput,
  level: LevelJob,
): Promise<WrittenLevel> {
  const { plan } = level;
  const { bytes } = plan;
  const { file: source, external, input, hash, model } = opened;
  await checkPlannedFile(input.model, plan);
  const secondsLeft = estimateSecondsLeft();
  const lap = laps();
  // What is stored already costs no time worth learning from.
  const work = { isMade: false };
  const writeFile = async (file: PlannedFile, content: Pick<Plan, 'pieces'>, before: number) => {
    const onProgress = ({ done, tensor }: { done: number; tensor: string | null }) => {
      work.isMade ||= tensor !== null;
      for (const key of level.keys)
        onEvent({
          type: 'progress',
          stage: 'quantize',
          level: key,
          done: before + done,
          total: bytes,
          unit: 'bytes',
          tensor,
          secondsLeft: secondsLeft(before + done, bytes),
        });
    };
    const sink = await platform.sink(file.name, source, {
      ...file,
      source,
      external,
      onProgress,
      signal,
      inOrder: platform.reader?.inOrder,
    });
    const blob = await quantizer.write(content, sink, { onProgress, signal });
    return { blob, place: sink.place, remove: sink.remove };
  };

  const files = filesOf(level, hash.fingerprint);
  // The data first: a model is there only when what it needs is.
  const beside = plan.data && files.data && (await writeFile(files.data, plan.data, 0));
  try {
    const { blob, place } = await writeFile(files.model, plan, plan.data?.bytes ?? 0);
    if (work.isMade) onEvent(timing('quantize', lap(), { level: level.keys[0] ?? null, amount: bytes }));
    const written = {
      ...level,
      file: place?.file ?? level.file,
      blob,
      ...(plan.data && beside && { data: { file: plan.data.file, bytes: plan.data.bytes, blob: beside.blob } }),
    };
    const runnable = runnableModel(written);
    const memory = runnable && (await memoryByProvider(runnable, model.languageModel?.vocabulary ?? 0));
    const predicted = memory ? { ...written, memory } : written;
    announce(predicted, place, onEvent);
    return predicted;
  } catch (thrown) {
    if (isAboutLevel(thrown)) await beside?.remove?.();
    throw thrown;
  }
}

function announce(
  { keys, plan, file, blob, data, memory }: WrittenLevel,
  place: WrittenPlace | undefined,
  onEvent: JobContext['onEvent'],
): void {
  for (const level of keys)
    onEvent({
      type: 'written',
      level,
      file,
      blob,
      ...(place && { folder: place.folder }),
      bytes: plan.bytes,
      ...(data && { data }),
      weightBytes: plan.weightBytes,
      ...(memory && { memory }),
    });
}

/** The files of a level, by what storage keeps them under; `data` for a model too large for one. */
/** What a level's files are stored by: calibrated weights depend on what they were calibrated on, too. */
export function storedSpelling(level: LevelJob): string {
  const { calibration } = level;
  return `${formatLevel(level)}${calibration ? ` (calibrated on ${calibration.sha256})` : ''}`;
}

function filesOf(level: LevelJob, fingerprint: string): { model: PlannedFile; data: PlannedFile | null } {
  const { pieces, data } = level.plan;
  const spelling = storedSpelling(level);
  const spellings = data ? splitSpellings(spelling, data.file) : { model: spelling, data: spelling };
  const planned = (name: string, part: string, content: Plan['pieces']): PlannedFile => ({
    name,
    fingerprint,
    level: part,
    bytes: piecesLength(content),
    madeBytes: madeLength(content),
  });
  return {
    model: planned(level.file, spellings.model, pieces),
    data: data && { ...planned(data.file, spellings.data, data.pieces), fixedName: true },
  };
}

function plannedFiles(level: LevelJob, fingerprint: string): PlannedFile[] {
  const { model, data } = filesOf(level, fingerprint);
  return data ? [data, model] : [model];
}

/** Bytes of a planned file that are not ranges of the source. */
export function madeLength(pieces: Plan['pieces']): number {
  return piecesLength(pieces.filter(({ kind }) => kind !== 'copy'));
}
