/** Gathers items and hands them over together, at most once in `everyMs`. */
export interface Batch<T> {
  add(item: T): void;
  /** Hands over what is waiting, now. */
  flush(): void;
}

export function createBatch<T>(everyMs: number, handle: (items: T[]) => void): Batch<T> {
  let waiting: T[] = [];
  let timer: ReturnType<typeof setTimeout> | null = null;
  const flush = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const items = waiting;
    waiting = [];
    if (items.length > 0) handle(items);
  };
  return {
    flush,
    add(item) {
      waiting.push(item);
      timer ??= setTimeout(flush, everyMs);
    },
  };
}
