import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Piece } from './splice.ts';
import { pieceLength } from './splice.ts';
import { writePieces, type Sink } from './write.ts';

interface Recipe { name: string; parts: Map<string, Uint8Array> }

const SOURCE = Uint8Array.from({ length: 100 }, (_, i) => i);

const anyPieces = fc.array(fc.oneof(
  fc.tuple(fc.nat(100), fc.nat(100)).map(([a, b]): Piece<Recipe>[] => [{ kind: 'copy', start: Math.min(a, b), end: Math.max(a, b) }]),
  fc.uint8Array({ maxLength: 9 }).map((bytes): Piece<Recipe>[] => [{ kind: 'bytes', bytes }]),
  fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 3 }).map((parts): Piece<Recipe>[] => {
    const recipe = { name: 'w', parts: new Map(parts.map((bytes, i) => [`${i}`, bytes])) };
    return parts.map((bytes, i) => ({ kind: 'made', recipe, part: `${i}`, length: bytes.length }));
  }),
), { maxLength: 10 }).map((pieces) => pieces.flat());

function bytesOf(pieces: readonly Piece<Recipe>[]): number[] {
  return pieces.flatMap((piece) => [...(piece.kind === 'copy' ? SOURCE.subarray(piece.start, piece.end) : piece.kind === 'bytes' ? piece.bytes : piece.recipe.parts.get(piece.part) ?? [])]);
}

async function write(pieces: readonly Piece<Recipe>[], resumeAt: number): Promise<{ written: number[]; made: Recipe[]; progress: number[] }> {
  const written: number[] = [];
  const made: Recipe[] = [];
  const progress: number[] = [];
  const sink: Sink = {
    resumeAt,
    async write(bytes) { written.push(...bytes); },
    async copy(start, end, onBytes) {
      written.push(...SOURCE.subarray(start, end));
      onBytes?.(end - start);
    },
    finish: async () => new Blob(),
    discard: async () => undefined,
  };
  await writePieces({
    pieces, sink, nameOf: ({ name }) => name, onProgress: ({ done }) => { progress.push(done); }, signal: new AbortController().signal,
    make: async (recipe) => {
      made.push(recipe);
      return recipe.parts;
    },
  });
  return { written, made, progress };
}

describe('writing a file some of which is there', () => {
  test('writes the rest of it, from any byte, and makes what the rest needs once', async () => {
    await fc.assert(fc.asyncProperty(anyPieces, fc.nat(), async (pieces, place) => {
      const expected = bytesOf(pieces);
      const resumeAt = place % (expected.length + 1);
      const { written, made, progress } = await write(pieces, resumeAt);
      expect(written).toEqual(expected.slice(resumeAt));
      let at = 0;
      const needed = new Set(pieces.flatMap((piece) => {
        at += pieceLength(piece);
        return piece.kind === 'made' && at > resumeAt ? piece.recipe : [];
      }));
      expect(made).toEqual([...needed]);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
      expect(progress.at(-1)).toBe(expected.length);
    }));
  });
});
