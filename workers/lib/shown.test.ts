import fc from 'fast-check';
import { expect, test } from 'vitest';
import { engineError } from '../contract/errors.ts';
import { shown, shownSentence, shownText } from './shown.ts';

/** What a terminal acts on or a reader cannot see. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

test.each([
  ['\u001b[31mred', '\\x1b[31mred'],
  ['\u009b2J', '\\x9b2J'],
  ['a\r\nb', 'a\\r\\nb'],
  ['\u202egpj.exe', '\\u{202e}gpj.exe'],
  ['\ud800', '\\u{d800}'],
  ['Gewicht.größe', 'Gewicht.größe'],
  ['重み', '重み'],
])('%j is shown as %j', (name, expected) => {
  expect(shown(name)).toBe(expected);
});

test('nothing unsafe is left of any name, nor more than 120 characters', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0x10ffff), { maxLength: 300 }), (codes) => {
      const name = String.fromCodePoint(...codes, ...codes.map((code) => code % 0x300));
      return (
        !UNSAFE.test(shown(name)) && shown(name).length <= 120 && !UNSAFE.test(shownText(name).replaceAll('\n', ''))
      );
    }),
  );
});

test('a long name keeps its beginning and its end', () => {
  const name = `model.layers.0.${'x'.repeat(100_000)}.weight`;
  expect(shown(name)).toMatch(/^model\.layers\.0\.x+…x+\.weight$/);
  expect(shown(name)).toHaveLength(120);
  expect(shownSentence(`The weight ${name} is long.`)).toMatch(
    /^The weight model\.layers\.0\.x+…x+\.weight is long\.$/,
  );
});

test('every error is fit to be shown, whatever name is in it', () => {
  const { message, action, details } = engineError(
    'onnx-invalid',
    `\u001b]0;owned\u0007 ${'y'.repeat(1e5)} two nodes`,
    `Leave out ${'z'.repeat(1e5)}.`,
    'first\nsecond \u001b[2J',
  );
  expect([message, action].join('')).not.toMatch(UNSAFE);
  expect(message.length + action.length).toBeLessThan(400);
  expect(details).toBe('first\nsecond \\x1b[2J');
});
