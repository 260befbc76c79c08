import { describe, expect, it, vi } from 'vitest';
import type { BlockScheme, Kernel, LinearScheme } from '../kernel.ts';
import { chooseKernel } from '../select.ts';
import { kernelSuite } from '../suite.ts';
import type { TestLimits } from '../test-weights.ts';
import { createWebGpuKernel } from './kernel.ts';
import { openGpu, watch } from './test-gpu.ts';

async function kernelOf(limits?: TestLimits, gpu = navigator.gpu) {
  const made = await createWebGpuKernel(gpu, limits);
  if (!made.ok) throw new Error(made.reason);
  return made.kernel;
}

const scheme: BlockScheme = { bits: 4, block: 32, symmetric: true };
const linear: LinearScheme = { type: 'int8', symmetric: true };
const tensor = (inner: number) => ({
  data: new Uint8Array(inner * 12),
  type: 'float32' as const,
  outer: 1,
  channels: 3,
  inner,
});
const zeros = (k: number, n: number) => ({
  data: new Uint8Array(k * n * 4),
  type: 'float32' as const,
  layout: 'kn' as const,
  k,
  n,
});

describe('WebGPU in this browser', () => {
  it('is the software adapter these tests are meant to run on', async () => {
    const adapter = await navigator.gpu.requestAdapter();
    expect([adapter?.info.vendor, adapter?.info.architecture]).toEqual(['google', 'swiftshader']);
  });

  it('is chosen, with the name of the adapter', async () => {
    const { kernel, webgpu } = await chooseKernel(navigator.gpu);
    expect(kernel.backend).toBe('webgpu');
    const f16 = (await navigator.gpu.requestAdapter())?.features.has('shader-f16');
    expect(webgpu).toMatchObject({ available: true, adapter: expect.stringMatching(/swiftshader/i), f16 });
    kernel.dispose();
  });
});

kernelSuite('webgpu', kernelOf);

describe('a driver that gets the shader wrong', () => {
  const tampered = async (from: string, to: string) => {
    const { gpu, device } = await openGpu();
    const create = device.createShaderModule.bind(device);
    let tamperedWith = 0;
    device.createShaderModule = (descriptor) => {
      if (descriptor.code.includes(from)) tamperedWith++;
      return create({ ...descriptor, code: descriptor.code.replace(from, to) });
    };
    const made = await createWebGpuKernel(gpu);
    expect(tamperedWith).toBeGreaterThan(0);
    return made;
  };

  it('is found out before it quantizes anything', async () => {
    // Halves rounded down instead of up.
    expect(await tampered('fraction >= SIGN - slack', 'fraction > SIGN')).toEqual({
      ok: false,
      reason: expect.stringMatching(/wrongly/),
    });
    // Halves rounded up instead of to even.
    expect(await tampered('(whole & 1) == 1', 'true')).toEqual({ ok: false, reason: expect.stringMatching(/wrongly/) });
    expect(await tampered('atomicMax(&ranges', 'atomicMin(&ranges')).toEqual({
      ok: false,
      reason: expect.stringMatching(/wrongly/),
    });
  });

  it('is named when it does not compile it', async () => {
    expect(await tampered('fn pack(', 'fn pack((')).toEqual({
      ok: false,
      reason: expect.stringMatching(/does not accept .* line \d+/),
    });
  });
});

describe('a lost device', () => {
  it('makes calls reject with DeviceLost', async () => {
    const { gpu, device } = await openGpu();
    const kernel = await kernelOf({}, gpu);
    await kernel.quantize(zeros(64, 64), scheme);
    device.destroy();
    await expect(kernel.quantize(zeros(64, 64), scheme)).rejects.toMatchObject({ name: 'DeviceLost' });
    await expect(kernel.quantizePerChannel(tensor(64), linear)).rejects.toMatchObject({ name: 'DeviceLost' });
  });

  it.each<[string, (kernel: Kernel) => Promise<unknown>]>([
    ['blocks', (kernel) => kernel.quantize(zeros(4096, 256), scheme)],
    ['channels', (kernel) => kernel.quantizePerChannel(tensor(4096), linear)],
  ])('makes a call for %s in flight reject with DeviceLost', async (_, quantize) => {
    const { gpu, device } = await openGpu();
    const watched = watch(device);
    const kernel = await kernelOf({ tileBytes: 1, outputBytes: 1 }, gpu);
    watched.events.length = 0;
    // Lost once the first of many results is on its way back, and does not arrive before.
    watched.gate = new Promise(() => undefined);
    const inFlight = expect(quantize(kernel)).rejects.toMatchObject({ name: 'DeviceLost' });
    await vi.waitFor(
      () => {
        expect(watched.events).toContain('read');
      },
      { timeout: 10 * 60_000 },
    );
    device.destroy();
    await inFlight;
  });
});
