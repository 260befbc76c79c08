/** Entry of the engine worker: the pipeline, with what a browser tab provides around it. */
import { engineError, settle } from '../contract/errors.ts';
import { calibrateInWorker, createEvaluator } from '../evaluate/client.ts';
import { createGenerator } from '../evaluate/generate/generator.ts';
import { createSpeedMeter } from '../evaluate/speed/speed-meter.ts';
import { measurePace } from '../kernels/calibrate.ts';
import { chooseKernel } from '../kernels/select.ts';
import { withFallback } from '../kernels/resilient.ts';
import { createWasmKernel } from '../kernels/wasm/kernel.ts';
import { hubFolder } from '../pipeline/hub-folder.ts';
import { createWorkerPool } from '../quantize/worker-pool.ts';
import { withPaths } from '../io/dropped-paths.ts';
import { compare } from '../pipeline/pipeline.ts';
import { modelToCalibrate, open, plan } from '../pipeline/preview.ts';
import type { Engine, Zipping } from '../contract/engine.ts';
import type { Generated } from '../contract/generation.ts';
import type { Job } from '../contract/job.ts';
import type { Result } from '../contract/errors.ts';
import { createReadThread } from '../io/read-thread.ts';
import { expose, reporting } from '../rpc/remote.ts';
import { openBrowserRepository } from '../storage/storage.ts';
import { throttleProgress, throttleSteps } from '../rpc/throttle.ts';

const MOST_THREADS = 8;

/** Without isolation there is no shared memory, and so one thread. */
const threads = crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;

const evaluator = createEvaluator();
const generator = createGenerator(threads);
let kernels: ReturnType<typeof chooseKernel> | null = null;
let running: { stop: AbortController; finish: AbortController } | null = null;
let generating: AbortController | null = null;
let calibrating: AbortController | null = null;
const zipping = new Map<string, AbortController>();

/** Asked anew after a refusal: a person may have allowed it since. */
let keeping: ReturnType<typeof openBrowserRepository> | null = null;

const keeper = async () => {
  keeping ??= openBrowserRepository();
  const kept = await keeping;
  if (kept.problem) keeping = null;
  return kept;
};

/** A device that is lost between two jobs is missed by neither: the next one chooses anew. */
const chosen = () => (kernels ??= choose());

function choose(): NonNullable<typeof kernels> {
  const choice = chooseKernel(navigator.gpu);
  const again = () => {
    if (kernels === choice) kernels = null;
  };
  void choice.then(({ lost }) => lost?.then(again), again);
  return choice;
}

/** How fast a GPU is that the CPU plays says nothing, and takes minutes to find out: only for who asks for it. */
async function isWorthTiming(provider: Job['provider']): Promise<boolean> {
  const { webgpu } = await chosen();
  return webgpu.available && (!webgpu.software || provider === 'webgpu');
}

/** Tried once: what follows is predicted from what jobs take. */
let pace: Promise<number> | null = null;

const engine: Engine = {
  async capabilities() {
    const { kernel, webgpu } = await chosen();
    pace ??= createWasmKernel().then((wasm) => measurePace(wasm));
    const measured = await pace.catch(() => null);
    return {
      backend: kernel.backend === 'webgpu' ? 'webgpu' : 'wasm',
      webgpu,
      isolated: crossOriginIsolated,
      threads,
      ...(measured !== null && { pace: measured }),
    };
  },
  open: (files) => settle(() => open(withPaths(files))),
  async calibrate(files) {
    if (running || generating)
      return { ok: false, error: engineError('busy', 'Something else is running.', 'Wait for it.') };
    calibrating?.abort();
    const stop = new AbortController();
    calibrating = stop;
    const model = await settle(() => modelToCalibrate(withPaths(files)));
    if (!model.ok) return model;
    return model.value ? calibrateInWorker(model.value, threads, stop.signal) : { ok: true, value: [] };
  },
  plan: (files, levels, variants) => settle(() => plan(withPaths(files), levels, variants)),
  compare: (job, port) =>
    reporting(port, async (report) => {
      if (running)
        return {
          ok: false,
          error: engineError('busy', 'A comparison is running already.', 'Wait for it, or cancel it first.'),
        };
      const signals = { stop: new AbortController(), finish: new AbortController() };
      running = signals;
      generating?.abort();
      calibrating?.abort();
      const send = throttleProgress(report);
      const reader = createReadThread();
      const pool = createWorkerPool(Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency)), {
        inOrder: reader.inOrder,
      });
      try {
        return await settle(async () =>
          compare(
            { ...job, files: withPaths(job.files) },
            {
              ...(await keeper()).job((error) => {
                send({ type: 'warning', error });
              }, job.folder),
              kernel: async () =>
                withFallback((await chosen()).kernel, createWasmKernel, (reason) => {
                  kernels = null;
                  send({
                    type: 'warning',
                    error: engineError(
                      'device-lost',
                      'The GPU went away while quantizing; the rest was done on the CPU.',
                      'Nothing is lost. If it happens often, update the graphics driver.',
                      reason.message,
                    ),
                  });
                }),
              pool,
              reader,
              evaluator,
              // Loaded when a method needs it: most jobs calibrate nothing.
              openRuntime: async (count) =>
                (await import('../evaluate/sessions/providers.ts')).openProvider('wasm', count),
              speedMeter: createSpeedMeter(async () =>
                (await isWorthTiming(job.provider)) ? ['wasm', 'webgpu'] : ['wasm'],
              ),
              threads,
            },
            send,
            signals.stop.signal,
            signals.finish.signal,
          ),
        );
      } finally {
        running = null;
        pool.dispose();
        reader.dispose();
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
  generate: (job, port) =>
    reporting<Generated, Result<null>>(port, async (report) => {
      if (running)
        return {
          ok: false,
          error: engineError(
            'busy',
            'A comparison is running, and a model running beside it would spoil its figures.',
            'Wait for it, or cancel it first.',
          ),
        };
      if (generating)
        return {
          ok: false,
          error: engineError('busy', 'A prompt is being continued already.', 'Wait for it, or stop it first.'),
        };
      calibrating?.abort();
      const stop = new AbortController();
      generating = stop;
      try {
        const result = await generator.generate({ ...job, files: withPaths(job.files) }, report, stop.signal);
        return !result.ok && result.error.code === 'cancelled'
          ? { ok: false, error: engineError('cancelled', 'Stopped.', 'Press Continue to start again.') }
          : result;
      } finally {
        generating = null;
      }
    }),
  cancelGeneration() {
    generating?.abort();
    return Promise.resolve();
  },
  hubFolder: (job, port, key) =>
    reporting<Zipping, Result<Blob>>(port, async (report) => {
      const stop = new AbortController();
      zipping.set(key, stop);
      try {
        return await settle(() =>
          hubFolder({ ...job, files: withPaths(job.files) }, stop.signal, throttleSteps(report)),
        );
      } finally {
        zipping.delete(key);
      }
    }),
  cancelHubFolder(key) {
    zipping.get(key)?.abort();
    return Promise.resolve();
  },
  history: () => settle(async () => (await keeper()).history()),
  openStored: (key) => settle(async () => (await keeper()).openStored(key)),
  storage: () => settle(async () => (await keeper()).storage()),
  remove: (keys) => settle(async () => (await keeper()).remove(keys)),
  removeAll: () => settle(async () => (await keeper()).removeAll()),
};

expose(engine);
