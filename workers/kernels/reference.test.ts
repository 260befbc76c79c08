import { describe, expect, it } from 'vitest';
import { createReferenceKernel, quantizeBlock } from './reference.ts';
import { kernelSuite } from './suite.ts';

kernelSuite('reference', (limits) => Promise.resolve(createReferenceKernel(limits)));

const bits32 = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;

describe('quantizeBlock', () => {
  it('makes the extreme value code 0 with a scale of the other sign', () => {
    expect(quantizeBlock([3, 3, 3], 4, true, 'float32')).toEqual({
      scaleBits: bits32(-0.375),
      zeroPoint: 8,
      codes: [0, 0, 0],
    });
    expect(quantizeBlock([-4, 2, 0.25], 4, true, 'float32')).toEqual({
      scaleBits: bits32(0.5),
      zeroPoint: 8,
      codes: [0, 12, 9],
    });
  });

  it('takes the smallest value where the largest is as far from 0', () => {
    expect(quantizeBlock([8, -8, 0], 4, true, 'float32')).toEqual({
      scaleBits: bits32(1),
      zeroPoint: 8,
      codes: [15, 0, 8],
    });
  });

  it('keeps the sign of the first zero of a block of zeros', () => {
    expect(quantizeBlock([0, -0], 4, true, 'float32')).toEqual({ scaleBits: 0x80000000, zeroPoint: 8, codes: [8, 8] });
    expect(quantizeBlock([-0, 0], 8, true, 'float16')).toEqual({ scaleBits: 0, zeroPoint: 128, codes: [128, 128] });
    expect(quantizeBlock([0, -0], 4, false, 'float32')).toEqual({ scaleBits: 0, zeroPoint: 0, codes: [0, 0] });
  });

  it('rounds halves away from zero, after adding the zero point', () => {
    expect(quantizeBlock([-8, 0.5, -0.5, 1.5, -1.5], 4, true, 'float32').codes).toEqual([0, 9, 8, 10, 7]);
    expect(quantizeBlock([0, 15, 0.5, 0.49999997], 4, false, 'float32')).toMatchObject({
      zeroPoint: 0,
      codes: [0, 15, 1, 0],
    });
    // 3 + 0.49999997 is 3.5 in float32.
    expect(quantizeBlock([-3, 12, 0.5, 0.49999997], 4, false, 'float32')).toMatchObject({
      zeroPoint: 3,
      codes: [0, 15, 4, 4],
    });
  });

  it('stores a scale too small for float16 as 0 and puts every code on the zero point', () => {
    expect(quantizeBlock([2 ** -24, 0], 4, true, 'float16')).toEqual({
      scaleBits: 0x8000,
      zeroPoint: 8,
      codes: [8, 8],
    });
  });
});
