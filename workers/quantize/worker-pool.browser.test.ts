import { afterEach, describe, expect, it } from 'vitest';
import { randomValues, tinyLanguageModel, type TinyLanguageModel } from '../../models/build.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { quantizeChunk } from './quantize-chunk.ts';
import { createWorkerPool, type WorkerPool } from './worker-pool.ts';
import { scanModel } from '../onnx/scan.ts';
import { planLevel, preparePlan } from '../plan/plan.ts';
import type { QuantizeTask } from '../plan/quantize-task.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { blobSource } from '../io/source.ts';

const SHAPE: TinyLanguageModel = { vocabulary: 512, width: 64, hidden: 96, tied: false, type: 'float32', opset: 17 };
const { signal } = new AbortController();
const file = new File([tinyLanguageModel(SHAPE)], 'tiny.onnx');
const source = blobSource(file.name, file);

async function tasks(): Promise<QuantizeTask[]> {
  const { pieces } = planLevel(preparePlan(await scanModel(source)), SCHEMES.int4, { asymmetric: true }, new Map());
  return [...new Set(pieces.flatMap((piece) => (piece.kind === 'made' ? [piece.task] : [])))];
}

const pools: WorkerPool[] = [];
const pool = (threads: number, start?: () => Worker): WorkerPool => {
  const made = createWorkerPool(threads, start && { start });
  pools.push(made);
  return made;
};
afterEach(() => {
  for (const made of pools.splice(0)) made.dispose();
});

const realWorker = () => new Worker(new URL('../entry/quantize.worker.ts', import.meta.url), { type: 'module' });
const dyingWorker = () =>
  new Worker(URL.createObjectURL(new Blob(['onmessage = () => { throw new Error("killed"); }'])));

describe('kernel workers', () => {
  it('make the same bytes as the reference, more tasks than threads at once', async () => {
    const all = await tasks();
    expect(all.length).toBeGreaterThan(2);
    const workers = pool(2);
    const made = await Promise.all(all.map((task) => workers.make(task, file, signal)));
    for (const [index, task] of all.entries())
      expect(made[index]).toEqual(await quantizeChunk(task, source, createReferenceKernel(), signal));
  });

  it('go on with another worker when one dies', async () => {
    const [task] = await tasks();
    let started = 0;
    const made = await pool(1, () => (started++ === 0 ? dyingWorker() : realWorker())).make(task!, file, signal);
    expect(started).toBe(2);
    expect(made).toEqual(await quantizeChunk(task!, source, createReferenceKernel(), signal));
  });

  it('give up on a task that brings down two, and are there for the next', async () => {
    const [task] = await tasks();
    let started = 0;
    const workers = pool(1, () => (started++ < 2 ? dyingWorker() : realWorker()));
    await expect(workers.make(task!, file, signal)).rejects.toMatchObject({
      engineError: { code: 'worker-crashed' },
    });
    expect((await workers.make(task!, file, signal)).size).toBeGreaterThan(0);
  });

  it('stop at once when told to, and start again', async () => {
    const all = await tasks();
    const stop = new AbortController();
    const workers = pool(1);
    const making = all.map((task) => workers.make(task, file, stop.signal));
    stop.abort();
    await Promise.all(making.map((call) => expect(call).rejects.toMatchObject({ name: 'AbortError' })));
    expect((await workers.make(all[0]!, file, signal)).size).toBeGreaterThan(0);
  });

  it('hand on what is wrong with a weight', async () => {
    const broken = randomValues(1, 64 * 96);
    broken[5] = Number.NaN;
    const name = 'layers.0.up.weight';
    const bad = new File([tinyLanguageModel(SHAPE, new Map([[name, broken]]))], 'bad.onnx');
    const tensor = (await scanModel(blobSource(bad.name, bad))).graph.initializers.find(
      (candidate) => candidate.name === name,
    )!;
    const task: QuantizeTask = {
      kind: 'quantize',
      tensor,
      layout: 'kn',
      k: 64,
      n: 96,
      scheme: { bits: 4, block: 32, symmetric: true },
      type: 1,
      rounded: false,
    };
    await expect(pool(1).make(task, bad, signal)).rejects.toMatchObject({
      engineError: { code: 'weights-not-finite' },
    });
  });

  it('end with what is under way, and start nothing any more', async () => {
    const all = await tasks();
    let started = 0;
    const workers = pool(1, () => {
      started++;
      return realWorker();
    });
    const making = all.map((task) => workers.make(task, file, signal));
    workers.dispose();
    await Promise.all(making.map((call) => expect(call).rejects.toThrow()));
    expect(started).toBeLessThanOrEqual(1);
  });

  it('fill memory again that is given back, with the same bytes', async () => {
    const side = 512;
    const weights = new Uint8Array(randomValues(3, side * side).buffer);
    const raw = new File([weights as Uint8Array<ArrayBuffer>], 'raw.bin');
    const tensor = {
      name: 'w',
      type: 1,
      dims: [side, side],
      bytes: weights.length,
      data: { kind: 'inline', offset: 0, length: weights.length },
    } as QuantizeTask['tensor'];
    const workers = pool(1);
    for (const block of [32, 64, 128] as const) {
      const task: QuantizeTask = {
        kind: 'quantize',
        tensor,
        layout: 'kn',
        k: side,
        n: side,
        scheme: { bits: 4, block, symmetric: true },
        type: 1,
        rounded: false,
      };
      const made = await workers.make(task, raw, signal);
      const expected = await quantizeChunk(task, blobSource('raw.bin', raw), createReferenceKernel(), signal);
      expect(made.get('scales')).toEqual(expected.get('scales'));
      const codes = made.get('codes')!;
      expect(codes.length).toBe(expected.get('codes')?.length);
      expect(codes.every((byte, i) => byte === expected.get('codes')![i])).toBe(true);
      workers.recycle(codes.fill(201));
    }
  });
});
