/** Turns a planned file into bytes: source ranges are passed on untouched, made parts are computed when their turn comes. */
import type { Piece } from './splice.ts';
import { pieceLength } from './splice.ts';

/** Where a new file goes. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  /** Bytes [start, end) of the source file. */
  copy(start: number, end: number): Promise<void>;
  /** Closes the file; what came out of it can be read any number of times. */
  finish(): Promise<Blob>;
  /** Throws away what was written. */
  discard(): Promise<void>;
}

export interface WriteProgress { done: number; total: number; tensor: string | null }

export interface WriteJob<Recipe> {
  pieces: readonly Piece<Recipe>[];
  /** Carries a recipe out; gives all its parts by name. */
  make(recipe: Recipe, signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>>;
  nameOf(recipe: Recipe): string;
  sink: Sink;
  onProgress(progress: WriteProgress): void;
  signal: AbortSignal;
}

/** Writes all pieces. What a recipe made is kept only until its last part is written. */
export async function writePieces<Recipe>({ pieces, make, nameOf, sink, onProgress, signal }: WriteJob<Recipe>): Promise<Blob> {
  const partsLeft = new Map<Recipe, number>();
  for (const piece of pieces) if (piece.kind === 'made') partsLeft.set(piece.recipe, (partsLeft.get(piece.recipe) ?? 0) + 1);
  const made = new Map<Recipe, ReadonlyMap<string, Uint8Array>>();
  const total = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
  let done = 0;
  try {
    for (const piece of pieces) {
      signal.throwIfAborted();
      if (piece.kind === 'copy') await sink.copy(piece.start, piece.end);
      else if (piece.kind === 'bytes') await sink.write(piece.bytes);
      else {
        onProgress({ done, total, tensor: nameOf(piece.recipe) });
        const parts = made.get(piece.recipe) ?? await make(piece.recipe, signal);
        const bytes = parts.get(piece.part);
        if (bytes?.length !== piece.length) {
          throw new Error(`${nameOf(piece.recipe)}: ${piece.part} has ${bytes?.length ?? 'no'} bytes, planned were ${piece.length}`);
        }
        await sink.write(bytes);
        const left = (partsLeft.get(piece.recipe) ?? 1) - 1;
        partsLeft.set(piece.recipe, left);
        if (left > 0) made.set(piece.recipe, parts);
        else made.delete(piece.recipe);
      }
      done += pieceLength(piece);
    }
    onProgress({ done, total, tensor: null });
    return await sink.finish();
  } catch (thrown) {
    await sink.discard();
    throw thrown;
  }
}

/**
 * A sink made of blobs: source ranges stay references to the dropped file, new bytes leave the heap part by part.
 * Nothing is copied together, so a written model costs no memory of its own.
 */
export function blobSink(source: Blob): Sink {
  let parts: Blob[] = [];
  return {
    write(bytes) {
      parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>]));
      return Promise.resolve();
    },
    copy(start, end) {
      parts.push(source.slice(start, end));
      return Promise.resolve();
    },
    finish: () => Promise.resolve(new Blob(parts, { type: 'application/octet-stream' })),
    discard() {
      parts = [];
      return Promise.resolve();
    },
  };
}
