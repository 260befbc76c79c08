import { readFile } from 'node:fs/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { continueText } from './text-stream.ts';
import { openTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';

const sample = (name: string) => readFile(new URL(`../../../models/sample/${name}`, import.meta.url), 'utf8');

async function open(json: string, config: string | null): Promise<Tokenizer> {
  const tokenizer = await openTokenizer(json, config);
  if (!tokenizer.ok) throw new Error(tokenizer.error.message);
  return tokenizer.value;
}

const byteLevel = await open(await sample('tokenizer.json'), await sample('tokenizer_config.json'));
/** As SentencePiece vocabularies are: ▁ for a space, bytes for what is not spelled. */
const sentencePiece = await open(
  JSON.stringify({
    version: '1.0',
    added_tokens: [],
    pre_tokenizer: null,
    post_processor: null,
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      byte_fallback: true,
      unk_token: null,
      merges: [],
      vocab: Object.fromEntries(
        [
          ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
          ...Array.from('▁abcdefghijklmnopqrstuvwxyz'),
        ].map((piece, id) => [piece, id]),
      ),
    },
  }),
  null,
);

describe.each([
  ['byte-level', byteLevel],
  ['SentencePiece', sentencePiece],
])('%s', (_, tokenizer) => {
  it('the continuation is what follows the prompt, whole characters at every step', () => {
    const words = fc
      .array(fc.constantFrom('whale', ' the ', 'é', '🐋', '鯨', ' ', 'a b', '—', '\n'), { minLength: 1, maxLength: 12 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(words, words, (prompt, continuation) => {
        const stream = continueText(tokenizer, [...tokenizer.encode(prompt)]);
        // As a model makes it, not as the tokenizer would begin a text.
        const ids = [...tokenizer.encode(`x${continuation}`)].slice(tokenizer.encode('x').length);
        const seen = ids.map((id) => stream.add(id));
        for (const [index, text] of seen.entries()) {
          expect(text).not.toMatch(/\uFFFD/);
          expect(text.startsWith(seen[index - 1] ?? '')).toBe(true);
        }
        expect(seen.at(-1) ?? '').toBe(tokenizer.decode([...tokenizer.encode('x'), ...ids]).slice(1));
      }),
    );
  });

  it('bytes that are no character are told once something follows', () => {
    const stream = continueText(tokenizer, [...tokenizer.encode('a')]);
    const [start] = tokenizer.encode('🐋').slice(tokenizer === sentencePiece ? 1 : 0);
    expect(stream.add(start ?? -1)).toBe('');
    expect(stream.add(tokenizer.encode('b').at(-1) ?? -1)).toMatch(/^\uFFFD+b$/);
  });

  it.each(['鯨鯨鯨鯨b', '🐋é—é🐋鯨b', 'é'.repeat(9)])(
    'characters of several tokens come one after the other: %s',
    (continuation) => {
      const stream = continueText(tokenizer, [...tokenizer.encode('whale')]);
      const ids = [...tokenizer.encode(`x${continuation}`)].slice(tokenizer.encode('x').length);
      const seen = [...new Set(ids.map((id) => stream.add(id)))].filter((text) => text !== '');
      expect(seen).toEqual(
        Array.from(continuation).map((_, index, characters) => characters.slice(0, index + 1).join('')),
      );
    },
  );
});
