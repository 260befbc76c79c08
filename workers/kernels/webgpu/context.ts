/** A GPU device with what is made once and kept for all calls, and the ways to lose it. */
import { createBufferSets, type BufferSet, type BufferSets } from './buffers.ts';

/** Calls that have weights on the GPU: while one waits for what it needs to go on, another is in turn. */
const CALLS_AT_WORK = 2;
/** Uploads in flight: one is filled while the other is being used. */
const UPLOADS = 2;
/** Results on their way back: one is copied out while the next is computed. */
const RESULTS_UNDER_WAY = 2;

const LOSS_ANNOUNCED_MS = 500;

/** What an entry point takes at its bindings 0 to 4: a uniform, the weights, which it only reads, and three more. */
type Bindings = readonly [GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer];

export interface Context {
  device: GPUDevice;
  /** An entry point of a module with its overrides set; compiled once. */
  pipeline(module: GPUShaderModule, entryPoint: string, constants: Record<string, number>): Promise<GPUComputePipeline>;
  /** The same bindings serve every entry point. */
  bind(buffers: Bindings): GPUBindGroup;
  /** Work that submits, one piece after the other in the order asked for; it alone has the buffers all go through. */
  inTurn<T>(work: (common: BufferSet) => Promise<T>): Promise<T>;
  /** The name, in the common room, of the upload that was used longest ago. In turn only. */
  nextUpload(): string;
  /** What calls keep on the GPU. */
  calls: BufferSets;
  /** What results are read from. Work with one must not wait for a turn. */
  results: BufferSets;
  /** Rejects with `DeviceLost` when the device is lost, before or during the work. What the work gives is kept as long as the device. */
  orLost<T>(work: Promise<T>): Promise<T>;
  /** After the device refused something: no buffer of now is used again. */
  startAnew(): void;
  /** Destroys the buffers and the device; work in hand is as with a lost device. */
  dispose(): void;
}

/** The most a shader's `Tile` takes, padded to 16 bytes. */
export const TILE_BYTES = 32;

export function createContext(device: GPUDevice): Context {
  const storage = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type },
  });
  const bindings = device.createBindGroupLayout({
    entries: [
      storage(0, 'uniform'),
      storage(1, 'read-only-storage'),
      storage(2, 'storage'),
      storage(3, 'storage'),
      storage(4, 'storage'),
    ],
  });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [bindings] });
  const pipelines = new Map<string, Promise<GPUComputePipeline>>();
  const turn = createBufferSets(device, 1);
  const calls = createBufferSets(device, CALLS_AT_WORK);
  const results = createBufferSets(device, RESULTS_UNDER_WAY);
  const rooms = [turn, calls, results];
  let uploads = 0;

  const lost = device.lost.then(({ message }) => {
    for (const each of rooms) each.destroy();
    throw Object.assign(new Error(`The GPU device was lost. ${message}`.trim()), { name: 'DeviceLost' });
  });
  lost.catch(() => undefined);

  return {
    device,
    calls,
    results,
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
      return device.createBindGroup({
        layout: bindings,
        entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })),
      });
    },
    inTurn: (work) => turn.use(work),
    nextUpload() {
      return `upload${uploads++ % UPLOADS}`;
    },
    async orLost(work) {
      try {
        return await Promise.race([lost, work]);
      } catch (error) {
        // Work in flight fails some time before the loss is announced.
        await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, LOSS_ANNOUNCED_MS))]);
        throw error;
      }
    },
    startAnew() {
      for (const each of rooms) each.empty();
    },
    dispose() {
      for (const each of rooms) each.destroy();
      device.destroy();
    },
  };
}
