import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WriteProgress } from '../onnx/writing/write.ts';
import type { Result } from '../contract/errors.ts';
import type { Storage } from '../contract/storage.ts';
import { connect, WORKER_CRASHED, type RemoteWorker } from '../rpc/remote.ts';
import { bytesOf, firstDifference, orderedPieces, storeChecks, testFile, type WriteOrder } from './test-store-suite.ts';
import type { StoreFixture, Written } from './test-store.worker.ts';

const workers: RemoteWorker<StoreFixture>[] = [];
const start = () => {
  const worker = connect<StoreFixture>(
    new Worker(new URL('./test-store.worker.ts', import.meta.url), { type: 'module' }),
  );
  workers.push(worker);
  return worker;
};
/** For what needs no worker of its own: each loads dozens of modules. */
const keeper = connect<StoreFixture>(
  new Worker(new URL('./test-store.worker.ts', import.meta.url), { type: 'module' }),
);
const write = (
  worker: RemoteWorker<StoreFixture>,
  order: WriteOrder,
  onProgress: (progress: WriteProgress) => void = () => undefined,
) => worker.callWithEvents<WriteProgress, Result<Written>>(onProgress, (api, port) => api.write(order, port));

beforeEach(async () => {
  await keeper.call<Result<Storage>>((api) => api.removeAll());
});
afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});
afterAll(() => {
  keeper.terminate();
});

const MB = 1 << 20;
const source = bytesOf(9, 6 * MB);
let jobs = 0;
const order = (pace: number): WriteOrder => ({
  model: `model ${++jobs}`,
  source: new File([source], 'source.onnx'),
  tensors: 6,
  bytesEach: 2 * MB,
  pace,
});
const expected = testFile(source, orderedPieces(order(0))).expected;

/** A promise, and what resolves it. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function expectWhole(result: Result<Written>): Promise<Written> {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  expect(firstDifference(new Uint8Array(await result.value.blob.arrayBuffer()), expected)).toBe(-1);
  expect(result.value.warnings).toEqual([]);
  return result.value;
}

describe('stored results, on OPFS', () => {
  it.each([...storeChecks(0).keys()])('%s', (name) => keeper.call((api) => api.check(name, 8)));
});

describe('a worker that is ended while it writes', () => {
  it.each([0, 1, 3, 5])('at tensor %i: another one goes on from what is durable', async (tensor) => {
    const job = order(30);
    const first = start();
    const ended = write(first, job, (progress) => {
      if (progress.tensor === `tensor ${tensor}`) first.terminate();
    });
    await expect(ended).rejects.toMatchObject({ name: WORKER_CRASHED });
    const { made, resumeAt } = await expectWhole(await write(start(), job));
    // Progress is made durable every 8 MB: what comes before that is not done again.
    const durable = tensor * 3 * MB - 8 * MB;
    expect(resumeAt).toBeGreaterThanOrEqual(Math.max(0, durable));
    expect(made).toBe(6 - Math.floor(resumeAt / (3 * MB)));
    const again = await expectWhole(await write(start(), job));
    expect(again.made).toBe(0);
  });

  it('again and again, at any time: the file comes to its end and is the same', async () => {
    const job = order(5);
    for (const after of [20, 60, 100, 140, 180]) {
      const worker = start();
      const ended = write(worker, job).catch(() => null);
      await new Promise((resolve) => {
        setTimeout(resolve, after);
      });
      worker.terminate();
      await ended;
    }
    await expectWhole(await write(start(), job));
  });
});

describe('two workers with the same job', () => {
  it('do it once, and the one that waits hears how far it is', async () => {
    // The first one waits half-way until the second one waits for it.
    const job = { ...order(150), gate: 'half-way' };
    const heard: WriteProgress[] = [];
    const [underWay, open] = [gate(), gate()];
    const held = navigator.locks.request(job.gate, () => open.opened);
    const first = write(start(), job, underWay.open);
    await underWay.opened;
    const second = write(start(), job, (progress) => {
      heard.push(progress);
    });
    await vi.waitFor(
      async () => {
        const waiting = (await navigator.locks.query()).pending?.filter(
          ({ name }) => name !== job.gate && !name?.startsWith('nibble:alive:'),
        );
        expect(waiting).toHaveLength(1);
      },
      { timeout: 10 * 60_000 },
    );
    open.open();
    await held;
    const results = await Promise.all([first.then(expectWhole), second.then(expectWhole)]);
    expect(results.map(({ made }) => made)).toEqual([6, 0]);
    expect(heard.some(({ done }) => done > 0 && done < expected.length)).toBe(true);
  });

  it('when the first is ended, the second goes on', async () => {
    const job = order(100);
    const first = start();
    const seconds: Promise<Result<Written>>[] = [];
    const ended = write(first, job, ({ tensor }) => {
      if (seconds.length === 0) seconds.push(write(start(), job));
      if (tensor === 'tensor 4') first.terminate();
    });
    await expect(ended).rejects.toMatchObject({ name: WORKER_CRASHED });
    const [second] = await Promise.all(seconds.map(async (writing) => expectWhole(await writing)));
    expect(second?.made).toBeLessThan(6);
  });
});

it('what is stored is told and deleted', async () => {
  const worker = start();
  await expectWhole(await write(worker, order(0)));
  const storage = await worker.call<Result<Storage>>((api) => api.storage());
  if (!storage.ok) throw new Error(storage.error.message);
  expect(storage.value).toMatchObject({
    problem: null,
    used: expected.length,
    results: [{ file: 'file.onnx', finished: true, bytes: expected.length }],
  });
  expect(storage.value.quota).toBeGreaterThan(expected.length);
  expect(await worker.call<Result<Storage>>((api) => api.removeAll())).toMatchObject({
    ok: true,
    value: { used: 0, results: [] },
  });
});
