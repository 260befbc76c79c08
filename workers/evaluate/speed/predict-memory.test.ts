import { openAsBlob } from 'node:fs';
import { inOneFile } from '../../onnx/model-files.ts';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matMulModel, randomValues } from '../../../models/build.ts';
import { memoryByProvider, memoryOf, partsFor, totalOf, type MemoryUse } from './predict-memory.ts';
import { tinyDecoder } from '../test-models.ts';

const start = 16 * 2 ** 20;
const predictMemory = async (model: Blob, { tokens, ...rest }: MemoryUse): Promise<number | null> => {
  const prediction = await memoryOf(inOneFile(model), rest);
  return prediction && totalOf(partsFor(prediction, tokens));
};
const use = (given: Partial<MemoryUse>): MemoryUse => ({
  provider: 'wasm',
  tokens: 0,
  vocabulary: 0,
  widened: false,
  ...given,
});

describe('memory', () => {
  const half = new Blob([matMulModel(randomValues(1, 4096), 64, 64, 'float16')]);
  const full = new Blob([matMulModel(randomValues(1, 4096), 64, 64)]);

  it('of the heap has the file and the weights, float16 ones beside their float32 copies', async () => {
    expect(await predictMemory(full, use({}))).toBe(Math.round(1.2 * (start + full.size + 4096 * 4)));
    expect(await predictMemory(half, use({}))).toBe(Math.round(1.2 * (start + half.size + 4096 * (2 + 4))));
  });

  it('of the GPU has the weights as they are computed with', async () => {
    expect(await predictMemory(half, use({ provider: 'webgpu' }))).toBe(4096 * 2);
    expect(await predictMemory(half, use({ provider: 'webgpu', widened: true }))).toBe(4096 * 4);
  });

  it('grows with the tokens: the cache before and after, and logits', async () => {
    const model = tinyDecoder({ vocabulary: 20 });
    const of = async (tokens: number, provider: MemoryUse['provider']) =>
      (await predictMemory(model, use({ provider, tokens, vocabulary: 20 }))) ?? NaN;
    // A row of 8 numbers of 4 bytes for each token, twice; a row of 20 logits.
    expect((await of(10, 'webgpu')) - (await of(0, 'webgpu'))).toBe(10 * (2 * 8 * 4 + 2 * 20 * 4));
    expect(((await of(1000, 'wasm')) - (await of(0, 'wasm'))) / 1.2).toBeCloseTo(1000 * (2 * 8 * 4 + 20 * 4), -1);
  });

  it('of the sample model is about what is observed', async () => {
    const sample = await openAsBlob(join(import.meta.dirname, '..', '..', '..', 'models', 'sample', 'model_fp16.onnx'));
    // Observed with onnxruntime-web 1.30 in Node, 256 tokens at once: 75.9 MB.
    const predicted = await predictMemory(sample, use({ tokens: 256, vocabulary: 4096 }));
    expect(Math.abs((predicted ?? NaN) / 75.9e6 - 1)).toBeLessThan(0.15);
  });

  it('is the sum of named parts, the same for every provider as for one', async () => {
    const model = tinyDecoder({ vocabulary: 20 });
    const all = await memoryByProvider(inOneFile(model), 20);
    for (const provider of ['wasm', 'webgpu'] as const)
      expect(all?.[provider]).toEqual(await memoryOf(inOneFile(model), { provider, vocabulary: 20, widened: false }));
    const parts = partsFor(all!.wasm, 100);
    expect(parts.cache).toBe(100 * 2 * 8 * 4);
    expect(parts.activations).toBe(100 * 20 * 4);
    expect(parts.runtime).toBe(Math.round(start + 0.2 * (start + parts.weights + parts.cache + parts.activations)));
    expect(partsFor(all!.webgpu, 100)).toMatchObject({ runtime: 0, activations: 2 * 100 * 20 * 4 });
  });

  it('of what is no model is not known', async () => {
    expect(await predictMemory(new Blob(['nothing']), use({}))).toBeNull();
  });
});
