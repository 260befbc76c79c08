import { describe, expect, test } from 'vitest';
import { localLocks } from './locks.ts';

const { signal } = new AbortController();

describe('locks within a worker', () => {
  test('one holds a name at a time, in order', async () => {
    const locks = localLocks();
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3].map(async (who) => {
        const release = await locks.hold('a', signal);
        order.push(who);
        await Promise.resolve();
        order.push(who);
        release();
      }),
    );
    expect(order).toEqual([1, 1, 2, 2, 3, 3]);
  });

  test('different names do not wait for each other', async () => {
    const locks = localLocks();
    await locks.hold('a', signal);
    (await locks.hold('b', signal))();
    expect(await locks.tryHold('a')).toBeNull();
    expect(await locks.tryHold('b')).not.toBeNull();
  });

  test('who gives up waiting is passed over', async () => {
    const locks = localLocks();
    const release = await locks.hold('a', signal);
    const stop = new AbortController();
    const given = locks.hold('a', stop.signal);
    const next = locks.hold('a', signal);
    stop.abort();
    await expect(given).rejects.toMatchObject({ name: 'AbortError' });
    release();
    (await next)();
    expect(await locks.tryHold('a')).not.toBeNull();
  });
});
