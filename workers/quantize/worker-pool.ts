/**
 * Kernel workers: each quantizes one chunk at a time with the WASM kernel. Chunks are read for them one after the other; a
 * chunk that does not lie in one piece is read by the worker itself. A worker that dies is replaced, and its chunk is
 * quantized again, once.
 */
import pLimit from 'p-limit';
import { releaseMemory } from '../lib/bytes.ts';
import { failure as thrownError, fail } from '../contract/errors.ts';
import { readSequentially, type OpenSequentialReader } from '../io/sequential-reader.ts';
import { blobSource, blobSources } from '../io/source.ts';
import { readStored } from './quantize-chunk.ts';
import type { QuantizedChunk, QuantizeWorker } from './quantize-worker.ts';
import { NO_EXTERNAL_BLOBS, type ExternalBlobs } from '../onnx/writing/write.ts';
import type { Result } from '../contract/errors.ts';
import { blockedBytes } from '../plan/quantize-task.ts';
import { connect, isCrash, transfer, type RemoteWorker, type WorkerLike } from '../rpc/remote.ts';
import { createChunkFeed } from './chunk-feed.ts';
import type { WeightChunk } from './chunks.ts';

export interface WorkerPool {
  readonly threads: number;
  /** Starts the workers, so that they are there when the first chunk comes. */
  warm(): void;
  /**
   * All parts of the chunk by name, see `make`. More calls than threads wait for their turn. When the signal fires the
   * worker is ended and another started when it is needed.
   * Errors: those of `make`; `worker-crashed` when a chunk brings down two workers.
   */
  make(
    chunk: WeightChunk,
    source: File,
    signal: AbortSignal,
    external?: ExternalBlobs,
  ): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Takes back the memory of parts that nobody looks at any more, for codes that come. */
  recycle(bytes: Uint8Array): void;
  /** Ends the workers, and with them what is under way. */
  dispose(): void;
}

/** The one file of external data a chunk reads, or none: there may be hundreds, and each costs something to pass on. */
function fileOf({ tensor: { data } }: WeightChunk, external: ExternalBlobs): ExternalBlobs {
  const file = data.kind === 'external' ? external.get(data.location) : undefined;
  return data.kind === 'external' && file ? new Map([[data.location, file]]) : NO_EXTERNAL_BLOBS;
}

/** A chunk's bytes as they are stored, in memory of their own. */
async function readAlone(chunk: WeightChunk, source: File, external: ExternalBlobs): Promise<Uint8Array<ArrayBuffer>> {
  const files = blobSources(fileOf(chunk, external));
  const bytes = await readStored(chunk, blobSource(source.name, source), files);
  return (bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()) as Uint8Array<ArrayBuffer>;
}

type WorkerSlot = { worker: RemoteWorker<QuantizeWorker> | null };

const startWorker = (): Worker =>
  new Worker(new URL('../entry/quantize.worker.ts', import.meta.url), { type: 'module', name: 'quantize' });

/** What is smaller, as scales are, costs nothing to make anew, and would take the place of codes. */
const SMALLEST_SPARE = 1 << 18;
/** Memory that is so many times what is needed is kept for others. */
const MOST_TOO_LARGE = 2;
/** Chunks read while every worker has one. */
const READ_AHEAD = 1;

export interface PoolOptions {
  /** Opens a file to read chunks from. */
  inOrder?: OpenSequentialReader;
  /** Starts a worker; a web worker when absent. */
  start?: () => WorkerLike;
  /** Whether workers can read files that they are sent. Otherwise this thread reads all chunks for them. */
  workersRead?: boolean;
}

/** Makes a pool of kernel workers, which start when they are first needed. */
export function createWorkerPool(
  threads: number,
  { inOrder = readSequentially, start = startWorker, workersRead = true }: PoolOptions = {},
): WorkerPool {
  const slots: readonly WorkerSlot[] = Array.from({ length: threads }, () => ({ worker: null }));
  const idle = [...slots];
  const oneAtATime = pLimit(threads);
  const ended = new AbortController();
  /** Memory of codes that have been written. */
  const spare: ArrayBuffer[] = [];
  const feed = createChunkFeed(threads + READ_AHEAD, inOrder);

  const withSlot = <T>(work: (slot: WorkerSlot) => Promise<T>): Promise<T> =>
    oneAtATime(async () => {
      const slot = idle.pop()!;
      try {
        return await work(slot);
      } finally {
        idle.push(slot);
      }
    });

  /** Calls the worker of a slot, and ends it when the signal fires. */
  const call = async (
    slot: WorkerSlot,
    signal: AbortSignal,
    invoke: Parameters<RemoteWorker<QuantizeWorker>['call']>[0],
  ): Promise<QuantizedChunk> => {
    const end = () => {
      slot.worker?.terminate();
      slot.worker = null;
    };
    signal.throwIfAborted();
    ended.signal.throwIfAborted();
    signal.addEventListener('abort', end);
    try {
      slot.worker ??= connect<QuantizeWorker>(start());
      const made = (await slot.worker.call(invoke)) as Result<QuantizedChunk>;
      if (made.ok) return made.value;
      throw thrownError(made.error);
    } catch (thrown) {
      signal.throwIfAborted();
      if (isCrash(thrown)) end();
      throw thrown;
    } finally {
      signal.removeEventListener('abort', end);
    }
  };

  const memoryFor = (chunk: WeightChunk): ArrayBuffer | undefined => {
    if (chunk.kind !== 'quantize' || chunk.nibbles) return undefined;
    const { codes } = blockedBytes(chunk.k, chunk.n, chunk.scheme, chunk.type);
    const at = spare.findIndex(({ byteLength }) => byteLength >= codes && byteLength <= codes * MOST_TOO_LARGE);
    return at < 0 ? undefined : spare.splice(at, 1)[0];
  };

  const makeOnce = async (
    chunk: WeightChunk,
    source: File,
    signal: AbortSignal,
    external: ExternalBlobs,
  ): Promise<ReadonlyMap<string, Uint8Array>> => {
    const { parts } = await feed.use(chunk, source, external, (fed) =>
      withSlot(async (slot) => {
        const bytes = fed ?? (workersRead ? null : await readAlone(chunk, source, external));
        const memory = bytes ? memoryFor(chunk) : undefined;
        return call(slot, signal, (api) =>
          bytes
            ? api.quantizeBytes(chunk, transfer(bytes, [bytes.buffer]), memory && transfer(memory, [memory]))
            : api.readAndQuantize(chunk, source.name, source, fileOf(chunk, external)),
        );
      }),
    );
    return parts;
  };

  return {
    threads,
    warm() {
      for (const slot of slots) slot.worker ??= connect<QuantizeWorker>(start());
    },
    async make(chunk, source, signal, external = NO_EXTERNAL_BLOBS) {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        ended.signal.throwIfAborted();
        try {
          return await makeOnce(chunk, source, signal, external);
        } catch (thrown) {
          if (!isCrash(thrown)) throw thrown;
          if (attempt === 2) {
            fail(
              'worker-crashed',
              `The part of the engine that quantizes stopped twice at ${chunk.tensor.name}; most often the tab is out of memory.`,
              'Close other tabs and try again; levels written so far are still here.',
              thrown.message,
            );
          }
        }
      }
    },
    recycle(bytes) {
      if (bytes.buffer.byteLength < SMALLEST_SPARE || spare.length > threads) releaseMemory(bytes);
      else spare.push(bytes.buffer as ArrayBuffer);
    },
    dispose() {
      spare.length = 0;
      ended.abort();
      feed.close();
      for (const slot of slots) {
        slot.worker?.terminate();
        slot.worker = null;
      }
    },
  };
}
