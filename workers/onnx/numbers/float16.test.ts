import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromFloat16Array, fromFloat16Bits, toFloat16Array, toFloat16Bits } from './float16.ts';

const everyHalf = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
const isNaN16 = (bits: number) => (bits & 0x7fff) > 0x7c00;

describe('float16', () => {
  it('knows the landmarks of the format', () => {
    const landmarks: [number, number][] = [
      [0, 0x0000],
      [-0, 0x8000],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [Infinity, 0x7c00],
      [-Infinity, 0xfc00],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [1023 * 2 ** -24, 0x03ff],
      [1 / 3, 0x3555],
    ];
    for (const [value, bits] of landmarks) expect([value, toFloat16Bits(value)]).toEqual([value, bits]);
    expect(toFloat16Bits(NaN)).toBe(0x7e00);
  });

  it('brings every half back to its own bits', () => {
    const values = fromFloat16Array(everyHalf);
    const back = toFloat16Array(values);
    for (const bits of everyHalf) {
      const expected = isNaN16(bits) ? 0x7e00 : bits;
      if (toFloat16Bits(fromFloat16Bits(bits)) !== expected || back[bits] !== expected)
        throw new Error(`half ${bits.toString(16)}`);
      if (!Object.is(values[bits], fromFloat16Bits(bits)))
        throw new Error(`half ${bits.toString(16)} reads ${values[bits]}`);
    }
  });

  it('rounds to the nearer neighbour and a tie to the even one, at and beside every midpoint', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const low = fromFloat16Bits(bits);
      const high = bits === 0x7bff ? 65536 : fromFloat16Bits(bits + 1);
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const step = middle * 2 ** -23;
      const cases: [number, number][] = [
        [middle, even],
        [middle - step, bits],
        [middle + step, bits + 1],
      ];
      for (const [value, expected] of cases) {
        const got = toFloat16Bits(value);
        const fromArray = toFloat16Array(Float32Array.of(value, -value));
        if (got !== expected || fromArray[0] !== expected || fromArray[1] !== (expected | 0x8000)) {
          throw new Error(`${value}: ${got} and ${fromArray[0]} instead of ${expected}`);
        }
      }
    }
  });

  it('gives the same bits one by one and by the array', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 64 }), (words) => {
        const values = new Float32Array(Uint32Array.from(words).buffer);
        expect([...toFloat16Array(values)]).toEqual([...values].map(toFloat16Bits));
      }),
      { numRuns: 300 },
    );
  });

  it('rounds a double once, not by way of float32', () => {
    expect(toFloat16Bits(1 + 2 ** -11 + 2 ** -40)).toBe(0x3c01);
    expect(toFloat16Bits(1 + 2 ** -11)).toBe(0x3c00);
  });
});
