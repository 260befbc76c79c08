/**
 * The page's side of the engine worker, and the only file here that knows it is a worker. Calls always settle with a
 * `Result`: a worker that dies becomes `worker-crashed` and the next call starts another. Nothing in a WASM runtime
 * can be interrupted, so a cancel that is not heeded soon ends the worker.
 */
import type { Capabilities } from '../../workers/contract/capabilities.ts';
import type { Engine, HubFolderJob, Zipping } from '../../workers/contract/engine.ts';
import type { EngineError, Result } from '../../workers/contract/errors.ts';
import type { EngineEvent, Timing } from '../../workers/contract/events.ts';
import type { Generated, GenerationJob } from '../../workers/contract/generation.ts';
import type { Job, LevelRequest } from '../../workers/contract/job.ts';
import type { LevelPlan } from '../../workers/contract/level-plan.ts';
import type { Opened } from '../../workers/contract/files.ts';
import type { OpenedReport, Storage, StoredReport } from '../../workers/contract/storage.ts';
import type { Report } from '../../workers/contract/report.ts';
import { pathOf } from '../lib/path.ts';
import { requestPersistenceOnce } from './keep.ts';
import { connect, WORKER_CRASHED, type RemoteWorker } from '../../workers/rpc/remote.ts';

export interface EngineClient {
  capabilities(): Promise<Result<Capabilities>>;
  open(files: File[]): Promise<Result<Opened>>;
  /** What loading and running the model for a moment took; absent where an engine does not offer it. */
  calibrate?(files: File[]): Promise<Result<Timing[]>>;
  /** @param variants Settings that might be chosen next; their plans come after those of the levels, without a ledger. */
  plan(files: File[], levels: LevelRequest[], variants?: LevelRequest[]): Promise<Result<LevelPlan[]>>;
  compare(job: Job, onEvent: (event: EngineEvent) => void): Promise<Result<Report>>;
  /** Settles once the comparison under way has settled, at the latest after `CANCEL_PATIENCE_MS`. */
  cancel(): Promise<void>;
  /** Asks the comparison under way to end its measurement and keep what it has; `compare` settles with that. */
  finish(): Promise<void>;
  /** Continues a prompt, model after model; `busy` while a comparison runs. */
  generate(job: GenerationJob, onEvent: (event: Generated) => void): Promise<Result<null>>;
  /** Settles once the continuation under way has settled, with `cancelled`. */
  cancelGeneration(): Promise<void>;
  /** Settles with `cancelled` when the signal fires. */
  hubFolder(job: HubFolderJob, onProgress: (progress: Zipping) => void, signal: AbortSignal): Promise<Result<Blob>>;
  /** Ends the worker; the next call starts another. */
  restart(): void;
}

/** What is kept between visits; see the engine's protocol. */
export interface StorageClient {
  history(): Promise<Result<StoredReport[]>>;
  openStored(key: string): Promise<Result<OpenedReport>>;
  storage(): Promise<Result<Storage>>;
  remove(keys: string[]): Promise<Result<Storage>>;
  removeAll(): Promise<Result<Storage>>;
}

/** How long the engine may take to stop by itself. */
export const CANCEL_PATIENCE_MS = 400;

const CRASHED: Omit<EngineError, 'details'> = {
  code: 'worker-crashed',
  message: 'The engine stopped unexpectedly, most often because the tab ran out of memory.',
  action:
    'Try again, with fewer levels at once or a smaller model if it happens twice. The files and levels on this page are still here.',
};

const CANCELLED: EngineError = {
  code: 'cancelled',
  message: 'The comparison was cancelled.',
  action: 'Start it again whenever you like; files that are finished are not made again.',
  details: '',
};

function asError(thrown: unknown): EngineError {
  const details = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return thrown instanceof Error && thrown.name === WORKER_CRASHED
    ? { ...CRASHED, details }
    : {
        code: 'internal',
        message: 'The engine failed in a way it should not.',
        action: 'Try again, and report the details if it happens twice.',
        details,
      };
}

/** As the engine wants them: where a file lay goes with it as its name. The bytes stay where they are. */
const named = (files: readonly File[]): File[] =>
  files.map((file) => {
    const path = pathOf(file);
    return path === file.name ? file : new File([file], path, { type: file.type, lastModified: file.lastModified });
  });

const startWorker = (): RemoteWorker<Engine> =>
  connect<Engine>(
    new Worker(new URL('../../workers/entry/engine.worker.ts', import.meta.url), { type: 'module', name: 'engine' }),
  );

/** @param onKept Called when a job has written a file, which should not be cleared away. */
export function createEngineClient(
  start: () => RemoteWorker<Engine> = startWorker,
  onKept: () => void = requestPersistenceOnce,
): EngineClient & StorageClient {
  let worker: RemoteWorker<Engine> | null = null;
  let comparing: { done: Promise<unknown>; cancelled: boolean } | null = null;
  let generating: { done: Promise<unknown>; cancelled: boolean } | null = null;
  /** Hub folders asked for so far. */
  let folders = 0;

  const alive = (): RemoteWorker<Engine> => {
    if (worker) return worker;
    const fresh = start();
    worker = fresh;
    void fresh.gone.then(() => {
      if (worker === fresh) worker = null;
    });
    return fresh;
  };
  const restart = () => {
    const old = worker;
    worker = null;
    old?.terminate();
  };
  const settle = async <T>(call: () => Promise<Result<T>>): Promise<Result<T>> => {
    try {
      return await call();
    } catch (thrown) {
      return { ok: false, error: asError(thrown) };
    }
  };

  return {
    capabilities: () =>
      settle<Capabilities>(async () => ({ ok: true, value: await alive().call((api) => api.capabilities()) })),
    open: (files) => settle(() => alive().call<Result<Opened>>((api) => api.open(named(files)))),
    calibrate: (files) => settle(() => alive().call<Result<Timing[]>>((api) => api.calibrate(named(files)))),
    plan: (files, levels, variants) =>
      settle(() => alive().call<Result<LevelPlan[]>>((api) => api.plan(named(files), levels, variants))),
    async compare(job, onEvent) {
      const task = { done: Promise.resolve() as Promise<unknown>, cancelled: false };
      const reply = settle(() =>
        alive().callWithEvents<EngineEvent, Result<Report>>(
          (event) => {
            if (event.type === 'written' && event.folder === undefined) onKept();
            if (!task.cancelled) onEvent(event);
          },
          (api, port) => api.compare({ ...job, files: named(job.files) }, port),
        ),
      );
      task.done = reply;
      comparing = task;
      const result = await reply;
      if (comparing === task) comparing = null;
      return task.cancelled && !result.ok ? { ok: false, error: CANCELLED } : result;
    },
    async cancel() {
      const task = comparing;
      if (!task) return;
      task.cancelled = true;
      // Asked for, not waited for: a busy or dead worker never answers, and `gone` or the clock settles it.
      void settle(async () => {
        await alive().call((api) => api.cancel());
        return { ok: true, value: null };
      });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<'late'>((resolve) => {
        timer = setTimeout(() => {
          resolve('late');
        }, CANCEL_PATIENCE_MS);
      });
      const first = await Promise.race([task.done, patience]);
      clearTimeout(timer);
      if (first !== 'late') return;
      restart();
      await task.done;
    },
    async finish() {
      if (!comparing || comparing.cancelled) return;
      // A worker that dies of it is told of by `compare`.
      await settle(async () => {
        await alive().call((api) => api.finish());
        return { ok: true, value: null };
      });
    },
    async generate(job, onEvent) {
      const task = { done: Promise.resolve() as Promise<unknown>, cancelled: false };
      const reply = settle(() =>
        alive().callWithEvents<Generated, Result<null>>(
          (event) => {
            if (!task.cancelled) onEvent(event);
          },
          (api, port) => api.generate({ ...job, files: named(job.files) }, port),
        ),
      );
      task.done = reply;
      generating ??= task;
      const result = await reply;
      if (generating === task) generating = null;
      return result;
    },
    async cancelGeneration() {
      const task = generating;
      if (!task || task.cancelled) return;
      task.cancelled = true;
      // The engine only waits while another worker runs the model, so it heeds this at once; if it is gone, so is the task.
      await settle(async () => {
        await alive().call((api) => api.cancelGeneration());
        return { ok: true, value: null };
      });
      await task.done;
    },
    async hubFolder(job, onProgress, signal) {
      const key = `folder ${++folders}`;
      const cancel = () => {
        void settle(async () => {
          await alive().call((api) => api.cancelHubFolder(key));
          return { ok: true, value: null };
        });
      };
      signal.addEventListener('abort', cancel);
      const result = await settle(() =>
        alive().callWithEvents<Zipping, Result<Blob>>(onProgress, (api, port) =>
          api.hubFolder({ ...job, files: named(job.files) }, port, key),
        ),
      );
      signal.removeEventListener('abort', cancel);
      return result;
    },
    restart,
    history: () => settle(() => alive().call<Result<StoredReport[]>>((api) => api.history())),
    openStored: (key) => settle(() => alive().call<Result<OpenedReport>>((api) => api.openStored(key))),
    storage: () => settle(() => alive().call<Result<Storage>>((api) => api.storage())),
    remove: (keys) => settle(() => alive().call<Result<Storage>>((api) => api.remove(keys))),
    removeAll: () => settle(() => alive().call<Result<Storage>>((api) => api.removeAll())),
  };
}
