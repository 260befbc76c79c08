import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encode,
  encoderModel,
  graph,
  imageModel,
  model,
  node,
  tensor,
  twoOutputModel,
  value,
} from '../../../models/build.ts';
import { wasmRuntime } from '../sessions/graph-session.ts';
import { readInputHints, type InputHints } from './input-hints.ts';
import { USUAL_SIZES } from './input-shapes.ts';
import { withFreeDimensions, type ValueInfo } from '../inputs.ts';
import { randomNumbers } from '../random.ts';
import { feedsOf, findInputSpec, seededSample, type InputSpec, type SeededInput } from './seeded-inputs.ts';

const SPEC: InputSpec = { seed: 1, free: USUAL_SIZES, wholeBelow: 2 };
const input = (name: string, type: string, shape: (number | string)[]): ValueInfo => ({
  name,
  isTensor: true,
  type,
  shape,
});

function made(inputs: ValueInfo[], hints: InputHints = new Map(), spec = SPEC, sample = 0): Map<string, SeededInput> {
  const result = seededSample(inputs, hints, spec, sample);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}
const dims = (inputs: ValueInfo[]) =>
  Object.fromEntries(
    [...made(inputs)].map(
      ([
        name,
        {
          tensor: { dims: found },
        },
      ]) => [name, found],
    ),
  );

describe('random numbers', () => {
  test('are these, everywhere', () => {
    const random = randomNumbers(1, 0, 0);
    expect([random.below(1000), random.below(1000), random.uniform(), random.normal(), random.normal()])
      .toMatchInlineSnapshot(`
      [
        366,
        664,
        0.4350154399871826,
        -0.11688232421875,
        0.155426025390625,
      ]
    `);
  });
  test('are normal: mean 0, variance 1, as many within one deviation as there should be', () => {
    const random = randomNumbers(7);
    const values = Array.from({ length: 20_000 }, () => random.normal());
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(values.reduce((sum, x) => sum + x * x, 0) / values.length - 1)).toBeLessThan(0.04);
    expect(values.filter((x) => Math.abs(x) < 1).length / values.length).toBeCloseTo(0.683, 1);
    expect(values.every((x) => Math.fround(x) === x)).toBe(true);
  });
  test('stay in range', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 31 }), (seed, limit) => {
        const random = randomNumbers(seed);
        const drawn = random.below(limit);
        const uniform = random.uniform();
        expect(Number.isInteger(drawn) && drawn >= 0 && drawn < limit && uniform >= 0 && uniform < 1).toBe(true);
      }),
    );
  });
});

describe('shapes', () => {
  test('free dimensions of one name are of one size', () => {
    expect(
      dims([input('input_ids', 'int64', ['batch', 'sequence']), input('bias', 'float32', ['batch', 'sequence', 4])]),
    ).toEqual({ input_ids: [1, 16], bias: [1, 16, 4] });
  });
  test.each<[string, ValueInfo, number[]]>([
    ['an image', input('pixel_values', 'float32', ['batch_size', 3, 'height', 'width']), [1, 3, 224, 224]],
    [
      'an image with everything free',
      input('pixel_values', 'float32', ['batch_size', 'num_channels', 'height', 'width']),
      [1, 3, 224, 224],
    ],
    ['an image, channels last, nameless', input('input_1', 'float32', ['unk__0', '', '', 3]), [1, 224, 224, 3]],
    [
      'the state of a recurrent layer, whose batch an export states as −1',
      withFreeDimensions(input('state', 'float32', [2, -1, 128])),
      [2, 1, 128],
    ],
    [
      'the same as onnxruntime-web shows it',
      withFreeDimensions(input('h', 'float32', [2, 0xffffffff, 64])),
      [2, 1, 64],
    ],
    ['sound', input('input_values', 'float32', ['batch_size', 'sequence_length']), [1, 16_000]],
    [
      'a spectrogram',
      input('input_features', 'float32', ['batch_size', 'feature_size', 'encoder_sequence_length']),
      [1, 80, 3000],
    ],
    [
      'an empty cache',
      input('past_key_values.0.key', 'float32', ['batch_size', 4, 'past_sequence_length', 8]),
      [1, 4, 0, 8],
    ],
    ['nothing known', input('x', 'float32', ['rows', 64]), [1, 64]],
    ['a scalar', input('gain', 'float32', []), []],
  ])('%s', (_, given, expected) => {
    expect(dims([given])[given.name]).toEqual(expected);
  });
  test('a mask over past and present is as long as the ids', () => {
    expect(
      dims([
        input('input_ids', 'int64', ['b', 'sequence_length']),
        input('attention_mask', 'int64', ['b', 'past_sequence_length + 1']),
      ]),
    ).toEqual({ input_ids: [1, 16], attention_mask: [1, 16] });
  });
});

describe('values', () => {
  test('encoder: ids within the table, masks one, token types zero', async () => {
    const hints = await readInputHints(new Blob([encoderModel()]));
    const inputs = ['input_ids', 'attention_mask', 'token_type_ids'].map((name) =>
      input(name, 'int64', ['batch', 'sequence']),
    );
    const sample = made(inputs, hints);
    const of = (name: string) => Array.from(sample.get(name)?.tensor.data ?? [], Number);
    expect(hints.get('input_ids')?.below).toBe(60);
    expect(
      Math.max(
        ...Array.from({ length: 50 }, (_, index) =>
          Math.max(...Array.from(made(inputs, hints, SPEC, index).get('input_ids')?.tensor.data ?? [], Number)),
        ),
      ),
    ).toBe(59);
    expect(new Set(of('attention_mask'))).toEqual(new Set([1]));
    expect(new Set(of('token_type_ids'))).toEqual(new Set([0]));
    expect(sample.get('input_ids')?.from).toBe('random whole numbers from 0 to 59');
  });
  test.each<[ValueInfo, number, number, string]>([
    [input('pixels', 'float32', [1, 3, 8, 8]), 0, 1, 'random, uniform from 0 to 1'],
    [input('pixels', 'uint8', [1, 8, 8, 3]), 0, 255, 'random whole numbers from 0 to 255'],
    [input('x', 'float32', [1, 64]), -6, 6, 'random, standard normal'],
    [input('flags', 'bool', [4]), 1, 1, 'ones'],
    [input('pixel_mask', 'int64', [1, 4]), 1, 1, 'ones'],
    [input('sr', 'int64', []), 16_000, 16_000, 'the sampling rate 16000'],
    [input('choice', 'int32', [4]), 0, 1, 'random whole numbers from 0 to 1'],
  ])('$name', (given, low, high, from) => {
    const {
      tensor: { data },
      from: found,
    } = made([given]).get(given.name)!;
    expect(found).toBe(from);
    expect(Math.min(...Array.from(data, Number))).toBeGreaterThanOrEqual(low);
    expect(Math.max(...Array.from(data, Number))).toBeLessThanOrEqual(high);
  });
  test('differ from sample to sample and seed to seed, and not from call to call', () => {
    const x = [input('x', 'float32', [4, 16])];
    const data = (sample: number, seed = 1) => made(x, new Map(), { ...SPEC, seed }, sample).get('x')?.tensor.data;
    expect(data(0)).toEqual(data(0));
    expect(data(0)).not.toEqual(data(1));
    expect(data(0)).not.toEqual(data(0, 2));
  });
  test.each<[ValueInfo, RegExp]>([
    [input('texts', 'string', [1]), /"texts": it takes strings/],
    [{ name: 'items', isTensor: false }, /"items": it is not a tensor/],
    [input('x', 'complex64', [1]), /element type is complex64/],
    [input('x', 'float32', [2 ** 20, 2 ** 20]), /more than can be made up/],
  ])('$name cannot be made, and is named', (given, message) => {
    const result = seededSample([given], new Map(), SPEC, 0);
    expect(result.ok ? null : [result.error.code, result.error.message]).toEqual([
      'inputs-unknown',
      expect.stringMatching(message),
    ]);
  });
});

describe('a graph that is run', () => {
  const runtime = wasmRuntime(ort, 1);
  async function specFor(bytes: Uint8Array<ArrayBuffer>) {
    const blob = new Blob([bytes]);
    const session = await runtime.open(inOneFile(blob));
    if (!session.ok) throw new Error(session.error.details);
    const hints = await readInputHints(blob);
    const spec = await findInputSpec(
      session.value,
      session.value.outputs.map(({ name }) => name),
      hints,
      1,
    );
    const sample = spec.ok ? seededSample(session.value.inputs, hints, spec.value, 3) : spec;
    const ran = sample.ok ? await session.value.run(feedsOf(sample.value)) : sample;
    await session.value.release();
    return { spec, sample, ran };
  }

  test.each<[string, Uint8Array<ArrayBuffer>]>([
    ['an image model', imageModel({ size: 32 })],
    ['two outputs', twoOutputModel()],
    ['an encoder', encoderModel()],
  ])('%s takes what is made for it', async (_, bytes) => {
    expect((await specFor(bytes)).ran.ok).toBe(true);
  });

  test('an image model with free sizes that takes only one of them: it is found', async () => {
    const { spec, ran } = await specFor(imageModel({ size: null }));
    expect(spec).toMatchObject({ ok: true, value: { free: { image: 32 } } });
    expect(ran.ok).toBe(true);
  });

  test('the width a weight prescribes is taken', async () => {
    const { sample } = await specFor(
      encode(
        model(
          graph({
            node: [node('Cast', ['x'], ['c'], { to: 1 }), node('MatMul', ['c', 'w'], ['y'])],
            initializer: [tensor('w', 'float32', [5, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])],
            input: [value('x', 'float16', ['rows', 'columns'])],
            output: [value('y', 'float32', ['rows', 2])],
          }),
        ),
      ),
    );
    expect(sample.ok && sample.value.get('x')?.tensor).toMatchObject({ type: 'float16', dims: [1, 5] });
  });

  test('a graph that refuses everything says so', async () => {
    const { spec } = await specFor(
      encode(
        model(
          graph({
            node: [node('Reshape', ['x', 'shape'], ['y'])],
            initializer: [tensor('shape', 'int64', [1], [12_345])],
            input: [value('x', 'float32', ['n'])],
            output: [value('y', 'float32', [12_345])],
          }),
        ),
      ),
    );
    expect(spec.ok ? null : spec.error).toMatchObject({
      code: 'inputs-unknown',
      details: expect.stringMatching(/x: float32\[n\]/),
    });
  });
});
