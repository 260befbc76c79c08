/** The GPU adapter this browser offers, and what has to be known about it. */

export interface AdapterFacts {
  name: string;
  /** Whether shaders may compute in float16. */
  f16: boolean;
  /** Emulated on the CPU: what it computes counts, how fast it does says nothing about GPUs. */
  softwareAdapter: boolean;
}

export type FoundAdapter = { ok: true; adapter: GPUAdapter; facts: AdapterFacts } | { ok: false; reason: string };

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render|\bwarp\b/i;

/**
 * `gpu`: `navigator.gpu`, which a browser without WebGPU does not have. Where there is no adapter the reason is a sentence.
 * onnxruntime-web asks for its adapter in the same way, and so gets the same one.
 */
export async function findAdapter(gpu: GPU | undefined): Promise<FoundAdapter> {
  if (!gpu) return { ok: false, reason: 'This browser has no WebGPU.' };
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) return { ok: false, reason: 'This browser has WebGPU, but found no GPU adapter to run it on.' };
  const name = adapterName(adapter.info);
  return {
    ok: true,
    adapter,
    facts: {
      name,
      f16: adapter.features.has('shader-f16'),
      softwareAdapter: adapter.info.isFallbackAdapter || SOFTWARE.test(name),
    },
  };
}

function adapterName({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const parts = description ? [description] : [vendor, architecture, device];
  return parts.filter(Boolean).join(' ') || 'unnamed GPU';
}
