/** The SIMD backend: feeds tiles of a matrix to the AssemblyScript module and collects what it makes. */
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from '../kernel.ts';
import { emptyResult, layoutOf } from '../layout.ts';
import { createPace, createQueue } from '../pace.ts';
import { copyTile, linesOf, tileSize, type TileLimits } from '../tiles.ts';
import moduleUrl from './build/quantize.wasm?url&inline';

/** What assembly/quantize.ts exports; addresses and sizes in bytes. */
interface Exports {
  memory: WebAssembly.Memory;
  heapBase(): number;
  quantizeTile(
    source: number, stride: number, rows: number, columns: number,
    block: number, wide: boolean, symmetric: boolean, half: boolean, transposed: boolean,
    codes: number, channelBytes: number, scales: number, zeroPoints: number, blocks: number, first: number,
  ): void;
  packNibbles(source: number, target: number, rows: number, length: number): void;
}

export interface WasmKernelOptions extends TileLimits {
  /** Milliseconds it may work before the thread is given away. */
  sliceMs: number;
}

const defaults: WasmKernelOptions = { tileBytes: 1 << 20, outputBytes: 8 << 20, sliceMs: 8 };

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
  const { k, n } = matrix;
  const { bits, block, symmetric } = scheme;
  const layout = layoutOf(matrix, scheme);
  const { elementBytes, blocks, blockBytes, zeroPointBytes } = layout;
  const result = emptyResult(n, layout, symmetric);
  const size = tileSize(matrix, scheme, layout, limits);
  const half = matrix.type === 'float16';
  const transposed = matrix.layout === 'nk';

  const whole = { row: 0, rows: size.rows, column: 0, columns: size.columns };
  const { lines, elements } = linesOf(matrix.layout, whole);
  const stride = strideFor(elements * elementBytes);

  let end = heapBase();
  const reserve = (bytes: number) => {
    const at = align(end, CACHE_LINE);
    end = at + bytes;
    return at;
  };
  const channels = align(size.columns, 8);
  // The kernel reads whole blocks of whole vectors, hence a line more than the tile has.
  const source = reserve(align(lines, 8) * stride + CACHE_LINE);
  const channelBytes = strideFor(blocks * blockBytes);
  const codes = reserve(channels * channelBytes);
  const scales = reserve(channels * blocks * elementBytes);
  const zeroPoints = reserve(channels * blocks);
  const nibbles = reserve(bits === 4 ? channels * zeroPointBytes : 0);
  if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / PAGE));
  const bytes = new Uint8Array(memory.buffer);
  const take = (target: Uint8Array, column: number, columns: number, from: number, perChannel: number, stride = perChannel) => {
    if (stride === perChannel) {
      target.set(bytes.subarray(from, from + columns * perChannel), column * perChannel);
      return;
    }
    for (let channel = 0; channel < columns; channel++, from += stride) {
      target.set(bytes.subarray(from, from + perChannel), (column + channel) * perChannel);
    }
  };

  for (let column = 0; column < n; column += size.columns) {
    const columns = Math.min(size.columns, n - column);
    for (let row = 0; row < k; row += size.rows) {
      await pace();
      const tile = { row, rows: Math.min(size.rows, k - row), column, columns };
      copyTile(matrix, elementBytes, tile, bytes.subarray(source), stride);
      quantizeTile(
        source, stride, tile.rows, columns, block, bits === 8, symmetric, half, transposed,
        codes, channelBytes, scales, zeroPoints, blocks, row / block,
      );
    }
    take(result.codes, column, columns, codes, blocks * blockBytes, channelBytes);
    take(result.scales, column, columns, scales, blocks * elementBytes);
    if (result.zeroPoints) {
      if (bits === 4) packNibbles(zeroPoints, nibbles, columns, blocks);
      take(result.zeroPoints, column, columns, bits === 4 ? nibbles : zeroPoints, zeroPointBytes);
    }
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
