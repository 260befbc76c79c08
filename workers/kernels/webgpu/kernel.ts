/** The GPU backend: uploads tiles of a matrix, runs quantize.wgsl over them and reads the result back. */
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from '../kernel.ts';
import { emptyResult, layoutOf } from '../layout.ts';
import { createQueue, throwIfAborted } from '../pace.ts';
import { channelBytes, copyTile, groupsOf, linesOf, placeGroup, tileSize, tilesOf, type Tile, type TileLimits } from '../tiles.ts';
import shader from './quantize.wgsl?raw';
import { computesRightly } from './self-check.ts';

export type WebGpuKernel =
  | { ok: true; kernel: Kernel; adapter: { name: string; f16: boolean } }
  | { ok: false; reason: string };

/** Invocations of a workgroup, as quantize.wgsl has them: output channels × blocks. */
const WORKGROUP = { columns: 16, blocks: 4 };
/** Uploads in flight: one is filled while the other is being used. */
const UPLOADS = 2;
/** Fields of the shader's `Tile`, 4 bytes each, padded to 16. */
const TILE_BYTES = 32;
/** Keeps every dispatch within 65 535 workgroups a dimension, and short enough for a watchdog. */
const MOST_TILE_BYTES = 16 << 20;

const LOSS_ANNOUNCED_MS = 500;

const defaults: TileLimits = { tileBytes: 8 << 20, outputBytes: 32 << 20 };

/**
 * `gpu`: `navigator.gpu`. Not `ok` where there is no adapter, or none that runs the shader rightly; the reason is a
 * sentence.
 * When the device goes away the kernel's calls reject with an error named `DeviceLost`.
 */
export async function createWebGpuKernel(gpu: GPU, options: Partial<TileLimits> = {}): Promise<WebGpuKernel> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) return { ok: false, reason: 'This browser has WebGPU, but found no GPU adapter to run it on.' };
  const name = adapterName(adapter.info);
  try {
    const device = await adapter.requestDevice();
    const module = device.createShaderModule({ code: shader });
    const { messages } = await module.getCompilationInfo();
    const error = messages.find(({ type }) => type === 'error');
    if (error) {
      device.destroy();
      return { ok: false, reason: `${name} does not accept the quantization shader: line ${error.lineNum}, ${error.message}` };
    }
    const kernel = createKernel(device, module, { ...defaults, ...options });
    if (!await computesRightly(kernel)) {
      kernel.dispose();
      return { ok: false, reason: `${name} computes the quantization shader wrongly.` };
    }
    return { ok: true, kernel, adapter: { name, f16: adapter.features.has('shader-f16') } };
  } catch (error) {
    return { ok: false, reason: `${name} gave no device: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function adapterName({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const parts = description ? [description] : [vendor, architecture, device];
  return parts.filter(Boolean).join(' ') || 'unnamed GPU';
}

function createKernel(device: GPUDevice, module: GPUShaderModule, options: TileLimits): Kernel {
  const limits = {
    tileBytes: Math.min(options.tileBytes, MOST_TILE_BYTES, device.limits.maxStorageBufferBindingSize),
    // Codes, scales and zero points are read back through one buffer.
    outputBytes: Math.min(options.outputBytes, device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize / 4),
  };
  const gpu = createContext(device, module);
  const inTurn = createQueue();
  let disposed = false;
  return {
    backend: 'webgpu',
    quantize(matrix, scheme, signal) {
      return inTurn(() => {
        if (disposed) throw new Error('The kernel was disposed');
        return quantizeMatrix(gpu, limits, matrix, scheme, signal);
      });
    },
    dispose() {
      disposed = true;
      device.destroy();
    },
  };
}

type BufferName = 'tile' | 'weights' | 'codes' | 'scales' | 'zeroPoints' | 'result' | `upload${number}`;

/** A device with what is made once and kept: pipelines by their constants, buffers by their use. */
interface Context {
  device: GPUDevice;
  bindings: GPUBindGroupLayout;
  pipeline(matrix: WeightMatrix, scheme: BlockScheme): Promise<GPUComputePipeline>;
  /** The buffer of that name, made larger if need be. */
  buffer(name: BufferName, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer;
  /** Rejects with `DeviceLost` when the device is lost, before or during the work. */
  orLost<T>(work: Promise<T>): Promise<T>;
  /** Runs GPU calls; `settle` rejects if the device refused one since, and lets go of the buffers. */
  checked<T>(calls: () => T): T;
  settle(): Promise<void>;
}

function createContext(device: GPUDevice, module: GPUShaderModule): Context {
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

  return {
    device,
    bindings,
    pipeline({ type, layout: order }, { bits, block, symmetric }) {
      const constants = { bits, block, symmetric: Number(symmetric), half: Number(type === 'float16'), transposed: Number(order === 'nk') };
      const key = JSON.stringify(constants);
      let pipeline = pipelines.get(key);
      if (!pipeline) {
        pipeline = device.createComputePipelineAsync({ layout, compute: { module, entryPoint: 'quantize', constants } });
        pipelines.set(key, pipeline);
      }
      return pipeline;
    },
    buffer(name, bytes, usage) {
      const kept = buffers.get(name);
      if (kept && kept.size >= bytes) return kept;
      kept?.destroy();
      const buffer = device.createBuffer({ label: name, size: align(bytes, 16), usage });
      buffers.set(name, buffer);
      return buffer;
    },
    async orLost(work) {
      try {
        return await Promise.race([work, lost]);
      } catch (error) {
        // Work in flight fails some time before the loss is announced.
        await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, LOSS_ANNOUNCED_MS))]);
        throw error;
      }
    },
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
      for (const buffer of buffers.values()) buffer.destroy();
      buffers.clear();
      const name = error instanceof GPUOutOfMemoryError ? 'OutOfMemory' : 'GpuError';
      throw Object.assign(new Error(error.message || 'The GPU has not enough memory'), { name });
    },
  };
}

async function quantizeMatrix(
  gpu: Context, limits: TileLimits, matrix: WeightMatrix, scheme: BlockScheme, signal: AbortSignal | undefined,
): Promise<QuantizedMatrix> {
  const { device } = gpu;
  const { symmetric } = scheme;
  const layout = layoutOf(matrix, scheme);
  const result = emptyResult(matrix.n, layout, symmetric);
  if (matrix.k * matrix.n === 0) return result;
  const size = tileSize(matrix, scheme, layout, limits);

  const whole = linesOf(matrix.layout, { rows: Math.min(size.rows, matrix.k), columns: Math.min(size.columns, matrix.n) });
  const tileBytes = whole.lines * align(whole.elements * layout.elementBytes, 4);
  const channels = Math.min(size.columns, matrix.n);
  const most = channelBytes(Math.min(size.span, matrix.k), scheme, layout);
  const parts = {
    codes: channels * most.codes,
    scales: align(channels * most.scales, 4),
    zeroPoints: align(symmetric ? 4 : channels * most.zeroPoints, 4),
  };

  throwIfAborted(signal);
  const pipeline = await gpu.orLost(gpu.pipeline(matrix, scheme));
  const { COPY_SRC, COPY_DST, STORAGE, UNIFORM, MAP_READ, MAP_WRITE } = GPUBufferUsage;
  const { tile, weights, codes, scales, zeroPoints, readBack, uploads } = gpu.checked(() => ({
    tile: gpu.buffer('tile', TILE_BYTES, UNIFORM | COPY_DST),
    weights: gpu.buffer('weights', tileBytes, STORAGE | COPY_DST),
    codes: gpu.buffer('codes', parts.codes, STORAGE | COPY_SRC),
    scales: gpu.buffer('scales', parts.scales, STORAGE | COPY_SRC | COPY_DST),
    zeroPoints: gpu.buffer('zeroPoints', parts.zeroPoints, STORAGE | COPY_SRC | COPY_DST),
    readBack: gpu.buffer('result', parts.codes + parts.scales + parts.zeroPoints, MAP_READ | COPY_DST),
    uploads: Array.from({ length: UPLOADS }, (_, i) => gpu.buffer(`upload${i}`, tileBytes, MAP_WRITE | COPY_SRC)),
  }));
  await gpu.orLost(gpu.settle());
  const bindGroup = device.createBindGroup({
    layout: gpu.bindings,
    entries: [tile, weights, codes, scales, zeroPoints].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });

  const run = (upload: GPUBuffer, group: Tile, part: Tile, stride: number, lines: number) => {
    const encoder = device.createCommandEncoder();
    if (part.row === group.row) {
      encoder.clearBuffer(scales);
      encoder.clearBuffer(zeroPoints);
    }
    encoder.copyBufferToBuffer(upload, 0, weights, 0, lines * stride);
    const blocks = Math.ceil(group.rows / scheme.block);
    const first = (part.row - group.row) / scheme.block;
    const zeroPointBits = channelBytes(group.rows, scheme, layout).zeroPoints * 8;
    device.queue.writeBuffer(tile, 0, Uint32Array.of(part.rows, part.columns, stride / layout.elementBytes, blocks, first, zeroPointBits));
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(
      Math.ceil(part.columns / WORKGROUP.columns),
      Math.ceil(part.rows / (scheme.block * WORKGROUP.blocks)),
    );
    pass.end();
    device.queue.submit([encoder.finish()]);
  };

  let turn = 0;
  for (const group of groupsOf(matrix, size)) {
    for (const part of tilesOf(group, size)) {
      const { lines, elements } = linesOf(matrix.layout, part);
      const stride = align(elements * layout.elementBytes, 4);
      const upload = uploads[turn++ % UPLOADS]!;
      // Still mapped when an abort came between mapping and use.
      if (upload.mapState !== 'mapped') await gpu.orLost(upload.mapAsync(GPUMapMode.WRITE));
      throwIfAborted(signal);
      copyTile(matrix, layout, part, new Uint8Array(upload.getMappedRange()), stride);
      upload.unmap();
      gpu.checked(() => run(upload, group, part, stride, lines));
    }

    const made = channelBytes(group.rows, scheme, layout);
    const starts = { codes: 0, scales: parts.codes, zeroPoints: parts.codes + parts.scales };
    gpu.checked(() => {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(codes, 0, readBack, starts.codes, group.columns * made.codes);
      encoder.copyBufferToBuffer(scales, 0, readBack, starts.scales, align(group.columns * made.scales, 4));
      if (!symmetric) encoder.copyBufferToBuffer(zeroPoints, 0, readBack, starts.zeroPoints, align(group.columns * made.zeroPoints, 4));
      device.queue.submit([encoder.finish()]);
    });
    await gpu.orLost(gpu.settle());
    await gpu.orLost(readBack.mapAsync(GPUMapMode.READ));
    const bytes = new Uint8Array(readBack.getMappedRange());
    const part = (name: keyof typeof starts) => ({ bytes: bytes.subarray(starts[name]), stride: made[name] });
    placeGroup(result, group, matrix.k, scheme, layout, { codes: part('codes'), scales: part('scales'), zeroPoints: part('zeroPoints') });
    readBack.unmap();
    throwIfAborted(signal);
  }
  return result;
}

function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
