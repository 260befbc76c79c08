import { expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import { createSpeedMeter } from './speed-meter.ts';
import { tinyDecoder } from '../test-models.ts';

const model = tinyDecoder({ vocabulary: 50, positions: 300 });
const signal = new AbortController().signal;

it('measures in a worker, with its heap', async () => {
  const speed = await createSpeedMeter(() => Promise.resolve(['wasm'])).measure(inOneFile(model), 'wasm', 1, signal);
  expect(speed).toMatchObject({
    provider: 'wasm',
    threads: 1,
    problem: null,
    decode: { cached: true },
    fallback: null,
    memory: { gpu: null },
  });
  expect(speed.load!.runs).toBeGreaterThan(1);
  expect(speed.memory!.heap).toBeGreaterThanOrEqual(16 << 20);
  expect(speed.memory!.predicted).toBeGreaterThanOrEqual(16 << 20);
});

it('without WebGPU says so', async () => {
  expect(
    await createSpeedMeter(() => Promise.resolve(['webgpu'])).measure(inOneFile(model), 'webgpu', 1, signal),
  ).toMatchObject({
    provider: 'webgpu',
    load: null,
    problem: { code: 'session-failed' },
  });
});

it('is stopped at once, and a worker that dies is a problem', async () => {
  const stop = new AbortController();
  const stopped = createSpeedMeter(() => Promise.resolve(['wasm'])).measure(inOneFile(model), 'wasm', 1, stop.signal);
  stop.abort();
  expect(await stopped).toMatchObject({ load: null, problem: { code: 'cancelled' } });
  const crashing = () =>
    new Worker(URL.createObjectURL(new Blob(['onmessage = () => { throw new Error("unreachable"); };'])));
  expect(
    await createSpeedMeter(() => Promise.resolve(['wasm']), crashing).measure(inOneFile(model), 'wasm', 1, signal),
  ).toMatchObject({ problem: { code: 'worker-crashed' } });
});
