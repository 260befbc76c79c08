import { afterEach, describe, expect, it } from 'vitest';
import type { Fixture } from './remote-fixture.worker.ts';
import { connect, notify, WORKER_CRASHED, type RemoteWorker } from './remote.ts';

const workers: RemoteWorker<Fixture>[] = [];
const start = (): RemoteWorker<Fixture> => {
  const worker = connect<Fixture>(
    new Worker(new URL('./remote-fixture.worker.ts', import.meta.url), { type: 'module' }),
  );
  workers.push(worker);
  return worker;
};
afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

describe('a remote worker', () => {
  it('answers', async () => {
    expect(await start().call((api) => api.double(21))).toBe(42);
  });

  it('passes errors on and stays usable', async () => {
    const worker = start();
    await expect(worker.call((api) => api.fail('no luck'))).rejects.toThrow('no luck');
    expect(await worker.call((api) => api.double(1))).toBe(2);
  });

  it('settles a call only after its last event', async () => {
    const events: number[] = [];
    const count = await start().callWithEvents<number, number>(
      (event) => {
        events.push(event);
      },
      (api, port) => api.count(1000, port),
    );
    expect(count).toBe(1000);
    expect(events).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  });
});

describe('a worker that is gone', () => {
  it('rejects every call under way, with the reason', async () => {
    const worker = start();
    const calls = [worker.call((api) => api.hang()), worker.call((api) => api.crash('out of luck'))];
    await Promise.all(
      calls.map((call) =>
        expect(call).rejects.toMatchObject({
          name: WORKER_CRASHED,
          message: expect.stringContaining('out of luck') as string,
        }),
      ),
    );
    expect(await worker.gone).toMatchObject({ name: WORKER_CRASHED });
  });

  it('is noticed when it ends without a word', async () => {
    const worker = start();
    const calls = [worker.call((api) => api.hang()), worker.call((api) => api.leave())];
    await Promise.all(
      calls.map((call) =>
        expect(call).rejects.toMatchObject({ name: WORKER_CRASHED, message: 'the worker ended without a word' }),
      ),
    );
  });

  it('rejects later calls at once', async () => {
    const worker = start();
    worker.terminate();
    await expect(worker.call((api) => api.double(1))).rejects.toMatchObject({ name: WORKER_CRASHED });
    await expect(
      worker.callWithEvents(
        () => undefined,
        (api, port) => api.count(1, port),
      ),
    ).rejects.toMatchObject({ name: WORKER_CRASHED });
  });

  it('rejects a call that is reporting events', async () => {
    const worker = start();
    const call = worker.callWithEvents(
      () => undefined,
      (api) => api.hang(),
    );
    worker.terminate();
    await expect(call).rejects.toMatchObject({ name: WORKER_CRASHED });
  });

  it('is no error for a call whose reply nobody waits for; a call that fails is one', async () => {
    const unhandled: string[] = [];
    const onUnhandled = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      unhandled.push(String(event.reason));
    };
    addEventListener('unhandledrejection', onUnhandled, { capture: true });
    try {
      const [worker, other] = [start(), start()];
      notify(worker, (api) => api.hang());
      worker.terminate();
      notify(worker, (api) => api.hang());
      notify(other, (api) => api.fail('no luck'));
      await expect.poll(() => unhandled, { timeout: 10 * 60_000 }).toEqual(['Error: no luck']);
    } finally {
      removeEventListener('unhandledrejection', onUnhandled, { capture: true });
    }
  });

  it('includes one that could not be loaded', async () => {
    const worker = connect<Fixture>(new Worker(new URL('/nowhere.js', location.href), { type: 'module' }));
    await expect(worker.call((api) => api.double(1))).rejects.toMatchObject({ name: WORKER_CRASHED });
  });

  it('does not take the worker that started it along', async () => {
    const outer = start();
    expect(await outer.call((api) => api.crashNested())).toContain('nested');
    // The error would reach this page a little later.
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    expect(await outer.call((api) => api.double(4))).toBe(8);
  });
});
