/**
 * Reading, quantizing and writing overlap: while one chunk is written, the next ones are being made. The plan tells which
 * come next; count and bytes limit how many are under way.
 */

export interface PrefetchLimits {
  /** Chunks made at once, the one that is waited for included. */
  count: number;
  /** Bytes held for chunks under way at most; a single one may take more. */
  bytes: number;
}

type Make<Chunk, Parts> = (chunk: Chunk, signal: AbortSignal) => Promise<Parts>;

export interface Prefetched<Chunk, Parts> {
  /** Does what the `make` given does. Chunks that are not in the order are made without prefetching. */
  make: Make<Chunk, Parts>;
  /** Starts the first chunks before any is requested. */
  begin(signal: AbortSignal): void;
}

/**
 * Makes chunks before they are requested.
 * @param order The chunks in the order they will be requested, each once.
 * @param size Bytes of what a chunk makes.
 */
export function prefetch<Chunk, Parts>(
  order: readonly Chunk[],
  size: (chunk: Chunk) => number,
  make: Make<Chunk, Parts>,
  limits: PrefetchLimits,
): Prefetched<Chunk, Parts> {
  const place = new Map(order.map((chunk, index) => [chunk, index]));
  const started = new Map<Chunk, Promise<Parts>>();
  /** How far the chunks have been requested. A chunk before that is requested a second time, and prefetches nothing. */
  let reached = 0;
  const start = (chunk: Chunk, signal: AbortSignal): Promise<Parts> => {
    const known = started.get(chunk);
    if (known) return known;
    const making = make(chunk, signal);
    // The failure is reported when the chunk is requested, which it may never be after another one has failed.
    making.catch(() => undefined);
    started.set(chunk, making);
    return making;
  };
  const startNext = (chunks: readonly Chunk[], held: number, signal: AbortSignal) => {
    let bytes = held;
    for (const next of chunks) {
      bytes += size(next);
      if (bytes > limits.bytes) break;
      void start(next, signal);
    }
  };
  return {
    begin(signal) {
      startNext(order.slice(0, limits.count), 0, signal);
    },
    async make(chunk, signal) {
      const making = start(chunk, signal);
      const at = place.get(chunk) ?? -1;
      const ahead = at < reached ? [] : order.slice(at + 1, at + limits.count);
      reached = Math.max(reached, at + 1);
      startNext(ahead, size(chunk), signal);
      try {
        return await making;
      } finally {
        started.delete(chunk);
      }
    },
  };
}
