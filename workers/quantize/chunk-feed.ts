/**
 * Reads slabs for kernel workers, one after the other in the order they are asked for, into a few buffers that go to a
 * worker and come back.
 */
import type { SequentialReader, OpenSequentialReader } from '../io/sequential-reader.ts';
import { elementCount, packedBytes } from '../onnx/numbers/element-types.ts';
import type { ExternalBlobs } from '../onnx/writing/write.ts';
import { CHUNK_LIMITS, type WeightChunk } from './chunks.ts';

export interface ChunkFeed {
  /**
   * The slab's bytes as they are stored, read once there is a buffer for them; null when they do not lie in one piece, are
   * too many, or are not there. Give the buffer back, or say with null that it is lost.
   * Errors: `file-changed`.
   */
  read(
    slab: WeightChunk,
    source: File,
    external: ExternalBlobs,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer> | null; giveBack(buffer: ArrayBuffer | null): void }>;
  close(): void;
}

const SIZE = CHUNK_LIMITS.slab;

/**
 * @param buffers How many slabs may be read and not made yet.
 * @param inOrder Opens a file; null where it cannot be read in order.
 */
export function createChunkFeed(buffers: number, inOrder: OpenSequentialReader): ChunkFeed {
  const files = new Map<Blob, SequentialReader | null>();
  const free: ArrayBuffer[] = [];
  const waiting: (() => void)[] = [];
  let inUse = 0;

  const readerOf = (blob: Blob, name: string): SequentialReader | null => {
    let reader = files.get(blob);
    if (reader === undefined) files.set(blob, (reader = inOrder(name, blob)));
    return reader;
  };
  const giveBack = (buffer: ArrayBuffer | null) => {
    if (buffer) free.push(buffer);
    const next = waiting.shift();
    if (next) next();
    else inUse--;
  };

  return {
    async read(slab, source, external) {
      const place = placeOf(slab, source, external);
      const reader = place && readerOf(place.blob, place.name);
      if (!reader) return { bytes: null, giveBack: () => undefined };
      if (inUse >= buffers)
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      else inUse++;
      try {
        return { bytes: await reader.read(place.offset, place.length, free.pop() ?? new ArrayBuffer(SIZE)), giveBack };
      } catch (thrown) {
        giveBack(null);
        throw thrown;
      }
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
