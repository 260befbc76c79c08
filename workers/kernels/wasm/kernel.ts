/** The SIMD backend: feeds tiles of a matrix to the AssemblyScript module and collects what it makes. */
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from '../kernel.ts';
import { emptyResult, layoutOf } from '../layout.ts';
import pLimit from 'p-limit';
import { roundUp } from '../../lib/multiples.ts';
import { blockWeights } from '../search.ts';
import { createYielder } from '../yielder.ts';
import { channelBytes, copyTile, groupsOf, linesOf, placeGroup, tileSize, tilesOf, type TileLimits } from '../tiles.ts';
import { quantizeTensor } from './linear.ts';
import { CACHE_LINE, createBuffers, instantiate, type Exports } from './module.ts';

export interface WasmKernelOptions extends TileLimits {
  /** Milliseconds it may work before the thread is given away. */
  sliceMs: number;
}

/** Half a megabyte is copied as fast as anything, and is still in the second-level cache when it is quantized. */
const defaults: WasmKernelOptions = { tileBytes: 2 << 20, enoughBytes: 512 << 10, outputBytes: 16 << 20, sliceMs: 8 };

/** Rejects with a `WebAssembly.CompileError` where the engine has no SIMD. */
export async function createWasmKernel(options: Partial<WasmKernelOptions> = {}): Promise<Kernel> {
  const settings = { ...defaults, ...options };
  const inTurn = pLimit(1);
  let exports: Exports | null = await instantiate();

  return {
    backend: 'wasm',
    quantize(matrix, scheme, signal, memory) {
      return inTurn(() => {
        const module = exports;
        if (!module) throw new Error('The kernel was disposed');
        return noted(() =>
          quantizeMatrix(module, settings, matrix, scheme, createYielder(signal, settings.sliceMs), memory),
        );
      });
    },
    quantizePerChannel(tensor, scheme, signal) {
      return inTurn(() => {
        const module = exports;
        if (!module) throw new Error('The kernel was disposed');
        return noted(() => quantizeTensor(module, settings, tensor, scheme, createYielder(signal, settings.sliceMs)));
      });
    },
    dispose() {
      exports = null;
    },
  };
}

const MEASURE = 'nibble:quantize';

/** Shows the work in the browser's timeline, which is how `npm run bench` knows the kernels' own time. */
async function noted<T>(work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  try {
    return await work();
  } finally {
    performance.measure(MEASURE, { start });
    performance.clearMeasures(MEASURE);
  }
}

async function quantizeMatrix(
  exports: Exports,
  limits: TileLimits,
  matrix: WeightMatrix,
  scheme: BlockScheme,
  pace: () => Promise<void>,
  memory?: ArrayBuffer,
): Promise<QuantizedMatrix> {
  const { bits, block, symmetric } = scheme;
  const layout = layoutOf(matrix, scheme);
  // Every byte of it is written: groups cover the matrix, and blocks are whole.
  const result = emptyResult(matrix.n, layout, symmetric, memory);
  const size = tileSize(matrix, scheme, layout, limits);
  const { lines } = linesOf(matrix.layout, size);
  const { elements } = linesOf(matrix.layout, {
    rows: Math.min(size.rows, matrix.k),
    columns: Math.min(size.columns, matrix.n),
  });
  const stride = elements * layout.elementBytes;

  const { quantizeTile, packZeroPoints, deinterleave } = exports;
  const room = createBuffers(exports);
  // The module reads a line past the end of the last one.
  const source = room.reserve(lines * stride + CACHE_LINE);
  /** Room for every block of a group, those of eight channels together. */
  const reserveBlocks = (bytesEach: number) => {
    const stride = apart((size.span / block) * 8 * bytesEach);
    return { at: room.reserve((size.columns / 8) * stride), stride };
  };
  const codes = reserveBlocks(layout.blockBytes);
  const scales = reserveBlocks(layout.elementBytes);
  const zeroPoints = reserveBlocks(1);
  const most = channelBytes(size.span, scheme, layout);
  const piece = Math.min(layout.blockBytes, PIECE_BYTES);
  // Channels are brought into order and copied out a share at a time.
  const share = Math.min(size.columns, Math.ceil(TURNED_BYTES / most.codes / 8) * 8);
  const turned = {
    codes: room.reserve(share * most.codes),
    scales: room.reserve(share * most.scales),
    zeroPoints: room.reserve(share * most.zeroPoints),
  };
  const weights = scheme.method && matrix.meanSquares ? blockWeights(matrix.meanSquares, block) : null;
  const weightsAt = weights ? room.reserve(weights.byteLength) : 0;
  const bytes = room.bytes();
  if (weights) bytes.set(new Uint8Array(weights.buffer), weightsAt);

  for (const group of groupsOf(matrix, size)) {
    for (const tile of tilesOf(group, size)) {
      await pace();
      copyTile(matrix, layout, tile, bytes.subarray(source), stride);
      const before = ((tile.row - group.row) / block) * 8;
      quantizeTile(
        source,
        stride,
        tile.rows,
        tile.columns,
        block,
        bits,
        symmetric,
        matrix.type === 'float16',
        matrix.layout === 'nk',
        codes.at + before * layout.blockBytes,
        codes.stride,
        scales.at + before * layout.elementBytes,
        scales.stride,
        zeroPoints.at + before,
        zeroPoints.stride,
        scheme.method !== undefined,
        weights ? weightsAt + tile.row * 4 : 0,
      );
    }
    const blocks = Math.ceil(group.rows / block);
    const made = channelBytes(group.rows, scheme, layout);
    if (bits !== 8 && !symmetric)
      packZeroPoints(zeroPoints.at, zeroPoints.stride, Math.ceil(group.columns / 8), blocks, bits);
    for (let column = 0; column < group.columns; column += share) {
      const columns = Math.min(share, group.columns - column);
      const eights = Math.ceil(columns / 8);
      const before = column / 8;
      deinterleave(codes.at + before * codes.stride, codes.stride, eights, made.codes / piece, piece, turned.codes);
      deinterleave(
        scales.at + before * scales.stride,
        scales.stride,
        eights,
        blocks,
        layout.elementBytes,
        turned.scales,
      );
      if (!symmetric)
        deinterleave(
          zeroPoints.at + before * zeroPoints.stride,
          zeroPoints.stride,
          eights,
          made.zeroPoints,
          1,
          turned.zeroPoints,
        );
      placeGroup(result, { ...group, column: group.column + column, columns }, matrix.k, scheme, layout, {
        codes: { bytes: bytes.subarray(turned.codes), stride: made.codes },
        scales: { bytes: bytes.subarray(turned.scales), stride: made.scales },
        zeroPoints: { bytes: bytes.subarray(turned.zeroPoints), stride: made.zeroPoints },
      });
    }
  }
  return result;
}

/** Bytes of codes brought into the order of the result at once: they stay in the second-level cache until they are copied out. */
const TURNED_BYTES = 256 << 10;

/** Of a channel's codes, as many as the module stores at once (`PIECE_BITS` in quantize.ts). */
const PIECE_BYTES = 32;

/** A multiple of a line, but not of a large power of two: such addresses share few places of a cache. */
function apart(bytes: number): number {
  return roundUp(bytes, CACHE_LINE) + CACHE_LINE;
}
