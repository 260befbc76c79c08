/** The calls between the page and the engine worker: plain values only. */
import type { Capabilities } from './capabilities.ts';
import type { Result } from './errors.ts';
import type { Timing } from './events.ts';
import type { Opened } from './files.ts';
import type { GenerationJob } from './generation.ts';
import type { Job, LevelRequest } from './job.ts';
import type { LevelPlan } from './level-plan.ts';
import type { Report } from './report.ts';
import type { OpenedReport, Storage, StoredReport } from './storage.ts';

/** How far a Hub folder is: bytes of its files read. */
export interface Zipping {
  done: number;
  total: number;
}

/** What goes into a folder for the Hugging Face Hub. */
export interface HubFolderJob {
  /** All that was dropped: configuration and tokenizer are taken from it. */
  files: File[];
  report: Report;
  /** `level` as in the report, which says what it is. The names in the folder follow from that and from the source's; `file` is where it was written. */
  models: { level: string; file: string; blob: Blob; data?: { file: string; blob: Blob } }[];
}

/**
 * What the engine worker exposes. Calls settle with a `Result`, they do not throw. A dropped file that lay in a folder
 * has its path for a name, since a browser's own note of it does not reach a worker everywhere.
 */
export interface Engine {
  capabilities(): Promise<Capabilities>;
  open(files: File[]): Promise<Result<Opened>>;
  /**
   * Loads and runs the model for a moment on WASM and says what that took: a level of null is the model as it is. Code
   * `busy` while a comparison runs; one that starts ends it with `cancelled`.
   */
  calibrate(files: File[]): Promise<Result<Timing[]>>;
  /** @param variants Settings that might be chosen next: planned after the levels, for `notOn` and `problem`, without a ledger. */
  plan(files: File[], levels: LevelRequest[], variants?: LevelRequest[]): Promise<Result<LevelPlan[]>>;
  /** Sends `EngineEvent`s through `port` (see remote.ts). */
  compare(job: Job, port: MessagePort): Promise<Result<Report>>;
  /** Stops the job in hand; its `compare` settles with code `cancelled`. */
  cancel(): Promise<void>;
  /**
   * Ends the measurement in hand early and keeps what it has: `compare` settles with a report on the windows run so
   * far, one at least, and says so. Before measuring it makes that short; without a job it does nothing.
   */
  finish(): Promise<void>;
  /**
   * Sends `Generated`s through `port`; what is wrong with one model only is said there. While a comparison runs it is
   * `busy`, as its figures would suffer; a comparison that starts ends it with `cancelled`.
   */
  generate(job: GenerationJob, port: MessagePort): Promise<Result<null>>;
  /** Stops the continuation in hand; its `generate` settles with code `cancelled`. A comparison goes on. */
  cancelGeneration(): Promise<void>;
  /** A zip of models, configuration, tokenizer and a card: parts of the files given, not copies. Sends `Zipping`s through `port`. */
  hubFolder(job: HubFolderJob, port: MessagePort, key: string): Promise<Result<Blob>>;
  /** Stops the one that was begun with this key; it settles with code `cancelled`. */
  cancelHubFolder(key: string): Promise<void>;
  /** Finished reports of earlier jobs, the latest first. */
  history(): Promise<Result<StoredReport[]>>;
  /** A report of `history`, with the files that are still there: handles, not copies. Code `not-stored` when it is gone. */
  openStored(key: string): Promise<Result<OpenedReport>>;
  storage(): Promise<Result<Storage>>;
  /**
   * Deletes results and reports by key. Code `busy` when one is being made just now, here or in another tab; the others
   * are deleted all the same.
   */
  remove(keys: string[]): Promise<Result<Storage>>;
  /** As `remove`, of everything. */
  removeAll(): Promise<Result<Storage>>;
}
