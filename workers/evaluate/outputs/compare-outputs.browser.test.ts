import { inOneFile } from '../../onnx/model-files.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { imageModel, twoOutputModel } from '../../../models/build.ts';
import type { Progress } from '../../contract/events.ts';
import { quantize } from '../../test-support.ts';
import { createEvaluator } from '../client.ts';
import type { OutputsJob } from './compare-outputs.ts';
import { readImage } from './input-files/image.ts';

/** A picture of 64 × 64: the left half `left`, the right half `right`. */
async function picture(name: string, left: string, right: string, type = 'image/png'): Promise<File> {
  const canvas = new OffscreenCanvas(64, 64);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.fillStyle = left;
  context.fillRect(0, 0, 32, 64);
  context.fillStyle = right;
  context.fillRect(32, 0, 32, 64);
  return new File([await canvas.convertToBlob({ type, quality: 1 })], name);
}

async function jobFor(bytes: Uint8Array, parts: Partial<OutputsJob> = {}): Promise<OutputsJob> {
  const level = async (key: string) => {
    const { bytes: written } = await quantize(bytes, key);
    return { key, model: inOneFile(new Blob([new Uint8Array(written)])) };
  };
  return {
    baseline: await level('fp16'),
    levels: [await level('int8'), await level('int4')],
    files: [],
    threads: 2,
    ...parts,
  };
}

let image: OutputsJob;
let two: OutputsJob;
beforeAll(async () => {
  image = await jobFor(imageModel({ size: 32 }));
  two = await jobFor(twoOutputModel());
});

describe('images', () => {
  it.each([
    ['image/png', 0.001],
    ['image/jpeg', 0.05],
    ['image/webp', 0.05],
  ])('%s are decoded and resized, red, green and blue from 0 to 1', async (type, tolerance) => {
    const result = await readImage(await picture('x', 'rgb(255, 0, 51)', 'white', type), {
      dims: [1, 3, 8, 8],
      layout: 'NCHW',
      type: 'float32',
    });
    if (!result.ok) throw new Error(result.error.message);
    const at = (channel: number, row: number, column: number) =>
      Number(result.value.data[channel * 64 + row * 8 + column]);
    const expected: [number, number, number, number][] = [
      [0, 4, 1, 1],
      [1, 4, 1, 0],
      [2, 4, 1, 0.2],
      [0, 4, 6, 1],
      [1, 4, 6, 1],
      [2, 4, 6, 1],
    ];
    for (const [channel, row, column, value] of expected)
      expect(Math.abs(at(channel, row, column) - value)).toBeLessThan(tolerance);
  });

  it('shows white where it is transparent', async () => {
    const result = await readImage(await picture('x.png', 'rgba(0, 0, 0, 0)', 'black'), {
      dims: [1, 8, 8, 1],
      layout: 'NHWC',
      type: 'uint8',
    });
    expect(result.ok && [result.value.data[8 * 4 + 1], result.value.data[8 * 4 + 6]]).toEqual([255, 0]);
  });

  it('that cannot be decoded end in a sentence', async () => {
    const broken = new File([Uint8Array.of(0x89), 'PNG', new Uint8Array(30)], 'broken.png');
    expect(await readImage(broken, { dims: [1, 3, 8, 8], layout: 'NCHW', type: 'float32' })).toMatchObject({
      ok: false,
      error: { code: 'input-invalid', message: 'broken.png cannot be decoded as an image.' },
    });
  });

  it('are what an image model is run on', async () => {
    const files = [await picture('a.png', 'red', 'blue'), await picture('b.jpg', 'green', 'white', 'image/jpeg')];
    const result = await createEvaluator().compareOutputs({ ...image, files }, () => undefined);
    if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
    expect(result.value.inputs).toEqual({
      kind: 'files',
      seed: null,
      samples: 2,
      provider: 'wasm',
      threads: 2,
      inputs: [
        {
          name: 'pixel_values',
          type: 'float32',
          shape: [1, 3, 32, 32],
          from: '2 files, a.png the first, resized to 32 × 32, red, green, blue from 0 to 1, not normalized further',
        },
      ],
    });
    const [int8, int4] = result.value.levels.map(({ outputs }) => outputs?.[0]);
    expect(int8?.sqnr).toBeGreaterThan(int4?.sqnr ?? Infinity);
    expect(int8?.top1?.value).toBe(1);
  });
});

describe('in a worker', () => {
  it('random inputs give figures and events', async () => {
    const events: Progress[] = [];
    const result = await createEvaluator().compareOutputs(two, (event) => {
      events.push(event);
    });
    if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
    expect(result.value.inputs).toMatchObject({ kind: 'random', samples: 8 });
    expect(result.value.levels.map(({ outputs }) => outputs?.map(({ output }) => output))).toEqual([
      ['embedding', 'label'],
      ['embedding', 'label'],
    ]);
    expect(events.at(-1)).toMatchObject({ unit: 'runs', done: 24, total: 24 });
  });

  it('it is cancelled, and finished early', async () => {
    const long = { ...two, samples: 1_000_000 };
    const stop = new AbortController();
    expect(
      await createEvaluator().compareOutputs(
        long,
        () => {
          stop.abort();
        },
        stop.signal,
      ),
    ).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    const finish = new AbortController();
    const result = await createEvaluator().compareOutputs(
      long,
      () => {
        finish.abort();
      },
      undefined,
      finish.signal,
    );
    expect(result.ok && result.value.inputs.samples).toBeLessThan(1_000_000);
    expect(result.ok && result.value.notes.join()).toMatch(/Stopped early/);
  });

  it('one that crashes is reported', async () => {
    const crashing = () =>
      new Worker(URL.createObjectURL(new Blob(['onmessage = () => { throw new Error("unreachable"); };'])));
    expect(await createEvaluator(crashing).compareOutputs(two, () => undefined)).toMatchObject({
      ok: false,
      error: { code: 'worker-crashed' },
    });
  });
});
