import { expect, test } from 'vitest';
import type { NoiseFloor, OutputDrift } from '../../contract/report.ts';
import { LEAST_FAIR_DECIBELS, MOST_FAIR_KLD, whyOutputsUnfair, whyUnfair } from './fair-baseline.ts';

const floor = (kld: number): NoiseFloor => ({
  reference: 'original',
  tokens: 1000,
  kld: { value: kld, error: kld / 10, max: kld * 10 },
  sameTop: { value: 0.99, error: 0.001 },
  lnRatio: { value: 0, error: 0 },
});
const output = (sqnr: number | null, equal: number | null = null): OutputDrift => ({
  output: 'y',
  shape: [1],
  cosine: 1,
  sqnr,
  maxError: 0,
  rms: 1,
  top1: null,
  top5: null,
  ...(equal !== null && { equal: { value: equal, error: 0 } }),
});

test('a baseline as far from float32 as a level is unfair', () => {
  expect(whyUnfair(null)).toBeNull();
  expect(whyUnfair(floor(1.3e-5))).toBeNull();
  expect(whyUnfair(floor(MOST_FAIR_KLD * 1.1))).not.toBeNull();
});

test('outputs of a baseline are fair as long as they are near those in float32', () => {
  expect(whyOutputsUnfair([output(null), output(70), output(LEAST_FAIR_DECIBELS)])).toBeNull();
  expect(whyOutputsUnfair([output(70), output(20)])).not.toBeNull();
  expect(whyOutputsUnfair([output(null, 1)])).toBeNull();
  expect(whyOutputsUnfair([output(null, 0.9)])).not.toBeNull();
  expect(whyOutputsUnfair([output(NaN)])).not.toBeNull();
});
