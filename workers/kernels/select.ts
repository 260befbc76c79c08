/** Picks the backend: WebGPU where there is an adapter, else WASM; and says why. */
import type { Capabilities } from '../contract/capabilities.ts';
import type { Kernel } from './kernel.ts';
import { createWasmKernel } from './wasm/kernel.ts';
import { createWebGpuKernel } from './webgpu/kernel.ts';

/** `lost` settles when the kernel is good for nothing any more; there is none for one that stays. */
export interface ChosenKernel {
  kernel: Kernel;
  webgpu: Capabilities['webgpu'];
  lost?: Promise<unknown>;
}

/** `gpu`: `navigator.gpu`, which a browser without WebGPU does not have. */
export async function chooseKernel(gpu: GPU | undefined): Promise<ChosenKernel> {
  if (!gpu)
    return { kernel: await createWasmKernel(), webgpu: { available: false, reason: 'This browser has no WebGPU.' } };
  const made = await createWebGpuKernel(gpu);
  if (!made.ok) return { kernel: await createWasmKernel(), webgpu: { available: false, reason: made.reason } };
  return {
    kernel: made.kernel,
    webgpu: {
      available: true,
      adapter: made.adapter.name,
      f16: made.adapter.f16,
      software: made.adapter.softwareAdapter,
    },
    lost: made.lost,
  };
}
