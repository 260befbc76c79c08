/**
 * Rewrites a file without reading it: edits replace byte ranges inside nested messages, everything else stays a range
 * of the source, and only the lengths of messages around an edit are written anew. So whatever was not edited, fields
 * nobody here has heard of included, comes out byte for byte.
 */
import type { Span } from '../model.ts';
import { encodeHeader } from '../wire.ts';

/** A part of the output. `made` parts are computed while writing; their length is known before. */
export type Piece<Task> =
  /** Bytes of the model's file, or of one of its external data: the one at that location. */
  | { kind: 'copy'; start: number; end: number; location?: string }
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'made'; task: Task; part: string; length: number };

/** Replaces source bytes [start, end) by `pieces`; start = end inserts. */
export interface Edit<Task> {
  start: number;
  end: number;
  /** The messages around the place, outermost first. */
  within: readonly Span[];
  pieces: Piece<Task>[];
}

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

export function piecesLength(pieces: readonly Piece<unknown>[]): number {
  return pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
}

/** The output as pieces in order. Edits must not overlap. */
export function splice<Task>(size: number, edits: readonly Edit<Task>[]): Piece<Task>[] {
  // A stable sort keeps insertions at one place in the order they were asked for.
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  const pieces: Piece<Task>[] = [];
  render({ start: 0, end: size, depth: 0 }, sorted, { from: 0, to: sorted.length }, pieces);
  return pieces;
}

/** Adds what becomes of the source bytes [start, end), which the edits of a range of indices are in; returns how many bytes that is. */
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
    // The header says how long the message is, which is known when what is in it has been added.
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
