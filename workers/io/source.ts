import { releaseMemory } from '../lib/bytes.ts';
import { failure, fileChanged } from '../contract/errors.ts';
import { readSequentially, type SequentialReader, type OpenSequentialReader } from './sequential-reader.ts';

/** Bytes that can be read by range: a dropped file in the tab, an open file in Node, an array in a test. */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes from `offset`; rejects when the range lies outside. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Its ranges in rising order at less cost, see in-order.ts; absent, or null, where that cannot be done. */
  inOrder?(): SequentialReader | null;
  /**
   * Gives the memory of what was read back at once, rather than whenever garbage is next collected: by the megabyte that
   * adds up. The bytes are gone then. Absent where what is read is no copy.
   */
  release?(bytes: Uint8Array): void;
}

/** Files that a model's external data lies in, by location as the model writes it. */
export type ExternalFiles = ReadonlyMap<string, ByteSource>;

export const NO_EXTERNAL_FILES: ExternalFiles = new Map();

export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read: (offset, length) =>
      checkRange(name, bytes.byteLength, offset, length).then(() => bytes.subarray(offset, offset + length)),
  };
}

/** @param inOrder Opens it where ranges are read in order: on this thread, or on another. */
export function blobSource(name: string, blob: Blob, inOrder: OpenSequentialReader = readSequentially): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      await checkRange(name, blob.size, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (thrown) {
        throw failure(fileChanged(name, thrown));
      }
    },
    inOrder: () => inOrder(name, blob),
    release: releaseMemory,
  };
}

/** Several, by their keys. */
export function blobSources(blobs: ReadonlyMap<string, Blob>, inOrder?: OpenSequentialReader): ExternalFiles {
  return new Map([...blobs].map(([name, blob]) => [name, blobSource(name, blob, inOrder)]));
}

const SLAB = 1 << 22;

/** Bytes [start, end) in slabs, each read while the one before it is being dealt with: at most two are in memory. */
async function* readAhead(source: ByteSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  const read = (at: number) => {
    const reading = source.read(at, Math.min(SLAB, end - at));
    // Whoever stops listening must not leave a rejection behind that nobody handles.
    reading.catch(() => undefined);
    return reading;
  };
  let next = start < end ? read(start) : null;
  for (let at = start; next; at += SLAB) {
    const bytes: Uint8Array = await next;
    next = at + SLAB < end ? read(at + SLAB) : null;
    yield bytes;
  }
}

/**
 * The same, each slab there only until the next is asked for. A long range is read in order where that can be done. Whoever
 * stops listening ends the reading.
 */
export async function* readChunks(source: ByteSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  const inOrder = end - start > SLAB ? (source.inOrder?.() ?? null) : null;
  if (!inOrder) {
    for await (const bytes of readAhead(source, start, end)) {
      yield bytes;
      source.release?.(bytes);
    }
    return;
  }
  const read = (at: number, buffer: ArrayBuffer) => {
    const reading = inOrder.read(at, Math.min(SLAB, end - at), buffer);
    reading.catch(() => undefined);
    return reading;
  };
  const free = [new ArrayBuffer(Math.min(SLAB, end - start - SLAB))];
  try {
    let next = read(start, new ArrayBuffer(SLAB));
    for (let at = start; at < end; at += SLAB) {
      const bytes = await next;
      if (at + SLAB < end) next = read(at + SLAB, free.pop()!);
      yield bytes;
      free.push(bytes.buffer);
    }
  } finally {
    inOrder.close();
    for (const buffer of free) source.release?.(new Uint8Array(buffer));
  }
}

async function checkRange(name: string, size: number, offset: number, length: number): Promise<void> {
  if (offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(`${name}: bytes ${offset}..${offset + length} of ${size}`);
  }
}
