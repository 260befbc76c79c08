/**
 * The execution providers a worker of the page can open models on. Each build of onnxruntime-web is loaded when it is
 * first asked for. A worker should keep to one build: heaps never shrink, and the builds share no memory.
 */
import { findAdapter } from '../kernels/webgpu/adapter.ts';
import type { Provider, Result } from '../protocol.ts';
import { failure } from './errors.ts';
import { wasmRuntime, type GraphRuntime } from './graph-session.ts';
import { listenToLog } from './placement.ts';
import { webgpuBuild, type WebGpuBuild } from './webgpu-session.ts';

/**
 * One provider: WebGPU, or WASM in the plain build.
 * Errors: `session-failed` where there is no WebGPU, with the reason, or the build could not be loaded.
 */
export async function openProvider(provider: Provider, threads: number): Promise<Result<GraphRuntime>> {
  if (provider === 'webgpu') {
    const both = await openBothProviders(threads);
    return both.ok ? { ok: true, value: both.value.webgpu } : both;
  }
  try {
    const { ort } = await import('./runtime.ts');
    return { ok: true, value: wasmRuntime(ort, threads) };
  } catch (thrown) {
    return notLoaded(thrown);
  }
}

let loaded: Promise<Result<WebGpuBuild>> | undefined;

/**
 * WebGPU and WASM in one build, so that a file can be run on both in one worker. `threads` counts the first time only.
 * Errors as `openProvider`.
 */
export function openBothProviders(threads: number): Promise<Result<WebGpuBuild>> {
  loaded ??= loadWebGpuBuild(threads);
  return loaded;
}

async function loadWebGpuBuild(threads: number): Promise<Result<WebGpuBuild>> {
  const found = await findAdapter((navigator as { gpu?: GPU }).gpu);
  if (!found.ok) {
    return failure('session-failed', `Models cannot be run on WebGPU here: ${found.reason}`,
      'Use a browser and a device with WebGPU for this, or measure on WebAssembly alone.');
  }
  listenToLog();
  try {
    // A build to test with, see planted-fault.ts; in any other nothing of it is left.
    if (import.meta.env.MODE === 'planted-fault') (await import('./planted-fault.ts')).plantFault();
    const { ort } = await import('./runtime-webgpu.ts');
    return { ok: true, value: webgpuBuild(ort, threads, found.facts) };
  } catch (thrown) {
    return notLoaded(thrown);
  }
}

function notLoaded(thrown: unknown): Result<never> {
  return failure('session-failed', 'onnxruntime-web could not be loaded.', 'Reload the page and try again.', thrown);
}
