/** A tab's session without a browser: what is saved lives in maps that outlast the session. */
import type { Blobs } from './blobs.ts';
import { createSession, type Session } from './session.ts';

/** @returns One tab: each `reload` gives the session of the page loaded anew. */
export function testTab({ free = Infinity, keeps = true }: { free?: number; keeps?: boolean } = {}): {
  text: Map<string, string>;
  blobs: Map<string, Blob | FileSystemHandle>;
  reload(): Session;
} {
  const text = new Map<string, string>();
  const kept = new Map<string, Blob | FileSystemHandle>();
  const blobs: Blobs = {
    put: (name, value) => {
      if (keeps) kept.set(name, value);
      return Promise.resolve(keeps);
    },
    get: (name) => Promise.resolve(kept.get(name) ?? null),
    clear: () => {
      kept.clear();
      return Promise.resolve();
    },
  };
  return {
    text,
    blobs: kept,
    reload: () =>
      createSession({
        text: {
          getItem: (key) => text.get(key) ?? null,
          setItem: (key, value) => {
            text.set(key, value);
          },
          removeItem: (key) => {
            text.delete(key);
          },
        },
        blobs,
        free: () => Promise.resolve(free),
      }),
  };
}
