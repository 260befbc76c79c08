import { create, toBinary } from '@bufbuild/protobuf';
import { TensorProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import type { InputHints } from '../input-hints.ts';
import type { ValueInfo } from '../../inputs.ts';
import { matchFiles } from './match-inputs.ts';

const NO_HINTS: InputHints = new Map();
const input = (name: string, type: string, shape: (number | string)[]): ValueInfo => ({
  name,
  isTensor: true,
  type,
  shape,
});

function npy(name: string, dims: number[], from = 0): File {
  const header = new TextEncoder().encode(
    `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(', ')}${dims.length === 1 ? ',' : ''}), }`,
  );
  const values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, index) => from + index);
  return new File([Uint8Array.of(0x93), 'NUMPY', Uint8Array.of(1, 0, header.length, 0), header, values], name);
}
function pb(name: string, tensorName: string, values: number[]): File {
  return new File(
    [
      toBinary(
        TensorProtoSchema,
        create(TensorProtoSchema, {
          name: tensorName,
          dataType: 1,
          dims: [1n, BigInt(values.length)],
          floatData: values,
        }),
      ),
    ],
    name,
  );
}
const json = (name: string, value: unknown) => new File([JSON.stringify(value)], name);

async function match(files: File[], inputs: ValueInfo[]) {
  const result = await matchFiles(files, inputs, NO_HINTS, () => Promise.reject(new Error('no image was expected')));
  if (!result.ok) return `${result.error.code}: ${result.error.message}`;
  return {
    samples: result.value.samples,
    notes: result.value.notes,
    inputs: Object.fromEntries(
      [...result.value.inputs].map(([name, { tensors, from }]) => [
        name,
        { from, tensors: tensors.map(({ dims, data }) => [dims, Array.from(data, Number)]) },
      ]),
    ),
  };
}

const A = input('a', 'float32', ['batch', 2]);
const B = input('b', 'float32', ['batch', 2]);

describe('which input a file is for', () => {
  test('by its name, a number after it counting samples', async () => {
    expect(
      await match([npy('b.npy', [1, 2], 5), npy('a_0.npy', [1, 2]), npy('a_1.npy', [1, 2], 2)], [A, B]),
    ).toMatchObject({
      samples: 2,
      inputs: {
        a: {
          from: '2 files, a_0.npy the first',
          tensors: [
            [
              [1, 2],
              [0, 1],
            ],
            [
              [1, 2],
              [2, 3],
            ],
          ],
        },
        b: {
          from: 'b.npy',
          tensors: [
            [
              [1, 2],
              [5, 6],
            ],
          ],
        },
      },
    });
  });
  test("by position, as in ONNX's test data sets; outputs are left aside", async () => {
    const matched = await match(
      [pb('input_1.pb', '', [3, 4]), pb('input_0.pb', '', [1, 2]), pb('output_0.pb', '', [9])],
      [A, B],
    );
    expect(matched).toMatchObject({
      samples: 1,
      notes: [expect.stringMatching(/output_0\.pb was left aside/)],
      inputs: {
        a: {
          tensors: [
            [
              [1, 2],
              [1, 2],
            ],
          ],
        },
        b: {
          tensors: [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        },
      },
    });
  });
  test('by the name inside', async () => {
    expect(await match([pb('input_0.pb', 'b', [1, 2]), pb('x.pb', 'a', [3, 4])], [A, B])).toMatchObject({
      inputs: {
        a: {
          tensors: [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        },
        b: {},
      },
    });
  });
  test('names that no file can have', async () => {
    expect(
      await match([npy('serving_default_x_0.npy', [1, 2])], [input('serving/default/x:0', 'float32', [1, 2]), B]),
    ).toMatchObject({ inputs: { 'serving/default/x:0': {} } });
  });
  test('the only input there is', async () => {
    expect(await match([npy('anything.npy', [1, 2])], [A])).toMatchObject({ inputs: { a: {} } });
  });
  test('the keys of JSON, samples in a list', async () => {
    expect(
      await match(
        [
          json('in.json', [
            { a: [[1, 2]], b: [[3, 4]] },
            { a: [[5, 6]], b: [[7, 8]] },
          ]),
        ],
        [A, B],
      ),
    ).toMatchObject({
      samples: 2,
      inputs: {
        a: {
          from: 'in.json',
          tensors: [
            [
              [1, 2],
              [1, 2],
            ],
            [
              [1, 2],
              [5, 6],
            ],
          ],
        },
      },
    });
  });
  test('types are converted and said', async () => {
    expect(await match([npy('x.npy', [1, 2])], [input('x', 'int64', [1, 2])])).toMatchObject({
      inputs: {
        x: {
          from: 'x.npy, float32 read as int64',
          tensors: [
            [
              [1, 2],
              [0, 1],
            ],
          ],
        },
      },
    });
  });
});

describe('samples', () => {
  test.each<[string, (number | string)[], number[], [number, number[]]]>([
    ['a batch is taken apart', ['batch', 2], [3, 2], [3, [1, 2]]],
    ['into as many as the model takes', [2, 2], [6, 2], [3, [2, 2]]],
    ['or one', [1, 2], [3, 2], [3, [1, 2]]],
    ['a missing batch is added', ['batch', 2], [2], [1, [1, 2]]],
    ['what is no batch stays whole', ['rows', 2], [3, 2], [1, [3, 2]]],
  ])('%s', async (_, shape, dims, [samples, each]) => {
    const matched = await match([npy('x.npy', dims)], [input('x', 'float32', shape)]);
    expect(matched).toMatchObject({
      samples,
      inputs: { x: { tensors: Array.from({ length: samples }, (): unknown[] => [each, expect.anything()]) } },
    });
  });
});

describe('what does not fit says what and why', () => {
  test.each<[string, File[], ValueInfo[], RegExp]>([
    [
      'another shape',
      [npy('a.npy', [1, 3])],
      [A],
      /^input-invalid: a\.npy has shape \[1, 3\], and the input "a" takes \[batch, 2\]/,
    ],
    [
      'a batch the model does not divide',
      [npy('a.npy', [3, 2])],
      [input('a', 'float32', [2, 2])],
      /has shape \[3, 2\]/,
    ],
    [
      'other numbers of samples',
      [npy('a.npy', [3, 2]), npy('b.npy', [2, 2])],
      [A, B],
      /b\.npy and what goes with it give 2 samples .* others give 3/,
    ],
    ['a name of no input', [npy('c.npy', [1, 2])], [A, B], /c\.npy is for none of the model's inputs/],
    ['a key of no input', [json('in.json', { c: [1] })], [A, B], /for an input "c", which the model does not have/],
    [
      'values that are not whole',
      [json('in.json', { x: [0.5] })],
      [input('x', 'int64', [1])],
      /0\.5, which is no int64/,
    ],
    ['only outputs', [pb('output_0.pb', '', [1])], [A], /None of the files is an input/],
    [
      'an image for no image model',
      [new File([Uint8Array.of(0x89), 'PNG', new Uint8Array(20)], 'cat.png')],
      [A],
      /cat\.png is an image, and no input of the model takes images/,
    ],
  ])('%s', async (_, files, inputs, message) => {
    expect(await match(files, inputs)).toMatch(message);
  });

  test('an image, where nothing decodes one', async () => {
    const png = new File([Uint8Array.of(0x89), 'PNG', new Uint8Array(20)], 'cat.png');
    const result = await matchFiles([png], [input('pixels', 'float32', [1, 3, 8, 8])], NO_HINTS, (taker) =>
      Promise.resolve({ ok: true, value: taker.shape as number[] }),
    );
    expect(result.ok ? null : result.error.message).toBe(
      'cat.png is an image, and only a browser decodes images here.',
    );
  });
});
