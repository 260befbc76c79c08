/**
 * Ranges of a file in rising order, read from one stream into memory that is used again: half the work of reading each
 * range by itself, most of which goes into new memory and into talking to the browser's process.
 */
import { failure, fileChanged } from '../contract/errors.ts';

/** Reads ranges of a file in rising order. */
export interface SequentialReader {
  /**
   * `length` bytes from `offset` on, read to the start of `buffer`, whose memory moves into what is returned. Calls wait
   * for one another. Going back, or far ahead, costs a new stream.
   * Errors: `file-changed`.
   */
  read(offset: number, length: number, buffer: ArrayBuffer): Promise<Uint8Array<ArrayBuffer>>;
  /** Closes the stream. Pending reads reject. */
  close(): void;
}

/** Opens a file, called by a name; null where it cannot be read in order. */
export type OpenSequentialReader = (name: string, blob: Blob) => SequentialReader | null;

/** Bytes between two ranges that are read and forgotten: opening a stream costs as much as a few megabytes. */
const LONGEST_GAP = 1 << 20;

/**
 * Readers of open streams. Chromium lets go of a stream that only the wait for its next bytes still knows, and that wait
 * then never ends; so nothing may depend on who calls holding on to it.
 */
const open = new Set<ReadableStreamBYOBReader>();

let byteStreams: boolean | null = null;

/** Whether blobs give byte streams here (https://streams.spec.whatwg.org/#byob-readers). */
export function canReadSequentially(): boolean {
  if (byteStreams === null) {
    const probe = openAt(new Blob(), 0);
    byteStreams = probe !== null;
    void probe?.cancel();
  }
  return byteStreams;
}

/** Opens a file for reading in order on this thread. Null where streams are not supported. */
export function readSequentially(name: string, blob: Blob): SequentialReader | null {
  if (!canReadSequentially()) return null;
  let reader: ReadableStreamBYOBReader | null = null;
  let at = 0;
  let last: Promise<unknown> = Promise.resolve();

  const close = () => {
    if (!reader) return;
    open.delete(reader);
    void reader.cancel().catch(() => undefined);
    reader = null;
  };

  async function fill(buffer: ArrayBuffer, length: number): Promise<ArrayBuffer> {
    let filling = buffer;
    for (let filled = 0; filled < length;) {
      if (!reader) throw new DOMException('The file was closed', 'AbortError');
      // All at once where the browser knows `min`, as many as there are elsewhere.
      const { done, value } = await reader.read(new Uint8Array(filling, filled, length - filled), {
        min: length - filled,
      });
      if (done) throw new Error(`${at} of ${blob.size} bytes`);
      filling = value.buffer;
      filled += value.length;
      at += value.length;
    }
    return filling;
  }

  async function readNow(offset: number, length: number, given: ArrayBuffer): Promise<Uint8Array<ArrayBuffer>> {
    let buffer = given;
    try {
      if (!reader || offset < at || offset - at > LONGEST_GAP) {
        close();
        reader = openAt(blob, offset);
        if (reader) open.add(reader);
        at = offset;
      }
      while (at < offset) buffer = await fill(buffer, Math.min(offset - at, buffer.byteLength));
      return new Uint8Array(await fill(buffer, length), 0, length);
    } catch (thrown) {
      close();
      throw failure(fileChanged(name, thrown));
    }
  }

  return {
    read(offset, length, buffer) {
      const reading = last.then(() => readNow(offset, length, buffer));
      last = reading.catch(() => undefined);
      return reading;
    },
    close,
  };
}

function openAt(blob: Blob, offset: number): ReadableStreamBYOBReader | null {
  try {
    return blob.slice(offset).stream().getReader({ mode: 'byob' });
  } catch {
    return null;
  }
}
