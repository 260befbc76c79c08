/**
 * Kernel workers: each makes one slab at a time on the WASM kernel, and reads its weights from the dropped file itself,
 * so that reading, too, happens on all of them. A worker that dies is replaced and its slab made again, once.
 */
import { failure as thrownError, fail } from './errors.ts';
import type { MakeWorker } from './make.worker.ts';
import { NO_EXTERNAL_BLOBS, type ExternalBlobs } from './onnx/write.ts';
import { connect, WORKER_CRASHED, type RemoteWorker } from './remote.ts';
import type { Slab } from './slabs.ts';

export interface MakePool {
  readonly threads: number;
  /**
   * All parts of the slab by name, see `make`. More calls than threads wait for their turn. When the signal fires the
   * worker is ended and another started when it is needed.
   * Errors: those of `make`; `worker-crashed` when a slab brings down two workers.
   */
  make(slab: Slab, source: File, signal: AbortSignal, external?: ExternalBlobs): Promise<ReadonlyMap<string, Uint8Array>>;
  dispose(): void;
}

/** The one file of external data a slab reads, or none: there may be hundreds, and each costs something to pass on. */
function ofSlab({ tensor: { data } }: Slab, external: ExternalBlobs): ExternalBlobs {
  const file = data.kind === 'external' ? external.get(data.location) : undefined;
  return data.kind === 'external' && file ? new Map([[data.location, file]]) : NO_EXTERNAL_BLOBS;
}

type Lane = { worker: RemoteWorker<MakeWorker> | null };

const startWorker = (): Worker => new Worker(new URL('./make.worker.ts', import.meta.url), { type: 'module', name: 'quantize' });

/** @param start Makes a worker; another one in tests. */
export function createMakePool(threads: number, start: () => Worker = startWorker): MakePool {
  const idle: Lane[] = Array.from({ length: threads }, () => ({ worker: null }));
  const waiting: ((lane: Lane) => void)[] = [];

  const take = (): Promise<Lane> => {
    const lane = idle.pop();
    return lane ? Promise.resolve(lane) : new Promise((resolve) => { waiting.push(resolve); });
  };
  const giveBack = (lane: Lane) => {
    const next = waiting.shift();
    if (next) next(lane);
    else idle.push(lane);
  };

  const makeIn = async (lane: Lane, slab: Slab, source: File, signal: AbortSignal, external: ExternalBlobs): Promise<ReadonlyMap<string, Uint8Array>> => {
    const end = () => {
      lane.worker?.terminate();
      lane.worker = null;
    };
    signal.addEventListener('abort', end);
    try {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        lane.worker ??= connect<MakeWorker>(start());
        try {
          const made = await lane.worker.call<Awaited<ReturnType<MakeWorker['make']>>>((api) => api.make(slab, source.name, source, ofSlab(slab, external)));
          if (made.ok) return made.value;
          throw thrownError(made.error);
        } catch (thrown) {
          signal.throwIfAborted();
          if (!(thrown instanceof Error) || thrown.name !== WORKER_CRASHED) throw thrown;
          end();
          if (attempt === 2) {
            fail('worker-crashed', `The part of the engine that quantizes stopped twice at ${slab.tensor.name}; most often the tab is out of memory.`,
              'Close other tabs and try again; levels written so far are still here.', thrown.message);
          }
        }
      }
    } finally {
      signal.removeEventListener('abort', end);
    }
  };

  return {
    threads,
    async make(slab, source, signal, external = NO_EXTERNAL_BLOBS) {
      const lane = await take();
      try {
        return await makeIn(lane, slab, source, signal, external);
      } finally {
        giveBack(lane);
      }
    },
    dispose() {
      for (const lane of idle) {
        lane.worker?.terminate();
        lane.worker = null;
      }
    },
  };
}
