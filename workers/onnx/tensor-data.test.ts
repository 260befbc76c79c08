import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { StringStringEntryProtoSchema, TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { encode, graph, model } from '../../models/build.ts';
import { toEngineError } from '../contract/errors.ts';
import { bytesSource, type ExternalFiles } from '../io/source.ts';
import {
  BFLOAT16,
  elementType,
  FLOAT16,
  FLOAT32,
  FLOAT64,
  INT4,
  INT64,
  INT8,
  packedBytes,
  UINT4,
  UINT8,
} from './numbers/element-types.ts';
import { toFloat16Bits } from './numbers/float16.ts';
import type { Tensor } from './model.ts';
import { scanModel } from './scan.ts';
import { readStrided, readTensor } from './tensor-data.ts';

type Init = Omit<MessageInitShape<typeof TensorProtoSchema>, '$typeName'>;

async function scanned(
  init: Init,
  external?: ExternalFiles,
): Promise<{ tensor: Tensor; bytes: () => Promise<Uint8Array> }> {
  const file = encode(model(graph({ initializer: [create(TensorProtoSchema, { name: 't', ...init })] })));
  const source = bytesSource('model.onnx', file);
  const {
    graph: {
      initializers: [tensor],
    },
  } = await scanModel(source, external);
  if (!tensor) throw new Error('no tensor');
  return { tensor, bytes: () => readTensor(source, tensor, external) };
}

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (thrown: unknown) => toEngineError(thrown).code,
  );

describe('typed fields hold what raw data would', () => {
  test.each<[string, Init, Uint8Array]>([
    [
      'float32',
      { dataType: FLOAT32, dims: [3n], floatData: [1, -2.5, 3e-40] },
      bytesOf(Float32Array.of(1, -2.5, 3e-40)),
    ],
    ['float64', { dataType: FLOAT64, dims: [2n], doubleData: [Math.PI, -0] }, bytesOf(Float64Array.of(Math.PI, -0))],
    [
      'float16',
      { dataType: FLOAT16, dims: [2n, 2n], int32Data: [1, -2, 65504, 1e-7].map(toFloat16Bits) },
      bytesOf(Uint16Array.of(...[1, -2, 65504, 1e-7].map(toFloat16Bits))),
    ],
    [
      'bfloat16',
      { dataType: BFLOAT16, dims: [2n], int32Data: [0x3f80, 0xc000] },
      bytesOf(Uint16Array.of(0x3f80, 0xc000)),
    ],
    ['int8', { dataType: INT8, dims: [4n], int32Data: [-128, -1, 0, 127] }, bytesOf(Int8Array.of(-128, -1, 0, 127))],
    ['uint8', { dataType: UINT8, dims: [2n], int32Data: [0, 255] }, Uint8Array.of(0, 255)],
    ['int4, two a byte', { dataType: INT4, dims: [3n], int32Data: [0x21, 0x0f] }, Uint8Array.of(0x21, 0x0f)],
    [
      'int64',
      { dataType: INT64, dims: [3n], int64Data: [-1n, 2n ** 62n, -(2n ** 63n)] },
      bytesOf(BigInt64Array.of(-1n, 2n ** 62n, -(2n ** 63n))),
    ],
    ['uint32', { dataType: 12, dims: [2n], uint64Data: [0n, 2n ** 32n - 1n] }, bytesOf(Uint32Array.of(0, 2 ** 32 - 1))],
    ['uint64', { dataType: 13, dims: [1n], uint64Data: [2n ** 64n - 1n] }, bytesOf(BigUint64Array.of(2n ** 64n - 1n))],
    ['complex64', { dataType: 14, dims: [1n], floatData: [1, 2] }, bytesOf(Float32Array.of(1, 2))],
    ['nothing, of an empty shape', { dataType: FLOAT32, dims: [0n, 7n] }, new Uint8Array()],
  ])('%s', async (_, init, expected) => {
    const { bytes } = await scanned(init);
    expect([...(await bytes())]).toEqual([...expected]);
  });

  test('numbers written one by one instead of packed', async () => {
    const whole = toBinary(TensorProtoSchema, create(TensorProtoSchema, { name: 't', dataType: INT8, dims: [3n] }));
    // Field 5 as varints: 7, 300 (of which the low byte counts), −1.
    const unpacked = Uint8Array.of(...whole, 0x28, 7, 0x28, 0xac, 2, 0x28, ...Array.from({ length: 9 }, () => 255), 1);
    const file = encode(model(graph({ initializer: [] })));
    const initializer = Uint8Array.of(0x2a, unpacked.length, ...unpacked);
    // The graph is the model's field 7; it is short enough for a length of one byte.
    const at = file.indexOf(0x3a);
    const grown = Uint8Array.of(
      ...file.subarray(0, at + 1),
      file[at + 1]! + initializer.length,
      ...file.subarray(at + 2, at + 2 + file[at + 1]!),
      ...initializer,
      ...file.subarray(at + 2 + file[at + 1]!),
    );
    const source = bytesSource('model.onnx', grown);
    const {
      graph: {
        initializers: [tensor],
      },
    } = await scanModel(source);
    expect([...(await readTensor(source, tensor!))]).toEqual([7, 44, 255]);
  });

  test('any int64 list', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 20 }),
        async (values) => {
          const { bytes } = await scanned({ dataType: INT64, dims: [BigInt(values.length)], int64Data: values });
          expect(await bytes()).toEqual(bytesOf(BigInt64Array.from(values)));
        },
      ),
      { numRuns: 50 },
    );
  });
});

test('short lists of int64 are known without reading', async () => {
  expect((await scanned({ dataType: INT64, dims: [3n], int64Data: [1n, -1n, 7n] })).tensor.ints).toEqual([1, -1, 7]);
  expect((await scanned({ dataType: FLOAT32, dims: [1n], floatData: [1] })).tensor.ints).toBeNull();
});

describe('what lies is refused before anything is allocated', () => {
  const huge = 2n ** 40n;
  test.each<[string, Init]>([
    ['more elements than bytes', { dataType: INT8, dims: [huge], int32Data: [1, 2, 3] }],
    ['fewer', { dataType: INT8, dims: [1n], int32Data: Array.from({ length: 30 }, () => 1) }],
    ['a shape that overflows', { dataType: FLOAT32, dims: [huge, huge, huge] }],
    ['a shape of nothing but a lie', { dataType: FLOAT32, dims: [huge] }],
    ['raw data of another length', { dataType: FLOAT16, dims: [4n], rawData: new Uint8Array(7) }],
    ['floats in the field of integers', { dataType: FLOAT32, dims: [1n], int32Data: [1] }],
    ['fewer strings', { dataType: 8, dims: [2n], stringData: [new Uint8Array(3)] }],
    ['strings as raw data', { dataType: 8, dims: [1n], rawData: new Uint8Array(1) }],
    [
      'a length of something else',
      {
        dataType: FLOAT32,
        dims: [1n],
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: entries({ location: 'w.bin', length: '99' }),
      },
    ],
    [
      'an offset that is no number',
      {
        dataType: FLOAT32,
        dims: [1n],
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: entries({ location: 'w.bin', offset: '0x10' }),
      },
    ],
  ])('%s', async (_, init) => {
    expect(await codeOf(scanned(init))).toBe('onnx-invalid');
  });

  test('as many varints as elements, only that they are fewer numbers', async () => {
    const { bytes } = await scanned({ dataType: INT8, dims: [10n], int32Data: [-1] });
    expect(await codeOf(bytes())).toBe('onnx-invalid');
  });
});

function entries(of: Record<string, string>) {
  return Object.entries(of).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));
}

describe('external data', () => {
  const init = (location: string, offset = '4'): Init => ({
    dataType: UINT8,
    dims: [3n],
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: entries({ location, offset, length: '3' }),
  });
  const files: ExternalFiles = new Map([['data/w.bin', bytesSource('w.bin', Uint8Array.of(0, 1, 2, 3, 4, 5, 6))]]);

  test('is read from the file it names', async () => {
    expect([...(await (await scanned(init('data/w.bin'), files)).bytes())]).toEqual([4, 5, 6]);
  });
  test('too short or missing is an error that names the file', async () => {
    await expect((await scanned(init('data/w.bin', '5'), files)).bytes()).rejects.toThrow('data/w.bin is too short');
    await expect((await scanned(init('other.bin'), files)).bytes()).rejects.toThrow(
      'lies in other.bin, which is missing',
    );
  });
  test.each([
    '../w.bin',
    'a/../../w.bin',
    '/etc/passwd',
    '\\\\host\\share',
    'C:\\w.bin',
    'c:w.bin',
    '',
    '*/_ORT_MEM_ADDR_/*',
    'a\0b',
    '..',
  ])('%j is refused', async (location) => {
    expect(await codeOf(scanned(init(location)))).toBe('onnx-external-data');
  });
  test.each(['w.bin', 'model.onnx_data', 'data/w..bin', '.weights'])('%j is not', async (location) => {
    expect(await codeOf(scanned(init(location)))).toBe('ok');
  });
});

test('packed sizes of every type', () => {
  expect([packedBytes(UINT4, 3), packedBytes(25, 5), packedBytes(FLOAT16, 3), packedBytes(8, 3)]).toEqual([
    2,
    2,
    6,
    null,
  ]);
  expect(elementType(99).name).toBe('type 99');
});

test.each([
  [7, 3, 10, 1],
  [3, 1000, 700_000, 3],
  [5, 4, 4, 1],
  [9, 700_000, 1_000_000, 3],
])('%s lines of %s bytes, %s apart, in %s reads', async (count, bytes, pitch, reads) => {
  const before = 5;
  const file = Uint8Array.from({ length: before + (count - 1) * pitch + bytes + 2 }, (_, i) => (i * 31) >> 3);
  let asked = 0;
  const source = bytesSource('m', file);
  const tensor: Tensor = {
    name: 't',
    dims: [],
    type: UINT8,
    data: { kind: 'inline', offset: before, length: 0 },
    bytes: 0,
    ints: null,
    span: { start: 0, body: 0, end: 0, number: 5 },
  };
  const lines = await readStrided(
    {
      ...source,
      read: (...range) => {
        asked++;
        return source.read(...range);
      },
    },
    tensor,
    { count, bytes, pitch },
  );
  const expected = Array.from({ length: count }, (_, line) =>
    Buffer.from(file.subarray(before + line * pitch, before + line * pitch + bytes)),
  );
  expect(Buffer.compare(lines, Buffer.concat(expected))).toBe(0);
  expect(asked).toBe(reads);
});
