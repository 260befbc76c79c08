/** What is kept between jobs, as one thing for the engine to hold. Works without a disk too: then nothing is kept, and it says so. */
import { engineError, fail } from '../contract/errors.ts';
import type { Sink } from '../onnx/writing/write.ts';
import { blobSink } from '../onnx/writing/write.ts';
import type { EngineError } from '../contract/errors.ts';
import type { OpenedReport, Storage, StoredReport } from '../contract/storage.ts';
import type { Report } from '../contract/report.ts';
import { openCompanionStore } from './companions.ts';
import { isFull, type Disk } from './disk/disk.ts';
import { folderSink, checkFreeNames, type FolderPlatform } from './folder/folder-sink.ts';
import { isKey, levelKey, splitSpellings } from './job-key.ts';
import { checkFreeSpace, type PlannedFile } from './job-room.ts';
import { keepWithFiles, removeUnusedCompanions } from './keep-beside.ts';
import { localLocks, webLocks, type Locks } from './disk/locks.ts';
import { measureOnce, type OnceTask } from './measure-once.ts';
import { opfsDisk } from './disk/opfs.ts';
import { openReportStore, line, type ReportStore, type StoredKeptReport } from './report-store.ts';
import { openResultStore } from './result-store.ts';
import { storageFull } from './room.ts';
import { MEMORY_LIMIT, storedSink, type LevelFile } from './stored-sink.ts';
import { heldNotes, indexedNotes, type WrittenNotes } from './written-notes.ts';

export interface ResultRepository {
  /** Why nothing can be kept, or null. */
  problem: EngineError | null;
  /**
   * For one job: where its files go, and its measurement done once. `warn` hears of each problem once.
   * @param folder Where files go instead of the browser's storage.
   */
  job(
    warn: (error: EngineError) => void,
    folder?: FileSystemDirectoryHandle,
  ): {
    /**
     * Before the first file: warns when not all of them fit, and fails with `storage-full` when not even memory would do;
     * in a folder with `write-failed` when a name is taken that cannot be another.
     */
    checkFreeSpace(files: readonly PlannedFile[]): Promise<void>;
    sink(name: string, source: File, file: LevelFile): Promise<Sink>;
    once(task: OnceTask): Promise<{ report: Report; known: boolean }>;
  };
  history(): Promise<StoredReport[]>;
  /** Fails with `not-stored`. */
  openStored(key: string): Promise<OpenedReport>;
  storage(): Promise<Storage>;
  /** Fails with `busy` when something is being made, after the rest is gone. */
  remove(keys: readonly string[]): Promise<Storage>;
  removeAll(): Promise<Storage>;
}

export interface RepositoryOptions {
  locks: Locks;
  channel(): BroadcastChannel;
  notes?: WrittenNotes;
  recordEvery?: number;
  memoryLimit?: number;
}

/** Results and reports in the browser's private file system. */
export async function openBrowserRepository(): Promise<ResultRepository> {
  // Typed as always there; outside secure contexts it is not.
  const { locks } = (globalThis as { navigator?: { locks?: LockManager } }).navigator ?? {};
  const turns = {
    locks: locks ? webLocks(locks) : localLocks(),
    channel: () => new BroadcastChannel('nibble:progress'),
    notes: indexedNotes(),
  };
  let disk: Disk;
  try {
    disk = await opfsDisk();
  } catch (thrown) {
    return forgetfulKeeper(
      turns,
      engineError(
        'storage-unavailable',
        'This browser keeps no files for this page, as is usual in private windows: results last until the tab is closed.',
        'Download what you want to keep, or use a normal window.',
        String(thrown),
      ),
    );
  }
  return createResultRepository(disk, turns);
}

export async function createResultRepository(
  disk: Disk,
  { locks, channel, notes = heldNotes(), recordEvery, memoryLimit }: RepositoryOptions,
): Promise<ResultRepository> {
  const store = await openResultStore(disk, recordEvery === undefined ? {} : { recordEvery });
  const reports = openReportStore(disk);
  const companions = openCompanionStore(disk);
  const free = async () => {
    const { used, quota } = await disk.room();
    return quota - used;
  };

  const partOf = async (key: string): Promise<Blob | null> => (await store.find(key)) ?? (await store.begun(key));

  async function storage(): Promise<Storage> {
    const [results, kept, companionBytes, room, persisted] = await Promise.all([
      store.list(),
      readAll(reports),
      companions.bytes(),
      disk.room(),
      disk.persisted(),
    ]);
    const known = Number.isFinite(room.quota);
    return {
      problem: null,
      results,
      persisted,
      used: [...results, ...kept].reduce((sum, { bytes }) => sum + bytes, companionBytes),
      quota: known ? room.quota : null,
      free: known ? Math.max(0, room.quota - room.used) : null,
    };
  }

  async function remove(keys: readonly string[]): Promise<Storage> {
    let inUse = 0;
    for (const key of keys.filter(isKey)) {
      const release = await locks.tryHold(key);
      if (!release) {
        inUse++;
        continue;
      }
      try {
        await Promise.all([store.remove(key), reports.remove(key)]);
      } finally {
        release();
      }
    }
    await removeUnusedCompanions({ reports, companions, locks });
    if (inUse > 0)
      fail(
        'busy',
        `${inUse === 1 ? 'One stored result is' : `${inUse} stored results are`} being made just now, here or in another tab.`,
        'Wait for it or cancel it, then delete it; the others are deleted.',
      );
    return storage();
  }

  return {
    problem: null,
    job(warn, folder) {
      const surroundings = {
        store,
        reports,
        locks,
        channel,
        free,
        warn,
        ...(memoryLimit === undefined ? {} : { memoryLimit }),
      };
      /** Said once for the job, it need not be said of each file. */
      let announced = false;
      const unlessAnnounced = (error: EngineError) => {
        if (!announced || error.code !== 'storage-full') warn(error);
      };
      const once = (task: OnceTask) =>
        measureOnce(task, {
          ...surroundings,
          // A job that writes to a folder has its files there.
          keep: (kept, beside) =>
            keepWithFiles(kept, beside && (folder ? { ...beside, original: null } : beside), {
              reports,
              companions,
              store,
              locks,
              free,
            }),
          notKept: (thrown) => {
            warn(
              isFull(thrown)
                ? storageFull('the report', 1, [], 'It is on this page, but will not be there after a reload.')
                : engineError(
                    'write-failed',
                    'The report could not be stored.',
                    'It is on this page: export it to keep it.',
                    String(thrown),
                  ),
            );
          },
        });
      if (folder)
        return { ...filesIn({ folder, locks, channel, notes, stored: (key) => partOf(key).catch(() => null) }), once };
      return {
        async checkFreeSpace(files) {
          // A storage that fails is dealt with where a file is to be written.
          const looked = {
            store: { list: () => store.list().catch(() => []) },
            free: () => free().catch(() => Infinity),
          };
          const problem = await checkFreeSpace(files, { ...looked, memoryLimit: memoryLimit ?? MEMORY_LIMIT });
          if (!problem) return;
          announced = true;
          warn(problem);
        },
        sink: (_name, _source, file) => storedSink(file, { ...surroundings, warn: unlessAnnounced }),
        once,
      };
    },
    history: () => reports.list(),
    async openStored(key) {
      const kept = isKey(key) ? await reports.read(key) : null;
      if (!kept)
        fail(
          'not-stored',
          'This report is not stored any more, or cannot be read.',
          'Drop the model and compare it again; files that are still stored are not made again.',
        );
      const { report } = kept;
      const files = await Promise.all(
        report.levels.map(async ({ level, data }) => {
          const fingerprint = report.model.fingerprint ?? '';
          const split = data && splitSpellings(level, data.file);
          const result = await levelKey(fingerprint, split?.model ?? level);
          return {
            level,
            result,
            file: await store.find(result),
            ...(split && { data: await store.find(await levelKey(fingerprint, split.data)) }),
          };
        }),
      );
      const opened = await Promise.all((kept.companions ?? []).map((companion) => companions.open(companion)));
      return {
        stored: line(kept),
        report,
        files,
        ...(kept.companions && { companions: opened.filter((file) => file !== null) }),
      };
    },
    storage,
    remove,
    async removeAll() {
      await notes.clear();
      return remove([...(await store.keys()), ...(await reports.keys())]);
    },
  };
}

const readAll = async (reports: ReportStore): Promise<StoredKeptReport[]> =>
  (await Promise.all((await reports.keys()).map((key) => reports.read(key)))).filter((kept) => kept !== null);

/** Files of a job that go to a folder of a person's own. */
function filesIn(surroundings: FolderPlatform) {
  return {
    checkFreeSpace: (files: readonly PlannedFile[]) => checkFreeNames(files, surroundings),
    sink: (_name: string, _source: File, file: LevelFile) => folderSink(file, surroundings),
  };
}

function forgetfulKeeper(
  { locks, channel, notes = heldNotes() }: RepositoryOptions,
  problem: EngineError,
): ResultRepository {
  const nothing = async (): Promise<Storage> => ({
    problem,
    used: 0,
    quota: null,
    free: null,
    persisted: false,
    results: [],
  });
  return {
    problem,
    job(warn, folder) {
      const once = async ({ measure, onEvent }: OnceTask) => ({ report: await measure(onEvent), known: false });
      if (folder) return { ...filesIn({ folder, locks, channel, notes, stored: () => Promise.resolve(null) }), once };
      let said = false;
      return {
        checkFreeSpace: () => Promise.resolve(),
        async sink(_, source, file) {
          if (!said) warn(problem);
          said = true;
          return blobSink(source, file.external);
        },
        once,
      };
    },
    history: async () => [],
    openStored: async () => fail(problem.code, problem.message, problem.action, problem.details),
    storage: nothing,
    remove: nothing,
    removeAll: nothing,
  };
}
