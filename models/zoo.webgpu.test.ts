/**
 * The zoo on the WebGPU kernel: what is written is byte for byte what the WASM kernel writes, and a few of those files
 * are opened on onnxruntime-web's WebGPU provider. The adapter is emulated, so only cases built in code, and small ones.
 */
import { inOneFile } from '../workers/onnx/model-files.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ProvidersFixture } from '../workers/evaluate/sessions/test-providers.worker.ts';
import type { Kernel } from '../workers/kernels/kernel.ts';
import { createWasmKernel } from '../workers/kernels/wasm/kernel.ts';
import { createWebGpuKernel } from '../workers/kernels/webgpu/kernel.ts';
import type { Result } from '../workers/contract/errors.ts';
import { connect } from '../workers/rpc/remote.ts';
import { quantize } from '../workers/test-support.ts';
import { BUILT, zooSchema } from './zoo-cases.ts';
import table from './zoo.json';

/** Bytes of a model at most. */
const MOST_BYTES = 200_000;

const cases = zooSchema.parse(table).flatMap(({ name, source, level, expect: expected }) => {
  const model = 'built' in source && !('error' in expected) ? BUILT.get(source.built)?.() : undefined;
  return model && model.length <= MOST_BYTES ? [{ name, level, model }] : [];
});

/** One of each kind of new nodes. */
const OPENED = [
  'Attention with a mask, int8:mode=dynamic',
  'MoE, int8',
  'Conv with a bias, uint8',
  'tied language model, q4f16:embedding',
  'EmbedLayerNormalization, int8:embedding',
  'LSTM, int8',
];

let kernels: { wasm: Kernel; webgpu: Kernel };
beforeAll(async () => {
  const webgpu = await createWebGpuKernel(navigator.gpu);
  if (!webgpu.ok) throw new Error(webgpu.reason);
  kernels = { wasm: await createWasmKernel(), webgpu: webgpu.kernel };
});
afterAll(() => {
  kernels.wasm.dispose();
  kernels.webgpu.dispose();
});

async function sha256(bytes: Uint8Array): Promise<string> {
  return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

describe('what the WebGPU kernel writes is what the WASM kernel writes', () => {
  test.each(cases.map((one) => [one.name, one] as const))('%s', async (_, { level, model }) => {
    const [wasm, webgpu] = [await quantize(model, level, kernels.wasm), await quantize(model, level, kernels.webgpu)];
    expect(webgpu.bytes.length).toBe(webgpu.plan.bytes);
    expect(await sha256(webgpu.bytes)).toBe(await sha256(wasm.bytes));
  });

  test('there are cases of every kind', () => {
    expect(cases.length).toBeGreaterThan(80);
  });
});

describe('opens on the WebGPU provider', () => {
  const worker = connect<ProvidersFixture>(
    new Worker(new URL('../workers/evaluate/sessions/test-providers.worker.ts', import.meta.url), { type: 'module' }),
  );
  afterAll(() => {
    worker.terminate();
  });

  test.each(OPENED)('%s', async (name) => {
    const found = cases.find((one) => one.name === name);
    if (!found) throw new Error(`no case is called ${name}`);
    const { bytes } = await quantize(found.model, found.level, kernels.webgpu);
    const opened = await worker.call<Result<unknown>>((api) =>
      api.open('webgpu', inOneFile(new Blob([bytes as Uint8Array<ArrayBuffer>]))),
    );
    expect(opened.ok ? null : opened.error).toBeNull();
  });
});
