import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BlockScheme, Kernel, LinearScheme, WeightMatrix, WeightTensor } from '../kernel.ts';
import { createReferenceKernel } from '../reference.ts';
import { NO_ROOM, random, type TestLimits } from '../test-weights.ts';
import { createWebGpuKernel } from './kernel.ts';
import { openGpu, watch, type Watched } from './test-gpu.ts';

const reference = createReferenceKernel();
const scheme: BlockScheme = { bits: 4, block: 16, symmetric: false };
const linear: LinearScheme = { type: 'int8', symmetric: false };

interface Opened {
  kernel: Kernel;
  device: GPUDevice;
  watched: Watched;
}

/** A kernel past its self-check; what it does from now on is watched. */
async function open(limits: TestLimits = {}): Promise<Opened> {
  const { gpu, device } = await openGpu();
  const watched = watch(device);
  const made = await createWebGpuKernel(gpu, limits);
  if (!made.ok) throw new Error(made.reason);
  forget(watched);
  return { kernel: made.kernel, device, watched };
}

function forget(watched: Watched): void {
  watched.events.length = 0;
  watched.mostReads = 0;
}

/** Tests that leave their kernel whole share one: making it takes longer than they do. */
let shared: Opened;
beforeAll(async () => {
  shared = await open();
});
beforeEach(() => {
  forget(shared.watched);
});
afterAll(() => {
  shared.kernel.dispose();
});

function weights(count: number, seed: number): Uint8Array {
  const next = random(seed);
  return new Uint8Array(Float32Array.from({ length: count }, () => next() - 0.5).buffer);
}

/** With no room, groups of eight channels and two blocks: six of them. */
const matrix = (seed: number): WeightMatrix => ({
  data: weights(64 * 24, seed),
  type: 'float32',
  layout: 'kn',
  k: 64,
  n: 24,
});
const tensor = (seed: number): WeightTensor => ({
  data: weights(3 * 40, seed),
  type: 'float32',
  outer: 1,
  channels: 3,
  inner: 40,
});

let held = new AbortController();
afterEach(() => {
  held.abort();
  shared.watched.gate = null;
});

/** Holds readings back until what it returns is called, or the test is over. */
function gate(watched: Watched): () => void {
  held = new AbortController();
  const { signal } = held;
  watched.gate = new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
  return () => {
    watched.gate = null;
    held.abort();
  };
}

/** Waits for minutes: a software GPU beside other work takes its time. */
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10 * 60_000 });
const count = ({ events }: Watched, event: string) => events.filter((one) => one === event).length;
/** What comes after the first of these. */
const after = ({ events }: Watched, event: string) => events.slice(events.indexOf(event) + 1);
const settledIn = (order: string[], name: string, promise: Promise<unknown>) =>
  promise.then(
    () => order.push(name),
    () => order.push(`${name} failed`),
  );

describe('while results are on their way back', () => {
  it('the groups that follow are uploaded and computed, as long as there is room for theirs', async () => {
    const { kernel, watched } = await open(NO_ROOM);
    const letThrough = gate(watched);
    const made = kernel.quantize(matrix(1), scheme);
    // The second group's results, and the third group as far as the copy of its own.
    await eventually(() => {
      expect(after(watched, 'read').filter((event) => event === 'read')).toHaveLength(1);
    });
    await eventually(() => {
      expect(watched.events.slice(watched.events.lastIndexOf('read'))).toEqual([
        'read',
        'write',
        'submit',
        'write',
        'submit',
      ]);
    });
    letThrough();
    expect(await made).toEqual(await reference.quantize(matrix(1), scheme));
    expect(count(watched, 'read')).toBe(6);
    expect(watched.mostReads).toBe(2);
    kernel.dispose();
  });

  it('the next call is uploaded and computed, and settles after the one before', async () => {
    const { kernel, watched } = shared;
    const letThrough = gate(watched);
    const order: string[] = [];
    const [first, second] = [kernel.quantize(matrix(1), scheme), kernel.quantize(matrix(2), scheme)];
    const settled = [settledIn(order, 'first', first), settledIn(order, 'second', second)];
    await eventually(() => {
      expect(watched.events).toEqual(['write', 'submit', 'submit', 'read', 'write', 'submit', 'submit', 'read']);
    });
    expect(order).toEqual([]);
    letThrough();
    await Promise.all(settled);
    expect(order).toEqual(['first', 'second']);
    expect([await first, await second]).toEqual([
      await reference.quantize(matrix(1), scheme),
      await reference.quantize(matrix(2), scheme),
    ]);
  });

  it('the next call looks at its channels while one waits for its ranges', async () => {
    const { kernel, watched } = shared;
    const letThrough = gate(watched);
    const made = [
      kernel.quantizePerChannel(tensor(1), linear),
      kernel.quantizePerChannel(tensor(2), linear),
      kernel.quantizePerChannel(tensor(3), linear),
    ];
    await eventually(() => {
      expect(count(watched, 'read')).toBe(2);
    });
    expect(count(watched, 'write')).toBe(2);
    letThrough();
    expect(await Promise.all(made)).toEqual(
      await Promise.all([1, 2, 3].map((seed) => reference.quantizePerChannel(tensor(seed), linear))),
    );
  });
});

describe('buffers', () => {
  it('are made once for calls of the same sizes, two calls at once or more', async () => {
    const { kernel, watched } = shared;
    const all = async () => {
      const blocks = await Promise.all([1, 2, 3, 4].map((seed) => kernel.quantize(matrix(seed), scheme)));
      expect(blocks).toEqual(await Promise.all([1, 2, 3, 4].map((seed) => reference.quantize(matrix(seed), scheme))));
      await Promise.all([1, 2, 3, 4].map((seed) => kernel.quantizePerChannel(tensor(seed), linear)));
    };
    for (let round = 0; round < 3; round++) await all();
    // Of each name and size one for each of the two that may be at work; the larger ones replace the smaller.
    const times = new Map<string, number>();
    for (const made of watched.made) times.set(made, (times.get(made) ?? 0) + 1);
    expect(Math.max(...times.values())).toBeLessThanOrEqual(2);
    // Two uploads and the uniform, two sets of six, two results.
    expect(watched.live.size).toBeLessThanOrEqual(17);
  });

  it('are free again after an abort while results are mapped', async () => {
    const { kernel, watched } = shared;
    await Promise.all([kernel.quantize(matrix(1), scheme), kernel.quantize(matrix(2), scheme)]);
    const made = watched.made.length;
    for (const begin of [
      (signal: AbortSignal) => kernel.quantize(matrix(3), scheme, signal),
      (signal: AbortSignal) => kernel.quantizePerChannel(tensor(3), linear, signal),
    ]) {
      const letThrough = gate(watched);
      const before = count(watched, 'read');
      const controller = new AbortController();
      const aborted = begin(controller.signal);
      await eventually(() => {
        expect(count(watched, 'read')).toBe(before + 1);
      });
      controller.abort();
      letThrough();
      await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
      expect([...watched.live].map(({ mapState }) => mapState).filter((state) => state !== 'unmapped')).toEqual([]);
    }
    expect(await kernel.quantize(matrix(4), scheme)).toEqual(await reference.quantize(matrix(4), scheme));
    // Ranges and grids of channels are other buffers than blocks have.
    expect(watched.made.length).toBeLessThanOrEqual(made + 2);
  });

  it('are destroyed when the kernel is disposed of or the device lost while results are mapped', async () => {
    for (const [end, error] of [
      [
        ({ kernel }: Opened) => {
          kernel.dispose();
        },
        { message: 'The kernel was disposed' },
      ],
      [
        ({ device }: Opened) => {
          device.destroy();
        },
        { name: 'DeviceLost' },
      ],
    ] as const) {
      const opened = await open();
      const { kernel, watched } = opened;
      gate(watched);
      const calls = [
        kernel.quantize(matrix(1), scheme),
        kernel.quantizePerChannel(tensor(1), linear),
        kernel.quantize(matrix(2), scheme),
        kernel.quantizePerChannel(tensor(2), linear),
      ].map((call) => expect(call).rejects.toMatchObject(error));
      await eventually(() => {
        expect(count(watched, 'read')).toBe(2);
      });
      end(opened);
      await Promise.all(calls);
      expect(watched.live.size).toBe(0);
      await expect(kernel.quantize(matrix(1), scheme)).rejects.toMatchObject(error);
    }
  });

  it('are made anew when the device refused one, and a call beside is not harmed', async () => {
    const { kernel, watched } = shared;
    watched.refuse = 'codes';
    const big = { ...matrix(1), data: weights(640 * 240, 1), k: 640, n: 240 };
    const [refused, beside] = [kernel.quantize(big, scheme), kernel.quantize(matrix(2), scheme)];
    await expect(refused).rejects.toMatchObject({ name: 'GpuError' });
    expect(await beside).toEqual(await reference.quantize(matrix(2), scheme));
    expect(await kernel.quantize(big, scheme)).toEqual(await reference.quantize(big, scheme));
  });
});
