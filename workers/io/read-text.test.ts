import { describe, expect, test } from 'vitest';
import { classifyFiles } from './classify-files.ts';
import { decodeText, looksLikeText, readText } from './read-text.ts';

const TEXT = 'Le café était fermé à Noël ; l’élève a mangé. ';
const UTF8 = new TextEncoder().encode(TEXT);
const utf16 = (text: string, big = false) =>
  new Uint8Array(big ? Buffer.from(text, 'utf16le').swap16() : Buffer.from(text, 'utf16le'));
/** The apostrophe of the text is 0x92 in Windows-1252 and no character in Latin-1. */
const WINDOWS = Uint8Array.from(TEXT, (character) => (character === '’' ? 0x92 : character.charCodeAt(0)));

describe('a text is read', () => {
  test.each<[string, Uint8Array, string, boolean]>([
    ['as UTF-8', UTF8, 'utf-8', false],
    ['as UTF-8 with a byte order mark', Uint8Array.of(0xef, 0xbb, 0xbf, ...UTF8), 'utf-8', false],
    ['as UTF-16, little end first', utf16(`\ufeff${TEXT}`), 'utf-16le', false],
    ['as UTF-16, big end first', utf16(`\ufeff${TEXT}`, true), 'utf-16be', false],
    ['as UTF-16 without a mark, which is said', utf16(TEXT), 'utf-16le', true],
    ['as UTF-16 without a mark, big end first, which is said', utf16(TEXT, true), 'utf-16be', true],
    ['as Windows-1252, which is said', WINDOWS, 'windows-1252', true],
  ])('%s', (_, bytes, encoding, isSaid) => {
    const read = decodeText('text.txt', bytes);
    expect([read.text, read.encoding, read.note !== null]).toEqual([TEXT, encoding, isSaid]);
  });

  test('as UTF-8 where only its end is cut off, which is said', () => {
    const cut = new TextEncoder().encode('é'.repeat(10)).subarray(0, 19);
    expect(decodeText('text.txt', cut)).toMatchObject({
      encoding: 'utf-8',
      text: `${'é'.repeat(9)}\ufffd`,
      note: expect.any(String) as string,
    });
  });

  test.each([
    ['an object', '{"text": "a b c"}'],
    ['lines of objects', '{"text": "a"}\n{"text": "b"}\n'],
  ])('as it is when it is JSON, which is said: %s', (_, json) => {
    const read = decodeText('text.txt', new TextEncoder().encode(json));
    expect([read.text, read.note !== null]).toEqual([json, true]);
  });

  test('a text that begins with a bracket is not JSON', () => {
    expect(decodeText('t', new TextEncoder().encode('[sic] he said')).note).toBeNull();
  });
});

describe('among dropped files', () => {
  const kindOf = async (name: string, bytes: Uint8Array | string) =>
    (await classifyFiles([new File([bytes as BlobPart], name)])).files[0];

  test.each<[string, Uint8Array | string, string]>([
    ['a.txt', utf16(`\ufeff${TEXT}`), 'text'],
    ['a.txt', WINDOWS, 'text'],
    ['a.txt', '{"text": "a b c"}', 'text'],
    ['a.md', '[1, "two"]', 'text'],
    ['a.json', '{"text": "a b c"}', 'unknown'],
    ['a.bin', WINDOWS, 'external-data'],
    ['a.txt', Uint8Array.of(0, 1, 2, 3, 200), 'unknown'],
  ])('%s is told by its name and content', async (name, bytes, kind) => {
    expect((await kindOf(name, bytes))?.kind).toBe(kind);
  });

  test('an empty text is said to be empty', async () => {
    expect(await kindOf('a.txt', '')).toMatchObject({ kind: 'text', problem: { code: 'file-empty' } });
  });

  test.each<[string, string]>([
    ['vocab.txt', 'a b c'],
    ['README.md', 'a b c'],
    ['tokens.json', '{"text": "a"}'],
    ['text', '{"vocab_size": 3}'],
  ])('a file chosen as the text is text: %s', async (name, content) => {
    const chosen = new File([content], name);
    const { text, files } = await classifyFiles([], chosen);
    expect([text === chosen, files.map(({ kind }) => kind)]).toEqual([true, ['text']]);
    expect((await readText(chosen)).text).toBe(content);
  });

  test.each([
    ['nothing', ''],
    ['a mark only', '\ufeff'],
  ])('a chosen text of %s is empty', async (_, content) => {
    const { text, files } = await classifyFiles([], new File([content], 'a.txt'));
    expect([text, files[0]?.problem?.code]).toEqual([null, 'file-empty']);
  });
});

test('what a head of a text may be', () => {
  expect([
    looksLikeText(WINDOWS),
    looksLikeText(utf16(TEXT)),
    looksLikeText(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10)),
  ]).toEqual([true, true, false]);
});
