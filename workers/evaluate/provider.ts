/** In a worker of a tab: the runtime of a provider. */
import type { Provider, Result } from '../protocol.ts';
import { failure } from './errors.ts';
import { wasmRuntime, type GraphRuntime } from './graph-session.ts';

/** Errors: `session-failed` when the provider is not to be had here. */
export async function runtimeOf(provider: Provider, threads: number): Promise<Result<GraphRuntime>> {
  if (provider === 'wasm') {
    const { ort } = await import('./runtime.ts');
    return { ok: true, value: wasmRuntime(ort, threads) };
  }
  return failure('session-failed', 'There is no WebGPU here.', 'Use the WASM provider.');
}
