import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../evaluate/text/tokenizer/tokenizer.ts';
import { windowsOfText } from './windows.ts';

/** A token a character. */
const tokenizer = {
  addsBos: true,
  bosId: 7,
  encode: (text: string) => Int32Array.from(text, (character) => character.codePointAt(0)!),
} as Tokenizer;

const numbers = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => String.fromCodePoint(1000 + from + i)).join('');

describe('calibration windows', () => {
  it('are spread over the text, and begin with BOS', () => {
    const made = windowsOfText(tokenizer, numbers(0, 2000), null, { windows: 4, context: 100 });
    if (!made.ok) throw new Error(made.error.message);
    expect(made.value.windows.map((ids) => [ids.length, ids[0], ids[1]])).toEqual([
      [100, 7, 1000],
      [100, 7, 1500],
      [100, 7, 2000],
      [100, 7, 2500],
    ]);
    expect(made.value).toMatchObject({ tokens: 400, refused: 0 });
  });

  it('leave out what the evaluation text has 64 tokens in a row of, wherever they are', () => {
    const text = numbers(0, 1000);
    const evaluation = (from: number, count: number) => tokenizer.encode(`xyz${numbers(from, count)}`);
    const refusedWith = (ids: Int32Array) => {
      const made = windowsOfText(tokenizer, text, ids, { windows: 10, context: 100 });
      return made.ok ? made.value.refused : made.error.code;
    };
    expect(refusedWith(evaluation(210, 63))).toBe(0);
    expect(refusedWith(evaluation(210, 64))).toBe(1);
    expect(refusedWith(evaluation(220, 164))).toBe(2);
    expect(refusedWith(evaluation(0, 1100))).toBe('text-too-short');
  });

  it('need 64 tokens', () => {
    const made = windowsOfText(tokenizer, numbers(0, 40), null);
    expect(made.ok ? null : made.error.code).toBe('text-too-short');
  });
});
