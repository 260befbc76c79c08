/** A sink that joins small writes: a graph of 60,000 nodes is written in some hundred thousand small pieces. */
import type { Sink } from './write.ts';

/** Longer pieces go to the sink as they are. */
const SMALL = 1 << 16;
/** Bytes that are joined into one write. */
const GATHERED = 1 << 20;

/**
 * Wraps a sink so that it gets fewer and larger writes, and short copies as bytes.
 * @param sink Where the bytes go, in the same order.
 * @param read Bytes [start, end) of the source, or of its external data at a location.
 */
export function gatheredSink(
  sink: Sink,
  read: (start: number, end: number, location: string | undefined) => Promise<Uint8Array>,
): Sink {
  const held = new Uint8Array(GATHERED);
  let length = 0;
  const flush = async () => {
    if (length === 0) return;
    const bytes = held.subarray(0, length);
    length = 0;
    await sink.write(bytes);
  };
  const hold = async (bytes: Uint8Array) => {
    if (length + bytes.length > GATHERED) await flush();
    held.set(bytes, length);
    length += bytes.length;
  };
  return {
    ...(sink.resumeAt !== undefined && { resumeAt: sink.resumeAt }),
    ...(sink.place && { place: sink.place }),
    ...(sink.remove && { remove: sink.remove }),
    async write(bytes) {
      if (bytes.length <= SMALL) return hold(bytes);
      await flush();
      return sink.write(bytes);
    },
    async copy(start, end, onBytes, location) {
      if (end - start <= SMALL) {
        await hold(await read(start, end, location));
        onBytes?.(end - start);
        return;
      }
      await flush();
      return sink.copy(start, end, onBytes, location);
    },
    async finish() {
      await flush();
      return sink.finish();
    },
    async discard(forGood) {
      // A later attempt can continue from these bytes, if the sink still accepts them.
      if (!forGood) await flush().catch(() => undefined);
      return sink.discard(forGood);
    },
  };
}
