import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOfPiece, nameOf, textsOf, type TokenSpelling } from './token-text.ts';

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const spelling = (parts: Partial<TokenSpelling> = {}): TokenSpelling => ({
  model: 'BPE',
  byteLevel: false,
  byteFallback: false,
  continuation: '##',
  wordEnd: '',
  added: new Set(),
  ...parts,
});

describe('the bytes of a piece', () => {
  it.each<[string, string, Partial<TokenSpelling>]>([
    ['Ġwhale', ' whale', { byteLevel: true }],
    ['âĢĶ', '—', { byteLevel: true }],
    ['Ċ', '\n', { byteLevel: true }],
    ['<|end|>Ġ', '<|end|>Ġ', { byteLevel: true, added: new Set(['<|end|>Ġ']) }],
    ['▁▁the', '  the', {}],
    ['<0x41>', 'A', { byteFallback: true }],
    ['<0x41>', '<0x41>', {}],
    ['<0x41>', '<0x41>', { byteFallback: true, added: new Set(['<0x41>']) }],
    ['whale</w>', 'whale ', { wordEnd: '</w>' }],
    ['wh', 'wh', { wordEnd: '</w>' }],
    ['##ing', 'ing', { model: 'WordPiece' }],
    ['whale', ' whale', { model: 'WordPiece' }],
    ['whale', ' whale', { model: 'WordLevel' }],
    ['[CLS]', '[CLS]', { model: 'WordPiece', added: new Set(['[CLS]']) }],
  ])('%s are those of %j', (piece, expected, parts) => {
    expect(text(bytesOfPiece(piece, spelling(parts)))).toBe(expected);
  });

  it('are every byte once in the byte-level alphabet', () => {
    const alphabet = Array.from({ length: 0x144 }, (_, code) => String.fromCodePoint(code)).filter((character) =>
      /[!-~¡-¬®-ÿĀ-Ń]/.test(character),
    );
    expect(
      new Set(alphabet.flatMap((character) => [...bytesOfPiece(character, spelling({ byteLevel: true }))])).size,
    ).toBe(256);
  });
});

describe('texts of tokens', () => {
  it('give a character whose bytes are split to the last of its tokens', () => {
    const [x, first, second] = [utf8.encode('x'), utf8.encode('é').subarray(0, 1), utf8.encode('é').subarray(1)];
    expect(textsOf([x, first, second, x])).toEqual(['x', '', 'é', 'x']);
  });

  it('show what is no character', () => {
    expect(textsOf([Uint8Array.of(0x94), utf8.encode('a'), Uint8Array.of(0xe2, 0x80)])).toEqual([
      '\uFFFD',
      'a',
      '\uFFFD',
    ]);
    expect(textsOf([])).toEqual([]);
  });

  it('joined are the text, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }),
        (whole, lengths) => {
          const bytes = utf8.encode(whole);
          const tokens: Uint8Array[] = [];
          for (let at = 0; at < bytes.length;) {
            const length = lengths[tokens.length % lengths.length]!;
            tokens.push(bytes.subarray(at, at + length));
            at += length;
          }
          const texts = textsOf(tokens);
          expect(texts).toHaveLength(tokens.length);
          expect(texts.join('')).toBe(whole);
        },
      ),
    );
  });
});

describe('a token by itself', () => {
  it('is its text, or its bytes where those are no characters', () => {
    expect(nameOf(utf8.encode(' —'))).toBe(' —');
    expect(nameOf(Uint8Array.of(0xe2, 0x80))).toBe('<0xE2><0x80>');
    expect(nameOf(Uint8Array.of(0x0a))).toBe('\n');
  });
});
