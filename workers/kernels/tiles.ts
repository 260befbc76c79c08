/**
 * How a matrix is cut so that memory does not grow with it: into groups, whose finished codes are held together, and
 * each group along K into tiles of weights.
 */
import { multipleWithin } from '../lib/multiples.ts';
import type { BlockScheme, QuantizedMatrix, WeightMatrix } from './kernel.ts';
import type { Layout } from './layout.ts';

export interface TileLimits {
  /** Bytes of weights held at once. */
  tileBytes: number;
  /** As many are enough, where lines of the matrix need not be cut for it. */
  enoughBytes?: number;
  /** Bytes of codes held at once. */
  outputBytes: number;
}

/** The largest rectangles; those at the edges of the matrix may be smaller. */
export interface TileSize {
  /** Output channels of a group and of a tile: a multiple of 8. */
  columns: number;
  /** Steps of K of a group: a multiple of as many blocks as share a byte of zero points, and of at least two. */
  span: number;
  /** Steps of K of a tile: a multiple of the block. */
  rows: number;
}

/** A rectangle of the matrix: `rows` steps of K from `row`, `columns` output channels from `column`. */
export interface Tile {
  row: number;
  rows: number;
  column: number;
  columns: number;
}

/** Longer runs of a line than this are not copied any faster. */
const RUN_BYTES = 32768;

/** The largest within the limits, but at least one such number of blocks of eight channels. */
export function tileSize(
  { layout: order, k, n }: WeightMatrix,
  { bits, block }: BlockScheme,
  { elementBytes }: Layout,
  limits: TileLimits,
): TileSize {
  const weights = Math.floor(limits.tileBytes / elementBytes);
  const codes = Math.floor((limits.outputBytes * 8) / bits);
  const unit = Math.max(2, 8 / bits) * block;
  if (order === 'nk') {
    const span = multipleWithin(unit, k, Math.min(weights, codes) / 8);
    const columns = multipleWithin(8, n, Math.min(weights, codes) / span);
    return { columns, span, rows: span };
  }
  const shares = Math.ceil((n * elementBytes) / RUN_BYTES);
  const columns = multipleWithin(8, n, Math.min(Math.ceil(n / shares / 8) * 8, weights / block, codes / unit));
  const span = multipleWithin(unit, k, codes / columns);
  const enough = Math.min(weights, Math.floor((limits.enoughBytes ?? Infinity) / elementBytes));
  return { columns, span, rows: multipleWithin(block, span, enough / columns) };
}

/** The groups of a matrix, along K within the same channels. */
export function* groupsOf({ k, n }: { k: number; n: number }, { columns, span }: TileSize): Generator<Tile> {
  for (let column = 0; column < n; column += columns) {
    for (let row = 0; row < k; row += span) {
      yield { row, rows: Math.min(span, k - row), column, columns: Math.min(columns, n - column) };
    }
  }
}

/** The tiles of a group, along K. */
export function* tilesOf(group: Tile, { rows }: TileSize): Generator<Tile> {
  for (let row = 0; row < group.rows; row += rows) {
    yield { ...group, row: group.row + row, rows: Math.min(rows, group.rows - row) };
  }
}

/** Lines of the matrix as stored that a tile touches, and how many elements of each. */
export function linesOf(
  order: WeightMatrix['layout'],
  tile: { rows: number; columns: number },
): { lines: number; elements: number } {
  return order === 'kn' ? { lines: tile.rows, elements: tile.columns } : { lines: tile.columns, elements: tile.rows };
}

/** Copies a tile's lines to `target`, `stride` bytes apart. */
export function copyTile(
  matrix: WeightMatrix,
  { elementBytes }: Layout,
  tile: Tile,
  target: Uint8Array,
  stride: number,
): void {
  const { data, layout: order, k, n } = matrix;
  const { lines, elements } = linesOf(order, tile);
  const pitch = (order === 'kn' ? n : k) * elementBytes;
  const from =
    order === 'kn' ? tile.row * pitch + tile.column * elementBytes : tile.column * pitch + tile.row * elementBytes;
  copyLines(data.subarray(from), pitch, target, stride, lines, elements * elementBytes);
}

/** What a kernel made of a group: [columns, …] each, `stride` bytes from one channel to the next. */
export interface GroupParts {
  codes: { bytes: Uint8Array; stride: number };
  scales: { bytes: Uint8Array; stride: number };
  zeroPoints: { bytes: Uint8Array; stride: number };
}

/** Bytes of one channel's part in a group of `rows` steps of K. */
export function channelBytes(
  rows: number,
  { bits, block }: BlockScheme,
  { elementBytes, blockBytes }: Layout,
): { [part in keyof GroupParts]: number } {
  const blocks = Math.ceil(rows / block);
  return { codes: blocks * blockBytes, scales: blocks * elementBytes, zeroPoints: Math.ceil((blocks * bits) / 8) };
}

/** Copies a group to its place in the result. */
export function placeGroup(
  result: QuantizedMatrix,
  group: Tile,
  k: number,
  scheme: BlockScheme,
  layout: Layout,
  parts: GroupParts,
): void {
  const whole = channelBytes(k, scheme, layout);
  const before = channelBytes(group.row, scheme, layout);
  const length = channelBytes(group.rows, scheme, layout);
  for (const part of ['codes', 'scales', 'zeroPoints'] as const) {
    const { bytes, stride } = parts[part];
    const target = result[part]?.subarray(group.column * whole[part] + before[part]);
    if (target) copyLines(bytes, stride, target, whole[part], group.columns, length[part]);
  }
}

/** Copies `lines` × `length` bytes between places with a stride of their own. */
function copyLines(
  source: Uint8Array,
  pitch: number,
  target: Uint8Array,
  stride: number,
  lines: number,
  length: number,
): void {
  if (pitch === length && stride === length) {
    target.set(source.subarray(0, lines * length));
    return;
  }
  for (let line = 0, from = 0, to = 0; line < lines; line++, from += pitch, to += stride) {
    target.set(source.subarray(from, from + length), to);
  }
}
