/** One scale a channel on the SIMD backend: a pass over the tiles for the channels' ranges, and one for the codes. */
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
import { createBuffers, type Exports } from './module.ts';

/** Channels of fewer neighbouring elements than this are done position by position of a line. */
const SHORTEST_RUN = 32;
/** Lines shorter than this are joined. */
const SHORTEST_LINE = 64;
/** Bytes of weights for each channel in memory at once, so that what a channel needs takes less than the weights. */
const TILE_BYTES_PER_CHANNEL = 32;
/** What the module reads and writes past the end. */
const SLACK = 64;
/** The module's offset of a channel whose scale is NaN. */
const NOT_FINITE = 512;
/** Run lengths are 32-bit there; no tile is longer. */
const LONGEST_RUN = 2 ** 30;

export async function quantizeTensor(
  exports: Exports,
  { tileBytes }: TileLimits,
  tensor: WeightTensor,
  scheme: LinearScheme,
  pace: () => Promise<void>,
): Promise<LinearTensor> {
  const { type, inner } = tensor;
  const result = emptyLinear(tensor);
  const size = elementBytes(type);
  const lined = inner < SHORTEST_RUN;
  const mostChannels = Math.max(1, Math.floor(tileBytes / TILE_BYTES_PER_CHANNEL / (lined ? Math.max(1, inner) : 1)));
  for (const part of partsOf(tensor, mostChannels)) {
    const tile = Math.max(1, Math.min(part.elements, Math.floor(tileBytes / size)));
    await (lined ? quantizeLines : quantizeRuns)(exports, tile, tensor, part, scheme, result, pace);
  }
  return result;
}

type QuantizePart = (
  exports: Exports,
  tile: number,
  tensor: WeightTensor,
  part: Part,
  scheme: LinearScheme,
  result: LinearTensor,
  pace: () => Promise<void>,
) => Promise<void>;

const quantizeRuns: QuantizePart = async (exports, tile, tensor, part, scheme, result, pace) => {
  const { inner } = tensor;
  const half = tensor.type === 'float16';
  const room = createBuffers(exports);
  const source = room.reserve(tile * elementBytes(tensor.type) + SLACK);
  const tables = reserveTables(room, part.channels);
  const codes = room.reserve(tile + SLACK);
  const bytes = room.bytes();
  const elements = (start: number) => {
    const { channel, left } = positionOf(inner, part, start);
    return [
      Math.min(tile, part.elements - start),
      Math.min(left, LONGEST_RUN),
      Math.min(inner, LONGEST_RUN),
      channel,
      part.channels,
      half,
    ] as const;
  };

  clearRanges(bytes, tables);
  for (let start = 0; start < part.elements; start += tile) {
    await pace();
    const run = elements(start);
    readPart(tensor, part, start, run[0], bytes.subarray(source));
    exports.rangeRuns(source, ...run, tables.lows, tables.highs);
  }

  settle(bytes, tables, tensor, part, scheme, result, (channel) => [channel]);
  for (let start = 0; start < part.elements; start += tile) {
    await pace();
    const run = elements(start);
    if (tile < part.elements) readPart(tensor, part, start, run[0], bytes.subarray(source));
    exports.encodeRuns(source, ...run, scheme.type === 'uint8', tables.scales, tables.offsets, codes);
    writeCodes(result, part, start, run[0], bytes.subarray(codes));
  }
};

const quantizeLines: QuantizePart = async (exports, tile, tensor, part, scheme, result, pace) => {
  const { inner } = tensor;
  const half = tensor.type === 'float16';
  const size = elementBytes(tensor.type);
  const period = part.width * Math.max(1, Math.ceil(Math.min(SHORTEST_LINE, part.elements) / Math.max(1, part.width)));
  const most = Math.max(1, Math.floor(tile / Math.max(1, period))) * period;
  const room = createBuffers(exports);
  const source = room.reserve(most * size + SLACK);
  const tables = reserveTables(room, period);
  const codes = room.reserve(most + SLACK);
  const bytes = room.bytes();
  /** The last line is filled up with zeros, which are in every range anyway. */
  const read = (start: number, count: number) => {
    readPart(tensor, part, start, count, bytes.subarray(source));
    bytes.fill(0, source + count * size, source + Math.ceil(count / period) * period * size);
  };

  clearRanges(bytes, tables);
  for (let start = 0; start < part.elements; start += most) {
    await pace();
    const count = Math.min(most, part.elements - start);
    read(start, count);
    exports.rangeLines(source, Math.ceil(count / period), period, half, tables.lows, tables.highs);
  }

  settle(bytes, tables, tensor, part, scheme, result, function* (channel) {
    for (let at = channel * inner; at < period; at += part.width) for (let i = 0; i < inner; i++) yield at + i;
  });
  for (let start = 0; start < part.elements; start += most) {
    await pace();
    const count = Math.min(most, part.elements - start);
    if (most < part.elements) read(start, count);
    exports.encodeLines(
      source,
      Math.ceil(count / period),
      period,
      half,
      scheme.type === 'uint8',
      tables.scales,
      tables.offsets,
      codes,
    );
    writeCodes(result, part, start, count, bytes.subarray(codes));
  }
};

/** Addresses of what the module keeps of each channel or position, all of them 4 bytes an entry or less. */
interface Tables {
  entries: number;
  lows: number;
  highs: number;
  scales: number;
  offsets: number;
}

function reserveTables(room: ReturnType<typeof createBuffers>, entries: number): Tables {
  const [lows, highs, scales, offsets] = [0, 0, 0, 0].map(() => room.reserve(entries * 4 + SLACK));
  return { entries, lows: lows!, highs: highs!, scales: scales!, offsets: offsets! };
}

function clearRanges(bytes: Uint8Array, { entries, lows, highs }: Tables): void {
  bytes.fill(0, lows, lows + entries * 4);
  bytes.fill(0, highs, highs + entries * 4);
}

/** From the ranges found, the scales and zero points: to the result and to every entry of a channel. */
function settle(
  bytes: Uint8Array<ArrayBuffer>,
  { entries, ...at }: Tables,
  { type }: WeightTensor,
  part: Part,
  scheme: LinearScheme,
  result: LinearTensor,
  entriesOf: (channel: number) => Iterable<number>,
): void {
  const Keys = type === 'float16' ? Int16Array : Int32Array;
  const lows = new Keys(bytes.buffer, at.lows, entries);
  const highs = new Keys(bytes.buffer, at.highs, entries);
  const scales = new Float32Array(bytes.buffer, at.scales, entries);
  const offsets = new Int32Array(bytes.buffer, at.offsets, entries);
  for (let channel = 0; channel < part.channels; channel++) {
    let [low, high] = [0, 0];
    for (const entry of entriesOf(channel)) {
      low = Math.min(low, lows[entry]!);
      high = Math.max(high, highs[entry]!);
    }
    const grid = parametersOf(weightOfKey(low, type), weightOfKey(high, type), scheme);
    storeParameters(result, part.channel + channel, grid);
    for (const entry of entriesOf(channel)) {
      scales[entry] = grid.scale;
      offsets[entry] = Number.isNaN(grid.scale) ? NOT_FINITE : grid.zeroPoint;
    }
  }
}
