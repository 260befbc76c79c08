/** One user of a key at a time, across the tabs of this site where the browser has Web Locks. */

export interface Locks {
  /** Waits for its turn; gives what ends it. Rejects with the signal's reason once that fires. */
  hold(name: string, signal: AbortSignal): Promise<() => void>;
  /** Null when somebody holds it. */
  tryHold(name: string): Promise<(() => void) | null>;
}

/** https://w3c.github.io/web-locks: a lock ends with its worker, however that ends. */
export function webLocks(manager: LockManager): Locks {
  const request = (name: string, options: LockOptions) => new Promise<(() => void) | null>((resolve, reject) => {
    manager.request(`nibble:${name}`, options, (lock) => {
      if (!lock) {
        resolve(null);
        return undefined;
      }
      return new Promise<void>((release) => { resolve(release); });
    }).catch(reject);
  });
  return {
    hold: async (name, signal) => await request(name, { signal }) ?? (() => undefined),
    tryHold: (name) => request(name, { ifAvailable: true }),
  };
}

/** Within this worker only. */
export function localLocks(): Locks {
  const lastOf = new Map<string, Promise<void>>();
  const enter = (name: string): { turn: Promise<void>; release: () => void } => {
    const turn = lastOf.get(name) ?? Promise.resolve();
    let release!: () => void;
    const done = new Promise<void>((resolve) => { release = resolve; });
    const after = turn.then(() => done);
    lastOf.set(name, after);
    void after.then(() => { if (lastOf.get(name) === after) lastOf.delete(name); });
    return { turn, release };
  };
  return {
    async hold(name, signal) {
      signal.throwIfAborted();
      const { turn, release } = enter(name);
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => { reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason))); }, { once: true });
      });
      try {
        await Promise.race([turn, aborted]);
      } catch (thrown) {
        release();
        throw thrown;
      }
      return release;
    },
    async tryHold(name) {
      return lastOf.has(name) ? null : enter(name).release;
    },
  };
}
