/** A machine's capabilities in words. */
import type { Capabilities } from '../../../workers/contract/capabilities.ts';
import { plural } from '../../lib/format/numbers.ts';

/** `WebGPU: Apple M2` or `WASM, 8 threads`. */
export function describeBackend({ backend, webgpu, threads }: Capabilities): string {
  if (backend === 'webgpu' && webgpu.available) return `WebGPU: ${webgpu.adapter}`;
  return `WASM, ${plural(threads, 'thread')}`;
}

export function explainBackend({ backend, webgpu, threads, isolated }: Capabilities): string {
  const why = webgpu.available
    ? backend === 'webgpu'
      ? `Weights are quantized on the GPU (${webgpu.adapter}).`
      : `There is a GPU (${webgpu.adapter}), but it is not used.`
    : `Weights are quantized by WASM: ${sentence(webgpu.reason)}`;
  const how = `Text is measured by WASM on ${plural(threads, 'thread')}`;
  return `${why} ${how}${isolated ? '.' : ', because this page is not cross-origin isolated and may not share memory between threads.'}`;
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
