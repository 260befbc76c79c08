/** Short ranges of a file, many of them near each other: read in windows, a few of which are kept. */
import type { ByteSource, ExternalFiles } from './source.ts';

/** Longer ranges are read as they are. */
const SHORT = 1 << 16;
const WINDOW = 1 << 20;
/** Windows kept: weights and the nodes that use them lie in different parts of a file. */
const KEPT = 4;

/** A source that reads short ranges through a few cached windows. */
export function windowedSource(source: ByteSource): ByteSource {
  /** By number, the one used last at the end. */
  const windows = new Map<number, Promise<Uint8Array>>();
  const windowAt = (number: number): Promise<Uint8Array> => {
    const known = windows.get(number);
    windows.delete(number);
    const reading = known ?? source.read(number * WINDOW, Math.min(WINDOW, source.size - number * WINDOW));
    windows.set(number, reading);
    // A range that could not be read is tried again.
    reading.catch(() => {
      if (windows.get(number) === reading) windows.delete(number);
    });
    for (const oldest of windows.keys()) {
      if (windows.size <= KEPT) break;
      windows.delete(oldest);
    }
    return reading;
  };
  return {
    ...source,
    async read(offset, length) {
      const number = Math.floor(offset / WINDOW);
      // What lies outside, or in two windows, is left to the source.
      if (length > SHORT || length <= 0 || offset < 0 || offset + length > Math.min(source.size, (number + 1) * WINDOW))
        return source.read(offset, length);
      const window = await windowAt(number);
      return window.slice(offset - number * WINDOW, offset - number * WINDOW + length);
    },
  };
}

/** Files of external data, each read in windows. */
export function windowedSources(files: ExternalFiles): ExternalFiles {
  return new Map([...files].map(([location, file]) => [location, windowedSource(file)]));
}
