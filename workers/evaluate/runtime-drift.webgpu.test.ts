import { afterEach, describe, expect, it } from 'vitest';
import type { Result, RuntimeDrift } from '../protocol.ts';
import { connect, type RemoteWorker } from '../remote.ts';
import type { RuntimeDriftFixture } from './test-runtime-drift.worker.ts';
import { tinyTransformer } from './test-transformer.ts';

const VOCABULARY = 24;
const ids = Int32Array.from({ length: 32 }, (_, index) => (index * 7) % VOCABULARY);
/** Mean KL divergence of a very good level. */
const CLOSE = 1e-4;

let worker: RemoteWorker<RuntimeDriftFixture> | undefined;
afterEach(() => { worker?.terminate(); });

async function driftOf(type: 'float32' | 'float16', kernel: string | null): Promise<RuntimeDrift> {
  worker = connect<RuntimeDriftFixture>(new Worker(new URL('./test-runtime-drift.worker.ts', import.meta.url), { type: 'module' }));
  const drift = await worker.call<Result<RuntimeDrift>>((api) => api.drift(tinyTransformer({ vocabulary: VOCABULARY, type }), ids, CLOSE, kernel));
  if (!drift.ok) throw new Error(`${drift.error.message} ${drift.error.details}`);
  return drift.value;
}

describe('WebGPU against WASM', () => {
  it.each(['float32', 'float16'] as const)('is next to nothing, %s', async (type) => {
    const drift = await driftOf(type, null);
    expect(drift).toMatchObject({ provider: 'webgpu', against: 'wasm', exceeds: false, partsAt: null, widened: type === 'float16', problem: null });
    expect(drift.distance?.tokens).toBe(31);
    expect(drift.distance?.kld.value).toBeLessThan(1e-8);
    expect(drift.distance?.sameTop.value).toBe(1);
  });

  it.each([
    { kernel: 'Softmax', parts: { node: 'attention/Softmax', operator: 'Softmax', tensor: 'attention' } },
    // A fused kernel, of Sigmoid and Mul: its fault goes when the value between them is looked at, and is named by its end.
    { kernel: 'QuickGelu', parts: { node: 'gate.silu/Mul', operator: 'Mul', tensor: 'gate.silu' } },
  ])('with a fault planted in the kernel of $kernel exceeds quantization drift, and the node is named', async ({ kernel, parts }) => {
    const drift = await driftOf('float32', kernel);
    expect(drift).toMatchObject({ exceeds: true, partsAt: parts, problem: null });
    expect(drift.distance?.kld.value).toBeGreaterThan(CLOSE);
    expect(drift.partsAt?.difference).toBeGreaterThan(0.05);
    expect(drift.partsAt?.inputDifference).toBeLessThan(1e-4);
  });
});
