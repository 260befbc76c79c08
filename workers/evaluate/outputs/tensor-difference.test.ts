import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toFloat16Array } from '../../onnx/numbers/float16.ts';
import type { HostTensor } from '../sessions/graph-session.ts';
import { tensorDifference } from './tensor-difference.ts';

const float32 = (values: readonly number[]): HostTensor => ({
  type: 'float32',
  dims: [values.length],
  data: Float32Array.from(values),
});
const float16 = (values: readonly number[]): HostTensor => ({
  type: 'float16',
  dims: [values.length],
  data: toFloat16Array(Float32Array.from(values)),
});
const numbers = fc.array(fc.float({ min: Math.fround(-1e4), max: Math.fround(1e4), noNaN: true }), {
  minLength: 1,
  maxLength: 40,
});

describe('two tensors', () => {
  it('are 0 apart from themselves, as far one way as the other, and never further than 2', () => {
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const [x, y] = [float32(a), float32(b.length === a.length ? b : a.map((value, at) => (b[at] ?? 1) - value))];
        expect(tensorDifference(x, x)?.relative).toBe(0);
        const there = tensorDifference(x, y)!.relative;
        expect(tensorDifference(y, x)!.relative).toBe(there);
        expect(there).toBeGreaterThanOrEqual(0);
        expect(there).toBeLessThanOrEqual(2);
      }),
    );
  });

  it('are as far apart as the factor between them says, whatever their scale', () => {
    fc.assert(
      fc.property(
        numbers,
        fc.constantFrom(1e-3, 1, 1e6),
        fc.double({ min: 1.01, max: 4, noNaN: true }),
        (values, scale, factor) => {
          fc.pre(values.some((value) => Math.abs(value) > 1e-3));
          const positive = values.map((value) => Math.abs(value) * scale);
          expect(
            tensorDifference(float32(positive), float32(positive.map((value) => value * factor)))?.relative,
          ).toBeCloseTo(1 - 1 / factor, 4);
        },
      ),
    );
  });

  it('are furthest apart when one has a number where the other has none, and the same where neither has', () => {
    expect(tensorDifference(float32([1, NaN]), float32([1, 2]))?.relative).toBe(2);
    expect(tensorDifference(float32([1, Infinity]), float32([1, -Infinity]))?.relative).toBe(2);
    expect(tensorDifference(float32([1, NaN, -Infinity]), float32([1, NaN, -Infinity]))?.relative).toBe(0);
    expect(tensorDifference(float16([1, Infinity]), float16([1, 2]))?.relative).toBe(2);
  });

  it('show a difference of scores beside masks, and none between masks', () => {
    for (const mask of [-10000, -65504, -3.4e38, -Infinity]) {
      expect(tensorDifference(float32([1, 2, mask]), float32([1.1, 2.2, mask]))?.relative).toBeCloseTo(1 - 1 / 1.1, 4);
      expect(tensorDifference(float32([1, 2, mask, mask]), float32([1, 2, mask, mask]))?.relative).toBe(0);
    }
    expect(tensorDifference(float32([1, 2, -Infinity]), float32([1, 2, -3.4e38]))?.relative).toBe(0);
    expect(tensorDifference(float32([1, 2, -Infinity]), float32([1, 2, 0]))?.relative).toBe(2);
    expect(tensorDifference(float32([1, 2, -10000]), float32([1, 2, 0]))!.relative).toBeGreaterThan(0.9);
  });

  it('of halves are measured as numbers', () => {
    expect(tensorDifference(float16([1, 2]), float16([2, 4]))).toEqual({
      relative: 0.5,
      error: Math.sqrt(2.5),
      rms: Math.sqrt(10),
      type: 'float16',
    });
  });

  it('of integers differ or do not', () => {
    const int64 = (...values: bigint[]): HostTensor => ({
      type: 'int64',
      dims: [values.length],
      data: BigInt64Array.from(values),
    });
    expect(tensorDifference(int64(1n, 2n), int64(1n, 2n))?.relative).toBe(0);
    expect(tensorDifference(int64(1n, 2n), int64(1n, 3n))?.relative).toBe(1);
  });

  it('of other shapes or types are furthest apart', () => {
    expect(tensorDifference(float32([1, 2]), { ...float32([1, 2]), dims: [2, 1] })?.relative).toBe(2);
    expect(tensorDifference(float32([1, 2]), float16([1, 2]))?.relative).toBe(2);
  });
});
