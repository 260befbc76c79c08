/**
 * How a matrix is cut so that memory does not grow with it: into groups of output channels, whose finished codes are
 * held together, and each group along K into tiles of weights.
 */
import type { BlockScheme, WeightMatrix } from './kernel.ts';
import type { Layout } from './layout.ts';

export interface TileLimits {
  /** Bytes of weights held at once. */
  tileBytes: number;
  /** Bytes of codes held at once. */
  outputBytes: number;
}

export interface TileSize {
  /** Output channels in a group, a multiple of 8 unless it is all of them. */
  columns: number;
  /** Steps of K in a tile, a multiple of the block; may go past K. */
  rows: number;
}

/** The largest tiles within the limits, but at least one block of eight channels. */
export function tileSize({ layout: order, k, n }: WeightMatrix, { block }: BlockScheme, layout: Layout, limits: TileLimits): TileSize {
  const { blocks, blockBytes, elementBytes } = layout;
  const held = Math.floor(limits.tileBytes / elementBytes);
  const groupLimit = Math.floor(limits.outputBytes / Math.max(1, blocks * blockBytes));
  // Long runs of the matrix as it is stored make few, big copies.
  const columns = order === 'kn'
    ? multipleOf(8, Math.min(groupLimit, Math.floor(held / block)), n)
    : multipleOf(8, Math.min(groupLimit, Math.floor(held / multipleOf(block, Math.floor(held / 8), k))), n);
  return { columns, rows: multipleOf(block, Math.floor(held / columns), k) };
}

/** The largest multiple of `unit` up to `limit`, at least one `unit`; `whole` rounded up to a unit is enough. */
function multipleOf(unit: number, limit: number, whole: number): number {
  return Math.max(unit, Math.min(Math.floor(limit / unit) * unit, Math.ceil(whole / unit) * unit));
}

/** A rectangle of the matrix: `rows` steps of K from `row`, `columns` output channels from `column`. */
export interface Tile {
  row: number;
  rows: number;
  column: number;
  columns: number;
}

/** Lines of the matrix as stored that a tile touches, and how many elements of each. */
export function linesOf(order: WeightMatrix['layout'], tile: Tile): { lines: number; elements: number } {
  return order === 'kn' ? { lines: tile.rows, elements: tile.columns } : { lines: tile.columns, elements: tile.rows };
}

/** Copies a tile's lines to `target`, `stride` bytes apart. */
export function copyTile(matrix: WeightMatrix, elementBytes: number, tile: Tile, target: Uint8Array, stride: number): void {
  const { data, layout: order, k, n } = matrix;
  const { lines, elements } = linesOf(order, tile);
  const pitch = (order === 'kn' ? n : k) * elementBytes;
  const length = elements * elementBytes;
  let from = order === 'kn' ? tile.row * pitch + tile.column * elementBytes : tile.column * pitch + tile.row * elementBytes;
  if (stride === pitch && length === pitch) {
    target.set(data.subarray(from, from + lines * pitch));
    return;
  }
  for (let line = 0, to = 0; line < lines; line++, from += pitch, to += stride) {
    target.set(data.subarray(from, from + length), to);
  }
}
