/** What a kernel worker does: it makes chunks of quantized weights with the WASM kernel. */
import { toEngineError, type Result } from '../contract/errors.ts';
import { blobSource, blobSources, type ByteSource } from '../io/source.ts';
import { createWasmKernel } from '../kernels/wasm/kernel.ts';
import type { ExternalBlobs } from '../onnx/writing/write.ts';
import { transfer } from '../rpc/remote.ts';
import type { WeightChunk } from './chunks.ts';
import { quantizeBytes, quantizeChunk } from './quantize-chunk.ts';

export interface QuantizeWorker {
  /**
   * Quantizes a chunk from its bytes as they are stored, whose memory comes back in the reply.
   * @param memory Where codes go if they fit.
   */
  quantizeBytes(
    chunk: WeightChunk,
    stored: Uint8Array<ArrayBuffer>,
    memory: ArrayBuffer | undefined,
  ): Promise<Result<QuantizedChunk>>;
  /** Quantizes a chunk that the worker reads itself. */
  readAndQuantize(
    chunk: WeightChunk,
    name: string,
    source: Blob,
    external: ExternalBlobs,
  ): Promise<Result<QuantizedChunk>>;
}

export interface QuantizedChunk {
  parts: Map<string, Uint8Array>;
  stored?: ArrayBuffer;
}

/** Makes the kernel at once; a kernel that cannot be made fails every call. */
export function createQuantizeWorker(): QuantizeWorker {
  const kernel = createWasmKernel();
  kernel.catch(() => undefined);
  /** Never fires: a chunk is cancelled by ending the worker. */
  const { signal } = new AbortController();
  return {
    quantizeBytes: (chunk, stored, memory) =>
      reply(async () => ({
        parts: new Map(await quantizeBytes(chunk, stored, await kernel, signal, memory)),
        stored: stored.buffer,
      })),
    readAndQuantize: (chunk, name, source, external) =>
      reply(async () => {
        const model = noting(blobSource(name, source));
        const others = new Map([...blobSources(external)].map(([location, file]) => [location, noting(file)]));
        try {
          const sources = new Map([...others].map(([location, file]) => [location, file.source]));
          return { parts: new Map(await quantizeChunk(chunk, model.source, await kernel, signal, sources)) };
        } finally {
          for (const file of [model, ...others.values()]) file.release();
        }
      }),
  };
}

/** A source that notes what is read of it, so that the memory can be released once the chunk is made. */
function noting(source: ByteSource): { source: ByteSource; release(): void } {
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
    release() {
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
