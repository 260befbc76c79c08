/** Entry of a kernel worker: makes slabs on the WASM kernel. It reads the weights itself, by range, from the dropped file. */
import { toEngineError } from './errors.ts';
import type { Kernel } from './kernels/kernel.ts';
import { createWasmKernel } from './kernels/wasm/kernel.ts';
import { make } from './make.ts';
import type { ExternalBlobs } from './onnx/write.ts';
import type { Result } from './protocol.ts';
import { expose, transfer } from './remote.ts';
import type { Slab } from './slabs.ts';
import { blobSource, blobSources } from './source.ts';

export interface MakeWorker {
  make(slab: Slab, name: string, source: Blob, external: ExternalBlobs): Promise<Result<Map<string, Uint8Array>>>;
}

let kernel: Promise<Kernel> | null = null;
/** Ending the worker is how a slab is cancelled. */
const { signal } = new AbortController();

const worker: MakeWorker = {
  async make(slab, name, source, external) {
    try {
      const parts = new Map(await make(slab, blobSource(name, source), await (kernel ??= createWasmKernel()), signal, blobSources(external)));
      return transfer({ ok: true, value: parts }, [...new Set([...parts.values()].map(({ buffer }) => buffer as ArrayBuffer))]);
    } catch (thrown) {
      return { ok: false, error: toEngineError(thrown) };
    }
  },
};

expose(worker);
