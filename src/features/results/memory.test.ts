import { expect, test } from 'vitest';
import type { MemoryPrediction } from '../../../workers/contract/report.ts';
import { memoryFor, memoryInWords, memoryTotal } from './memory.ts';

const wasm: MemoryPrediction = {
  fixed: { weights: 30e6, cache: 0, activations: 0, runtime: 20e6 },
  perToken: { weights: 0, cache: 6000, activations: 16_000, runtime: 4000 },
};
const memory = {
  wasm,
  webgpu: {
    fixed: { weights: 12e6, cache: 0, activations: 0, runtime: 0 },
    perToken: { weights: 0, cache: 6000, activations: 32_000, runtime: 0 },
  },
};

test('fixed bytes and those of each token add up, part by part', () => {
  for (const tokens of [0, 1, 256, 2048]) {
    const parts = memoryFor({ memory }, 'webgpu', tokens);
    expect(parts).toEqual({ weights: 12e6, cache: 6000 * tokens, activations: 32_000 * tokens, runtime: 0 });
    expect(memoryTotal(parts!)).toBe(12e6 + 38_000 * tokens);
  }
});

test('every part is named, with the tokens it is for', () => {
  const parts = memoryFor({ memory }, 'wasm', 1000);
  expect(parts).toEqual({ weights: 30e6, cache: 6e6, activations: 16e6, runtime: 24e6 });
  const words = memoryInWords(parts!, 1000).replaceAll('\u00a0', ' ');
  for (const part of ['30.0 MB', '6.00 MB', '16.0 MB', '24.0 MB', '1,000 tokens']) expect(words).toContain(part);
});

test('nothing is predicted where the engine has not said', () => {
  expect(memoryFor({ memory: null }, 'wasm', 10)).toBeNull();
  expect(memoryFor({}, 'webgpu', 10)).toBeNull();
});
