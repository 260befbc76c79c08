/** Stage `open`: tells the files apart, scans the model's structure, and reads it once for its hash. No weights are kept. */
import { failure, engineError, type EngineError } from '../../contract/errors.ts';
import type { EngineEvent } from '../../contract/events.ts';
import type { ModelSummary } from '../../contract/files.ts';
import { classifyFiles, type ClassifiedFiles } from '../../io/classify-files.ts';
import { whatIsMissing } from '../../io/external-data.ts';
import { hashModel, type ContentHash } from '../../io/hash.ts';
import { blobSource, blobSources, type ByteSource, type ExternalFiles } from '../../io/source.ts';
import { windowedSource, windowedSources } from '../../io/windowed-source.ts';
import { estimateSecondsLeft } from '../../lib/time-left.ts';
import { laps, timing } from '../../lib/timing.ts';
import type { ExternalBlobs } from '../../onnx/writing/write.ts';
import { judgedTensors, modelBytes, preparePlan, type PlanInput } from '../../plan/plan.ts';
import { findMisfits, type Misfits } from '../../plan/precision/fits.ts';
import type { JobContext } from '../job-context.ts';
import { summarizeModel } from '../summarize-model.ts';

/** A job's files, told apart, and the model among them. */
export interface OpenedJob {
  readonly sorted: ClassifiedFiles;
  readonly file: File;
  /** The model's external data. */
  readonly external: ExternalBlobs;
  readonly input: PlanInput;
  readonly model: ModelSummary;
  readonly hash: ContentHash;
  /** Weights that fp16 does not hold. */
  readonly misfits: Misfits;
}

/** Errors: `no-model`, `onnx-…`, `file-changed`, `cancelled`. */
export async function open({ job, platform, onEvent, signal }: JobContext): Promise<OpenedJob> {
  const sorted = await classifyFiles(job.files, job.text);
  const { file, input, missing } = openModel(sorted);
  if (missing) throw failure(missing);
  const external = sorted.data.files;
  const model = summarizeModel(input);
  const inOrder = platform.reader?.inOrder;
  const lap = laps();
  const { misfits, ...hash } = await hashAndScan(
    windowedSource(blobSource(file.name, file, inOrder)),
    windowedSources(blobSources(external, inOrder)),
    input,
    onEvent,
    signal,
  );
  onEvent(timing('open', lap(), { amount: modelBytes(input.model) }));
  return { sorted, file, external, input, model, hash, misfits };
}

/** The model among files. `missing` says what external data is not there; planning is exact all the same. Errors: `no-model`, `onnx-…`. */
export function openModel(sorted: ClassifiedFiles): { file: File; input: PlanInput; missing: EngineError | null } {
  const { model: file, scanned } = sorted;
  if (!file || !scanned) {
    const problem = sorted.files.find((candidate) => candidate.problem)?.problem;
    throw failure(problem ?? engineError('no-model', 'There is no model.', 'Give an .onnx file.'));
  }
  if (!scanned.ok) throw failure(scanned.error);
  return { file, input: preparePlan(scanned.value), missing: whatIsMissing(file.name, sorted.data.missing) };
}

/** One pass over all files before anything is written: their hash, and which tensors fp16 does not hold. */
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
