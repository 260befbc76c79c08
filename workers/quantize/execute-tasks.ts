/** Carries out tasks chunk by chunk: has their slabs made and puts together what comes of them. */
import { asFloat32 } from '../lib/bytes.ts';
import { addRanges, gridsOf } from './channel-ranges.ts';
import type { QuantizedMatrix } from '../kernels/kernel.ts';
import { emptyResult, layoutOfShape } from '../kernels/layout.ts';
import { channelBytes, placeGroup } from '../kernels/tiles.ts';
import { blockedParts, type Parts } from './quantize-chunk.ts';
import { weightOfKey } from '../kernels/linear.ts';
import { FLOAT16 } from '../onnx/numbers/element-types.ts';
import type { QuantizeTask } from '../plan/quantize-task.ts';
import { refuseWeight, type Extent } from './weight-problem.ts';
import { outputChunksOf, type WeightChunk, type ChunkLimits, type OutputChunk } from './chunks.ts';

/** Makes a slab; how many at once is its own affair. */
export type QuantizeChunk = (slab: WeightChunk, signal: AbortSignal) => Promise<Parts>;

export interface ExecutionOptions {
  /** In order; the same ones each time. */
  chunksOf(task: QuantizeTask): readonly OutputChunk[];
  /** What a chunk adds to each part of its task, by name. Errors: those of `make`. */
  make(chunk: OutputChunk, signal: AbortSignal): Promise<Parts>;
}

/** @param release Gives back the memory of what a slab made, once it is joined with others; absent where it is left to the collector. */
export function executeTasks(
  makeSlab: QuantizeChunk,
  { limits, release }: { limits?: ChunkLimits; release?: ((bytes: Uint8Array) => void) | undefined } = {},
): ExecutionOptions {
  const known = new Map<QuantizeTask, readonly OutputChunk[]>();
  /** Ranges of channels that do not lie together: needed for every chunk of the codes. */
  const ranges = new Map<QuantizeTask, Promise<Int32Array>>();

  const find = async (task: QuantizeTask & { kind: 'linear' }, signal: AbortSignal): Promise<Int32Array> => {
    const found = new Int32Array(task.channels * 2);
    const grids = chunks(task).find((chunk) => chunk.kind === 'grids');
    await Promise.all(
      (grids?.slabs ?? []).map(async ({ slab, channel }) => {
        const part = (await makeSlab(slab, signal)).get('ranges')!;
        addRanges(found, new Int32Array(part.buffer, part.byteOffset, part.byteLength / 4), channel);
      }),
    );
    return found;
  };
  const rangesOf = (task: QuantizeTask & { kind: 'linear' }, signal: AbortSignal): Promise<Int32Array> => {
    const finding = ranges.get(task) ?? find(task, signal);
    ranges.set(task, finding);
    return finding;
  };
  const chunks = (task: QuantizeTask) => {
    const cut = known.get(task) ?? outputChunksOf(task, limits);
    known.set(task, cut);
    return cut;
  };

  return {
    chunksOf: chunks,
    async make(chunk, signal) {
      switch (chunk.kind) {
        case 'one': {
          const { task } = chunk;
          return task.kind === 'quantize' && task.ready ? blockedParts(task, task.ready) : makeSlab(chunk.slab, signal);
        }
        case 'joined':
          return joined(chunk, makeSlab, signal, release);
        case 'grids': {
          const { task } = chunk;
          const type = task.type === FLOAT16 ? 'float16' : 'float32';
          const found = await rangesOf(task, signal);
          const { scales, zeroPoints } = gridsOf(found, type, task.scheme);
          if (asFloat32(scales).some((scale) => !Number.isFinite(scale)))
            refuseWeight(task.tensor, task.type, extentOfRanges(found, type));
          return new Map([
            ['scales', scales],
            ['zeroPoints', zeroPoints],
          ]);
        }
        case 'codes': {
          const { task, slab, channel, channels } = chunk;
          const all = await rangesOf(task, signal);
          const codes = (
            await makeSlab({ ...slab, ranges: all.slice(channel * 2, (channel + channels) * 2) }, signal)
          ).get('codes')!;
          return new Map([['codes', codes]]);
        }
      }
    },
  };
}

/** Of weights in the type the arithmetic has them in, from the ranges of their channels. */
function extentOfRanges(ranges: Int32Array, type: 'float16' | 'float32'): Extent {
  let extent: Extent = { broken: false, largest: 0 };
  for (const key of ranges) {
    const value = weightOfKey(key, type);
    extent = Number.isFinite(value)
      ? { ...extent, largest: Math.max(extent.largest, Math.abs(value)) }
      : { ...extent, broken: true };
  }
  return extent;
}

/** One matrix of the codes of its slabs. */
async function joined(
  { whole, slabs }: OutputChunk & { kind: 'joined' },
  makeSlab: QuantizeChunk,
  signal: AbortSignal,
  release?: (bytes: Uint8Array) => void,
): Promise<Parts> {
  const { k, n, scheme, type } = whole;
  const layout = layoutOfShape(k, type === FLOAT16 ? 2 : 4, scheme);
  const result: QuantizedMatrix = emptyResult(n, layout, scheme.symmetric);
  await Promise.all(
    slabs.map(async ({ slab, tile }) => {
      const parts = await makeSlab(slab, signal);
      const stride = channelBytes(tile.rows, scheme, layout);
      const part = (name: keyof typeof stride) => ({
        bytes: parts.get(name) ?? new Uint8Array(0),
        stride: stride[name],
      });
      placeGroup(result, tile, k, scheme, layout, {
        codes: part('codes'),
        scales: part('scales'),
        zeroPoints: part('zeroPoints'),
      });
      for (const buffer of new Set([...parts.values()].map((bytes) => bytes.buffer))) release?.(new Uint8Array(buffer));
    }),
  );
  return blockedParts(whole, result);
}
