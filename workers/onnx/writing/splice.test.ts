import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Span } from '../model.ts';
import { splice, piecesLength, type Edit, type Piece } from './splice.ts';
import { concatBytes, encodeHeader } from '../wire.ts';

const render = (source: Uint8Array, pieces: Piece<never>[]) =>
  concatBytes(
    pieces.map((piece) => {
      if (piece.kind === 'copy') return source.subarray(piece.start, piece.end);
      if (piece.kind === 'bytes') return piece.bytes;
      throw new Error('nothing is made here');
    }),
  );

/** `content` wrapped in messages of the given field numbers, outermost first, between two strangers. */
function nested(numbers: number[], content: Uint8Array): { bytes: Uint8Array; within: Span[]; at: number } {
  let bytes = content;
  const around: { number: number; header: number }[] = [];
  for (const number of [...numbers].reverse()) {
    const header = encodeHeader(number, bytes.length);
    around.unshift({ number, header: header.length });
    bytes = concatBytes([header, bytes]);
  }
  const stranger = concatBytes([encodeHeader(4242, 2), Uint8Array.from([7, 7])]);
  let start = stranger.length;
  const end = start + bytes.length;
  const within = around.map(({ number, header }) => {
    const span = { number, start, body: start + header, end };
    start = span.body;
    return span;
  });
  return { bytes: concatBytes([stranger, bytes, stranger]), within, at: start };
}

test('without edits everything is one range of the source', () => {
  expect(splice(1000, [])).toEqual([{ kind: 'copy', start: 0, end: 1000 }]);
});

test('an edit inside messages changes it and the lengths around it, nothing else', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 4 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(),
      fc.nat(),
      (numbers, content, inserted, a, b) => {
        const { bytes, within, at } = nested(numbers, content);
        const [from = 0, to = 0] = [a % (content.length + 1), b % (content.length + 1)].sort((x, y) => x - y);
        const edit: Edit<never> = {
          start: at + from,
          end: at + to,
          within,
          pieces: [{ kind: 'bytes', bytes: inserted }],
        };
        const pieces = splice(bytes.length, [edit]);
        const expected = nested(
          numbers,
          concatBytes([content.subarray(0, from), inserted, content.subarray(to)]),
        ).bytes;
        expect(render(bytes, pieces)).toEqual(expected);
        expect(piecesLength(pieces)).toBe(expected.length);
      },
    ),
  );
});

test('insertions at one place keep their order, before what is replaced there', () => {
  const source = Uint8Array.from([1, 2, 3]);
  const at = (start: number, end: number, byte: number): Edit<never> => ({
    start,
    end,
    within: [],
    pieces: [{ kind: 'bytes', bytes: Uint8Array.from([byte]) }],
  });
  expect([...render(source, splice(3, [at(1, 2, 30), at(1, 1, 10), at(1, 1, 20)]))]).toEqual([1, 10, 20, 30, 3]);
});

test('overlapping edits are refused', () => {
  const edit = (start: number, end: number): Edit<never> => ({ start, end, within: [], pieces: [] });
  expect(() => splice(10, [edit(1, 5), edit(4, 6)])).toThrow(RangeError);
});
