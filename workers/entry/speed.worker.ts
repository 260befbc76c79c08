/** Entry of the worker that measures speed. It is ended after one model on one provider, with its heap. */
import type { ModelFiles } from '../contract/files.ts';
import type { Provider } from '../contract/capabilities.ts';
import type { Result } from '../contract/errors.ts';
import type { Speed } from '../contract/report.ts';
import { expose, reporting } from '../rpc/remote.ts';
import { watchGpuMemory } from '../evaluate/sessions/gpu-memory.ts';
import { watchHeap } from '../evaluate/sessions/heap.ts';
import { openProvider } from '../evaluate/sessions/providers.ts';
import { seededFeeds } from '../evaluate/outputs/seeded-feeds.ts';
import { measureSpeed } from '../evaluate/speed/speed.ts';

/** What the worker answers to. */
export interface SpeedWorker {
  /** Errors: `session-failed` when the provider cannot be had; what is wrong with the model is in the figures. */
  measure(model: ModelFiles, provider: Provider, threads: number, port: MessagePort): Promise<Result<Speed>>;
}

// Before the runtime is loaded, which holds on to what it finds.
const gpu = watchGpuMemory();
const heap = watchHeap();

const worker: SpeedWorker = {
  measure: (model, provider, threads, port) =>
    reporting<never, Result<Speed>>(port, async () => {
      const runtime = await openProvider(provider, threads);
      if (!runtime.ok) return runtime;
      const instruments = { now: () => performance.now() / 1000, heap, gpu: provider === 'webgpu' ? gpu : null };
      return { ok: true, value: await measureSpeed(runtime.value, model, seededFeeds, instruments) };
    }),
};

expose(worker);
