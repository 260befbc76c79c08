/** The GPU backend: uploads tiles of a matrix, runs quantize.wgsl over them and reads the result back. */
import { roundUp } from '../../lib/multiples.ts';
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from '../kernel.ts';
import { emptyResult, layoutOf } from '../layout.ts';
import {
  channelBytes,
  copyTile,
  groupsOf,
  linesOf,
  placeGroup,
  tileSize,
  tilesOf,
  type Tile,
  type TileLimits,
} from '../tiles.ts';
import { findAdapter, type AdapterFacts } from './adapter.ts';
import { createContext, TILE_BYTES, type Context } from './context.ts';
import floatShader from './float.wgsl?raw';
import { quantizeTensor } from './linear.ts';
import linearShader from './linear.wgsl?raw';
import quantizeShader from './quantize.wgsl?raw';
import type { BufferSet } from './buffers.ts';
import { createWasmKernel } from '../wasm/kernel.ts';
import { passesSelfCheck } from './self-check.ts';
import { createWork, type Work } from './work.ts';

export type WebGpuKernel =
  | {
      ok: true;
      kernel: Kernel;
      adapter: AdapterFacts;
      /** Settles when the device has gone away. */ lost: Promise<unknown>;
    }
  | { ok: false; reason: string };

/** Invocations of a workgroup, as quantize.wgsl has them: output channels × blocks. */
const WORKGROUP = { columns: 16, blocks: 4 };
/** Keeps every dispatch within 65 535 workgroups a dimension, and short enough for a watchdog. */
const MOST_TILE_BYTES = 16 << 20;

const defaults: TileLimits = { tileBytes: 8 << 20, outputBytes: 32 << 20 };

/**
 * `gpu`: `navigator.gpu`. Not `ok` where there is no adapter, or none that runs the shader rightly; the reason is a
 * sentence.
 * When the device goes away the kernel's calls reject with an error named `DeviceLost`.
 */
export async function createWebGpuKernel(gpu: GPU, options: Partial<TileLimits> = {}): Promise<WebGpuKernel> {
  const found = await findAdapter(gpu);
  if (!found.ok) return found;
  const { adapter, facts } = found;
  const { name } = facts;
  try {
    const device = await adapter.requestDevice();
    const modules = { blocks: compile(device, quantizeShader), channels: compile(device, linearShader) };
    for (const module of Object.values(modules)) {
      const { messages } = await module.getCompilationInfo();
      const error = messages.find(({ type }) => type === 'error');
      if (error) {
        device.destroy();
        return {
          ok: false,
          reason: `${name} does not accept the quantization shader: line ${error.lineNum}, ${error.message}`,
        };
      }
    }
    const kernel = createKernel(device, modules, { ...defaults, ...options });
    if (!(await passesSelfCheck(kernel))) {
      kernel.dispose();
      return { ok: false, reason: `${name} computes the quantization shader wrongly.` };
    }
    return { ok: true, kernel, adapter: facts, lost: device.lost };
  } catch (error) {
    return { ok: false, reason: `${name} gave no device: ${error instanceof Error ? error.message : String(error)}` };
  }
}

interface Modules {
  blocks: GPUShaderModule;
  channels: GPUShaderModule;
}

/** Line numbers of errors count from the beginning of float.wgsl. */
function compile(device: GPUDevice, shader: string): GPUShaderModule {
  return device.createShaderModule({ code: floatShader + shader });
}

function createKernel(device: GPUDevice, modules: Modules, options: TileLimits): Kernel {
  const limits = {
    tileBytes: Math.min(options.tileBytes, MOST_TILE_BYTES, device.limits.maxStorageBufferBindingSize),
    // Codes, scales and zero points are read back through one buffer.
    outputBytes: Math.min(
      options.outputBytes,
      device.limits.maxStorageBufferBindingSize,
      device.limits.maxBufferSize / 4,
    ),
  };
  const gpu = createContext(device);
  let last: Promise<unknown> = Promise.resolve();
  let disposed = false;
  /** Searches for scales, for which there is no shader. */
  let searching: Promise<Kernel> | null = null;

  /** Calls begin and settle in the order they were made; while results of one are on their way, the next is at work. */
  const call = <T>(
    signal: AbortSignal | undefined,
    submit: (work: Work, room: BufferSet) => Promise<T>,
  ): Promise<T> => {
    const before = last;
    const work = createWork(gpu, signal);
    const perform = () =>
      gpu.calls.use((room) => {
        if (disposed) throw new Error('The kernel was disposed');
        return submit(work, room);
      });
    const settle = async () => {
      try {
        const result = await perform();
        await work.finished();
        return result;
      } catch (thrown) {
        throw disposed && !signal?.aborted ? new Error('The kernel was disposed') : thrown;
      } finally {
        await work.settled();
        await before;
      }
    };
    const settled = settle();
    last = settled.then(
      () => undefined,
      () => undefined,
    );
    return settled;
  };

  return {
    backend: 'webgpu',
    async quantize(matrix, scheme, signal, memory) {
      if (scheme.method) {
        if (disposed) throw new Error('The kernel was disposed');
        searching ??= createWasmKernel();
        return (await searching).quantize(matrix, scheme, signal, memory);
      }
      return call(signal, (work, room) => quantizeMatrix(gpu, modules.blocks, limits, matrix, scheme, work, room));
    },
    quantizePerChannel(tensor, scheme, signal) {
      return call(signal, (work, room) => quantizeTensor(gpu, modules.channels, limits, tensor, scheme, work, room));
    },
    dispose() {
      disposed = true;
      gpu.dispose();
    },
  };
}

/** Resolves when all is submitted: the result is whole when the work has finished. */
async function quantizeMatrix(
  gpu: Context,
  module: GPUShaderModule,
  limits: TileLimits,
  matrix: WeightMatrix,
  scheme: BlockScheme,
  work: Work,
  room: BufferSet,
): Promise<QuantizedMatrix> {
  const { device } = gpu;
  const { bits, block, symmetric } = scheme;
  const layout = layoutOf(matrix, scheme);
  const result = emptyResult(matrix.n, layout, symmetric);
  if (matrix.k * matrix.n === 0) return result;
  const size = tileSize(matrix, scheme, layout, limits);

  const whole = linesOf(matrix.layout, {
    rows: Math.min(size.rows, matrix.k),
    columns: Math.min(size.columns, matrix.n),
  });
  const tileBytes = whole.lines * roundUp(whole.elements * layout.elementBytes, 4);
  const channels = Math.min(size.columns, matrix.n);
  const most = channelBytes(Math.min(size.span, matrix.k), scheme, layout);
  const parts = {
    codes: channels * most.codes,
    scales: roundUp(channels * most.scales, 4),
    zeroPoints: roundUp(symmetric ? 4 : channels * most.zeroPoints, 4),
  };

  const pipeline = await gpu.orLost(
    gpu.pipeline(module, 'quantize', {
      bits,
      symmetric: Number(symmetric),
      half: Number(matrix.type === 'float16'),
    }),
  );

  await gpu.inTurn(async (common) => {
    const { COPY_SRC, COPY_DST, STORAGE, UNIFORM } = GPUBufferUsage;
    const { tile, weights, codes, scales, zeroPoints } = await work.reserve([common, room], () => ({
      tile: common.buffer('tile', TILE_BYTES, UNIFORM | COPY_DST),
      weights: room.buffer('weights', tileBytes, STORAGE | COPY_DST),
      codes: room.buffer('codes', parts.codes, STORAGE | COPY_SRC),
      scales: room.buffer('scales', parts.scales, STORAGE | COPY_SRC | COPY_DST),
      zeroPoints: room.buffer('zeroPoints', parts.zeroPoints, STORAGE | COPY_SRC | COPY_DST),
    }));
    const bindGroup = gpu.bind([tile, weights, codes, scales, zeroPoints]);

    const run = (upload: GPUBuffer, group: Tile, part: Tile, stride: number, lines: number) => {
      const encoder = device.createCommandEncoder();
      if (part.row === group.row) {
        encoder.clearBuffer(scales);
        encoder.clearBuffer(zeroPoints);
      }
      encoder.copyBufferToBuffer(upload, 0, weights, 0, lines * stride);
      const blocks = Math.ceil(group.rows / block);
      const first = (part.row - group.row) / block;
      const zeroPointBits = channelBytes(group.rows, scheme, layout).zeroPoints * 8;
      const line = stride / layout.elementBytes;
      const [rowStride, columnStride] = matrix.layout === 'kn' ? [line, 1] : [1, line];
      device.queue.writeBuffer(
        tile,
        0,
        Uint32Array.of(part.rows, part.columns, rowStride, columnStride, block, blocks, first, zeroPointBits),
      );
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(
        Math.ceil(part.columns / WORKGROUP.columns),
        Math.ceil(part.rows / (block * WORKGROUP.blocks)),
      );
      pass.end();
      device.queue.submit([encoder.finish()]);
    };

    for (const group of groupsOf(matrix, size)) {
      for (const part of tilesOf(group, size)) {
        const { lines, elements } = linesOf(matrix.layout, part);
        const stride = roundUp(elements * layout.elementBytes, 4);
        const upload = await work.upload(common, tileBytes, (mapped) => {
          copyTile(matrix, layout, part, mapped, stride);
        });
        work.checked(() => {
          run(upload, group, part, stride, lines);
        });
      }

      // One set of results is enough on the GPU: they are copied before the next group's dispatch writes there.
      const made = channelBytes(group.rows, scheme, layout);
      const starts = { codes: 0, scales: parts.codes, zeroPoints: parts.codes + parts.scales };
      await work.readBack(
        parts.codes + parts.scales + parts.zeroPoints,
        (encoder, target) => {
          encoder.copyBufferToBuffer(codes, 0, target, starts.codes, group.columns * made.codes);
          encoder.copyBufferToBuffer(scales, 0, target, starts.scales, roundUp(group.columns * made.scales, 4));
          if (!symmetric)
            encoder.copyBufferToBuffer(
              zeroPoints,
              0,
              target,
              starts.zeroPoints,
              roundUp(group.columns * made.zeroPoints, 4),
            );
        },
        (mapped) => {
          const bytes = new Uint8Array(mapped);
          const from = (name: keyof typeof starts) => ({ bytes: bytes.subarray(starts[name]), stride: made[name] });
          placeGroup(result, group, matrix.k, scheme, layout, {
            codes: from('codes'),
            scales: from('scales'),
            zeroPoints: from('zeroPoints'),
          });
        },
      );
    }
  });
  return result;
}
