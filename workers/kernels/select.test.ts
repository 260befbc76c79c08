import { expect, it } from 'vitest';
import { chooseKernel } from './select.ts';

it('takes WASM where the browser has no WebGPU', async () => {
  const { kernel, webgpu } = await chooseKernel(undefined);
  expect(kernel.backend).toBe('wasm');
  expect(webgpu).toEqual({ available: false, reason: 'This browser has no WebGPU.' });
});

it('takes WASM where WebGPU has no adapter, fails to ask for one, or gives no device', async () => {
  const info = { vendor: 'acme', architecture: 'one', device: '', description: '' };
  const gpus = [
    { requestAdapter: () => Promise.resolve(null) },
    { requestAdapter: () => Promise.reject(new Error('blocked')) },
    {
      requestAdapter: () =>
        Promise.resolve({
          info,
          features: new Set(),
          requestDevice: () => Promise.reject(new Error('no device today')),
        }),
    },
  ] as unknown as GPU[];
  const reasons = [/no GPU adapter/, /no GPU adapter/, /acme one gave no device: no device today/];
  for (const [i, gpu] of gpus.entries()) {
    const { kernel, webgpu } = await chooseKernel(gpu);
    expect(kernel.backend).toBe('wasm');
    expect(webgpu).toEqual({ available: false, reason: expect.stringMatching(reasons[i]!) });
  }
});
