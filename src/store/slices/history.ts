/** Finished comparisons that are still in the browser's storage. */
import type { EngineError, Result } from '../../../workers/contract/errors.ts';
import type { OpenedReport, Storage } from '../../../workers/contract/storage.ts';
import { isActive } from '../run.ts';
import type { HistorySlice } from '../state.ts';
import { ownResults, storedRun, withoutLostFiles } from '../stored-run.ts';
import type { SliceContext } from './context.ts';
import type { Notify } from './notices.ts';

/** @returns The slice, and `refresh`, which lists again what is stored. */
export function createHistorySlice(
  { set, get, dependencies: { engine, origin } }: SliceContext,
  notify: Notify,
): { slice: HistorySlice; refresh(): Promise<void> } {
  const refresh = async () => {
    const [history, storage] = [await engine.history(), await engine.storage()];
    // A list that cannot be read is not reported: the page works without it.
    set({ stored: history.ok ? history.value : [], storage: storage.ok ? storage.value : null });
  };

  /** One at a time, and none during a run, which writes its files there. */
  const withStorage = async (act: () => Promise<EngineError | null>): Promise<void> => {
    if (get().storageBusy || isActive(get().run)) return;
    set({ storageBusy: true });
    const problem = await act();
    await refresh();
    set({ storageBusy: false });
    if (problem) notify(problem);
  };

  /** Takes files that were deleted from the run on show. */
  const afterDeletion = async (result: Result<Storage>): Promise<EngineError | null> => {
    const { run } = get();
    if (run) {
      const left = await withoutLostFiles(run);
      if (get().run === run) set({ run: left });
    }
    return result.ok ? null : result.error;
  };

  /** Keys of a stored report and of the results only it uses; only its own when it can no longer be read. */
  const keysWith = async (key: string): Promise<string[]> => {
    const [opened, history] = [await engine.openStored(key), await engine.history()];
    if (!opened.ok || !history.ok) return [key];
    const others: OpenedReport[] = [];
    for (const stored of history.value.filter((entry) => entry.key !== key)) {
      const other = await engine.openStored(stored.key);
      if (other.ok) others.push(other.value);
      // A report that cannot be read may use any of the files: then none is deleted.
      else if (other.error.code !== 'not-stored') return [key];
    }
    return [key, ...ownResults(opened.value, others)];
  };

  const slice: HistorySlice = {
    stored: [],
    storage: null,
    storageBusy: false,

    openStored(key) {
      return withStorage(async () => {
        const opened = await engine.openStored(key);
        if (!opened.ok) return opened.error;
        // A comparison may have started while this was read.
        if (!isActive(get().run)) set({ run: storedRun(opened.value, origin) });
        return null;
      });
    },
    removeStored(key) {
      return withStorage(async () => afterDeletion(await engine.remove(await keysWith(key))));
    },
    removeAllStored() {
      return withStorage(async () => afterDeletion(await engine.removeAll()));
    },
  };
  return { slice, refresh };
}
