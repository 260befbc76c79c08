/** One user of a key at a time, across the tabs of this site where the browser has Web Locks. */

export interface Locks {
  /** Waits for its turn; gives what ends it. Rejects with the signal's reason once that fires. */
  hold(name: string, signal: AbortSignal): Promise<() => void>;
  /** Null when somebody holds it. */
  tryHold(name: string): Promise<(() => void) | null>;
}

/** https://w3c.github.io/web-locks: a lock ends with its worker, however that ends. */
export function webLocks(manager: LockManager): Locks {
  const request = (name: string, options: LockOptions) =>
    new Promise<(() => void) | null>((resolve, reject) => {
      manager
        .request(`nibble:${name}`, options, (lock) => {
          if (!lock) {
            resolve(null);
            return undefined;
          }
          return new Promise<void>((release) => {
            resolve(release);
          });
        })
        .catch(reject);
    });
  return {
    hold: async (name, signal) => (await request(name, { signal })) ?? (() => undefined),
    tryHold: (name) => request(name, { ifAvailable: true }),
  };
}

/** Within this worker only. */
export function localLocks(): Locks {
  /** Who waits for each name that is held. */
  const queues = new Map<string, (() => void)[]>();
  const releaseOf = (name: string) => {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = queues.get(name)?.shift();
      if (next) next();
      else queues.delete(name);
    };
  };
  const take = (name: string): (() => void) | null => {
    if (queues.has(name)) return null;
    queues.set(name, []);
    return releaseOf(name);
  };
  return {
    async hold(name, signal) {
      signal.throwIfAborted();
      return (
        take(name) ??
        new Promise((resolve, reject) => {
          const enter = () => {
            signal.removeEventListener('abort', giveUp);
            resolve(releaseOf(name));
          };
          const giveUp = () => {
            const queue = queues.get(name) ?? [];
            queue.splice(queue.indexOf(enter), 1);
            reject(signal.reason as Error);
          };
          signal.addEventListener('abort', giveUp, { once: true });
          queues.get(name)?.push(enter);
        })
      );
    },
    tryHold: async (name) => take(name),
  };
}
