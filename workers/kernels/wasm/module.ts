/** The compiled module: what it exports, and room in its memory. */
import { roundUp } from '../../lib/multiples.ts';
import { instantiateInline } from '../inline-wasm.ts';
import moduleUrl from './build/quantize.wasm?url&inline';

/** What the entry files of assembly/ export; addresses and sizes in bytes, counts in elements. */
export interface Exports {
  memory: WebAssembly.Memory;
  heapBase(): number;
  quantizeTile(
    source: number,
    stride: number,
    rows: number,
    columns: number,
    block: number,
    bits: number,
    symmetric: boolean,
    half: boolean,
    transposed: boolean,
    codes: number,
    codesStride: number,
    scales: number,
    scalesStride: number,
    zeroPoints: number,
    zeroPointsStride: number,
    search: boolean,
    weights: number,
  ): void;
  packZeroPoints(at: number, stride: number, groups: number, blocks: number, bits: number): void;
  deinterleave(source: number, stride: number, groups: number, rows: number, size: number, target: number): void;
  rangeRuns(
    source: number,
    count: number,
    left: number,
    inner: number,
    channel: number,
    channels: number,
    half: boolean,
    lows: number,
    highs: number,
  ): void;
  rangeLines(source: number, lines: number, period: number, half: boolean, lows: number, highs: number): void;
  encodeRuns(
    source: number,
    count: number,
    left: number,
    inner: number,
    channel: number,
    channels: number,
    half: boolean,
    unsigned: boolean,
    scales: number,
    offsets: number,
    codes: number,
  ): void;
  encodeLines(
    source: number,
    lines: number,
    period: number,
    half: boolean,
    unsigned: boolean,
    scales: number,
    offsets: number,
    codes: number,
  ): void;
}

export const CACHE_LINE = 64;
const PAGE = 65536;

/** Rejects with a `WebAssembly.CompileError` where the engine has no SIMD. */
export function instantiate(): Promise<Exports> {
  return instantiateInline<Exports>(moduleUrl);
}

/** Room for one call's work: addresses one after the other, each on a cache line. `bytes` is the memory, once all are reserved. */
export function createBuffers({ memory, heapBase }: Exports): {
  reserve(bytes: number): number;
  bytes(): Uint8Array<ArrayBuffer>;
} {
  let end = heapBase();
  return {
    reserve(bytes) {
      const at = roundUp(end, CACHE_LINE);
      end = at + bytes;
      return at;
    },
    bytes() {
      if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / PAGE));
      return new Uint8Array(memory.buffer);
    },
  };
}
