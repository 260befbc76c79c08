import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toFloat16Array } from '../../onnx/numbers/float16.ts';
import type { HostTensor } from '../sessions/graph-session.ts';
import { looksLikeScores, tallyOutput } from './output-drift.ts';

const float = (dims: number[], values: number[]): HostTensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from(values),
});
const labels = (values: number[]): HostTensor => ({
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

function drift(name: string, ...samples: [HostTensor, HostTensor][]) {
  const tally = tallyOutput(name);
  for (const [baseline, level] of samples) tally.add(baseline, level);
  return { drift: tally.drift(), leftOut: tally.leftOut() };
}

describe('by hand', () => {
  test('cosine, ratio and largest error over two samples', () => {
    // base (3, 4 | 0), level (3, 3 | 1): product 21, squares 25 and 19, noise 2.
    const result = drift('y', [float([2], [3, 4]), float([2], [3, 3])], [float([2], [0, 0]), float([2], [1, 0])]).drift;
    expect(result?.cosine).toBeCloseTo(21 / Math.sqrt(25 * 19), 14);
    expect(result?.sqnr).toBeCloseTo(10 * Math.log10(12.5), 12);
    expect(result).toMatchObject({ output: 'y', shape: [2], maxError: 1, top1: null, top5: null, equal: null });
    expect(result?.rms).toBeCloseTo(2.5, 14);
  });

  test('noise a tenth of the signal is 20 dB', () => {
    expect(drift('y', [float([2], [10, -10]), float([2], [11, -9])]).drift?.sqnr).toBeCloseTo(20, 12);
  });

  test('fp16 is compared by value', () => {
    const half = (values: number[]): HostTensor => ({
      type: 'float16',
      dims: [2],
      data: toFloat16Array(Float32Array.from(values)),
    });
    expect(drift('y', [half([1, 2]), half([1, 2.5])]).drift).toMatchObject({ maxError: 0.5 });
  });

  test('top classes: the same, among five, beyond five', () => {
    const base = float([3, 7], [7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1]);
    const level = float([3, 7], [9, 6, 5, 4, 3, 2, 1, 5, 9, 8, 7, 6, 2, 1, 1, 9, 8, 7, 6, 5, 4]);
    const result = drift('scores', [base, level]).drift;
    const error = Math.sqrt(((1 / 3) * (2 / 3)) / 2);
    expect(result?.top1?.value).toBeCloseTo(1 / 3, 14);
    expect(result?.top1?.error).toBeCloseTo(error, 14);
    expect(result?.top5?.value).toBeCloseTo(2 / 3, 14);
  });

  test('errors are over inputs, and counts say what they count', () => {
    // Two inputs of four positions: all the same in one, none in the other.
    const best = (index: number) => [0, 1, 2].map((place) => Number(place === index));
    const base = [float([1, 4, 3], [0, 0, 0, 0].flatMap(best)), float([1, 4, 3], [0, 0, 0, 0].flatMap(best))];
    const level = [float([1, 4, 3], [0, 0, 0, 0].flatMap(best)), float([1, 4, 3], [1, 1, 1, 1].flatMap(best))];
    const tally = tallyOutput('logits');
    base.forEach((sample, index) => {
      tally.add(sample, level[index]!);
    });
    // As of two inputs, one right and one wrong: √(½ · ½ ⁄ 1).
    expect(tally.drift()?.top1).toEqual({ value: 0.5, error: 0.5 });
    expect(tally.drift()?.counted).toEqual({ rows: 8, inputs: 2 });

    // A batch of two in one sample is two inputs.
    const together = tallyOutput('logits');
    together.add(
      float([2, 4, 3], Array.from({ length: 8 }, () => 0).flatMap(best)),
      float([2, 4, 3], [0, 0, 0, 0, 1, 1, 1, 1].flatMap(best)),
    );
    expect(together.drift()).toMatchObject({ top1: { value: 0.5, error: 0.5 }, counted: { rows: 8, inputs: 2 } });
    expect(drift('label', [labels([1, 2, 3, 4]), labels([1, 2, 3, 5])]).drift?.counted).toEqual({ rows: 4, inputs: 4 });
  });

  test('of equal scores the first counts, as argmax has it', () => {
    expect(drift('scores', [float([1, 3], [1, 1, 0]), float([1, 3], [1, 1, 0])]).drift?.top1).toEqual({
      value: 1,
      error: 0,
    });
    expect(drift('scores', [float([1, 3], [0, 1, 0]), float([1, 3], [1, 1, 0])]).drift?.top1).toEqual({
      value: 0,
      error: 0,
    });
  });

  test('top 5 of five classes says nothing', () => {
    const scores = float([1, 5], [1, 2, 3, 4, 5]);
    expect(drift('scores', [scores, scores]).drift).toMatchObject({ top1: { value: 1 }, top5: null });
  });

  test('whole numbers: the share that is the same', () => {
    const result = drift('label', [labels([1, 2, 3, 4]), labels([1, 2, 3, 5])]).drift;
    expect(result?.equal?.value).toBe(0.75);
    expect(result?.equal?.error).toBeCloseTo(Math.sqrt((0.75 * 0.25) / 3), 14);
    expect(result?.top1).toBeNull();
  });
});

describe('what cannot be compared is left out and said', () => {
  test('values that are not finite', () => {
    const result = drift('y', [float([4], [NaN, Infinity, 1, 2]), float([4], [NaN, 1, 1, NaN])]);
    expect(result.drift).toMatchObject({ cosine: 1, sqnr: null, maxError: 0, rms: 1 });
    expect(result.leftOut).toEqual([expect.stringMatching(/2 of 4 values that are not finite/)]);
  });
  test('other shapes', () => {
    const result = drift('boxes', [float([2], [1, 2]), float([3], [1, 2, 3])]);
    expect(result.drift).toBeNull();
    expect(result.leftOut).toEqual([expect.stringMatching(/another shape .* 1 of 1 samples/)]);
  });
  test('a baseline of zeros has a ratio far below any other, and no direction', () => {
    expect(drift('y', [float([2], [0, 0]), float([2], [0, 1])]).drift).toMatchObject({
      cosine: 0,
      sqnr: -300,
      maxError: 1,
    });
  });
});

test.each<[string, string, number[], boolean]>([
  ['logits', 'float32', [1, 16, 100], true],
  ['class_probabilities', 'float16', [1, 10], true],
  ['495', 'float32', [1, 1000], true],
  ['scores', 'int64', [1, 10], false],
  ['sentence_embedding', 'float32', [1, 384], false],
  ['boxes', 'float32', [100, 4], false],
  ['output', 'float32', [1, 3, 8, 8], false],
  ['logits', 'float32', [10], false],
  ['prob', 'float32', [8, 1], false],
])('%s %s %j looks like class scores: %s', (name, type, dims, expected) => {
  expect(looksLikeScores(name, type, dims)).toBe(expected);
});

const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), {
  minLength: 12,
  maxLength: 12,
});

test('an output against itself does not differ', () => {
  fc.assert(
    fc.property(values, (numbers) => {
      const same = float([2, 6], numbers);
      expect(drift('scores', [same, same], [same, same]).drift).toMatchObject({
        cosine: 1,
        sqnr: null,
        maxError: 0,
        top1: { value: 1, error: 0 },
        top5: { value: 1, error: 0 },
      });
    }),
  );
});

test('twice the noise is 6.02 dB less, and scaling both changes neither cosine nor ratio', () => {
  fc.assert(
    fc.property(values, values, (base, noise) => {
      fc.pre(noise.some((value) => Math.abs(value) > 1) && base.some((value) => Math.abs(value) > 1));
      const at = (scale: number, amount: number): [HostTensor, HostTensor] => [
        { type: 'float64', dims: [12], data: Float64Array.from(base, (value) => value * scale) },
        {
          type: 'float64',
          dims: [12],
          data: Float64Array.from(base, (value, index) => scale * (value + amount * noise[index]!)),
        },
      ];
      const once = drift('y', at(1, 1)).drift;
      expect(drift('y', at(1, 2)).drift?.sqnr).toBeCloseTo((once?.sqnr ?? NaN) - 20 * Math.log10(2), 6);
      const scaled = drift('y', at(8, 1)).drift;
      expect(scaled?.sqnr).toBeCloseTo(once?.sqnr ?? NaN, 9);
      expect(scaled?.cosine).toBeCloseTo(once?.cosine ?? NaN, 12);
      expect(Math.abs(once?.cosine ?? NaN)).toBeLessThanOrEqual(1);
    }),
  );
});

test('samples one after the other are as one long output', () => {
  fc.assert(
    fc.property(values, values, (base, level) => {
      const whole = drift('y', [float([12], base), float([12], level)]).drift;
      const parts = drift(
        'y',
        [float([6], base.slice(0, 6)), float([6], level.slice(0, 6))],
        [float([6], base.slice(6)), float([6], level.slice(6))],
      ).drift;
      expect({ ...parts, shape: [12] }).toEqual(whole);
    }),
  );
});
