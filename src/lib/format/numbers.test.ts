import { describe, expect, it } from 'vitest';
import {
  decimalsFor,
  formatAgainstPrediction,
  formatBytes,
  formatBytesTick,
  formatChange,
  formatCount,
  formatDecibels,
  formatDuration,
  formatEstimate,
  formatLargeCount,
  formatPlain,
  formatPoints,
  formatProbability,
  formatProgress,
  formatRate,
  formatSeconds,
  formatShape,
  formatShare,
  formatShareOf,
  formatSigned,
  formatSmaller,
  formatValue,
} from './numbers.ts';

/** Non-breaking spaces read as spaces. */
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [11_733_514, '11.7 MB'],
    [5_548_295, '5.55 MB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [2_147_483_647, '2.15 GB'],
    [123_400_000, '123 MB'],
  ])('%i is %s', (bytes, text) => {
    expect(plain(formatBytes(bytes))).toBe(text);
  });
});

describe('bytes on an axis', () => {
  it.each([
    [0, '0 B'],
    [4_000_000, '4 MB'],
    [2_500_000, '2.5 MB'],
    [100_000_000, '100 MB'],
    [12_500, '12.5 kB'],
  ])('%i is %s', (bytes, text) => {
    expect(plain(formatBytesTick(bytes))).toBe(text);
  });
});

describe('ratios', () => {
  it.each([
    [3_400_000, 11_560_000, '3.4× smaller'],
    [5_548_295, 11_733_514, '2.1× smaller'],
    [12_000_000, 10_000_000, '1.2× larger'],
    [10, 10, 'same size'],
    [9_800, 10_000, '2.0 % smaller'],
    [1, 12, '12× smaller'],
    [0, 12, 'size unknown'],
  ])('%i against %i is %s', (bytes, baseline, text) => {
    expect(plain(formatSmaller(bytes, baseline))).toBe(text);
  });
});

describe('estimates', () => {
  it('shows an error to one digit, two when it starts with 1 or 2', () => {
    expect([0.1039, 0.38, 0.0296, 0.97, 12, 3.2].map(decimalsFor)).toEqual([2, 1, 2, 1, 0, 0]);
  });
  it('writes value and error to the same decimals', () => {
    expect(plain(formatEstimate({ value: 8.5202, error: 0.1039 }))).toBe('8.52 ± 0.10');
    expect(plain(formatEstimate({ value: 56.6679, error: 0.6465 }))).toBe('56.7 ± 0.6');
    expect(plain(formatEstimate({ value: 0.010778, error: 0.0000379 }))).toBe('0.01078 ± 0.00004');
    expect(plain(formatEstimate({ value: 4.0673e-5, error: 1.554e-7 }))).toBe('(4.067 ± 0.016) × 10⁻⁵');
    expect(formatValue({ value: 10.3612, error: 0.12 })).toBe('10.36');
  });
  it('says so where there is no number', () => {
    expect(formatEstimate({ value: NaN, error: 1 })).toBe('not a number');
    expect(formatChange({ value: Infinity, error: 1 })).toBe('not a number');
  });
  it('turns a ratio of perplexities into a change with its error', () => {
    expect(plain(formatChange({ value: Math.log(1.216), error: 0.0031 }))).toBe('+21.6 % ± 0.4');
    expect(plain(formatChange({ value: -0.0002, error: 0.0001 }))).toBe('−0.020 % ± 0.010');
  });
  it('writes shares in per cent', () => {
    expect(plain(formatShare({ value: 0.91248, error: 0.00114 }))).toBe('91.25 % ± 0.11');
    expect(plain(formatShare({ value: 1, error: 0 }))).toBe('100.0 %');
  });
});

describe('the rest', () => {
  it('writes counts, shapes and times', () => {
    expect(formatCount(122991)).toBe('122,991');
    expect(plain(formatLargeCount(5_833_344))).toBe('5.83 million');
    expect(plain(formatLargeCount(1_235_814_432))).toBe('1.24 billion');
    expect(plain(formatLargeCount(264_000))).toBe('264 thousand');
    expect(formatShape([4096, 384])).toBe('4,096 × 384');
    expect(formatShape([])).toBe('scalar');
    expect([0.4, 8.2, 59.6, 80, 7500].map(formatDuration).map(plain)).toEqual([
      'under 1 s',
      '8 s',
      '1 min',
      '1 min 20 s',
      '2 h 5 min',
    ]);
  });
  it('writes numbers without an error to four digits, the small ones with a power of ten', () => {
    expect(
      [0, 1, 0.98765432, 4.30664, 12345.6, -0.02514, 0.000031234, -3.1e-7, 9.999e-4, NaN].map(formatPlain).map(plain),
    ).toEqual([
      '0',
      '1.000',
      '0.9877',
      '4.307',
      '12,346',
      '−0.02514',
      '3.12 × 10⁻⁵',
      '−3.10 × 10⁻⁷',
      '1.00 × 10⁻³',
      'not a number',
    ]);
  });
  it('writes differences of probabilities in percentage points, with a sign unless they round to nothing', () => {
    expect([0.01204, -0.3, 0, 1e-7, -1e-7].map(formatPoints)).toEqual(['+1.204', '−30.000', '0.000', '0.000', '0.000']);
  });
  it('never says 100 % before the end', () => {
    expect(
      [
        [12, 240],
        [9999, 10_000],
        [3, 3],
        [0, 0],
      ].map(([part = 0, whole = 0]) => plain(formatShareOf(part, whole))),
    ).toEqual(['5.0 %', '99.9 %', '100.0 %', '0.0 %']);
    expect([0, 0.5, 0.999, 1, 2].map(formatProgress).map(plain)).toEqual(['0 %', '50 %', '99 %', '100 %', '100 %']);
  });
});

describe('what is measured beside perplexity', () => {
  it.each([
    [0.0009, '0.90 ms'],
    [0.0412, '41 ms'],
    [0.9994, '999 ms'],
    [1.239, '1.24 s'],
    [130, '2 min 10 s'],
    [NaN, 'unknown'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(plain(formatSeconds(seconds))).toBe(text);
  });
  it.each([
    [0, '0 %'],
    [3e-7, 'under 0.001 %'],
    [0.0032, '0.32 %'],
    [0.021, '2.1 %'],
    [0.414, '41 %'],
    [0.9949, '99 %'],
    [0.99999, '99.9 %'],
    [1, '100 %'],
  ])('a probability of %d is %s', (probability, text) => {
    expect(plain(formatProbability(probability))).toBe(text);
  });
  it('says how far a prediction was off', () => {
    expect(
      [
        [104, 100],
        [96, 100],
        [100.2, 100],
        [250, 100],
        [1, 0],
      ].map(([measured = 0, predicted = 0]) => plain(formatAgainstPrediction(measured, predicted))),
    ).toEqual([
      '4.0 % more than predicted',
      '4.0 % less than predicted',
      'as predicted',
      '150 % more than predicted',
      'nothing was predicted',
    ]);
  });
  it('nothing has a sign', () => {
    expect(
      [
        { value: -4e-13, error: 4e-12 },
        { value: -0.001, error: 0.3 },
      ]
        .map(formatEstimate)
        .map(plain),
    ).toEqual(['(0 ± 4) × 10⁻¹²', '0.0 ± 0.3']);
  });
  it('decibels, rates and signed changes', () => {
    expect([23.06, null].map(formatDecibels).map(plain)).toEqual(['23.1 dB', 'identical']);
    expect(plain(formatRate(1234.4))).toBe('1,234 tokens/s');
    expect([1.316, -0.004, -0.61].map((value) => formatSigned(value))).toEqual(['+1.32', '0.00', '−0.61']);
  });
});
