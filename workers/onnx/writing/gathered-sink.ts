/** A sink that takes small pieces together: a graph of 60,000 nodes is written as a few hundred thousand of them. */
import type { Sink } from './write.ts';

/** Longer pieces go to the sink as they are. */
const SMALL = 1 << 16;
/** Bytes that are gathered before the sink gets them. */
const GATHERED = 1 << 20;

/**
 * @param sink Where the bytes go, in the same order. It sees fewer and larger writes, and short copies as bytes.
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
      // What a later attempt can go on from is kept, if the sink still takes it.
      if (!forGood) await flush().catch(() => undefined);
      return sink.discard(forGood);
    },
  };
}
