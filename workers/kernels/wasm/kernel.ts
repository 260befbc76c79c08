/** The SIMD backend: feeds tiles of a matrix to the AssemblyScript module and collects what it makes. */
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from '../kernel.ts';
import { emptyResult, layoutOf } from '../layout.ts';
import { createPace, createQueue } from '../pace.ts';
import { channelBytes, copyTile, groupsOf, linesOf, placeGroup, tileSize, tilesOf, type TileLimits } from '../tiles.ts';
import { quantizeTensor } from './linear.ts';
import { align, CACHE_LINE, createRoom, instantiate, type Exports } from './module.ts';

export interface WasmKernelOptions extends TileLimits {
  /** Milliseconds it may work before the thread is given away. */
  sliceMs: number;
}

const defaults: WasmKernelOptions = { tileBytes: 2 << 20, outputBytes: 16 << 20, sliceMs: 8 };

/** Rejects with a `WebAssembly.CompileError` where the engine has no SIMD. */
export async function createWasmKernel(options: Partial<WasmKernelOptions> = {}): Promise<Kernel> {
  const settings = { ...defaults, ...options };
  const inTurn = createQueue();
  let exports: Exports | null = await instantiate();

  return {
    backend: 'wasm',
    quantize(matrix, scheme, signal) {
      return inTurn(() => {
        const module = exports;
        if (!module) throw new Error('The kernel was disposed');
        return noted(() => quantizeMatrix(module, settings, matrix, scheme, createPace(signal, settings.sliceMs)));
      });
    },
    quantizeLinear(tensor, scheme, signal) {
      return inTurn(() => {
        const module = exports;
        if (!module) throw new Error('The kernel was disposed');
        return noted(() => quantizeTensor(module, settings, tensor, scheme, createPace(signal, settings.sliceMs)));
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
  limits: TileLimits, matrix: WeightMatrix, scheme: BlockScheme, pace: () => Promise<void>,
): Promise<QuantizedMatrix> {
  const { bits, block, symmetric } = scheme;
  const layout = layoutOf(matrix, scheme);
  const result = emptyResult(matrix.n, layout, symmetric);
  const size = tileSize(matrix, scheme, layout, limits);
  const { lines } = linesOf(matrix.layout, size);
  const { elements } = linesOf(matrix.layout, { rows: Math.min(size.rows, matrix.k), columns: Math.min(size.columns, matrix.n) });
  const stride = sourceStride(elements * layout.elementBytes, block);

  const { quantizeTile, packBits } = exports;
  const room = createRoom(exports);
  const most = channelBytes(size.span, scheme, layout);
  const codesStride = spread(most.codes);
  // The module reads a vector past the end of the last line.
  const source = room.reserve(lines * stride + CACHE_LINE);
  const codes = room.reserve(size.columns * codesStride);
  const scales = room.reserve(size.columns * most.scales);
  const zeroPoints = room.reserve((size.columns * size.span) / block);
  const packed = room.reserve(size.columns * most.zeroPoints);
  const bytes = room.bytes();

  for (const group of groupsOf(matrix, size)) {
    const blocks = Math.ceil(group.rows / block);
    for (const tile of tilesOf(group, size)) {
      await pace();
      copyTile(matrix, layout, tile, bytes.subarray(source), stride);
      quantizeTile(
        source, stride, tile.rows, tile.columns,
        block, bits, symmetric, matrix.type === 'float16', matrix.layout === 'nk',
        codes, codesStride, scales, zeroPoints, blocks, (tile.row - group.row) / block,
      );
    }
    if (bits !== 8 && !symmetric) packBits(zeroPoints, packed, group.columns, blocks, bits);
    const made = channelBytes(group.rows, scheme, layout);
    placeGroup(result, group, matrix.k, scheme, layout, {
      codes: { bytes: bytes.subarray(codes), stride: codesStride },
      scales: { bytes: bytes.subarray(scales), stride: made.scales },
      zeroPoints: { bytes: bytes.subarray(bits === 8 ? zeroPoints : packed), stride: made.zeroPoints },
    });
  }
  return result;
}

/** As quantize.ts has it: bytes of a block's lines that are worked on together. */
const PANEL_BYTES = 16384;

/**
 * Lines as long as they are can be copied all at once. But a block's lines at a stride of a large power of two share few
 * sets of the first-level cache; they are copied one by one, to be spread over all of them.
 */
function sourceStride(lineBytes: number, block: number): number {
  const largestPower = lineBytes & -lineBytes;
  return largestPower <= PANEL_BYTES / block ? lineBytes : spread(lineBytes);
}

function spread(lineBytes: number): number {
  return lineBytes < 1024 ? lineBytes : align(lineBytes, CACHE_LINE) + CACHE_LINE;
}
