/** Entry of a kernel worker: makes slabs on the WASM kernel. It reads the weights itself, by range, from the dropped file. */
import { toEngineError } from './errors.ts';
import type { Kernel } from './kernels/kernel.ts';
import { createWasmKernel } from './kernels/wasm/kernel.ts';
import { make } from './make.ts';
import type { ExternalBlobs } from './onnx/write.ts';
import type { Result } from './protocol.ts';
import { expose, transfer } from './remote.ts';
import type { Slab } from './slabs.ts';
import { blobSource, blobSources, type ByteSource } from './source.ts';

export interface MakeWorker {
  make(slab: Slab, name: string, source: Blob, external: ExternalBlobs): Promise<Result<Map<string, Uint8Array>>>;
}

let kernel: Promise<Kernel> | null = null;
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

const worker: MakeWorker = {
  async make(slab, name, source, external) {
    const given = returning(blobSource(name, source));
    const others = new Map([...blobSources(external)].map(([location, file]) => [location, returning(file)]));
    try {
      const parts = new Map(await make(slab, given.source, await (kernel ??= createWasmKernel()), signal, new Map([...others].map(([location, file]) => [location, file.source]))));
      return transfer({ ok: true, value: parts }, [...new Set([...parts.values()].map(({ buffer }) => buffer as ArrayBuffer))]);
    } catch (thrown) {
      return { ok: false, error: toEngineError(thrown) };
    } finally {
      for (const file of [given, ...others.values()]) file.giveBack();
    }
  },
};

expose(worker);
