/** The page's store on the engine's own reading and planning of files, in Node: nothing is quantized or measured. */
import { withPaths } from '../workers/io/dropped-paths.ts';
import { settle } from '../workers/contract/errors.ts';
import { open, plan } from '../workers/pipeline/preview.ts';
import type { Capabilities } from '../workers/contract/capabilities.ts';
import type { EngineError, Result } from '../workers/contract/errors.ts';
import type { EngineEvent } from '../workers/contract/events.ts';
import type { Job } from '../workers/contract/job.ts';
import type { Report } from '../workers/contract/report.ts';
import type { Storage } from '../workers/contract/storage.ts';
import { pathOf } from '../src/lib/path.ts';
import type { EngineClient, StorageClient } from '../src/engine/client.ts';
import type { Dependencies } from '../src/store/slices/context.ts';
import { createWorkbench } from '../src/store/workbench.ts';

export const CPU_ONLY: Capabilities = {
  backend: 'wasm',
  webgpu: { available: false, reason: 'the browser offers no adapter' },
  isolated: true,
  threads: 2,
};
export const WITH_GPU: Capabilities = {
  backend: 'webgpu',
  webgpu: { available: true, adapter: 'made up', f16: true },
  isolated: true,
  threads: 2,
};

export interface Comparison {
  job: Job;
  send(event: EngineEvent): void;
  settle(result: Result<Report>): void;
}

const notHere: EngineError = {
  code: 'not-stored',
  message: 'Nothing is stored here.',
  action: 'Compare.',
  details: '',
};
const refused = { ok: false, error: notHere } as const;
const empty: Storage = { problem: null, used: 0, quota: null, free: null, persisted: false, results: [] };
/** As the client sends them: a path is the name. */
const named = (files: readonly File[]) =>
  withPaths(files.map((file) => (pathOf(file) === file.name ? file : new File([file], pathOf(file)))));

/** A workbench that has started on a machine with these capabilities. `comparisons` are the jobs it asked for. */
export async function pageWithEngine(capabilities: Capabilities, more: Partial<Dependencies> = {}) {
  const comparisons: Comparison[] = [];
  const engine: EngineClient & StorageClient = {
    capabilities: () => Promise.resolve({ ok: true, value: capabilities }),
    open: (files) => settle(() => open(named(files))),
    plan: (files, levels, variants) => settle(() => plan(named(files), levels, variants)),
    compare: (job, send) =>
      new Promise((resolve) => {
        comparisons.push({ job, send, settle: resolve });
      }),
    cancel: () => {
      comparisons.at(-1)?.settle({ ok: false, error: { ...notHere, code: 'cancelled' } });
      return Promise.resolve();
    },
    finish: () => Promise.resolve(),
    generate: () => Promise.resolve(refused),
    hubFolder: () => Promise.resolve(refused),
    cancelGeneration: () => Promise.resolve(),
    restart: () => undefined,
    history: () => Promise.resolve({ ok: true, value: [] }),
    openStored: () => Promise.resolve(refused),
    storage: () => Promise.resolve({ ok: true, value: empty }),
    remove: () => Promise.resolve({ ok: true, value: empty }),
    removeAll: () => Promise.resolve({ ok: true, value: empty }),
  };
  let count = 0;
  const store = createWorkbench({
    engine,
    origin: { uid: () => `id${++count}`, now: () => Date.now() },
    fetchSample: () => Promise.resolve(refused),
    ...more,
  });
  await store.getState().start();
  return { store, comparisons };
}

/** Waits until a condition on the store holds. */
export async function until(
  store: { subscribe(listener: () => void): () => void },
  holds: () => boolean,
): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve) => {
    const stop = store.subscribe(() => {
      if (holds()) {
        stop();
        resolve();
      }
    });
  });
}
