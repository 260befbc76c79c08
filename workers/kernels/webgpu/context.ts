/** A GPU device with what is made once and kept, and its ways to fail: errors it reports later, and being lost. */

/** Uploads in flight: one is filled while the other is being used. */
const UPLOADS = 2;

const LOSS_ANNOUNCED_MS = 500;

type BufferName = 'tile' | 'weights' | 'codes' | 'scales' | 'zeroPoints' | 'ranges' | 'grids' | 'result' | `upload${number}`;

/** What an entry point takes at its bindings 0 to 4: a uniform, the weights, which it only reads, and three more. */
type Bindings = readonly [GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer];

export interface Context {
  device: GPUDevice;
  /** An entry point of a module with its overrides set; compiled once. */
  pipeline(module: GPUShaderModule, entryPoint: string, constants: Record<string, number>): Promise<GPUComputePipeline>;
  /** The same bindings serve every entry point. */
  bind(buffers: Bindings): GPUBindGroup;
  /** The buffer of that name, made larger if need be. Each name has one usage. */
  buffer(name: BufferName, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer;
  /** Buffers of that size for `copyBufferToBuffer`; each call gives the next one, mapped. */
  uploads(bytes: number): () => Promise<GPUBuffer>;
  /** Rejects with `DeviceLost` when the device is lost, before or during the work. */
  orLost<T>(work: Promise<T>): Promise<T>;
  /** Runs GPU calls; `settle` rejects if the device refused one since, and lets go of the buffers. */
  checked<T>(calls: () => T): T;
  settle(): Promise<void>;
}

/** The most a shader's `Tile` takes, padded to 16 bytes. */
export const TILE_BYTES = 32;

export function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

export function createContext(device: GPUDevice): Context {
  const storage = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => (
    { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }
  );
  const bindings = device.createBindGroupLayout({
    entries: [
      storage(0, 'uniform'), storage(1, 'read-only-storage'), storage(2, 'storage'), storage(3, 'storage'), storage(4, 'storage'),
    ],
  });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [bindings] });
  const pipelines = new Map<string, Promise<GPUComputePipeline>>();
  const buffers = new Map<BufferName, GPUBuffer>();
  let refusals: Promise<GPUError | null>[] = [];

  const lost = device.lost.then(({ message }) => {
    throw Object.assign(new Error(`The GPU device was lost. ${message}`.trim()), { name: 'DeviceLost' });
  });
  lost.catch(() => undefined);

  const buffer: Context['buffer'] = (name, bytes, usage) => {
    const kept = buffers.get(name);
    if (kept && kept.size >= bytes) return kept;
    kept?.destroy();
    const made = device.createBuffer({ label: name, size: align(bytes, 16), usage });
    buffers.set(name, made);
    return made;
  };

  const orLost: Context['orLost'] = async (work) => {
    try {
      return await Promise.race([work, lost]);
    } catch (error) {
      // Work in flight fails some time before the loss is announced.
      await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, LOSS_ANNOUNCED_MS))]);
      throw error;
    }
  };

  return {
    device,
    pipeline(module, entryPoint, constants) {
      const key = entryPoint + JSON.stringify(constants);
      let pipeline = pipelines.get(key);
      if (!pipeline) {
        pipeline = device.createComputePipelineAsync({ layout, compute: { module, entryPoint, constants } });
        pipelines.set(key, pipeline);
      }
      return pipeline;
    },
    bind(bound) {
      return device.createBindGroup({ layout: bindings, entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })) });
    },
    buffer,
    uploads(bytes) {
      const all = Array.from({ length: UPLOADS }, (_, i) => buffer(`upload${i}`, bytes, GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC));
      let turn = 0;
      return async () => {
        const upload = all[turn++ % UPLOADS]!;
        // Still mapped when an abort came between mapping and use.
        if (upload.mapState !== 'mapped') await orLost(upload.mapAsync(GPUMapMode.WRITE));
        return upload;
      };
    },
    orLost,
    checked(calls) {
      device.pushErrorScope('out-of-memory');
      device.pushErrorScope('validation');
      const value = calls();
      refusals.push(device.popErrorScope(), device.popErrorScope());
      return value;
    },
    async settle() {
      const errors = await Promise.all(refusals);
      refusals = [];
      const error = errors.find((found) => found !== null);
      if (!error) return;
      for (const kept of buffers.values()) kept.destroy();
      buffers.clear();
      const name = error instanceof GPUOutOfMemoryError ? 'OutOfMemory' : 'GpuError';
      throw Object.assign(new Error(error.message || 'The GPU has not enough memory'), { name });
    },
  };
}
