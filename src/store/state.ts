/** What the page knows and can do, slice by slice. `slices/` has one function a slice that implements it. */
import type { Capabilities, Provider } from '../../workers/contract/capabilities.ts';
import type { EngineError } from '../../workers/contract/errors.ts';
import type { Opened } from '../../workers/contract/files.ts';
import type { Extras, ProtocolRequest } from '../../workers/contract/job.ts';
import type { LevelPlan, Target } from '../../workers/contract/level-plan.ts';
import type { LevelId } from '../../workers/contract/levels/registry.ts';
import type { LevelSettings } from '../../workers/contract/settings.ts';
import type { Storage, StoredReport } from '../../workers/contract/storage.ts';
import type { Choice, Kept } from './files.ts';
import type { Paces } from './forecast/paces.ts';
import type { Level } from './levels.ts';
import type { Run } from './run.ts';
import type { SavedFile, Setup } from './session/session.ts';
import type { Offers } from './targets.ts';

/** How far a download is, in bytes; `total` is null until the server has said. */
export interface Download {
  done: number;
  total: number | null;
  since: number;
}

/** The dropped files, and the model, tokenizer and text the engine finds in them. */
export interface FilesSlice {
  files: readonly Kept[];
  opened: Opened | null;
  /** Since when files are being opened, milliseconds; null when none are. */
  openingSince: number | null;
  /** Several models came at once; one is to be chosen. */
  choices: readonly Choice[];
  download: Download | null;

  /** Adds files to those that are open, or replaces them; during a run, after it. Settles when everything added so far is open. */
  addFiles(files: readonly File[]): Promise<void>;
  /** Takes a file, whatever its name, for the external data the model calls `location`. */
  fillMissing(location: string, file: File): Promise<void>;
  chooseModel(index: number): Promise<void>;
  loadSample(): Promise<void>;
}

/** A plan and the name of the level it was made for, so that an old plan is not shown as a new one. */
export interface PlanEntry {
  forLevel: string;
  plan: LevelPlan;
}

/** The levels to compare, their target, and what the engine plans for them. */
export interface LevelsSlice {
  levels: readonly Level[];
  /** The level removed last, until the levels change in another way, and where it stood. */
  removed: { level: Level; at: number } | null;
  /** Plans by `uid`. */
  plans: ReadonlyMap<string, PlanEntry>;
  planProblem: EngineError | null;
  /** Where levels are to run. */
  target: Target;
  /** What the engine has said of levels that are set or might be. */
  offers: Offers;

  addLevel(id: LevelId): void;
  duplicateLevel(uid: string): void;
  editLevel(uid: string, settings: LevelSettings): void;
  removeLevel(uid: string): void;
  /** Puts the level removed last back where it was. */
  undoRemove(): void;
  /** Another level in the place of one. */
  replaceLevel(uid: string, setup: Pick<Level, 'id' | 'settings'>): void;
  setTarget(target: Target): void;
}

/** How the next comparison measures, and where its files go. */
export interface SettingsSlice {
  /** What the browser can run models on; null until it is known. */
  capabilities: Capabilities | null;
  /** Tokens asked for; null for the whole text. */
  maxTokens: number | null;
  /** How the next run measures perplexity. */
  protocol: ProtocolRequest;
  /** Where the next run runs its models; `faster` tries both for a moment. */
  provider: Provider | 'faster';
  /** What the next run measures beside quantization drift. */
  extras: Required<Extras>;
  /** Tokens of context the key/value cache is predicted for. */
  context: number;
  /** Whether this browser lets a folder be chosen. */
  foldersOffered: boolean;
  /** Where the next run writes its files; null for this browser's storage. */
  folder: FileSystemDirectoryHandle | null;

  setMaxTokens(tokens: number | null): void;
  setProtocol(protocol: ProtocolRequest): void;
  setProvider(provider: Provider | 'faster'): void;
  setExtra(name: keyof Extras, on: boolean): void;
  setContext(tokens: number): void;
  /** True when one was chosen. */
  chooseFolder(): Promise<boolean>;
  leaveFolder(): void;
}

/** What is known of how long comparisons take here, and how much their figures scatter. */
export interface ForecastSlice {
  /** What steps of comparisons took on this machine. */
  paces: Paces;
  /** Standard deviation of a token's log loss, from the last run of this model; null before one. */
  measurement: { spread: number } | null;
}

/** The comparison on show. */
export interface RunSlice {
  /** The run on show: the one under way, else the last with findings. */
  run: Run | null;

  compare(): Promise<void>;
  /** Asks for a folder and, when one is chosen, compares with files written there. */
  compareIntoFolder(): Promise<void>;
  /** Ends the measurement under way and keeps its figures. */
  finish(): Promise<void>;
  cancel(): Promise<void>;
}

/** Finished comparisons in the browser's storage. */
export interface HistorySlice {
  /** Finished reports kept in this browser, the latest first. */
  stored: readonly StoredReport[];
  /** What is kept in all; null until it is known. */
  storage: Storage | null;
  /** Something is being read from storage or deleted there. */
  storageBusy: boolean;

  /** Shows a stored report as a finished run. */
  openStored(key: string): Promise<void>;
  /** Deletes a stored report and the files that no other report uses. */
  removeStored(key: string): Promise<void>;
  removeAllStored(): Promise<void>;
}

/** What a reload broke off. */
export interface InterruptedSlice {
  /** A comparison that a reload broke off, and what has to be chosen or allowed again before it can go on; null when there is none. */
  interrupted: { model: string; missing: readonly SavedFile[]; locked: number } | null;

  /** Levels and settings, to be saved. */
  setupNow(): Setup;
  /** Goes on with the comparison that a reload broke off; what is finished is not made again. */
  continueInterrupted(): Promise<void>;
  dismissInterrupted(): void;
}

/** An error on show until it is dismissed. */
export interface Notice {
  id: string;
  error: EngineError;
}

/** Errors that have no better place on the page. */
export interface NoticesSlice {
  notices: readonly Notice[];
  dismiss(id: string): void;
}

/** The whole state of the page: handles and numbers, never weights. */
export interface WorkbenchState
  extends
    NoticesSlice,
    FilesSlice,
    LevelsSlice,
    SettingsSlice,
    ForecastSlice,
    RunSlice,
    HistorySlice,
    InterruptedSlice {
  /** Asks what the browser can do, and brings back what a reload broke off. Called once. */
  start(): Promise<void>;
}
