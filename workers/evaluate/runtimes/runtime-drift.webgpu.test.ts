import { afterEach, describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import type { Result } from '../../contract/errors.ts';
import type { RuntimeDrift } from '../../contract/report.ts';
import { connect, type RemoteWorker } from '../../rpc/remote.ts';
import type { RuntimeDriftFixture } from './test-runtime-drift.worker.ts';
import { tinyTransformer } from '../test-transformer.ts';

const VOCABULARY = 24;
const ids = Int32Array.from({ length: 32 }, (_, index) => (index * 7) % VOCABULARY);
/** Mean KL divergence of a very good level. */
const CLOSE = 1e-4;

let worker: RemoteWorker<RuntimeDriftFixture> | undefined;
afterEach(() => {
  worker?.terminate();
});

const hasF16 = async () => (await navigator.gpu.requestAdapter())?.features.has('shader-f16') === true;

async function driftOf(model: Blob, kernel: string | null): Promise<RuntimeDrift> {
  worker = connect<RuntimeDriftFixture>(
    new Worker(new URL('./test-runtime-drift.worker.ts', import.meta.url), { type: 'module' }),
  );
  const drift = await worker.call<Result<RuntimeDrift>>((api) => api.drift(inOneFile(model), ids, CLOSE, kernel));
  if (!drift.ok) throw new Error(`${drift.error.message} ${drift.error.details}`);
  return drift.value;
}

const NINE = ['ReduceMean', 'Sub', 'Pow', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Mul', 'Add'];

describe('WebGPU against WASM', () => {
  it('is next to nothing, float32', async () => {
    const drift = await driftOf(tinyTransformer({ vocabulary: VOCABULARY }), null);
    expect(drift).toMatchObject({
      provider: 'webgpu',
      against: 'wasm',
      exceeds: false,
      partsAt: null,
      arbitration: null,
      widened: false,
      problem: null,
    });
    expect(drift.distance?.tokens).toBe(31);
    expect(drift.distance?.kld.value).toBeLessThan(1e-8);
    expect(drift.distance?.sameTop.value).toBe(1);
  });

  it('is rounding, float16 with a norm that both fuse rightly', async () => {
    const drift = await driftOf(tinyTransformer({ vocabulary: VOCABULARY, type: 'float16', bias: true }), null);
    expect(drift).toMatchObject({
      exceeds: false,
      partsAt: null,
      arbitration: null,
      widened: !(await hasF16()),
      problem: null,
    });
    expect(drift.distance?.kld.value).toBeLessThan((await hasF16()) ? CLOSE : 1e-8);
  });

  // onnxruntime's CPU provider makes a simplified norm of the end of a norm, and in fp16 computes it with an ε of its own.
  it("is WASM's fault in float16 with a norm that WASM fuses wrongly; in float32, for want of f16, there is none", async () => {
    const drift = await driftOf(tinyTransformer({ vocabulary: VOCABULARY, type: 'float16' }), null);
    if (!(await hasF16())) {
      expect(drift).toMatchObject({ exceeds: false, partsAt: null, widened: true, problem: null });
      return;
    }
    expect(drift).toMatchObject({
      exceeds: true,
      widened: false,
      problem: null,
      arbitration: { wrong: ['wasm'], arbiter: 'both' },
      partsAt: {
        node: 'norm1.out/Mul',
        provider: 'wasm',
        fused: {
          firstNode: 'norm1.squares/Pow',
          operators: ['Pow', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Mul'],
          into: 'SimplifiedLayerNormalization',
        },
      },
    });
  });

  it.each([
    {
      kernel: 'Softmax',
      arbiter: 'against',
      parts: { node: 'attention/Softmax', operator: 'Softmax', tensor: 'attention', provider: 'webgpu', fused: null },
    },
    {
      kernel: 'QuickGelu',
      arbiter: 'both',
      parts: {
        node: 'gate.silu/Mul',
        operator: 'Mul',
        tensor: 'gate.silu',
        provider: 'webgpu',
        fused: { firstNode: 'gate.sigmoid/Sigmoid', operators: ['Sigmoid', 'Mul'], into: 'QuickGelu' },
      },
    },
    {
      kernel: 'LayerNorm',
      arbiter: 'both',
      parts: {
        node: 'norm1.out/Add',
        operator: 'Add',
        tensor: 'norm1.out',
        provider: 'webgpu',
        fused: { firstNode: 'norm1.mean/ReduceMean', operators: NINE, into: 'LayerNormalization' },
      },
    },
  ])(
    'with a fault planted in the kernel of $kernel exceeds quantization drift, and the range and WebGPU are named',
    async ({ kernel, arbiter, parts }) => {
      const drift = await driftOf(tinyTransformer({ vocabulary: VOCABULARY, bias: true }), kernel);
      expect(drift).toMatchObject({
        exceeds: true,
        arbitration: { wrong: ['webgpu'], arbiter },
        partsAt: parts,
        problem: null,
      });
      expect(drift.distance?.kld.value).toBeGreaterThan(CLOSE);
      expect(drift.partsAt?.difference).toBeGreaterThan(0.05);
      expect(drift.partsAt?.inputDifference).toBeLessThan(1e-4);
    },
  );
});
