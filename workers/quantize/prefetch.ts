/**
 * Reading, quantizing and writing overlap: while what one stretch makes is written, the next ones are being made. Which
 * come next is known from the plan; how many are under way is limited by count and by the bytes that are held for them.
 */

export interface WorkerSlots {
  /** Stretches made at once, the one that is waited for included. */
  count: number;
  /** Bytes held for stretches under way at most; a single one may take more. */
  bytes: number;
}

type Make<Stretch, Parts> = (stretch: Stretch, signal: AbortSignal) => Promise<Parts>;

export interface Prefetched<Stretch, Parts> {
  /** The same as the `make` given, for stretches of the order; others are simply made. */
  make: Make<Stretch, Parts>;
  /** Starts the first ones before any is asked for. */
  begin(signal: AbortSignal): void;
}

/**
 * @param order The stretches in the order they will be asked for, each once.
 * @param size Bytes of what a stretch makes.
 */
export function prefetch<Stretch, Parts>(
  order: readonly Stretch[],
  size: (stretch: Stretch) => number,
  make: Make<Stretch, Parts>,
  lanes: WorkerSlots,
): Prefetched<Stretch, Parts> {
  const place = new Map(order.map((stretch, index) => [stretch, index]));
  const started = new Map<Stretch, Promise<Parts>>();
  /** What comes before has been asked for: when it is asked for again, what follows it may be there already. */
  let reached = 0;
  const start = (stretch: Stretch, signal: AbortSignal): Promise<Parts> => {
    const known = started.get(stretch);
    if (known) return known;
    const making = make(stretch, signal);
    // Whoever asks for it hears of its failure; nobody may ask, after another one has failed.
    making.catch(() => undefined);
    started.set(stretch, making);
    return making;
  };
  const startNext = (stretches: readonly Stretch[], held: number, signal: AbortSignal) => {
    let bytes = held;
    for (const next of stretches) {
      bytes += size(next);
      if (bytes > lanes.bytes) break;
      void start(next, signal);
    }
  };
  return {
    begin(signal) {
      startNext(order.slice(0, lanes.count), 0, signal);
    },
    async make(stretch, signal) {
      const making = start(stretch, signal);
      const at = place.get(stretch) ?? -1;
      const ahead = at < reached ? [] : order.slice(at + 1, at + lanes.count);
      reached = Math.max(reached, at + 1);
      startNext(ahead, size(stretch), signal);
      try {
        return await making;
      } finally {
        started.delete(stretch);
      }
    },
  };
}
