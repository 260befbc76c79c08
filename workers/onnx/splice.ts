/**
 * Rewrites a file without reading it: edits replace byte ranges inside nested messages, everything else stays a range
 * of the source, and only the lengths of messages around an edit are written anew. So whatever was not edited, fields
 * nobody here has heard of included, comes out byte for byte.
 */
import type { Span } from './model.ts';
import { encodeHeader } from './wire.ts';

/** A part of the output. `made` parts are computed while writing; their length is known before. */
export type Piece<Recipe> =
  /** Bytes of the model's file, or of one of its external data: the one at that location. */
  | { kind: 'copy'; start: number; end: number; location?: string }
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'made'; recipe: Recipe; part: string; length: number };

/** Replaces source bytes [start, end) by `pieces`; start = end inserts. */
export interface Edit<Recipe> {
  start: number;
  end: number;
  /** The messages around the place, outermost first. */
  within: readonly Span[];
  pieces: Piece<Recipe>[];
}

export function pieceLength(piece: Piece<unknown>): number {
  switch (piece.kind) {
    case 'copy': return piece.end - piece.start;
    case 'bytes': return piece.bytes.length;
    case 'made': return piece.length;
  }
}

export function piecesLength(pieces: readonly Piece<unknown>[]): number {
  return pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
}

/** The output as pieces in order. Edits must not overlap. */
export function splice<Recipe>(size: number, edits: readonly Edit<Recipe>[]): Piece<Recipe>[] {
  // A stable sort keeps insertions at one place in the order they were asked for.
  return render(0, size, [...edits].sort((a, b) => a.start - b.start || a.end - b.end), 0);
}

function render<Recipe>(start: number, end: number, edits: readonly Edit<Recipe>[], depth: number): Piece<Recipe>[] {
  const pieces: Piece<Recipe>[] = [];
  let at = start;
  const copyTo = (to: number) => {
    if (to < at) throw new RangeError(`edits overlap at byte ${to}`);
    if (to > at) pieces.push({ kind: 'copy', start: at, end: to });
    at = to;
  };
  for (let i = 0; i < edits.length;) {
    const edit = edits[i] as Edit<Recipe>;
    const message = edit.within[depth];
    if (!message) {
      copyTo(edit.start);
      pieces.push(...edit.pieces);
      at = edit.end;
      i++;
      continue;
    }
    const inside: Edit<Recipe>[] = [];
    while (i < edits.length && edits[i]?.within[depth]?.start === message.start) inside.push(edits[i++] as Edit<Recipe>);
    copyTo(message.start);
    const inner = render(message.body, message.end, inside, depth + 1);
    pieces.push({ kind: 'bytes', bytes: encodeHeader(message.number, piecesLength(inner)) }, ...inner);
    at = message.end;
  }
  copyTo(end);
  return pieces;
}
