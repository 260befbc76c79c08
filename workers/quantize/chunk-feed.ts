/**
 * Reads chunks of weights for kernel workers, in the order they are requested, into a few buffers that go to a worker and
 * come back.
 */
import pLimit from 'p-limit';
import type { SequentialReader, OpenSequentialReader } from '../io/sequential-reader.ts';
import { elementCount, packedBytes } from '../onnx/numbers/element-types.ts';
import type { ExternalBlobs } from '../onnx/writing/write.ts';
import { CHUNK_LIMITS, type WeightChunk } from './chunks.ts';

/** What is left of a buffer: absent when it is lost, as with a worker that died. */
export interface UsedBuffer {
  stored?: ArrayBuffer;
}

export interface ChunkFeed {
  /**
   * Reads the chunk's bytes as they are stored, once a buffer is free, and hands them to `work`. The bytes are null when
   * they do not lie in one piece, do not fit a buffer, or are not in the files.
   * Errors: `file-changed`, and those of `work`.
   */
  use<T extends UsedBuffer>(
    chunk: WeightChunk,
    source: File,
    external: ExternalBlobs,
    work: (bytes: Uint8Array<ArrayBuffer> | null) => Promise<T>,
  ): Promise<T>;
  close(): void;
}

const SIZE = CHUNK_LIMITS.slab;

/**
 * @param buffers How many chunks may be read and not quantized yet.
 * @param inOrder Opens a file; null where it cannot be read in order.
 */
export function createChunkFeed(buffers: number, inOrder: OpenSequentialReader): ChunkFeed {
  const files = new Map<Blob, SequentialReader | null>();
  const free: ArrayBuffer[] = [];
  const withBuffer = pLimit(buffers);

  const readerOf = (blob: Blob, name: string): SequentialReader | null => {
    let reader = files.get(blob);
    if (reader === undefined) files.set(blob, (reader = inOrder(name, blob)));
    return reader;
  };

  return {
    use(chunk, source, external, work) {
      const place = placeOf(chunk, source, external);
      const reader = place && readerOf(place.blob, place.name);
      if (!reader) return work(null);
      return withBuffer(async () => {
        const used = await work(await reader.read(place.offset, place.length, free.pop() ?? new ArrayBuffer(SIZE)));
        if (used.stored) free.push(used.stored);
        return used;
      });
    },
    close() {
      for (const reader of files.values()) reader?.close();
      files.clear();
      free.length = 0;
    },
  };
}

function placeOf(
  { tensor: { data, dims, type }, lines }: WeightChunk,
  source: File,
  external: ExternalBlobs,
): { blob: Blob; name: string; offset: number; length: number } | null {
  if (lines || (data.kind !== 'inline' && data.kind !== 'external')) return null;
  const blob = data.kind === 'inline' ? source : external.get(data.location);
  const length = data.length ?? packedBytes(type, elementCount(dims)) ?? Infinity;
  if (!blob || length > SIZE || data.offset + length > blob.size) return null;
  return { blob, name: data.kind === 'inline' ? source.name : data.location, offset: data.offset, length };
}
