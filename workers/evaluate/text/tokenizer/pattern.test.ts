import { describe, expect, it } from 'vitest';
import { fromOniguruma, literal, UnknownPattern } from './pattern.ts';

const found = (pattern: string, text: string) => Array.from(text.matchAll(fromOniguruma(pattern)), ([match]) => match);

describe('patterns of Oniguruma', () => {
  it.each<[string, string, string[]]>([
    ['\\w+', 'café naïf_1 x', ['café', 'naïf_1', 'x']],
    ['\\d+', '12 ٣٤ ½', ['12', '٣٤']],
    ['\\s', 'a\u0085b\ufeffc', ['\u0085']],
    ['[^\\s\\w]+', 'é, ß!', [',', '!']],
    ["(?i:'s|'t)", "'S'ſ'T", ["'S", "'ſ", "'T"]],
    ['(?i)ab|c', 'AB C', ['AB', 'C']],
    ['a(?-i:B)|(?i:ab)', 'aB Ab', ['aB', 'Ab']],
    ['\\p{L}++\\p{L}', 'abc', []],
    ['(?>a+)b', 'aab', ['aab']],
    ['\\p{Han}+|\\p{Hiragana}', '東京は', ['東京', 'は']],
    ['[[:punct:]]+', 'a.b+', ['.', '+']],
    ['[a-z&&[^aeiou]]+', 'hello', ['h', 'll']],
    ['\\p{^L}+', 'a1b', ['1']],
    ['^x', 'x\nx', ['x', 'x']],
    ['\\Ax', 'x\nx', ['x']],
    ['a.c', 'a\rc a\nc', ['a\rc']],
    ['\\h{2}', 'fF zz', ['fF']],
    ['x{,2}y', 'xxy', ['xxy']],
    ['\\x{1F642}|\\u00e9', '🙂é', ['🙂', 'é']],
    ['[\\]\\-a]', 'a]-', ['a', ']', '-']],
    ['\\s+(?!\\S)|\\s+', 'a  b', [' ', ' ']],
  ])('%s', (pattern, text, expected) => {
    expect(found(pattern, text)).toEqual(expected);
  });

  it.each(['\\X', '(?<n>a)\\k<n>', '\\1', '(?(1)a|b)', '\\p{Nonsense}', '(a', '*a', '\\G'])(
    '%s is refused by name',
    (pattern) => {
      expect(() => fromOniguruma(pattern)).toThrow(UnknownPattern);
    },
  );

  it('a text stands for itself', () => {
    expect('a.b axb'.match(literal('a.b'))).toEqual(['a.b']);
  });
});
