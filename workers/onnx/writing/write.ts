/** Turns a planned file into bytes: source ranges are passed on untouched, made parts are computed when their turn comes. */
import { isAboutLevel } from '../../contract/errors.ts';
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

/** A file by its name in a folder, which may be another than it was to have. */
export interface Place {
  folder: string;
  file: string;
}

/** Where a new file goes. */
export interface Sink {
  /** How many of the file's first bytes are there from an earlier attempt; what is written goes after them. */
  readonly resumeAt?: number;
  /** Where a person finds the file, who has chosen the folder. */
  readonly place?: Place;
  write(bytes: Uint8Array): Promise<void>;
  /** Bytes [start, end) of the source file, or of its external data at a location; `onBytes` hears of what has been copied of them. */
  copy(start: number, end: number, onBytes?: (bytes: number) => void, location?: string): Promise<void>;
  /** Closes the file; what came out of it can be read any number of times. */
  finish(): Promise<Blob>;
  /** Gives up. What a later attempt can go on from may stay, unless `forGood` says that there is none. */
  discard(forGood?: boolean): Promise<void>;
  /** Removes the finished file again; absent where it is not this sink's to remove. */
  remove?(): Promise<void>;
}

export interface WriteProgress {
  done: number;
  total: number;
  tensor: string | null;
}

/** What is made at once of what a recipe makes: the next bytes of each of its parts, how many of which. */
export interface StretchBytes {
  bytes: ReadonlyMap<string, number>;
}

export interface WriteJob<Recipe, Stretch extends StretchBytes> {
  pieces: readonly Piece<Recipe>[];
  /** A recipe's stretches in order, the same ones each time. */
  stretchesOf(recipe: Recipe): readonly Stretch[];
  /** What a stretch adds to each part, by name. */
  make(stretch: Stretch, signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>>;
  nameOf(recipe: Recipe): string;
  sink: Sink;
  onProgress(progress: WriteProgress): void;
  signal: AbortSignal;
  /** Bytes of a recipe's parts that are kept for a later piece, each part; what is longer is made again when its piece comes. */
  keep?: number;
  /** Gives back the memory of what has been written; absent where it is left to the collector. */
  release?: ((bytes: Uint8Array) => void) | undefined;
}

const KEEP = 32 << 20;

/**
 * Writes all pieces, but for what the sink has already: a stretch whose bytes are all there is not made, one with some
 * missing is made again. Of what a stretch makes, that is kept which a later piece needs, as long as it is not much.
 */
export async function writePieces<Recipe, Stretch extends StretchBytes>({
  pieces,
  stretchesOf,
  make,
  nameOf,
  sink,
  onProgress,
  signal,
  keep = KEEP,
  release,
}: WriteJob<Recipe, Stretch>): Promise<Blob> {
  /** Parts of each recipe that are still to be written. */
  const partsLeft = new Map<Recipe, string[]>();
  for (const piece of pieces)
    if (piece.kind === 'made') partsLeft.set(piece.recipe, [...(partsLeft.get(piece.recipe) ?? []), piece.part]);
  /** What was made of parts that come later, by stretch. */
  const kept = new Map<Stretch, Map<string, Uint8Array>>();
  const total = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
  const resumeAt = sink.resumeAt ?? 0;
  let done = 0;
  try {
    for (const piece of pieces) {
      signal.throwIfAborted();
      const end = done + pieceLength(piece);
      const there = Math.min(Math.max(resumeAt - done, 0), end - done);
      if (piece.kind === 'made') partsLeft.get(piece.recipe)?.shift();
      if (end > resumeAt) await writeRest(piece, there, done + there);
      if (piece.kind === 'made') forget(piece.recipe, piece.part);
      done = end;
    }
    onProgress({ done, total, tensor: null });
    return await sink.finish();
  } catch (thrown) {
    await sink.discard(isAboutLevel(thrown));
    throw thrown;
  }

  /** Writes a piece but for its first `there` bytes; `at` is where in the file that is. */
  async function writeRest(piece: Piece<Recipe>, there: number, at: number): Promise<void> {
    if (piece.kind === 'copy') {
      let copied = 0;
      await sink.copy(
        piece.start + there,
        piece.end,
        (bytes) => {
          copied += bytes;
          onProgress({ done: at + copied, total, tensor: null });
        },
        piece.location,
      );
      return;
    }
    if (piece.kind === 'bytes') return sink.write(piece.bytes.subarray(there));
    return writeMade(piece, there, at - there);
  }

  /** Stretch by stretch; `start` is where in the file the piece begins. */
  async function writeMade(
    { recipe, part, length }: Piece<Recipe> & { kind: 'made' },
    there: number,
    start: number,
  ): Promise<void> {
    const stretches = stretchesOf(recipe);
    const planned = lengthOf(stretches, part);
    if (planned !== length) wrongLength(recipe, part, planned, length);
    let at = 0;
    for (const stretch of stretches) {
      const size = stretch.bytes.get(part) ?? 0;
      const end = at + size;
      if (size > 0 && end > there) {
        signal.throwIfAborted();
        const skipped = Math.max(there - at, 0);
        onProgress({ done: start + at + skipped, total, tensor: nameOf(recipe) });
        const bytes = await partOf(recipe, stretches, stretch, part);
        if (bytes?.length !== size) wrongLength(recipe, part, bytes?.length, size);
        await sink.write(bytes.subarray(skipped));
        if (!isNeededLater(recipe, stretch, part, bytes)) release?.(bytes);
      }
      at = end;
    }
  }

  async function partOf(
    recipe: Recipe,
    stretches: readonly Stretch[],
    stretch: Stretch,
    part: string,
  ): Promise<Uint8Array | undefined> {
    const known = kept.get(stretch)?.get(part);
    if (known) return known;
    const made = await make(stretch, signal);
    const later = (partsLeft.get(recipe) ?? []).flatMap((name) => {
      const bytes = made.get(name);
      return bytes && bytes.length > 0 && lengthOf(stretches, name) <= keep ? [[name, bytes] as const] : [];
    });
    if (later.length > 0) kept.set(stretch, new Map(later));
    return made.get(part);
  }

  /** Whether the memory of a part just written holds what is kept for a later piece. */
  function isNeededLater(recipe: Recipe, stretch: Stretch, part: string, { buffer }: Uint8Array): boolean {
    return [...(kept.get(stretch) ?? [])].some(
      ([name, bytes]) => bytes.buffer === buffer && (name !== part || partsLeft.get(recipe)?.includes(part)),
    );
  }

  function forget(recipe: Recipe, part: string): void {
    const done = !partsLeft.get(recipe)?.includes(part);
    for (const stretch of stretchesOf(recipe)) {
      if (done) kept.get(stretch)?.delete(part);
      if (partsLeft.get(recipe)?.length === 0) kept.delete(stretch);
    }
  }

  function wrongLength(recipe: Recipe, part: string, bytes: number | undefined, planned: number): never {
    throw new Error(`${nameOf(recipe)}: ${part} has ${bytes ?? 'no'} bytes, planned were ${planned}`);
  }
}

function lengthOf(stretches: readonly StretchBytes[], part: string): number {
  return stretches.reduce((sum, { bytes }) => sum + (bytes.get(part) ?? 0), 0);
}

/** For recipes of which each is carried out at once: all its parts are one stretch. */
export function atOnce<Recipe>(
  pieces: readonly Piece<Recipe>[],
  make: (recipe: Recipe, signal: AbortSignal) => Promise<ReadonlyMap<string, Uint8Array>>,
): Pick<WriteJob<Recipe, StretchBytes & { recipe: Recipe }>, 'stretchesOf' | 'make'> {
  const stretches = new Map<Recipe, { recipe: Recipe; bytes: Map<string, number> }[]>();
  for (const piece of pieces) {
    if (piece.kind !== 'made') continue;
    const [known] = stretches.get(piece.recipe) ?? [];
    if (known) known.bytes.set(piece.part, piece.length);
    else stretches.set(piece.recipe, [{ recipe: piece.recipe, bytes: new Map([[piece.part, piece.length]]) }]);
  }
  return { stretchesOf: (recipe) => stretches.get(recipe) ?? [], make: ({ recipe }, signal) => make(recipe, signal) };
}

/**
 * A file of pieces that are copied or known, as references to the files they are copied from.
 * Errors: throws where a piece has to be made.
 */
export function blobOf(
  pieces: readonly Piece<unknown>[],
  source: Blob,
  external: ExternalBlobs = NO_EXTERNAL_BLOBS,
): Blob {
  const parts = pieces.map((piece) => {
    if (piece.kind === 'copy') return copiedFrom(source, external, piece.location).slice(piece.start, piece.end);
    if (piece.kind === 'bytes') return piece.bytes as Uint8Array<ArrayBuffer>;
    throw new Error(`${piece.part} has to be made`);
  });
  return new Blob(parts);
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
