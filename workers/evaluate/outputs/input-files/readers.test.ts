import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { matMulModel } from '../../../../models/build.ts';
import type { Result } from '../../../contract/errors.ts';
import { convert } from './file-tensor.ts';
import { imageTensor } from './image.ts';
import { looksLikeInputs, readJsonInputs } from './json-inputs.ts';
import { readNpy } from './npy.ts';
import { looksLikeTensor, readTensorProto } from './tensor-proto.ts';

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
}
const problem = (result: Result<unknown>) => (result.ok ? null : `${result.error.code}: ${result.error.message}`);

function npy(header: string, data: ArrayBufferView | number[], version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length =
    version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, (text.length >> 8) & 255, 0, 0];
  const body = Array.isArray(data)
    ? Uint8Array.from(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, ...length, ...text, ...body]);
}
const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': (${shape}), }\n`;

describe('.npy', () => {
  test.each([1, 2, 3])('version %i', (version) => {
    expect(unwrap(readNpy('x.npy', npy(header('<f4', '2, 2'), Float32Array.of(1, 2, 3, 4), version)))).toEqual({
      type: 'float32',
      dims: [2, 2],
      data: Float32Array.of(1, 2, 3, 4),
    });
  });
  test.each<[string, string, number[], unknown]>([
    ['<f2', 'float16', [0, 0x3c], Uint16Array.of(0x3c00)],
    ['>f4', 'float32', [0x3f, 0x80, 0, 0], Float32Array.of(1)],
    ['<f8', 'float64', [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], Float64Array.of(1)],
    ['|i1', 'int8', [255], Int8Array.of(-1)],
    ['>i2', 'int16', [1, 2], Int16Array.of(258)],
    ['<i4', 'int32', [1, 0, 0, 0], Int32Array.of(1)],
    ['>i8', 'int64', [0, 0, 0, 0, 0, 0, 1, 0], BigInt64Array.of(256n)],
    ['|u1', 'uint8', [7], Uint8Array.of(7)],
    ['<u2', 'uint16', [1, 1], Uint16Array.of(257)],
    ['=u4', 'uint32', [255, 255, 255, 255], Uint32Array.of(2 ** 32 - 1)],
    ['<u8', 'uint64', [1, 0, 0, 0, 0, 0, 0, 0], BigUint64Array.of(1n)],
    ['|b1', 'bool', [1], Uint8Array.of(1)],
  ])('%s', (descr, type, bytes, data) => {
    expect(unwrap(readNpy('x.npy', npy(header(descr, '1,'), bytes)))).toEqual({ type, dims: [1], data });
  });
  test('a scalar, an empty array, a shape of Python 2', () => {
    expect(unwrap(readNpy('x.npy', npy(header('|u1', ''), [5])))).toMatchObject({ dims: [], data: Uint8Array.of(5) });
    expect(unwrap(readNpy('x.npy', npy(header('<f4', '0, 3'), [])))).toMatchObject({ dims: [0, 3] });
    expect(unwrap(readNpy('x.npy', npy(header('|u1', '2L,'), [5, 6])))).toMatchObject({ dims: [2] });
  });
  test('columns first is turned into rows first', () => {
    // [[1, 2, 3], [4, 5, 6]] column by column.
    expect(unwrap(readNpy('x.npy', npy(header('<i2', '2, 3', 'True'), Int16Array.of(1, 4, 2, 5, 3, 6)))).data).toEqual(
      Int16Array.of(1, 2, 3, 4, 5, 6),
    );
  });
  test.each<[string, Uint8Array, RegExp]>([
    [
      'a shape that cannot be',
      npy(header('<f4', '99999999999, 99999999999'), [0, 0, 0, 0]),
      /states a shape of .* which cannot be/,
    ],
    ['a negative shape', npy(header('<f4', '-1,'), [0, 0, 0, 0]), /cannot be/],
    ['cut off', npy(header('<f4', '4,'), [0, 0, 0, 0]), /states 16 bytes of float32 and holds 4/],
    ['too long', npy(header('|u1', '1,'), [0, 0]), /states 1 bytes of uint8 and holds 2/],
    ['objects', npy(header('|O', '1,'), [0]), /"\|O", which no input takes/],
    [
      'records',
      npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", [0, 0, 0, 0]),
      /records of several fields/,
    ],
    [
      'a header that runs past the end',
      Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0, 255, 255, 255, 255, 1, 2]),
      /middle of its header/,
    ],
    ['version 9', npy(header('<f4', '1,'), [0, 0, 0, 0], 9), /version 9/],
    ['an empty header', npy('{}', []), /header that cannot be read/],
    ['more dimensions than NumPy has', npy(header('|u1', '1,'.repeat(20_000)), [1]), /cannot be/],
  ])('%s is refused', (_, bytes, message) => {
    expect(problem(readNpy('x.npy', bytes))).toMatch(message);
  });
});

const proto = (init: MessageInitShape<typeof TensorProtoSchema>) =>
  toBinary(TensorProtoSchema, create(TensorProtoSchema, init));

describe('TensorProto', () => {
  test.each<[string, MessageInitShape<typeof TensorProtoSchema>, unknown]>([
    [
      'raw float32',
      { dataType: 1, rawData: new Uint8Array(Float32Array.of(1, -2).buffer) },
      ['float32', Float32Array.of(1, -2)],
    ],
    ['float_data', { dataType: 1, floatData: [1, -2] }, ['float32', Float32Array.of(1, -2)]],
    ['double_data', { dataType: 11, doubleData: [1, -2] }, ['float64', Float64Array.of(1, -2)]],
    ['int64_data', { dataType: 7, int64Data: [1n, -2n] }, ['int64', BigInt64Array.of(1n, -2n)]],
    [
      'uint64_data of uint32',
      { dataType: 12, uint64Data: [1n, 4294967295n] },
      ['uint32', Uint32Array.of(1, 4294967295)],
    ],
    ['uint64_data', { dataType: 13, uint64Data: [1n, 2n] }, ['uint64', BigUint64Array.of(1n, 2n)]],
    ['int32_data of int8', { dataType: 3, int32Data: [1, -2] }, ['int8', Int8Array.of(1, -2)]],
    ['int32_data of bool', { dataType: 9, int32Data: [1, 0] }, ['bool', Uint8Array.of(1, 0)]],
    [
      'int32_data of float16',
      { dataType: 10, int32Data: [0x3c00, 0xc000] },
      ['float16', Uint16Array.of(0x3c00, 0xc000)],
    ],
    [
      'raw bfloat16, widened',
      { dataType: 16, rawData: Uint8Array.of(0x80, 0x3f, 0, 0xc0) },
      ['float32', Float32Array.of(1, -2)],
    ],
  ])('%s', (_, init, expected) => {
    const bytes = proto({ name: 'x', dims: [2n], ...init });
    expect(looksLikeTensor(bytes, bytes.length)).toBe(true);
    expect(looksLikeTensor(bytes, bytes.length - 1)).toBe(false);
    const { tensor, tensorName } = unwrap(readTensorProto('input_0.pb', bytes));
    expect([tensor.type, tensor.data, tensor.dims, tensorName]).toEqual([...(expected as unknown[]), [2], 'x']);
  });
  test.each<[string, Uint8Array, RegExp]>([
    ['too few bytes', proto({ dims: [3n], dataType: 1, rawData: new Uint8Array(4) }), /needs 12 bytes and holds 4/],
    ['too few values', proto({ dims: [3n], dataType: 1, floatData: [1] }), /needs 3 values and holds 1/],
    ['a huge shape', proto({ dims: [2n ** 40n, 2n ** 40n], dataType: 1 }), /cannot be/],
    ['a negative shape', proto({ dims: [-1n], dataType: 1 }), /cannot be/],
    ['strings', proto({ dims: [1n], dataType: 8, stringData: [Uint8Array.of(65)] }), /elements of type string/],
    [
      'external data',
      proto({
        dims: [1n],
        dataType: 1,
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: [{ key: 'location', value: '../../etc/passwd' }],
      }),
      /values in another file/,
    ],
    ['out of range', proto({ dims: [1n], dataType: 2, int32Data: [300] }), /300, which is no uint8/],
    ['noise', Uint8Array.of(255, 255, 255), /is not a tensor/],
  ])('%s is refused', (_, bytes, message) => {
    expect(problem(readTensorProto('input_0.pb', bytes))).toMatch(message);
  });
  test('a model is not taken for one', () => {
    const model = matMulModel(Float32Array.of(1), 1, 1);
    expect(looksLikeTensor(model, model.length)).toBe(false);
  });
});

describe('JSON', () => {
  const of = (json: unknown) =>
    unwrap(readJsonInputs('in.json', JSON.stringify(json))).map((sample) =>
      [...sample].map(([name, { dims, data }]) => [name, dims, Array.from(data as Float64Array)]),
    );
  test('nested arrays, dims and data, one or several samples, no name', () => {
    expect(
      of({
        a: [
          [1, 2],
          [3, 4],
        ],
        b: { dims: [1, 2], data: [true, 0.5] },
      }),
    ).toEqual([
      [
        ['a', [2, 2], [1, 2, 3, 4]],
        ['b', [1, 2], [1, 0.5]],
      ],
    ]);
    expect(of([{ a: [1] }, { a: [2] }])).toEqual([[['a', [1], [1]]], [['a', [1], [2]]]]);
    expect(of([[1], [2]])).toEqual([[[null, [2, 1], [1, 2]]]]);
    expect(of({ ['__proto__x']: { shape: [], data: [7] } })).toEqual([[['__proto__x', [], [7]]]]);
  });
  test.each<[string, unknown, RegExp]>([
    ['rows of other lengths', { a: [[1, 2], [3]] }, /not the same length all over/],
    ['a word', { a: [1, 'two'] }, /"two", which is no number/],
    ['a shape that lies', { a: { dims: [1e15], data: [1] } }, /shape that cannot be/],
    ['too few values', { a: { dims: [3], data: [1] } }, /needs 3 values and holds 1/],
    ['a number among rows', { a: [[1], 2] }, /not the same length/],
  ])('%s is refused', (_, json, message) => {
    expect(problem(readJsonInputs('in.json', JSON.stringify(json)))).toMatch(message);
  });
  test.each<[unknown, boolean]>([
    [{ input_ids: [[1, 2]] }, true],
    [[{ x: [1] }], true],
    [[[0.5]], true],
    [{ eos_token_id: [1, 2], transformers_version: '4' }, false],
    [{ a: 1 }, false],
    [{ do_resize: true, size: { height: 224 }, image_mean: [0.5] }, false],
    [[], false],
    [{}, false],
    ['x', false],
    [null, false],
    [{ x: [] }, false],
  ])('%j looks like inputs: %s', (json, expected) => {
    expect(looksLikeInputs(json)).toBe(expected);
  });
});

describe('conversion', () => {
  const from = (type: string, data: Float64Array | BigInt64Array) => ({ type, dims: [data.length], data });
  test.each<[string, string, Float64Array | BigInt64Array, unknown]>([
    ['float64', 'float32', Float64Array.of(0.1), Float32Array.of(0.1)],
    ['float64', 'float16', Float64Array.of(1), Uint16Array.of(0x3c00)],
    ['float64', 'int64', Float64Array.of(-3), BigInt64Array.of(-3n)],
    ['int64', 'int32', BigInt64Array.of(5n), Int32Array.of(5)],
    ['float64', 'bool', Float64Array.of(1, 0), Uint8Array.of(1, 0)],
  ])('%s to %s', (source, target, data, expected) => {
    expect(unwrap(convert('x', from(source, data), target)).data).toEqual(expected);
  });
  test.each<[string, string, Float64Array | BigInt64Array, RegExp]>([
    ['float64', 'int64', Float64Array.of(0.5), /0\.5, which is no int64/],
    ['int64', 'int32', BigInt64Array.of(2n ** 40n), /1099511627776, which is no int32/],
    ['float64', 'float32', Float64Array.of(1e300), /1e\+300/],
    ['float64', 'float16', Float64Array.of(70_000), /70000/],
    ['int64', 'uint64', BigInt64Array.of(-1n), /-1, which is no uint64/],
    ['float64', 'string', Float64Array.of(1), /cannot become string/],
    ['float64', 'uint8', Float64Array.of(NaN), /NaN/],
  ])('%s to %s is refused where it would change values', (source, target, data, message) => {
    expect(problem(convert('x', from(source, data), target))).toMatch(message);
  });
});

test('pixels: channels first and last, colour and grey, floats and bytes', () => {
  const rgba = Uint8Array.of(255, 0, 51, 255, 0, 255, 102, 0);
  const at = (dims: number[], layout: 'NCHW' | 'NHWC', type = 'float32') =>
    Array.from(imageTensor(rgba, { dims, layout, type }).data as Float32Array, (value) => Number(value.toFixed(4)));
  expect(at([1, 3, 1, 2], 'NCHW')).toEqual([1, 0, 0, 1, 0.2, 0.4]);
  expect(at([1, 1, 2, 3], 'NHWC')).toEqual([1, 0, 0.2, 0, 1, 0.4]);
  expect(at([1, 1, 2, 3], 'NHWC', 'uint8')).toEqual([255, 0, 51, 0, 255, 102]);
  expect(at([1, 1, 1, 2], 'NCHW')).toEqual([0.3218, 0.6326]);
});

test('whatever the bytes are, a reader answers with a tensor or a sentence', () => {
  const seeds = [
    npy(header('<f4', '2, 2', 'True'), Float32Array.of(1, 2, 3, 4)),
    proto({ dims: [2n], dataType: 1, rawData: new Uint8Array(8) }),
    new TextEncoder().encode('{"a": {"dims": [2], "data": [1, 2]}}'),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
      fc.nat(80),
      (seed, changes, cut) => {
        const bytes = seed.slice(0, Math.max(1, seed.length - (cut % 3 === 0 ? cut : 0)));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        for (const result of [
          readNpy('x', bytes),
          readTensorProto('x', bytes),
          readJsonInputs('x', new TextDecoder().decode(bytes)),
        ]) {
          if (!result.ok)
            expect(result.error).toMatchObject({
              code: 'input-invalid',
              message: expect.stringMatching(/\.$/),
              action: expect.stringMatching(/\.$/),
            });
        }
      },
    ),
    { numRuns: 300 },
  );
});
