/** What every stage of a job works with, and the levels as the stages return them. Nothing here is changed by a later stage. */
import type { Provider } from '../contract/capabilities.ts';
import type { Result } from '../contract/errors.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Job, LevelRequest } from '../contract/job.ts';
import type { DataFile } from '../contract/level-plan.ts';
import type { LevelSettings } from '../contract/settings.ts';
import type {
  Drift,
  MemoryPrediction,
  OutputDrift,
  Perplexity,
  Report,
  RuntimeDrift,
  Speed,
} from '../contract/report.ts';
import type { GraphRuntime } from '../evaluate/sessions/graph-session.ts';
import type { SpeedMeter } from '../evaluate/speed/speed-meter.ts';
import type { Evaluator } from '../evaluate/text/evaluate.ts';
import type { ReadThread } from '../io/read-thread.ts';
import type { Kernel } from '../kernels/kernel.ts';
import type { Sink } from '../onnx/writing/write.ts';
import type { Plan } from '../plan/plan.ts';
import type { WorkerPool } from '../quantize/worker-pool.ts';
import type { PlannedFile } from '../storage/job-room.ts';
import type { OnceTask } from '../storage/measure-once.ts';
import type { LevelFile } from '../storage/stored-sink.ts';
import type { CalibrationRecord } from '../calibrate/record.ts';

/** What a browser tab and Node provide each in their own way. */
export interface Platform {
  kernel(): Promise<Kernel>;
  /** Kernel workers that take over from a WASM kernel, where there are threads. */
  pool?: WorkerPool;
  /** Reads files on a thread of its own; without it they are read on this one. */
  reader?: ReadThread;
  /** Called with all files before the first is written; rejects when there is no room for them. */
  checkFreeSpace?(files: readonly PlannedFile[]): Promise<void>;
  /** Where the file of a level goes. */
  sink(fileName: string, source: File, file: LevelFile): Promise<Sink>;
  /** Bytes a file may have before its weights go to a second one; what protobuf can hold when absent. */
  singleFileLimit?: number;
  evaluator: Evaluator;
  /** Threads for evaluation. */
  threads: number;
  /** Where the model is run for calibration; scales are searched without data where there is none. */
  openRuntime?(threads: number): Promise<Result<GraphRuntime>>;
  /** For jobs that ask for speed; without it none is measured. */
  speedMeter?: SpeedMeter;
  /** Measures, unless the same has been measured before: see storage/measure-once.ts. Measures each time when absent. */
  once?(task: OnceTask): Promise<{ report: Report; known: boolean }>;
}

/** One job under way. */
export interface JobContext {
  readonly job: Job;
  readonly platform: Platform;
  /** The platform's kernel, chosen once for the job. */
  readonly kernel: Promise<Kernel>;
  onEvent(event: EngineEvent): void;
  readonly signal: AbortSignal;
  /** Ends measuring early; the report is on what was measured until then. */
  readonly finish: AbortSignal | undefined;
}

/** A level that can be made, as planned. */
export interface LevelJob {
  /** Keys of the requests it answers; equal requests are done once. */
  readonly keys: readonly string[];
  readonly id: LevelRequest['id'];
  readonly settings: LevelSettings;
  readonly plan: Plan;
  /** What its weights were calibrated on; absent where they were not. */
  readonly calibration?: CalibrationRecord;
  /** Its file name. */
  readonly file: string;
}

/** A level whose files are written. */
export interface WrittenLevel extends LevelJob {
  readonly blob: Blob;
  /** The second file, of a model too large for one. */
  readonly data?: DataFile & { blob: Blob };
  /** Predicted; absent where it cannot be told. */
  readonly memory?: Record<Provider, MemoryPrediction>;
}

/** What is measured of a level; null where it was not. */
export interface Figures {
  readonly perplexity: Perplexity | null;
  /** Null for the baseline, too. */
  readonly drift: Drift | null;
  /** As of a `LevelReport`. */
  readonly activationRanges?: 'run';
  readonly outputs: OutputDrift[] | null;
  readonly runtimeDrift: RuntimeDrift | null;
  readonly speed?: Speed[];
}

export const NO_FIGURES: Figures = { perplexity: null, drift: null, outputs: null, runtimeDrift: null };

/** A level with what has been measured of it so far. */
export interface MeasuredLevel extends WrittenLevel {
  readonly figures: Figures;
}

/** Starts what a job works with: the kernel, its workers and the reading thread begin while the model is read. */
export function beginJob(
  job: Job,
  platform: Platform,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
  finish: AbortSignal | undefined,
): JobContext {
  const kernel = platform.kernel();
  kernel.then(
    ({ backend }) => {
      if (backend === 'wasm') platform.pool?.warm();
    },
    // The stage that quantizes reports it.
    () => undefined,
  );
  platform.reader?.warm();
  return { job, platform, kernel, onEvent, signal, finish };
}
