/**
 * The execution providers a worker of the page can open models on. Each build of onnxruntime-web is loaded when it is
 * first asked for, and has a heap of its own. WASM is always the plain build's: the build with WebGPU has a WASM provider
 * too, but without some kernels (GatherBlockQuantized).
 */
import { findAdapter } from '../../kernels/webgpu/adapter.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { failure } from '../errors.ts';
import { wasmRuntime, type GraphRuntime } from './graph-session.ts';
import { listenToLog } from './placement.ts';
import { webgpuRuntime } from './webgpu-session.ts';

const opened = new Map<Provider, Promise<Result<GraphRuntime>>>();

/**
 * The same provider each time it is asked for; `threads` counts the first time. Both can be used side by side.
 * Errors: `session-failed` where there is no WebGPU, with the reason, or the build could not be loaded.
 */
export function openProvider(provider: Provider, threads: number): Promise<Result<GraphRuntime>> {
  const before = opened.get(provider);
  if (before) return before;
  const now = (provider === 'webgpu' ? loadWebgpu(threads) : loadWasm(threads)).catch((thrown: unknown) =>
    failure('session-failed', 'onnxruntime-web could not be loaded.', 'Try again.', thrown),
  );
  opened.set(provider, now);
  return now;
}

async function loadWasm(threads: number): Promise<Result<GraphRuntime>> {
  const { ort } = await import('./runtime.ts');
  return { ok: true, value: wasmRuntime(ort, threads) };
}

async function loadWebgpu(threads: number): Promise<Result<GraphRuntime>> {
  const found = await findAdapter((navigator as { gpu?: GPU }).gpu);
  if (!found.ok) {
    return failure(
      'session-failed',
      `Models cannot be run on WebGPU here: ${found.reason}`,
      'Use a browser and a device with WebGPU for this, or measure on WebAssembly alone.',
    );
  }
  listenToLog();
  // A build to test with, see planted-fault.ts; in any other nothing of it is left.
  if (import.meta.env.MODE === 'planted-fault') (await import('./planted-fault.ts')).plantFault();
  const { ort } = await import('./runtime-webgpu.ts');
  return { ok: true, value: webgpuRuntime(ort, threads, found.facts) };
}
