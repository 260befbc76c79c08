/** One scale a channel on the GPU: a pass over the tiles for the channels' ranges, and one for the codes. */
import { roundUp } from '../../lib/multiples.ts';
import type { LinearScheme, LinearTensor, WeightTensor } from '../kernel.ts';
import {
  elementBytes,
  emptyLinear,
  parametersOf,
  partsOf,
  positionOf,
  readPart,
  storeParameters,
  weightOfKey,
  writeCodes,
  type Part,
} from '../linear.ts';
import type { TileLimits } from '../tiles.ts';
import { TILE_BYTES, type Context } from './context.ts';
import type { BufferSet } from './buffers.ts';
import type { Work } from './work.ts';

/** Invocations of a workgroup, and elements of an invocation, as linear.wgsl has them. */
const WORKGROUP = 64;
const STEPS = 64;
const CODES_OF_INVOCATION = 4;
/** Bytes of weights for each channel at once, so that what a channel needs takes less than the weights. */
const TILE_BYTES_PER_CHANNEL = 32;
/** A run longer than any tile. */
const LONGEST_RUN = 2 ** 30;

/** Resolves when all is submitted: the result is whole when the work has finished. */
export async function quantizeTensor(
  gpu: Context,
  module: GPUShaderModule,
  { tileBytes, outputBytes }: TileLimits,
  tensor: WeightTensor,
  scheme: LinearScheme,
  work: Work,
  room: BufferSet,
): Promise<LinearTensor> {
  const { device } = gpu;
  const { type, channels, inner } = tensor;
  const result = emptyLinear(tensor);
  const size = elementBytes(type);
  const mostChannels = Math.max(1, Math.min(channels, Math.floor(tileBytes / TILE_BYTES_PER_CHANNEL)));
  // Whole words of codes.
  const mostElements = Math.max(4, Math.floor(Math.min(tileBytes / size, outputBytes) / 4) * 4);
  const most = Math.min(mostElements, roundUp(Math.max(1, result.codes.length), 4));

  const constants = { half: Number(type === 'float16') };
  const [range, encode] = await gpu.orLost(
    Promise.all([gpu.pipeline(module, 'range', constants), gpu.pipeline(module, 'encode', constants)]),
  );

  /** In turn only: what is between two turns may take the common buffers away. */
  const prepare = async (common: BufferSet) => {
    const { COPY_SRC, COPY_DST, STORAGE, UNIFORM } = GPUBufferUsage;
    const { tile, weights, codes, ranges, grids } = await work.reserve([common, room], () => ({
      tile: common.buffer('tile', TILE_BYTES, UNIFORM | COPY_DST),
      weights: room.buffer('weights', most * size, STORAGE | COPY_DST),
      codes: room.buffer('codes', most, STORAGE | COPY_SRC),
      ranges: room.buffer('ranges', mostChannels * 8, STORAGE | COPY_SRC | COPY_DST),
      grids: room.buffer('grids', mostChannels * 8, STORAGE | COPY_DST),
    }));
    const bindGroup = gpu.bind([tile, weights, codes, ranges, grids]);

    const upload = async (part: Part, start: number, count: number) => {
      const buffer = await work.upload(common, most * size, (mapped) => {
        readPart(tensor, part, start, count, mapped);
      });
      work.checked(() => {
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, 0, weights, 0, roundUp(count * size, 4));
        device.queue.submit([encoder.finish()]);
      });
    };

    const run = (
      pipeline: GPUComputePipeline,
      part: Part,
      start: number,
      count: number,
      lanes: number,
      invocations: number,
    ) => {
      const { channel, left } = positionOf(inner, part, start);
      work.checked(() => {
        device.queue.writeBuffer(
          tile,
          0,
          Int32Array.of(
            count,
            Math.min(left, LONGEST_RUN),
            Math.min(inner, LONGEST_RUN),
            channel,
            part.channels,
            lanes,
            scheme.type === 'uint8' ? 0 : -128,
          ),
        );
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(Math.ceil(invocations / WORKGROUP));
        pass.end();
        device.queue.submit([encoder.finish()]);
      });
    };

    /** The first `bytes` of a buffer. */
    const read = (buffer: GPUBuffer, bytes: number, use: (mapped: ArrayBuffer) => void) =>
      work.readBack(
        Math.max(most, mostChannels * 8),
        (encoder, target) => {
          encoder.copyBufferToBuffer(buffer, 0, target, 0, roundUp(bytes, 4));
        },
        use,
      );
    return { codes, ranges, grids, upload, run, read };
  };

  for (const part of partsOf(tensor, mostChannels)) {
    let found = new ArrayBuffer(0);
    const { read: rangesRead } = await gpu.inTurn(async (common) => {
      const { ranges, upload, run, read } = await prepare(common);
      work.checked(() => {
        const encoder = device.createCommandEncoder();
        encoder.clearBuffer(ranges);
        device.queue.submit([encoder.finish()]);
      });
      for (let start = 0; start < part.elements; start += most) {
        const count = Math.min(most, part.elements - start);
        await upload(part, start, count);
        // Elements a whole line of channels apart are of the same channel; where there are too few such lines, neighbours mostly are.
        const lanes = part.width * STEPS <= count ? part.width : WORKGROUP;
        run(range, part, start, count, lanes, Math.ceil(count / (lanes * STEPS)) * lanes);
      }
      const reading = await read(ranges, part.channels * 8, (mapped) => {
        found = gridsOf(new Int32Array(mapped, 0, part.channels * 2), tensor, part, scheme, result);
      });
      // What the codes begin with is there when the ranges are.
      if (most < part.elements) await upload(part, 0, most);
      return reading;
    });

    // Another call is in turn meanwhile.
    await rangesRead;
    await gpu.inTurn(async (common) => {
      const { codes, grids, upload, run, read } = await prepare(common);
      work.checked(() => {
        device.queue.writeBuffer(grids, 0, found);
      });
      for (let start = 0; start < part.elements; start += most) {
        const count = Math.min(most, part.elements - start);
        if (start > 0) await upload(part, start, count);
        run(encode, part, start, count, WORKGROUP, Math.ceil(count / CODES_OF_INVOCATION));
        await read(codes, count, (mapped) => {
          writeCodes(result, part, start, count, new Uint8Array(mapped));
        });
      }
    });
  }
  return result;
}

/** From the ranges found, the scales and zero points: to the result, and as the shader takes them. */
function gridsOf(
  ranges: Int32Array,
  { type }: WeightTensor,
  part: Part,
  scheme: LinearScheme,
  result: LinearTensor,
): ArrayBuffer {
  const grids = new DataView(new ArrayBuffer(part.channels * 8));
  for (let channel = 0; channel < part.channels; channel++) {
    const grid = parametersOf(
      weightOfKey(ranges[channel * 2]!, type),
      weightOfKey(ranges[channel * 2 + 1]!, type),
      scheme,
    );
    storeParameters(result, part.channel + channel, grid);
    grids.setFloat32(channel * 8, Number.isFinite(grid.scale) ? grid.scale : 0, true);
    grids.setInt32(channel * 8 + 4, grid.zeroPoint, true);
  }
  return grids.buffer;
}
