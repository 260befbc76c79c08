import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Piece } from './splice.ts';
import { pieceLength } from './splice.ts';
import { writePieces, type Sink } from './write.ts';

interface Chunk {
  task: Task;
  parts: Map<string, Uint8Array>;
  bytes: Map<string, number>;
}
interface Task {
  name: string;
  chunks: Chunk[];
}

const SOURCE = Uint8Array.from({ length: 100 }, (_, i) => i);

const anyPieces = fc
  .array(
    fc.oneof(
      fc
        .tuple(fc.nat(100), fc.nat(100))
        .map(([a, b]): Piece<Task>[] => [{ kind: 'copy', start: Math.min(a, b), end: Math.max(a, b) }]),
      fc.uint8Array({ maxLength: 9 }).map((bytes): Piece<Task>[] => [{ kind: 'bytes', bytes }]),
      // A task of some parts, of each chunk some bytes or none.
      fc
        .array(fc.array(fc.uint8Array({ maxLength: 12 }), { minLength: 3, maxLength: 3 }), {
          minLength: 1,
          maxLength: 4,
        })
        .map((chunks): Piece<Task>[] => {
          const task: Task = { name: 'w', chunks: [] };
          task.chunks = chunks.map((parts) => ({
            task,
            parts: new Map(parts.map((bytes, i) => [`${i}`, bytes])),
            bytes: new Map(parts.map((bytes, i) => [`${i}`, bytes.length])),
          }));
          return [0, 1, 2].map((i) => ({
            kind: 'made',
            task,
            part: `${i}`,
            length: chunks.reduce((sum, parts) => sum + parts[i]!.length, 0),
          }));
        }),
    ),
    { maxLength: 10 },
  )
  .map((pieces) => pieces.flat());

function bytesOf(pieces: readonly Piece<Task>[]): number[] {
  return pieces.flatMap((piece) => [
    ...(piece.kind === 'copy'
      ? SOURCE.subarray(piece.start, piece.end)
      : piece.kind === 'bytes'
        ? piece.bytes
        : piece.task.chunks.flatMap(({ parts }) => [...parts.get(piece.part)!])),
  ]);
}

async function write(
  pieces: readonly Piece<Task>[],
  resumeAt: number,
  keep?: number,
): Promise<{ written: number[]; made: Chunk[]; progress: number[] }> {
  const written: number[] = [];
  const made: Chunk[] = [];
  const progress: number[] = [];
  const sink: Sink = {
    resumeAt,
    async write(bytes) {
      written.push(...bytes);
    },
    async copy(start, end, onBytes) {
      written.push(...SOURCE.subarray(start, end));
      onBytes?.(end - start);
    },
    finish: async () => new Blob(),
    discard: async () => undefined,
  };
  await writePieces({
    pieces,
    sink,
    nameOf: ({ name }) => name,
    onProgress: ({ done }) => {
      progress.push(done);
    },
    signal: new AbortController().signal,
    chunksOf: ({ chunks }) => chunks,
    make: async (chunk) => {
      made.push(chunk);
      return inTwoBuffers(chunk.parts);
    },
    // Whatever is looked at after this is wrong.
    release: ({ buffer }) => {
      new Uint8Array(buffer).fill(201);
    },
    ...(keep !== undefined && { keep }),
  });
  return { written, made, progress };
}

/** The first two parts in one buffer, the third in another. */
function inTwoBuffers(parts: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const [first, second, third] = ['0', '1', '2'].map((name) => parts.get(name)!) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const shared = Uint8Array.from([...first, ...second]);
  return new Map([
    ['0', shared.subarray(0, first.length)],
    ['1', shared.subarray(first.length)],
    ['2', third.slice()],
  ]);
}

/** Which chunks the rest of a file needs, for each part once. */
function needed(pieces: readonly Piece<Task>[], resumeAt: number): Chunk[] {
  let at = 0;
  return pieces.flatMap((piece) => {
    if (piece.kind !== 'made') {
      at += pieceLength(piece);
      return [];
    }
    return piece.task.chunks.filter(({ bytes }) => {
      const length = bytes.get(piece.part)!;
      at += length;
      return length > 0 && at > resumeAt;
    });
  });
}

describe('writing a file some of which is there', () => {
  test('writes the rest of it, from any byte, and makes what the rest needs once', async () => {
    await fc.assert(
      fc.asyncProperty(anyPieces, fc.nat(), async (pieces, place) => {
        const expected = bytesOf(pieces);
        const resumeAt = place % (expected.length + 1);
        const { written, made, progress } = await write(pieces, resumeAt);
        expect(written).toEqual(expected.slice(resumeAt));
        expect(made).toEqual([...new Set(needed(pieces, resumeAt))]);
        expect(progress).toEqual([...progress].sort((a, b) => a - b));
        expect(progress.at(-1)).toBe(expected.length);
      }),
    );
  });

  test('makes a chunk again rather than keep much of it, and of no part more than once', async () => {
    await fc.assert(
      fc.asyncProperty(anyPieces, fc.nat(), fc.nat(30), async (pieces, place, keep) => {
        const expected = bytesOf(pieces);
        const resumeAt = place % (expected.length + 1);
        const { written, made } = await write(pieces, resumeAt, keep);
        expect(written).toEqual(expected.slice(resumeAt));
        expect(made.length).toBeLessThanOrEqual(needed(pieces, resumeAt).length);
        if (keep === 0) expect(made).toEqual(needed(pieces, resumeAt));
      }),
    );
  });
});
