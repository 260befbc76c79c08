/**
 * Reading, quantizing and writing overlap: while what one chunk makes is written, the next ones are being made. Which
 * come next is known from the plan; how many are under way is limited by count and by the bytes that are held for them.
 */

export interface WorkerSlots {
  /** Stretches made at once, the one that is waited for included. */
  count: number;
  /** Bytes held for chunks under way at most; a single one may take more. */
  bytes: number;
}

type Make<Chunk, Parts> = (chunk: Chunk, signal: AbortSignal) => Promise<Parts>;

export interface Prefetched<Chunk, Parts> {
  /** The same as the `make` given, for chunks of the order; others are simply made. */
  make: Make<Chunk, Parts>;
  /** Starts the first ones before any is asked for. */
  begin(signal: AbortSignal): void;
}

/**
 * @param order The chunks in the order they will be asked for, each once.
 * @param size Bytes of what a chunk makes.
 */
export function prefetch<Chunk, Parts>(
  order: readonly Chunk[],
  size: (chunk: Chunk) => number,
  make: Make<Chunk, Parts>,
  lanes: WorkerSlots,
): Prefetched<Chunk, Parts> {
  const place = new Map(order.map((chunk, index) => [chunk, index]));
  const started = new Map<Chunk, Promise<Parts>>();
  /** What comes before has been asked for: when it is asked for again, what follows it may be there already. */
  let reached = 0;
  const start = (chunk: Chunk, signal: AbortSignal): Promise<Parts> => {
    const known = started.get(chunk);
    if (known) return known;
    const making = make(chunk, signal);
    // Whoever asks for it hears of its failure; nobody may ask, after another one has failed.
    making.catch(() => undefined);
    started.set(chunk, making);
    return making;
  };
  const startNext = (chunks: readonly Chunk[], held: number, signal: AbortSignal) => {
    let bytes = held;
    for (const next of chunks) {
      bytes += size(next);
      if (bytes > lanes.bytes) break;
      void start(next, signal);
    }
  };
  return {
    begin(signal) {
      startNext(order.slice(0, lanes.count), 0, signal);
    },
    async make(chunk, signal) {
      const making = start(chunk, signal);
      const at = place.get(chunk) ?? -1;
      const ahead = at < reached ? [] : order.slice(at + 1, at + lanes.count);
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
