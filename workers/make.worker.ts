/** Entry of a kernel worker: makes slabs on the WASM kernel. */
import { toEngineError } from './errors.ts';
import type { Kernel } from './kernels/kernel.ts';
import { createWasmKernel } from './kernels/wasm/kernel.ts';
import { make, makeOf } from './make.ts';
import type { ExternalBlobs } from './onnx/write.ts';
import type { Result } from './protocol.ts';
import { expose, transfer } from './remote.ts';
import type { Slab } from './slabs.ts';
import { blobSource, blobSources, type ByteSource } from './source.ts';

export interface MakeWorker {
  /** Of the slab's bytes as they are stored, which come back, to be filled again. Codes go to `memory` if there is room. */
  makeOf(slab: Slab, stored: Uint8Array<ArrayBuffer>, memory: ArrayBuffer | undefined): Promise<Result<Made>>;
  /** The worker reads them itself. */
  make(slab: Slab, name: string, source: Blob, external: ExternalBlobs): Promise<Result<Made>>;
}

export interface Made {
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

async function reply(work: () => Promise<Made>): Promise<Result<Made>> {
  try {
    const made = await work();
    const buffers = [...made.parts.values()].map(({ buffer }) => buffer as ArrayBuffer);
    return transfer({ ok: true, value: made }, [...new Set(made.stored ? [...buffers, made.stored] : buffers)]);
  } catch (thrown) {
    return { ok: false, error: toEngineError(thrown) };
  }
}

const worker: MakeWorker = {
  makeOf: (slab, stored, memory) => reply(async () => ({ parts: new Map(await makeOf(slab, stored, await kernel, signal, memory)), stored: stored.buffer })),
  make: (slab, name, source, external) => reply(async () => {
    const given = returning(blobSource(name, source));
    const others = new Map([...blobSources(external)].map(([location, file]) => [location, returning(file)]));
    try {
      return { parts: new Map(await make(slab, given.source, await kernel, signal, new Map([...others].map(([location, file]) => [location, file.source])))) };
    } finally {
      for (const file of [given, ...others.values()]) file.giveBack();
    }
  }),
};

expose(worker);
