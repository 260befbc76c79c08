/**
 * How the work of a task is cut, so that memory does not grow with the weight. What a task makes comes in chunks,
 * each the next bytes of every part; a chunk is made of slabs, which are weights of their own: a smaller tensor at
 * another place of the same file. Plain values; `execute-tasks.ts` does the work.
 *
 *     [N, K] as stored      a chunk is some rows: one slab, read in one piece
 *     [K, N] as stored      a chunk is all columns, or as many as may be held: slabs along K, whose codes are joined
 *     a scale a channel     some channels where they lie together, else a look at all slabs for the ranges, then the codes
 */
import { multipleWithin } from '../lib/multiples.ts';
import type { Tile } from '../kernels/tiles.ts';
import { elementCount, elementType } from '../onnx/numbers/element-types.ts';
import type { Tensor, TensorData } from '../onnx/model.ts';
import type { StridedRange } from '../onnx/tensor-data.ts';
import { blockedBytes, partBytes, type QuantizeTask } from '../plan/quantize-task.ts';
import { isContiguous, type View } from '../onnx/graph/constant-view.ts';

export interface ChunkLimits {
  /** Bytes of a weight, as stored, that are read at once. */
  slab: number;
  /** What is joined from several slabs, in bytes of codes, scales and zero points. */
  joined: number;
}

export const CHUNK_LIMITS: ChunkLimits = { slab: 8 << 20, joined: 64 << 20 };

/** How many times its size a slab may have when a whole line of blocks takes more: columns far apart are slow to read. */
const WIDEST = 4;
/** Output channels that are kept together: a vector of the kernels, and a whole byte of whatever is packed. */
const COLUMNS = 8;

type Quantize = QuantizeTask & { kind: 'quantize' };
type LinearTask = QuantizeTask & { kind: 'linear' };

/** A task for part of a weight. */
export type WeightChunk = (QuantizeTask | RangeTask) & {
  /** Where its elements lie, from `tensor.data` on, when not in one piece. */
  lines?: StridedRange;
  /** Ranges of its channels as `range` found them in the whole weight, for `linear`. */
  ranges?: Int32Array;
};

/** Part `ranges`: the least and the greatest weight of each channel and 0, as keys (see kernels/linear.ts), one pair after the other. */
export type RangeTask = Omit<LinearTask, 'kind'> & { kind: 'range' };

/** Some of a weight's elements, neighbours in their order, as a weight [outer, channels, inner]. */
interface Run {
  start: number;
  outer: number;
  channel: number;
  channels: number;
  inner: number;
}

export type OutputChunk = {
  /** Bytes it adds to each part; 0 for a part that comes in other chunks. */
  bytes: ReadonlyMap<string, number>;
  /** The task it belongs to. */
  task: QuantizeTask;
} & (
  | { kind: 'one'; slab: WeightChunk }
  /** Of the matrix `whole`, at each tile what its slab makes. */
  | { kind: 'joined'; whole: Quantize; slabs: { slab: WeightChunk; tile: Tile }[] }
  /** Scales and zero points of a weight whose channels do not lie together. */
  | { kind: 'grids'; task: LinearTask; slabs: { slab: WeightChunk; channel: number }[] }
  /** Codes of such a weight. */
  | { kind: 'codes'; task: LinearTask; slab: WeightChunk; channel: number; channels: number }
);

/** Bytes of all that a chunk makes; parts that are the same bytes as others are counted, too. */
export function outputBytes({ bytes }: OutputChunk): number {
  return [...bytes.values()].reduce((sum, part) => sum + part, 0);
}

/** The chunks of a task in order. A weight of no more than a slab is one, and so is one whose bytes do not lie in one piece. */
export function outputChunksOf(task: QuantizeTask, limits: ChunkLimits = CHUNK_LIMITS): OutputChunk[] {
  const { tensor } = task;
  const { data } = tensor;
  const view = task.kind === 'to-float16' ? undefined : task.view;
  const inOrder = data.kind !== 'typed' && data.kind !== 'values' && (!view || isContiguous(view));
  const isReady = task.kind === 'quantize' && task.ready !== undefined;
  if (!inOrder || isReady || tensor.bytes <= limits.slab)
    return [{ kind: 'one', task, slab: task, bytes: partBytes(task) }];
  switch (task.kind) {
    case 'quantize':
      return matrixChunks(task, limits);
    case 'linear':
      return channelChunks(task, limits);
    case 'to-float16':
      return runsOf(elementCount(tensor.dims), Math.floor(limits.slab / sizeOf(tensor))).map(([start, count]) => {
        const slab: QuantizeTask = { ...task, tensor: partOf(tensor, start, [count]) };
        return { kind: 'one', task, slab, bytes: partBytes(slab) };
      });
  }
}

function matrixChunks(task: Quantize, { slab, joined }: ChunkLimits): OutputChunk[] {
  const { layout, k, n, scheme, nibbles } = task;
  const size = sizeOf(task.tensor);
  // Zero points of neighbouring blocks share a byte.
  const blocks = Math.max(2, 8 / scheme.bits) * scheme.block;
  const alongK = nibbles === 'columns';
  const made = ({ codes, scales, zeroPoints }: ReturnType<typeof blockedBytes>) => codes + scales + zeroPoints;
  const inOnePiece = alongK === (layout === 'kn');
  const rows = !alongK
    ? k
    : multipleWithin(
        blocks,
        k,
        inOnePiece ? slab / (n * size) : (joined * k) / made(blockedBytes(k, n, scheme, task.type)),
      );
  const columns = alongK
    ? n
    : multipleWithin(
        COLUMNS,
        n,
        inOnePiece ? slab / (k * size) : (joined * n) / made(blockedBytes(k, n, scheme, task.type)),
      );
  return tilesOf({ row: 0, rows: k, column: 0, columns: n }, rows, columns).map((chunk): OutputChunk => {
    const whole: Quantize = { ...task, k: chunk.rows, n: chunk.columns };
    const bytes = partBytes(whole);
    const [tallest, widest] =
      layout === 'kn'
        ? [
            multipleWithin(blocks, chunk.rows, slab / (chunk.columns * size)),
            multipleWithin(COLUMNS, chunk.columns, (slab * WIDEST) / (Math.min(blocks, chunk.rows) * size)),
          ]
        : [
            multipleWithin(blocks, chunk.rows, (slab * WIDEST) / (Math.min(COLUMNS, chunk.columns) * size)),
            multipleWithin(COLUMNS, chunk.columns, slab / (chunk.rows * size)),
          ];
    const tiles = tilesOf(chunk, tallest, widest);
    if (tiles.length === 1) return { kind: 'one', task, slab: matrixSlab(task, chunk), bytes };
    // What is packed or turned round is made of the whole chunk.
    const { nibbles: _, ...plain } = task;
    return {
      kind: 'joined',
      task,
      whole,
      bytes,
      slabs: tiles.map((tile) => ({
        slab: matrixSlab(plain, tile),
        tile: { ...tile, row: tile.row - chunk.row, column: tile.column - chunk.column },
      })),
    };
  });
}

/** A rectangle cut along both sides. */
function tilesOf(whole: Tile, rows: number, columns: number): Tile[] {
  return runsOf(whole.columns, columns).flatMap(([column, width]) =>
    runsOf(whole.rows, rows).map(([row, height]) => ({
      row: whole.row + row,
      rows: height,
      column: whole.column + column,
      columns: width,
    })),
  );
}

function matrixSlab(task: Quantize, { row, rows, column, columns }: Tile): WeightChunk {
  const { tensor, layout, k, n, view, meanSquares } = task;
  const size = sizeOf(tensor);
  const [line, length, count, across, pitch] =
    layout === 'kn' ? [row, columns, rows, column, n] : [column, rows, columns, row, k];
  const dims = [count, length];
  const part = partOf(tensor, line * pitch + across, dims);
  const slab: WeightChunk = {
    ...task,
    tensor: part,
    k: rows,
    n: columns,
    ...(view && { view: inOrder(view, dims) }),
    ...(meanSquares && { meanSquares: meanSquares.slice(row, row + rows) }),
  };
  return length === pitch ? slab : { ...slab, lines: { count, bytes: length * size, pitch: pitch * size } };
}

function channelChunks(task: LinearTask, limits: ChunkLimits): OutputChunk[] {
  const { outer, channels, inner } = task;
  const most = Math.max(1, Math.floor(limits.slab / sizeOf(task.tensor)));
  if (outer === 1 && inner <= most) {
    return runsOf(channels, Math.floor(most / inner)).map(([channel, count]) => {
      const slab = linearSlab(task, { start: channel * inner, outer: 1, channel, channels: count, inner });
      return { kind: 'one', task, slab, bytes: partBytes(slab) };
    });
  }
  const runs = elementRuns(task, most);
  const size = partBytes(task);
  return [
    {
      kind: 'grids',
      task,
      bytes: new Map([...size, ['codes', 0]]),
      slabs: runs.map((run) => ({ slab: { ...linearSlab(task, run), kind: 'range' }, channel: run.channel })),
    },
    ...runs.map((run): OutputChunk => ({
      kind: 'codes',
      task,
      slab: linearSlab(task, run),
      channel: run.channel,
      channels: run.channels,
      bytes: new Map([
        ['codes', run.outer * run.channels * run.inner],
        ['scales', 0],
        ['zeroPoints', 0],
      ]),
    })),
  ];
}

/** All elements of a weight in runs of at most `most`: over the outermost dimension, else inside each of its indices, else inside a channel. */
function elementRuns({ outer, channels, inner }: LinearTask, most: number): Run[] {
  const line = channels * inner;
  if (line <= most)
    return runsOf(outer, Math.floor(most / line)).map(([index, count]) => ({
      start: index * line,
      outer: count,
      channel: 0,
      channels,
      inner,
    }));
  const inside =
    inner <= most
      ? runsOf(channels, Math.floor(most / inner)).map(([channel, count]): Run => ({
          start: channel * inner,
          outer: 1,
          channel,
          channels: count,
          inner,
        }))
      : runsOf(channels, 1).flatMap(([channel]) =>
          runsOf(inner, most).map(([start, count]): Run => ({
            start: channel * inner + start,
            outer: 1,
            channel,
            channels: 1,
            inner: count,
          })),
        );
  return runsOf(outer, 1).flatMap(([index]) => inside.map((run) => ({ ...run, start: index * line + run.start })));
}

function linearSlab(task: LinearTask, { start, outer, channels, inner }: Run): LinearTask {
  const { tensor, view } = task;
  const dims = [outer, channels, inner];
  return {
    ...task,
    tensor: partOf(tensor, start, dims),
    outer,
    channels,
    inner,
    ...(view && { view: inOrder(view, dims) }),
  };
}

/** Elements of a tensor from number `start` on, as a tensor. */
function partOf(tensor: Tensor, start: number, dims: number[]): Tensor {
  const { data } = tensor;
  if (data.kind !== 'inline' && data.kind !== 'external') throw new Error(`${tensor.name} does not lie in one piece`);
  const bytes = elementCount(dims) * sizeOf(tensor);
  const place: TensorData = { ...data, offset: data.offset + start * sizeOf(tensor), length: bytes };
  return { ...tensor, dims, bytes, data: place };
}

function inOrder({ casts }: View, dims: number[]): View {
  return { dims, strides: dims.map((_, axis) => elementCount(dims.slice(axis + 1))), casts };
}

function sizeOf({ type }: Tensor): number {
  return elementType(type).bits / 8;
}

/** [start, count] of runs of at most `most`. */
function runsOf(whole: number, most: number): [start: number, count: number][] {
  const step = Math.max(1, most);
  return Array.from({ length: Math.ceil(whole / step) }, (_, i) => [i * step, Math.min(step, whole - i * step)]);
}
