/** What every slice of the store is made with. */
import type { StoreApi } from 'zustand/vanilla';
import type { Result } from '../../../workers/contract/errors.ts';
import type { EngineClient, StorageClient } from '../../engine/client.ts';
import type { Folders } from '../../features/folder/picker.ts';
import type { PaceStore } from '../forecast/pace-store.ts';
import type { Origin } from '../levels.ts';
import type { Session } from '../session/session.ts';
import type { WorkbenchState } from '../state.ts';

/** The platform a store works on: the engine, a clock, and what the browser keeps or asks for. */
export interface Dependencies {
  engine: EngineClient & StorageClient;
  origin: Origin;
  /** Fetches the sample model, its tokenizer and text. */
  fetchSample(onProgress: (done: number, total: number | null) => void): Promise<Result<File[]>>;
  /** Absent where a page cannot ask for folders. */
  folders?: Folders | null;
  /** What survives a reload; nothing when absent. */
  session?: Session | null;
  /** Where paces are remembered; in this tab alone when absent. */
  paceStore?: PaceStore | null;
}

/** Access to the whole state, for a slice that reads or changes another one's part. */
export interface SliceContext {
  set: StoreApi<WorkbenchState>['setState'];
  get(): WorkbenchState;
  dependencies: Dependencies;
}
