/** The SIMD backend: feeds tiles of a matrix to the AssemblyScript module and collects what it makes. */
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from '../kernel.ts';
import { emptyResult, layoutOf } from '../layout.ts';
import { createPace, createQueue } from '../pace.ts';
import { channelBytes, copyTile, groupsOf, linesOf, placeGroup, tileSize, tilesOf, type TileLimits } from '../tiles.ts';
import moduleUrl from './build/quantize.wasm?url&inline';

/** What assembly/quantize.ts exports; addresses and sizes in bytes. */
interface Exports {
  memory: WebAssembly.Memory;
  heapBase(): number;
  quantizeTile(
    source: number, stride: number, rows: number, columns: number,
    block: number, wide: boolean, symmetric: boolean, half: boolean, transposed: boolean,
    codes: number, codesStride: number, scales: number, zeroPoints: number, blocks: number, first: number,
  ): void;
  packNibbles(source: number, target: number, rows: number, length: number): void;
}

export interface WasmKernelOptions extends TileLimits {
  /** Milliseconds it may work before the thread is given away. */
  sliceMs: number;
}

const defaults: WasmKernelOptions = { tileBytes: 2 << 20, outputBytes: 16 << 20, sliceMs: 8 };

const CACHE_LINE = 64;
const PAGE = 65536;

/** Rejects with a `WebAssembly.CompileError` where the engine has no SIMD. */
export async function createWasmKernel(options: Partial<WasmKernelOptions> = {}): Promise<Kernel> {
  const settings = { ...defaults, ...options };
  const { instance } = await WebAssembly.instantiate(moduleBytes(), {});
  const inTurn = createQueue();
  let exports: Exports | null = instance.exports as unknown as Exports;

  return {
    backend: 'wasm',
    quantize(matrix, scheme, signal) {
      return inTurn(() => {
        if (!exports) throw new Error('The kernel was disposed');
        return quantizeMatrix(exports, settings, matrix, scheme, createPace(signal, settings.sliceMs));
      });
    },
    dispose() {
      exports = null;
    },
  };
}

/** The module travels inside the script, as a data: URL: no fetch that a content security policy could refuse. */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(moduleUrl.slice(moduleUrl.indexOf(',') + 1)), (character) => character.charCodeAt(0));
}

async function quantizeMatrix(
  { memory, heapBase, quantizeTile, packNibbles }: Exports,
  limits: TileLimits, matrix: WeightMatrix, scheme: BlockScheme, pace: () => Promise<void>,
): Promise<QuantizedMatrix> {
  const { bits, block, symmetric } = scheme;
  const layout = layoutOf(matrix, scheme);
  const result = emptyResult(matrix.n, layout, symmetric);
  const size = tileSize(matrix, scheme, layout, limits);
  const { lines } = linesOf(matrix.layout, size);
  const { elements } = linesOf(matrix.layout, { rows: Math.min(size.rows, matrix.k), columns: Math.min(size.columns, matrix.n) });
  const stride = strideFor(elements * layout.elementBytes);

  let end = heapBase();
  const reserve = (bytes: number) => {
    const at = align(end, CACHE_LINE);
    end = at + bytes;
    return at;
  };
  const most = channelBytes(size.span, scheme, layout);
  const codesStride = strideFor(most.codes);
  // The module reads a vector past the end of the last line.
  const source = reserve(lines * stride + CACHE_LINE);
  const codes = reserve(size.columns * codesStride);
  const scales = reserve(size.columns * most.scales);
  const zeroPoints = reserve((size.columns * size.span) / block);
  const nibbles = reserve(size.columns * most.zeroPoints);
  if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / PAGE));
  const bytes = new Uint8Array(memory.buffer);

  for (const group of groupsOf(matrix, size)) {
    const blocks = Math.ceil(group.rows / block);
    for (const tile of tilesOf(group, size)) {
      await pace();
      copyTile(matrix, layout, tile, bytes.subarray(source), stride);
      quantizeTile(
        source, stride, tile.rows, tile.columns,
        block, bits === 8, symmetric, matrix.type === 'float16', matrix.layout === 'nk',
        codes, codesStride, scales, zeroPoints, blocks, (tile.row - group.row) / block,
      );
    }
    if (bits === 4 && !symmetric) packNibbles(zeroPoints, nibbles, group.columns, blocks);
    const made = channelBytes(group.rows, scheme, layout);
    placeGroup(result, group, matrix.k, scheme, layout, {
      codes: { bytes: bytes.subarray(codes), stride: codesStride },
      scales: { bytes: bytes.subarray(scales), stride: made.scales },
      zeroPoints: { bytes: bytes.subarray(bits === 4 ? nibbles : zeroPoints), stride: made.zeroPoints },
    });
  }
  return result;
}

/** Long lines are spread over the sets of the cache: a stride of a power of two would put a whole block into one. */
function strideFor(lineBytes: number): number {
  return lineBytes < 1024 ? lineBytes : align(lineBytes, CACHE_LINE) + CACHE_LINE;
}

function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
