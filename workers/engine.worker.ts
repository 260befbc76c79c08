/** Entry of the engine worker: the pipeline, with what a browser tab provides around it. */
import { engineError, settle } from './errors.ts';
import { createEvaluator } from './evaluate/client.ts';
import { chooseKernel } from './kernels/select.ts';
import { withFallback } from './kernels/resilient.ts';
import { createWasmKernel } from './kernels/wasm/kernel.ts';
import { createMakePool } from './make-pool.ts';
import { compare, open, plan } from './pipeline.ts';
import type { Engine } from './protocol.ts';
import { expose, reporting } from './remote.ts';
import { browserKeeper } from './storage/storage.ts';
import { throttleProgress } from './throttle.ts';

const MOST_THREADS = 8;

/** Without isolation there is no shared memory, and so one thread. */
const threads = crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;

const evaluator = createEvaluator();
let kernels: ReturnType<typeof chooseKernel> | null = null;
let running: { stop: AbortController; finish: AbortController } | null = null;

/** Asked anew after a refusal: a person may have allowed it since. */
let keeping: ReturnType<typeof browserKeeper> | null = null;

const keeper = async () => {
  keeping ??= browserKeeper();
  const kept = await keeping;
  if (kept.problem) keeping = null;
  return kept;
};

const chosen = () => (kernels ??= chooseKernel(navigator.gpu));

const engine: Engine = {
  async capabilities() {
    const { kernel, webgpu } = await chosen();
    return { backend: kernel.backend, webgpu, isolated: crossOriginIsolated, threads };
  },
  open: (files) => settle(() => open(files)),
  plan: (files, levels) => settle(() => plan(files, levels)),
  compare: (job, port) => reporting(port, async (report) => {
    if (running) return { ok: false, error: engineError('busy', 'A comparison is running already.', 'Wait for it, or cancel it first.') };
    const signals = { stop: new AbortController(), finish: new AbortController() };
    running = signals;
    const send = throttleProgress(report);
    const pool = createMakePool(Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency)));
    try {
      return await settle(async () => compare(job, {
        ...(await keeper()).job((error) => { send({ type: 'warning', error }); }),
        kernel: async () => withFallback((await chosen()).kernel, createWasmKernel, (reason) => {
          kernels = null;
          send({ type: 'warning', error: engineError('device-lost', 'The GPU went away while quantizing; the rest was done on the CPU.', 'Nothing is lost. If it happens often, update the graphics driver.', reason.message) });
        }),
        pool,
        evaluator,
        threads,
      }, send, signals.stop.signal, signals.finish.signal));
    } finally {
      running = null;
      pool.dispose();
    }
  }),
  cancel() {
    running?.stop.abort();
    return Promise.resolve();
  },
  finish() {
    running?.finish.abort();
    return Promise.resolve();
  },
  history: () => settle(async () => (await keeper()).history()),
  openStored: (key) => settle(async () => (await keeper()).openStored(key)),
  storage: () => settle(async () => (await keeper()).storage()),
  remove: (keys) => settle(async () => (await keeper()).remove(keys)),
  removeAll: () => settle(async () => (await keeper()).removeAll()),
};

expose(engine);
