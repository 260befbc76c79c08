import { failure, fileChanged } from './errors.ts';

/** Bytes that can be read by range: a dropped file in the tab, an open file in Node, an array in a test. */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes from `offset`; rejects when the range lies outside. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * All of it from start to end in slabs of `slab` bytes, the last one shorter, each there until the next is asked for. Costs a
   * third of reading ranges; absent, or null, where it cannot be done so.
   */
  slabs?(slab: number): AsyncGenerator<Uint8Array<ArrayBuffer>> | null;
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
    read: (offset, length) => checkRange(name, bytes.byteLength, offset, length).then(() => bytes.subarray(offset, offset + length)),
  };
}

export function blobSource(name: string, blob: Blob): ByteSource {
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
    slabs(slab) {
      const reader = byteReader(blob);
      return reader && slabsOf(name, blob.size, reader, slab);
    },
    release({ buffer }) {
      // Handed to a port nobody listens to, and that is gone at once: `transfer(0)` leaves the memory with Blink.
      const { port1, port2 } = new MessageChannel();
      port1.postMessage(null, [buffer as ArrayBuffer]);
      port1.close();
      port2.close();
    },
  };
}

/** Null where blobs give no byte streams. */
function byteReader(blob: Blob): ReadableStreamBYOBReader | null {
  try {
    return blob.stream().getReader({ mode: 'byob' });
  } catch {
    return null;
  }
}

/** One buffer, filled again and again: a new one for each slab costs more than reading the bytes. */
async function* slabsOf(name: string, size: number, reader: ReadableStreamBYOBReader, slab: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let buffer = new ArrayBuffer(slab);
  let read = 0;
  try {
    for (let filled = 0; ;) {
      const { done, value } = await reader.read(new Uint8Array(buffer, filled)).catch((thrown: unknown) => { throw failure(fileChanged(name, thrown)); });
      if (done) {
        if (read !== size) throw failure(fileChanged(name, new Error(`${read} of ${size} bytes`)));
        if (filled > 0 && value) yield new Uint8Array(value.buffer, 0, filled);
        return;
      }
      buffer = value.buffer;
      filled += value.length;
      read += value.length;
      if (filled < slab) continue;
      yield new Uint8Array(buffer);
      filled = 0;
    }
  } finally {
    // Whoever stops listening ends the reading.
    void reader.cancel().catch(() => undefined);
  }
}

/** Several, by their keys. */
export function blobSources(blobs: ReadonlyMap<string, Blob>): ExternalFiles {
  return new Map([...blobs].map(([name, blob]) => [name, blobSource(name, blob)]));
}

const SLAB = 1 << 22;

/** Bytes [start, end) in slabs, each read while the one before it is being dealt with: at most two are in memory. */
export async function* readAhead(source: ByteSource, start: number, end: number): AsyncGenerator<Uint8Array> {
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

async function checkRange(name: string, size: number, offset: number, length: number): Promise<void> {
  if (offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(`${name}: bytes ${offset}..${offset + length} of ${size}`);
  }
}
