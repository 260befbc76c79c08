import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addsUp, bytesOf, wordCounter } from './scored-text.ts';

describe('words', () => {
  it('are what runs of whitespace part, ends included', () => {
    const words = wordCounter(' one two\n\n three ');
    expect(words(17)).toBe(5);
    expect(wordCounter('')(0)).toBe(1);
    expect(wordCounter('one')(3)).toBe(1);
  });

  it('are counted up to a byte, not a character', () => {
    const words = wordCounter('é é é');
    expect([0, 2, 3, 5, 6, 8].map(words)).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('of any beginning are what splitting it gives', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'é', '🐋', ' ', '\n', '\u00a0') }), fc.nat(), (text, at) => {
        const beginning = Array.from(text)
          .slice(0, at % 30)
          .join('');
        expect(wordCounter(text)(Buffer.byteLength(beginning))).toBe(beginning.split(/\s+/).length);
      }),
    );
  });
});

describe('bytes', () => {
  const lengths = Uint16Array.of(1, 2, 50);

  it('are added up', () => {
    expect(bytesOf(lengths, Int32Array.of(0, 1, 1, 2))).toBe(55);
  });

  it('stand for the text when they make as many, but for a space in front', () => {
    const tokens = Int32Array.from({ length: 100 }, () => 1);
    expect(addsUp(lengths, tokens, 200)).toBe(true);
    expect(addsUp(lengths, tokens, 199)).toBe(true);
    expect(addsUp(lengths, tokens, 190)).toBe(false);
    expect(addsUp(lengths, Int32Array.of(1), 1)).toBe(true);
  });
});
