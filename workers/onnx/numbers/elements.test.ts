import { expect, test } from 'vitest';
import { BFLOAT16, FLOAT16, FLOAT32, FLOAT64 } from './element-types.ts';
import { convert, gather } from './elements.ts';
import { packNibbles, transposed, unpackRows } from './nibbles.ts';

const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer);
const floats = (of: Uint8Array) => [...new Float32Array(of.slice().buffer)];

test('every floating-point type becomes float32 or float16', () => {
  expect(floats(convert(bytes(Float64Array.of(1 / 3, 1e300, -0)), [FLOAT64, FLOAT32]))).toEqual([
    Math.fround(1 / 3),
    Infinity,
    -0,
  ]);
  expect(floats(convert(bytes(Uint16Array.of(0x3f80, 0xc040, 0x7f80)), [BFLOAT16, FLOAT32]))).toEqual([
    1,
    -3,
    Infinity,
  ]);
  expect([...new Uint16Array(convert(bytes(Float32Array.of(1, 65520)), [FLOAT32, FLOAT16]).slice().buffer)]).toEqual([
    0x3c00, 0x7c00,
  ]);
});

test('a chain of casts rounds at each of them', () => {
  const values = Float32Array.of(1 + 2 ** -9, 1 + 2 ** -7 + 2 ** -8, NaN);
  expect(floats(convert(bytes(values), [FLOAT32, FLOAT16, FLOAT32]))).toEqual([
    1 + 2 ** -9,
    1 + 2 ** -7 + 2 ** -8,
    NaN,
  ]);
  // bfloat16 has seven bits: the first goes down, the tie goes to even.
  expect(floats(convert(bytes(values), [FLOAT32, BFLOAT16, FLOAT32]))).toEqual([1, 1 + 2 ** -6, NaN]);
});

test('elements in the order of a view', () => {
  const stored = Uint8Array.from({ length: 24 }, (_, i) => i);
  // [2, 3, 4] seen as [4, 2, 3].
  const seen = gather(stored, 1, [4, 2, 3], [1, 12, 4]);
  expect([...seen.subarray(0, 6)]).toEqual([0, 4, 8, 12, 16, 20]);
  expect([...gather(stored, 2, [2, 2], [1, 2])]).toEqual([0, 1, 4, 5, 2, 3, 6, 7]);
  expect(gather(stored, 1, [0, 3], [3, 1])).toEqual(new Uint8Array());
});

test('nibbles out of rows and into one piece', () => {
  const rows = Uint8Array.of(0x21, 0x03, 0x54, 0x06);
  expect([...unpackRows(rows, 4, 2, 3, 2)]).toEqual([1, 2, 3, 4, 5, 6]);
  expect([...packNibbles(Uint8Array.of(1, 2, 3))]).toEqual([0x21, 0x03]);
  expect([...transposed(Uint8Array.of(1, 2, 3, 4, 5, 6), 2, 3)]).toEqual([1, 4, 2, 5, 3, 6]);
  expect([...transposed(Uint8Array.of(1, 2, 3, 4), 2, 1, 2)]).toEqual([1, 2, 3, 4]);
});
