import * as native from 'onnxruntime-node';
import { inOneFile } from '../../onnx/model-files.ts';
import * as ort from 'onnxruntime-web';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  encode,
  encoderModel,
  graph,
  imageModel,
  matMulModel,
  model,
  node,
  randomValues,
  tensor,
  twoOutputModel,
  value,
} from '../../../models/build.ts';
import type { OutputDrift } from '../../contract/report.ts';
import type { Progress } from '../../contract/events.ts';
import type { Result } from '../../contract/errors.ts';
import { quantize } from '../../test-support.ts';
import { compareOutputs, type OutputsJob, type OutputsOutcome } from './compare-outputs.ts';
import { outOfMemory } from '../errors.ts';
import { wasmRuntime, type GraphRuntime } from '../sessions/graph-session.ts';
import { USUAL_SIZES } from './input-shapes.ts';
import { seededSample, type Feeds, feedsOf } from './seeded-inputs.ts';

type Levels = Record<'fp16' | 'int8' | 'int4', Uint8Array<ArrayBuffer>>;

async function levelsOf(bytes: Uint8Array): Promise<Levels> {
  const write = async (level: string) => new Uint8Array((await quantize(bytes, level)).bytes);
  return { fp16: await write('fp16'), int8: await write('int8'), int4: await write('int4') };
}

let image: Levels;
let two: Levels;
beforeAll(async () => {
  image = await levelsOf(imageModel({ size: 32 }));
  two = await levelsOf(twoOutputModel());
});

const job = ({ fp16, int8, int4 }: Levels, parts: Partial<OutputsJob> = {}): OutputsJob => ({
  baseline: { key: 'fp16', model: inOneFile(new Blob([fp16])) },
  levels: [
    { key: 'int8', model: inOneFile(new Blob([int8])) },
    { key: 'int4', model: inOneFile(new Blob([int4])) },
  ],
  files: [],
  threads: 1,
  ...parts,
});

const wasm = wasmRuntime(ort, 1);

async function run(
  given: OutputsJob,
  runtime: GraphRuntime = wasm,
  signal?: AbortSignal,
  finish?: AbortSignal,
): Promise<{ result: Result<OutputsOutcome>; events: Progress[] }> {
  const events: Progress[] = [];
  return {
    result: await compareOutputs(
      runtime,
      given,
      (event) => {
        events.push(event);
      },
      signal,
      finish,
    ),
    events,
  };
}

async function outcome(given: OutputsJob, runtime?: GraphRuntime): Promise<OutputsOutcome> {
  const { result } = await run(given, runtime);
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
}
const driftOf = ({ levels }: OutputsOutcome, key: string, output: string): OutputDrift => {
  const found = levels.find((level) => level.key === key)?.outputs?.find((drift) => drift.output === output);
  if (!found) throw new Error(`no ${output} at ${key}`);
  return found;
};

/** Runs a file in onnxruntime-node, an implementation of its own. */
async function runNative(bytes: Uint8Array, samples: Feeds[], output: string): Promise<number[][]> {
  const session = await native.InferenceSession.create(bytes);
  const results: number[][] = [];
  for (const feeds of samples) {
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, { type, data, dims }]) => [
        name,
        new native.Tensor(type as 'float32', data as Float32Array, dims),
      ]),
    );
    results.push(Array.from((await session.run(tensors))[output]?.data as Float32Array | BigInt64Array, Number));
  }
  await session.release();
  return results;
}

function seededFeeds(name: string, shape: number[], count: number): Feeds[] {
  return Array.from({ length: count }, (_, index) => {
    const sample = seededSample(
      [{ name, isTensor: true, type: 'float32', shape }],
      new Map(),
      { seed: 1, free: USUAL_SIZES, wholeBelow: 2 },
      index,
    );
    if (!sample.ok) throw new Error(sample.error.message);
    return feedsOf(sample.value);
  });
}

describe('an image model', () => {
  test('random inputs are called random, with all that made them', async () => {
    expect((await outcome(job(image))).inputs).toEqual({
      kind: 'random',
      seed: 1,
      samples: 8,
      provider: 'wasm',
      threads: 1,
      inputs: [{ name: 'pixel_values', type: 'float32', shape: [1, 3, 32, 32], from: 'random, uniform from 0 to 1' }],
    });
  });

  test.each(['int8', 'int4'] as const)('%s: the figures are those of the files in onnxruntime-node', async (level) => {
    const samples = seededFeeds('pixel_values', [1, 3, 32, 32], 8);
    const base = await runNative(image.fp16, samples, 'scores');
    const other = await runNative(image[level], samples, 'scores');
    const [x, y] = [base.flat(), other.flat()];
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const top = (rows: number[][]) => rows.map((row) => row.indexOf(Math.max(...row)));
    const five = other.map((row) =>
      row
        .map((score, index) => [score, index] as const)
        .sort((a, b) => b[0] - a[0])
        .slice(0, 5)
        .map(([, index]) => index),
    );
    const noise = sum(x.map((value, index) => (value - y[index]!) ** 2));

    const drift = driftOf(await outcome(job(image)), level, 'scores');
    // Two implementations of the same arithmetic differ in the last bits, which the ratio of an int8 level shows a little.
    expect(drift.sqnr).toBeCloseTo(10 * Math.log10(sum(x.map((value) => value * value)) / noise), 1);
    expect(drift.cosine).toBeCloseTo(
      sum(x.map((value, index) => value * y[index]!)) /
        Math.sqrt(sum(x.map((value) => value * value)) * sum(y.map((value) => value * value))),
      6,
    );
    expect(drift.maxError / Math.max(...x.map((value, index) => Math.abs(value - y[index]!)))).toBeCloseTo(1, 2);
    expect(drift.rms).toBeCloseTo(Math.sqrt(sum(x.map((value) => value * value)) / x.length), 4);
    expect(drift.top1?.value).toBe(top(base).filter((winner, index) => winner === top(other)[index]).length / 8);
    expect(drift.top5?.value).toBe(top(base).filter((winner, index) => five[index]!.includes(winner)).length / 8);
  });

  test('int8 is closer than int4, each by as much as four bits more are worth', async () => {
    const result = await outcome(job(image));
    const [int8, int4] = [driftOf(result, 'int8', 'scores'), driftOf(result, 'int4', 'scores')];
    expect(int8.sqnr).toBeGreaterThan(30);
    expect(int4.sqnr).toBeGreaterThan(10);
    // Four bits are 24 dB.
    expect((int8.sqnr ?? NaN) - (int4.sqnr ?? NaN)).toBeGreaterThan(16);
    expect((int8.sqnr ?? NaN) - (int4.sqnr ?? NaN)).toBeLessThan(32);
    expect(int8.cosine).toBeGreaterThan(int4.cosine);
    expect(int8.maxError).toBeLessThan(int4.maxError);
  });

  test('a level that is the baseline does not differ', async () => {
    expect(driftOf(await outcome(job({ ...image, int8: image.fp16 })), 'int8', 'scores')).toMatchObject({
      cosine: 1,
      sqnr: null,
      maxError: 0,
      top1: { value: 1, error: 0 },
      top5: { value: 1, error: 0 },
    });
  });

  test('free sizes are found by trying', async () => {
    expect((await outcome(job(await levelsOf(imageModel({ size: null }))))).inputs.inputs[0]?.shape).toEqual([
      1, 3, 32, 32,
    ]);
  });
});

describe('two outputs', () => {
  test('each has its line; labels have the share that is the same', async () => {
    const result = await outcome(job(two, { samples: 40 }));
    expect(result.levels.map(({ key, outputs }) => [key, outputs?.map(({ output }) => output)])).toEqual([
      ['int8', ['embedding', 'label']],
      ['int4', ['embedding', 'label']],
    ]);
    const samples = seededFeeds('features', [1, 48], 40);
    const [base, other] = [await runNative(two.fp16, samples, 'label'), await runNative(two.int4, samples, 'label')];
    const label = driftOf(result, 'int4', 'label');
    expect(label.equal?.value).toBe(base.flat().filter((value, index) => value === other.flat()[index]).length / 40);
    expect(label.equal?.value).toBeGreaterThan(0.5);
    expect(label.top1).toBeNull();
    expect(driftOf(result, 'int4', 'embedding')).toMatchObject({ top1: null, equal: null });
  });
});

describe('files', () => {
  const json = (value: unknown) => new File([JSON.stringify(value)], 'features.json');
  const rows = (count: number) => Array.from({ length: count }, (_, index) => Array.from(randomValues(index + 1, 48)));

  test('are used in place of random inputs, a row a sample', async () => {
    const result = await outcome(job(two, { files: [json({ features: rows(5) })] }));
    expect(result.inputs).toMatchObject({
      kind: 'files',
      seed: null,
      samples: 5,
      inputs: [{ name: 'features', type: 'float32', shape: [1, 48], from: 'features.json' }],
    });
    const feeds = rows(5).map((row): Feeds => ({
      features: { type: 'float32', dims: [1, 48], data: Float32Array.from(row) },
    }));
    const [base, other] = [
      (await runNative(two.fp16, feeds, 'embedding')).flat(),
      (await runNative(two.int8, feeds, 'embedding')).flat(),
    ];
    expect(
      driftOf(result, 'int8', 'embedding').maxError /
        Math.max(...base.map((value, index) => Math.abs(value - other[index]!))),
    ).toBeCloseTo(1, 2);
  });

  test('of an encoder: what is missing follows from the ids', async () => {
    const encoder = await levelsOf(encoderModel());
    const result = await outcome(
      job(encoder, {
        files: [new File([JSON.stringify([{ input_ids: [[1, 2, 3]] }, { input_ids: [[4, 5, 6, 7, 8]] }])], 'ids.json')],
      }),
    );
    expect(result.inputs).toMatchObject({
      samples: 2,
      inputs: [
        { name: 'input_ids', shape: [1, 3] },
        { name: 'attention_mask', shape: [1, 3], from: 'ones' },
        { name: 'token_type_ids', shape: [1, 3], from: 'zeros' },
      ],
    });
    expect(driftOf(result, 'int8', 'last_hidden_state').sqnr).toBeGreaterThan(30);
  });

  test.each<[string, () => Uint8Array<ArrayBuffer>, File, RegExp]>([
    [
      'an input is missing',
      () =>
        encode(
          model(
            graph({
              node: [node('MatMul', ['x', 'w'], ['h']), node('Add', ['h', 'bias'], ['y'])],
              initializer: [tensor('w', 'float32', [64, 64], randomValues(1, 4096))],
              input: [value('x', 'float32', ['batch', 64]), value('bias', 'float32', [64])],
              output: [value('y', 'float32', ['batch', 64])],
            }),
          ),
        ),
      new File([JSON.stringify({ x: [Array.from(randomValues(1, 64))] })], 'x.json'),
      /no file for the input "bias"/,
    ],
    [
      'a shape does not fit',
      () => matMulModel(randomValues(1, 4096), 64, 64),
      new File(['{"x": [[1, 2]]}'], 'x.json'),
      /x\.json has shape \[1, 2\]/,
    ],
  ])('%s: a sentence', async (_, bytes, file, message) => {
    const { result } = await run(job(await levelsOf(bytes()), { files: [file] }));
    expect(result.ok ? null : result.error).toMatchObject({
      code: 'input-invalid',
      message: expect.stringMatching(message),
    });
  });
});

describe('on the way', () => {
  test('progress counts runs, and ends with all of them', async () => {
    const { events } = await run(job(two));
    expect(events.at(-1)).toMatchObject({
      type: 'progress',
      stage: 'measure',
      level: null,
      unit: 'runs',
      done: 24,
      total: 24,
    });
  });

  test('cancelled', async () => {
    const stop = new AbortController();
    let runs = 0;
    const stopping: GraphRuntime = {
      ...wasm,
      open: async (blob) =>
        watched(await wasm.open(blob), () => {
          if (++runs === 5) stop.abort();
        }),
    };
    expect((await run(job(two), stopping, stop.signal)).result).toMatchObject({
      ok: false,
      error: { code: 'cancelled' },
    });
    expect(runs).toBe(5);
  });

  test('finished early: the samples run, and that is said', async () => {
    const finish = new AbortController();
    let runs = 0;
    const stopping: GraphRuntime = {
      ...wasm,
      open: async (blob) =>
        watched(await wasm.open(blob), () => {
          if (++runs === 5) finish.abort();
        }),
    };
    const { result } = await run(job(two), stopping, undefined, finish.signal);
    if (!result.ok) throw new Error(result.error.message);
    // One run tries the inputs out, three are a sample.
    expect(result.value.inputs.samples).toBe(2);
    expect(result.value.notes).toEqual([expect.stringMatching(/Stopped early: 2 of 8 samples/)]);
    expect(result.value.levels.every(({ outputs }) => outputs !== null)).toBe(true);
  });

  test('where memory holds two sessions only, levels take turns, with the same figures', async () => {
    let open = 0;
    let most = 0;
    const small: GraphRuntime = {
      ...wasm,
      async open(blob) {
        if (open >= 2) return outOfMemory('Opening the model', 'two are open');
        const opened = await wasm.open(blob);
        if (!opened.ok) return opened;
        most = Math.max(most, ++open);
        return {
          ok: true,
          value: {
            ...opened.value,
            release: () => {
              open--;
              return opened.value.release();
            },
          },
        };
      },
    };
    const result = await outcome(job(two), small);
    expect(result.levels).toEqual((await outcome(job(two))).levels);
    expect(result.notes).toEqual([expect.stringMatching(/in 2 passes/)]);
    expect([open, most]).toEqual([0, 2]);
  });

  test("a level that does not open is that level's problem", async () => {
    const result = await outcome(job({ ...two, int8: Uint8Array.of(1, 2, 3) }));
    expect(result.levels[0]).toMatchObject({ key: 'int8', outputs: null, problem: { code: 'session-failed' } });
    expect(result.levels[1]?.outputs).toHaveLength(2);
  });

  test('values that are not finite are left out and counted', async () => {
    const spoiled = (await quantize(matMulModel(randomValues(1, 4096), 64, 64), 'fp16')).bytes;
    const infinite = matMulModel(
      randomValues(1, 4096).map((weight, index) => (index % 64 === 0 ? Infinity : weight)),
      64,
      64,
    );
    const result = await outcome({
      baseline: { key: 'fp16', model: inOneFile(new Blob([new Uint8Array(spoiled)])) },
      levels: [{ key: 'bad', model: inOneFile(new Blob([infinite])) }],
      files: [],
      threads: 1,
    });
    expect(result.notes).toEqual([
      expect.stringMatching(/bad: the output "y" has 8 of 512 values that are not finite/),
    ]);
    expect(driftOf(result, 'bad', 'y').cosine).toBeGreaterThan(0.99);
  });
});

/** The same session, told of each run. */
function watched(
  opened: Awaited<ReturnType<GraphRuntime['open']>>,
  onRun: () => void,
): Awaited<ReturnType<GraphRuntime['open']>> {
  if (!opened.ok) return opened;
  const session = opened.value;
  return {
    ok: true,
    value: {
      ...session,
      run: async (feeds, fetch) => {
        const ran = await session.run(feeds, fetch);
        onRun();
        return ran;
      },
    },
  };
}
