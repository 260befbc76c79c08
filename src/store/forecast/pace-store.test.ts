import { describe, expect, it } from 'vitest';
import { PACES_KEY, pacesIn, storedPaces, type KeyValues } from './pace-store.ts';
import type { Pace } from './pace.ts';
import type { Paces } from './paces.ts';

const PACE: Pace = { step: 'run', provider: 'wasm', kind: 'int4', size: 6e6, amount: 512, seconds: 1.5 };

describe('paces in a browser’s storage', () => {
  it('come back in another tab, and are heard of in one that is open', () => {
    const values = new Map<string, string>();
    const listeners: ((key: string | null, value: string | null) => void)[] = [];
    const storage: KeyValues = {
      getItem: (key) => values.get(key) ?? null,
      setItem: (key, value) => {
        values.set(key, value);
        listeners.forEach((listen) => {
          listen(key, value);
        });
      },
    };
    const tab = () =>
      storedPaces(
        () => storage,
        (changed) => {
          listeners.push(changed);
        },
      );
    const [first, second] = [tab(), tab()];
    let heard: Paces = [];
    second.onChange((paces) => {
      heard = paces;
    });
    first.write([PACE]);
    expect(tab().read()).toEqual([PACE]);
    expect(heard).toEqual([PACE]);
    storage.setItem('something else', '[]');
    expect(heard).toEqual([PACE]);
  });

  it('are none where storage is forbidden', () => {
    const store = storedPaces(
      () => {
        throw new DOMException('no', 'SecurityError');
      },
      () => undefined,
    );
    expect(store.read()).toEqual([]);
    expect(() => {
      store.write([PACE]);
    }).not.toThrow();
  });

  it('are only those that make sense', () => {
    const odd: unknown[] = [
      null,
      7,
      'run',
      [],
      {},
      { ...PACE, step: 'dance' },
      { ...PACE, provider: 'cpu' },
      { ...PACE, seconds: 0 },
      { ...PACE, seconds: '1' },
      { ...PACE, size: null },
      { ...PACE, kind: 4 },
    ];
    expect(pacesIn(JSON.stringify([...odd, PACE]))).toEqual([PACE]);
    for (const text of [null, '', '{', '{}', 'null', '7']) expect(pacesIn(text)).toEqual([]);
    expect(PACES_KEY).toContain('/');
  });
});
