/** Turns a planned file into bytes: source ranges are passed on untouched, made parts are computed when their turn comes. */
import type { Piece } from './splice.ts';
import { pieceLength } from './splice.ts';

/** Files of external data, by location as the model writes it. */
export type ExternalBlobs = ReadonlyMap<string, Blob>;

export const NO_EXTERNAL_BLOBS: ExternalBlobs = new Map();

/** The file a piece is copied from. */
export function copiedFrom(source: Blob, external: ExternalBlobs, location: string | undefined): Blob {
  const file = location === undefined ? source : external.get(location);
  if (!file) throw new Error(`${location ?? ''} is not there to copy from`);
  return file;
}

/** Where a new file goes. */
export interface Sink {
  /** How many of the file's first bytes are there from an earlier attempt; what is written goes after them. */
  readonly resumeAt?: number;
  write(bytes: Uint8Array): Promise<void>;
  /** Bytes [start, end) of the source file, or of its external data at a location; `onBytes` hears of what has been copied of them. */
  copy(start: number, end: number, onBytes?: (bytes: number) => void, location?: string): Promise<void>;
  /** Closes the file; what came out of it can be read any number of times. */
  finish(): Promise<Blob>;
  /** Gives up. What a later attempt can go on from may stay. */
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

/**
 * Writes all pieces, but for what the sink has already: a recipe whose parts are all there is not carried out, one with
 * some missing is carried out again. What a recipe made is kept only until its last part is written.
 */
export async function writePieces<Recipe>({ pieces, make, nameOf, sink, onProgress, signal }: WriteJob<Recipe>): Promise<Blob> {
  const partsLeft = new Map<Recipe, number>();
  for (const piece of pieces) if (piece.kind === 'made') partsLeft.set(piece.recipe, (partsLeft.get(piece.recipe) ?? 0) + 1);
  const made = new Map<Recipe, ReadonlyMap<string, Uint8Array>>();
  const total = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
  const resumeAt = sink.resumeAt ?? 0;
  let done = 0;
  try {
    for (const piece of pieces) {
      signal.throwIfAborted();
      const end = done + pieceLength(piece);
      const there = Math.min(Math.max(resumeAt - done, 0), end - done);
      if (end > resumeAt) await writeRest(piece, there, done + there);
      if (piece.kind === 'made') forget(piece.recipe);
      done = end;
    }
    onProgress({ done, total, tensor: null });
    return await sink.finish();
  } catch (thrown) {
    await sink.discard();
    throw thrown;
  }

  /** Writes a piece but for its first `there` bytes; `at` is where in the file that is. */
  async function writeRest(piece: Piece<Recipe>, there: number, at: number): Promise<void> {
    if (piece.kind === 'copy') {
      let copied = 0;
      await sink.copy(piece.start + there, piece.end, (bytes) => {
        copied += bytes;
        onProgress({ done: at + copied, total, tensor: null });
      }, piece.location);
      return;
    }
    if (piece.kind === 'bytes') return sink.write(piece.bytes.subarray(there));
    const { recipe, part, length } = piece;
    onProgress({ done: at, total, tensor: nameOf(recipe) });
    const parts = made.get(recipe) ?? await make(recipe, signal);
    made.set(recipe, parts);
    const bytes = parts.get(part);
    if (bytes?.length !== length) throw new Error(`${nameOf(recipe)}: ${part} has ${bytes?.length ?? 'no'} bytes, planned were ${length}`);
    return sink.write(bytes.subarray(there));
  }

  function forget(recipe: Recipe): void {
    const left = (partsLeft.get(recipe) ?? 1) - 1;
    partsLeft.set(recipe, left);
    if (left === 0) made.delete(recipe);
  }
}

/**
 * A sink made of blobs: source ranges stay references to the dropped file, new bytes leave the heap part by part.
 * Nothing is copied together, so a written model costs no memory of its own.
 */
export function blobSink(source: Blob, external: ExternalBlobs = NO_EXTERNAL_BLOBS): Sink {
  let parts: Blob[] = [];
  return {
    write(bytes) {
      parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>]));
      return Promise.resolve();
    },
    copy(start, end, _, location) {
      parts.push(copiedFrom(source, external, location).slice(start, end));
      return Promise.resolve();
    },
    finish: () => Promise.resolve(new Blob(parts, { type: 'application/octet-stream' })),
    discard() {
      parts = [];
      return Promise.resolve();
    },
  };
}
