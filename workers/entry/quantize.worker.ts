/** Entry of a kernel worker: makes slabs on the WASM kernel. */
import { toEngineError } from '../contract/errors.ts';
import type { Kernel } from '../kernels/kernel.ts';
import { createWasmKernel } from '../kernels/wasm/kernel.ts';
import { quantizeChunk, quantizeBytes } from '../quantize/quantize-chunk.ts';
import type { ExternalBlobs } from '../onnx/writing/write.ts';
import type { Result } from '../contract/errors.ts';
import { expose, transfer } from '../rpc/remote.ts';
import type { WeightChunk } from '../quantize/chunks.ts';
import { blobSource, blobSources, type ByteSource } from '../io/source.ts';

export interface QuantizeWorker {
  /** Of the slab's bytes as they are stored, which come back, to be filled again. Codes go to `memory` if there is room. */
  makeOf(
    slab: WeightChunk,
    stored: Uint8Array<ArrayBuffer>,
    memory: ArrayBuffer | undefined,
  ): Promise<Result<QuantizedChunk>>;
  /** The worker reads them itself. */
  make(slab: WeightChunk, name: string, source: Blob, external: ExternalBlobs): Promise<Result<QuantizedChunk>>;
}

export interface QuantizedChunk {
  parts: Map<string, Uint8Array>;
  stored?: ArrayBuffer;
}

const kernel: Promise<Kernel> = createWasmKernel();
// Whoever asks for the first slab hears of it.
kernel.catch(() => undefined);
/** Ending the worker is how a slab is cancelled. */
const { signal } = new AbortController();

/** A source that gives back what was read of it when the slab is made. */
function returning(source: ByteSource): { source: ByteSource; giveBack(): void } {
  const read: Uint8Array[] = [];
  return {
    source: {
      ...source,
      async read(offset, length) {
        const bytes = await source.read(offset, length);
        read.push(bytes);
        return bytes;
      },
    },
    giveBack() {
      for (const bytes of read) source.release?.(bytes);
    },
  };
}

async function reply(work: () => Promise<QuantizedChunk>): Promise<Result<QuantizedChunk>> {
  try {
    const made = await work();
    const buffers = [...made.parts.values()].map(({ buffer }) => buffer as ArrayBuffer);
    return transfer({ ok: true, value: made }, [...new Set(made.stored ? [...buffers, made.stored] : buffers)]);
  } catch (thrown) {
    return { ok: false, error: toEngineError(thrown) };
  }
}

const worker: QuantizeWorker = {
  makeOf: (slab, stored, memory) =>
    reply(async () => ({
      parts: new Map(await quantizeBytes(slab, stored, await kernel, signal, memory)),
      stored: stored.buffer,
    })),
  make: (slab, name, source, external) =>
    reply(async () => {
      const given = returning(blobSource(name, source));
      const others = new Map([...blobSources(external)].map(([location, file]) => [location, returning(file)]));
      try {
        return {
          parts: new Map(
            await quantizeChunk(
              slab,
              given.source,
              await kernel,
              signal,
              new Map([...others].map(([location, file]) => [location, file.source])),
            ),
          ),
        };
      } finally {
        for (const file of [given, ...others.values()]) file.giveBack();
      }
    }),
};

expose(worker);
