import { expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import { createSpeedMeter } from './speed-meter.ts';
import { tinyDecoder } from '../test-models.ts';

it('on WebGPU tells GPU memory and what fell back, too', async () => {
  const vocabulary = 500;
  const speed = await createSpeedMeter(() => Promise.resolve(['webgpu'])).measure(
    inOneFile(tinyDecoder({ vocabulary, positions: 300 })),
    'webgpu',
    1,
    new AbortController().signal,
  );
  expect(speed).toMatchObject({ provider: 'webgpu', problem: null, widened: false, decode: { cached: true } });
  const { gpu, predicted } = speed.memory!;
  // Embedding and projection of width 8.
  expect(gpu!.steady).toBeGreaterThanOrEqual(2 * vocabulary * 8 * 4);
  expect(gpu!.peak).toBeGreaterThan(gpu!.steady);
  expect(predicted).toBeGreaterThan(2 * vocabulary * 8 * 4);
  expect(speed.fallback!.of).toBeGreaterThan(10);
  expect(speed.fallback!.nodes).toBeLessThan(speed.fallback!.of);
  expect(speed.prefill!.tokensPerSecond.median).toBeGreaterThan(0);
});
