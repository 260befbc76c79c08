/**
 * Rewrites a file without reading it: edits replace byte ranges inside nested messages, everything else stays a range
 * of the source, and only the lengths of messages around an edit are written anew. So everything that is not edited,
 * unknown fields included, comes out byte for byte.
 */
import type { Span } from '../model.ts';
import { encodeHeader } from '../wire.ts';

/** A part of the output. A `made` piece is computed while the file is written; its length is known before. */
export type Piece<Task> =
  /** Bytes of the model's file, or of its external data at `location`. */
  | { kind: 'copy'; start: number; end: number; location?: string }
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'made'; task: Task; part: string; length: number };

/** Replaces the source bytes [start, end) by pieces. An empty range inserts them. */
export interface Edit<Task> {
  start: number;
  end: number;
  /** The messages around the place, outermost first. */
  within: readonly Span[];
  pieces: Piece<Task>[];
}

/** Bytes of a piece. */
export function pieceLength(piece: Piece<unknown>): number {
  switch (piece.kind) {
    case 'copy':
      return piece.end - piece.start;
    case 'bytes':
      return piece.bytes.length;
    case 'made':
      return piece.length;
  }
}

/** Bytes of several pieces. */
export function piecesLength(pieces: readonly Piece<unknown>[]): number {
  return pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
}

/** Applies edits and returns the output as pieces in order. Throws a `RangeError` where edits overlap. */
export function splice<Task>(size: number, edits: readonly Edit<Task>[]): Piece<Task>[] {
  // A stable sort keeps insertions at one place in the order they were asked for.
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  const pieces: Piece<Task>[] = [];
  render({ start: 0, end: size, depth: 0 }, sorted, { from: 0, to: sorted.length }, pieces);
  return pieces;
}

/**
 * Adds the pieces for the source bytes [start, end), to which the edits of a range of indices apply. Returns their
 * bytes.
 */
function render<Task>(
  { start, end, depth }: { start: number; end: number; depth: number },
  edits: readonly Edit<Task>[],
  { from, to }: { from: number; to: number },
  pieces: Piece<Task>[],
): number {
  let at = start;
  let length = 0;
  const copyTo = (next: number) => {
    if (next < at) throw new RangeError(`edits overlap at byte ${next}`);
    if (next > at) pieces.push({ kind: 'copy', start: at, end: next });
    length += next - at;
    at = next;
  };
  for (let i = from; i < to;) {
    const edit = edits[i] as Edit<Task>;
    const message = edit.within[depth];
    if (!message) {
      copyTo(edit.start);
      for (const piece of edit.pieces) pieces.push(piece);
      length += piecesLength(edit.pieces);
      at = edit.end;
      i++;
      continue;
    }
    const first = i;
    while (i < to && edits[i]?.within[depth]?.start === message.start) i++;
    copyTo(message.start);
    // The header holds the length of the message, which is known once its content has been added.
    const place = pieces.length;
    pieces.push({ kind: 'bytes', bytes: new Uint8Array(0) });
    const inner = render(
      { start: message.body, end: message.end, depth: depth + 1 },
      edits,
      { from: first, to: i },
      pieces,
    );
    const bytes = encodeHeader(message.number, inner);
    pieces[place] = { kind: 'bytes', bytes };
    length += bytes.length + inner;
    at = message.end;
  }
  copyTo(end);
  return length;
}
