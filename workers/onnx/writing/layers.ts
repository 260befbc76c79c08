/**
 * A planned file as a file: the structure of what pieces will make can be scanned and planned on before any of it is
 * made, and what is planned on it is brought back to the source.
 */
import type { ByteSource } from '../../io/source.ts';
import { createReader } from '../wire.ts';
import { pieceLength, type Piece } from './splice.ts';

interface Placed<Task> {
  piece: Piece<Task>;
  start: number;
  end: number;
}

export interface Layer<Task> {
  /** What will be made reads as zeros. */
  source: ByteSource;
  /** The pieces of the range [start, end), in order; made ones are whole or not touched. */
  range(start: number, end: number): Piece<Task>[];
}

export function createLayer<Task>(name: string, pieces: readonly Piece<Task>[], below: ByteSource): Layer<Task> {
  const placed: Placed<Task>[] = [];
  const reader = createReader(below);
  let size = 0;
  for (const piece of pieces) {
    const length = pieceLength(piece);
    if (length > 0) placed.push({ piece, start: size, end: size + length });
    size += length;
  }
  /** Index of the piece a byte is in. */
  const find = (at: number) => {
    let [low, high] = [0, placed.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (placed[middle]!.end <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const overlapping = function* (start: number, end: number) {
    for (let i = find(start); start < end && i < placed.length && placed[i]!.start < end; i++) {
      const one = placed[i]!;
      yield { one, from: Math.max(start, one.start) - one.start, to: Math.min(end, one.end) - one.start };
    }
  };
  return {
    source: {
      name,
      size,
      async read(offset, length) {
        if (offset < 0 || length < 0 || offset + length > size)
          throw new RangeError(`${name}: bytes ${offset}..${offset + length} of ${size}`);
        const bytes = new Uint8Array(length);
        for (const {
          one: { piece, start },
          from,
          to,
        } of overlapping(offset, offset + length)) {
          if (piece.kind === 'bytes') bytes.set(piece.bytes.subarray(from, to), start + from - offset);
          else if (piece.kind === 'copy' && piece.location === undefined)
            bytes.set(await reader.bytes(piece.start + from, piece.start + to), start + from - offset);
        }
        return bytes;
      },
    },
    range(start, end) {
      return [...overlapping(start, end)].map(({ one: { piece }, from, to }): Piece<Task> => {
        if (piece.kind === 'copy') return { ...piece, start: piece.start + from, end: piece.start + to };
        if (piece.kind === 'bytes') return { kind: 'bytes', bytes: piece.bytes.subarray(from, to) };
        if (from !== 0 || to !== piece.length) throw new RangeError(`a part of ${piece.part} at byte ${from}`);
        return piece;
      });
    },
  };
}
