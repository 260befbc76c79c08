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
export interface WrittenPlace {
  folder: string;
  file: string;
}

/** Where a new file goes. */
export interface Sink {
  /** How many of the file's first bytes are there from an earlier attempt; what is written goes after them. */
  readonly resumeAt?: number;
  /** Where a person finds the file, who has chosen the folder. */
  readonly place?: WrittenPlace;
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

/** What is made at once of what a task makes: the next bytes of each of its parts, how many of which. */
export interface ChunkBytes {
  bytes: ReadonlyMap<string, number>;
}

export interface WriteJob<Task, Chunk extends ChunkBytes> {
  pieces: readonly Piece<Task>[];
  /** A task's chunks in order, the same ones each time. */
  chunksOf(task: Task): readonly Chunk[];
  /** What a chunk adds to each part, by name. */
  make(chunk: Chunk, signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>>;
  nameOf(task: Task): string;
  sink: Sink;
  onProgress(progress: WriteProgress): void;
  signal: AbortSignal;
  /** Bytes of a task's parts that are kept for a later piece, each part; what is longer is made again when its piece comes. */
  keep?: number;
  /** Gives back the memory of what has been written; absent where it is left to the collector. */
  release?: ((bytes: Uint8Array) => void) | undefined;
}

const KEEP = 32 << 20;

/**
 * Writes all pieces, but for what the sink has already: a chunk whose bytes are all there is not made, one with some
 * missing is made again. Of what a chunk makes, that is kept which a later piece needs, as long as it is not much.
 */
export async function writePieces<Task, Chunk extends ChunkBytes>({
  pieces,
  chunksOf: chunksOf,
  make,
  nameOf,
  sink,
  onProgress,
  signal,
  keep = KEEP,
  release,
}: WriteJob<Task, Chunk>): Promise<Blob> {
  /** Parts of each task that are still to be written. */
  const partsLeft = new Map<Task, string[]>();
  for (const piece of pieces)
    if (piece.kind === 'made') partsLeft.set(piece.task, [...(partsLeft.get(piece.task) ?? []), piece.part]);
  /** What was made of parts that come later, by chunk. */
  const kept = new Map<Chunk, Map<string, Uint8Array>>();
  const total = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
  const resumeAt = sink.resumeAt ?? 0;
  let done = 0;
  try {
    for (const piece of pieces) {
      signal.throwIfAborted();
      const end = done + pieceLength(piece);
      const there = Math.min(Math.max(resumeAt - done, 0), end - done);
      if (piece.kind === 'made') partsLeft.get(piece.task)?.shift();
      if (end > resumeAt) await writeRest(piece, there, done + there);
      if (piece.kind === 'made') forget(piece.task, piece.part);
      done = end;
    }
    onProgress({ done, total, tensor: null });
    return await sink.finish();
  } catch (thrown) {
    await sink.discard(isAboutLevel(thrown));
    throw thrown;
  }

  /** Writes a piece but for its first `there` bytes; `at` is where in the file that is. */
  async function writeRest(piece: Piece<Task>, there: number, at: number): Promise<void> {
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

  /** Chunk by chunk; `start` is where in the file the piece begins. */
  async function writeMade(
    { task: task, part, length }: Piece<Task> & { kind: 'made' },
    there: number,
    start: number,
  ): Promise<void> {
    const chunks = chunksOf(task);
    const planned = lengthOf(chunks, part);
    if (planned !== length) wrongLength(task, part, planned, length);
    let at = 0;
    for (const chunk of chunks) {
      const size = chunk.bytes.get(part) ?? 0;
      const end = at + size;
      if (size > 0 && end > there) {
        signal.throwIfAborted();
        const skipped = Math.max(there - at, 0);
        onProgress({ done: start + at + skipped, total, tensor: nameOf(task) });
        const bytes = await partOf(task, chunks, chunk, part);
        if (bytes?.length !== size) wrongLength(task, part, bytes?.length, size);
        await sink.write(bytes.subarray(skipped));
        if (!isNeededLater(task, chunk, part, bytes)) release?.(bytes);
      }
      at = end;
    }
  }

  async function partOf(
    task: Task,
    chunks: readonly Chunk[],
    chunk: Chunk,
    part: string,
  ): Promise<Uint8Array | undefined> {
    const known = kept.get(chunk)?.get(part);
    if (known) return known;
    const made = await make(chunk, signal);
    const later = (partsLeft.get(task) ?? []).flatMap((name) => {
      const bytes = made.get(name);
      return bytes && bytes.length > 0 && lengthOf(chunks, name) <= keep ? [[name, bytes] as const] : [];
    });
    if (later.length > 0) kept.set(chunk, new Map(later));
    return made.get(part);
  }

  /** Whether the memory of a part just written holds what is kept for a later piece. */
  function isNeededLater(task: Task, chunk: Chunk, part: string, { buffer }: Uint8Array): boolean {
    return [...(kept.get(chunk) ?? [])].some(
      ([name, bytes]) => bytes.buffer === buffer && (name !== part || partsLeft.get(task)?.includes(part)),
    );
  }

  function forget(task: Task, part: string): void {
    const done = !partsLeft.get(task)?.includes(part);
    for (const chunk of chunksOf(task)) {
      if (done) kept.get(chunk)?.delete(part);
      if (partsLeft.get(task)?.length === 0) kept.delete(chunk);
    }
  }

  function wrongLength(task: Task, part: string, bytes: number | undefined, planned: number): never {
    throw new Error(`${nameOf(task)}: ${part} has ${bytes ?? 'no'} bytes, planned were ${planned}`);
  }
}

function lengthOf(chunks: readonly ChunkBytes[], part: string): number {
  return chunks.reduce((sum, { bytes }) => sum + (bytes.get(part) ?? 0), 0);
}

/** For tasks of which each is carried out at once: all its parts are one chunk. */
export function atOnce<Task>(
  pieces: readonly Piece<Task>[],
  make: (task: Task, signal: AbortSignal) => Promise<ReadonlyMap<string, Uint8Array>>,
): Pick<WriteJob<Task, ChunkBytes & { task: Task }>, 'chunksOf' | 'make'> {
  const chunks = new Map<Task, { task: Task; bytes: Map<string, number> }[]>();
  for (const piece of pieces) {
    if (piece.kind !== 'made') continue;
    const [known] = chunks.get(piece.task) ?? [];
    if (known) known.bytes.set(piece.part, piece.length);
    else chunks.set(piece.task, [{ task: piece.task, bytes: new Map([[piece.part, piece.length]]) }]);
  }
  return { chunksOf: (task) => chunks.get(task) ?? [], make: ({ task }, signal) => make(task, signal) };
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
