import { describe, expect, it } from 'vitest';
import { checkText } from './text-check.ts';
import { openTokenizer, type Tokenizer } from './tokenizer.ts';

const file = (parts: object) =>
  JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: null,
    decoder: null,
    ...parts,
  });
const WORDS = { type: 'WordLevel', unk_token: '[UNK]', vocab: { '[UNK]': 0, the: 1, whale: 2, élève: 3 } };
const LETTERS = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] };

async function opened(parts: object): Promise<Tokenizer> {
  const tokenizer = await openTokenizer(file(parts), null);
  if (!tokenizer.ok) throw new Error(tokenizer.error.details);
  return tokenizer.value;
}

const check = (tokenizer: Tokenizer, text: string) => checkText(tokenizer, text, tokenizer.encode(text));
const notesOf = (result: ReturnType<typeof checkText>) => (result.ok ? result.value : [result.error.code]);

describe('a text', () => {
  it('that is known needs no note', async () => {
    expect(check(await opened({ model: WORDS }), 'the whale the whale ')).toEqual({ ok: true, value: [] });
  });

  it('of which some is unknown is measured, with the number', async () => {
    const notes = notesOf(check(await opened({ model: WORDS }), `${'the whale '.repeat(9)}the ship `));
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain('5.0 %');
  });

  it('of which most is unknown is refused, with the number', async () => {
    const refused = check(await opened({ model: WORDS }), 'the ship of fools ');
    expect(refused).toMatchObject({ ok: false, error: { code: 'tokenizer-mismatch' } });
    expect(!refused.ok && refused.error.message).toContain('75.0 %');
  });

  it('of which characters are in no token is said to be short of them', async () => {
    const tokenizer = await opened({ model: LETTERS });
    expect(notesOf(check(tokenizer, `${'ab '.repeat(30)}z`))[0]).toMatch(/leaves out 1 of .*91/);
    expect(notesOf(check(tokenizer, 'xyz ab xyz'))).toEqual(['tokenizer-mismatch']);
  });

  it('that the tokenizer rewrites is shown as it is before and after', async () => {
    const tokenizer = await opened({
      model: { ...WORDS, vocab: { ...WORDS.vocab, eleve: 4 } },
      normalizer: { type: 'Sequence', normalizers: [{ type: 'NFD' }, { type: 'StripAccents' }] },
    });
    const notes = notesOf(check(tokenizer, 'the élève '));
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain('"élève"');
    expect(notes[0]).toContain('"eleve"');
  });
});
