import { describe, expect, test } from 'vitest';
import { requestPersistence } from './keep.ts';

function browser(persisted: boolean) {
  const kept = new Map<string, string>();
  let asked = 0;
  return {
    asked: () => asked,
    storage: {
      persisted: () => Promise.resolve(persisted),
      persist: () => {
        asked++;
        return Promise.resolve(false);
      },
    },
    memory: {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => {
        kept.set(key, value);
      },
    },
  };
}

describe('asking the browser to keep what is stored', () => {
  test('happens once, whatever the answer was', async () => {
    const { storage, memory, asked } = browser(false);
    await Promise.all([requestPersistence({ storage, memory }), requestPersistence({ storage, memory })]);
    await requestPersistence({ storage, memory });
    expect(asked()).toBe(1);
  });

  test('is left out where it is kept already', async () => {
    const { storage, memory, asked } = browser(true);
    await requestPersistence({ storage, memory });
    expect(asked()).toBe(0);
  });

  test('is left out where there is nothing to ask or to remember it by', async () => {
    const { storage, asked } = browser(false);
    await requestPersistence({ storage: undefined, memory: browser(false).memory });
    await requestPersistence({
      storage,
      memory: {
        getItem: () => {
          throw new Error('switched off');
        },
        setItem: () => undefined,
      },
    });
    expect(asked()).toBe(0);
  });
});
