import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openTokenizer, type Tokenizer } from './tokenizer.ts';

const sample = (name: string) => readFile(new URL(`../../../../models/sample/${name}`, import.meta.url), 'utf8');

const opened = async (json: string, config: string | null): Promise<Tokenizer> => {
  const tokenizer = await openTokenizer(json, config);
  if (!tokenizer.ok) throw new Error(`${tokenizer.error.message} ${tokenizer.error.details}`);
  return tokenizer.value;
};

const BPE = { type: 'BPE', vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, a: 3, b: 4, ab: 5 }, merges: ['a b'] };
const SPECIAL = [
  { id: 0, content: '<unk>', special: true },
  { id: 1, content: '<s>', special: true },
  { id: 2, content: '</s>', special: true },
];
const TEMPLATE = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [],
  special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
};
const END_ONLY = {
  ...TEMPLATE,
  single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
};
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true };

const file = (parts: object = {}) =>
  JSON.stringify({
    version: '1.0',
    added_tokens: SPECIAL,
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: BPE,
    ...parts,
  });

describe("the sample model's tokenizer", () => {
  it('encodes as it was trained to, without BOS', async () => {
    const tokenizer = await opened(await sample('tokenizer.json'), await sample('tokenizer_config.json'));
    expect(tokenizer).toMatchObject({ vocabulary: 4096, addsBos: false, bosId: 0, maxLength: 1024 });
    const text = 'Call me Ishmael. Some years ago—never mind how long precisely';
    const ids = tokenizer.encode(text);
    const vocab = (JSON.parse(await sample('tokenizer.json')) as { model: { vocab: Record<string, number> } }).model
      .vocab;
    const pieces = new Map(Object.entries(vocab).map(([piece, id]) => [id, piece]));
    // Ġ stands for a space; the dash is three bytes of UTF-8, each a character of the byte alphabet.
    expect([...ids].map((id) => pieces.get(id)).join('')).toBe(text.replaceAll(' ', 'Ġ').replace('—', 'âĢĶ'));
    expect(ids.length).toBeLessThan(text.length / 2);
  });

  it('does the same without its configuration', async () => {
    const json = await sample('tokenizer.json');
    const text = 'The Congress of the United States';
    const bare = await opened(json, null);
    expect(bare).toMatchObject({ vocabulary: 4096, addsBos: false, maxLength: null });
    expect(bare.encode(text)).toEqual((await opened(json, await sample('tokenizer_config.json'))).encode(text));
  });
});

describe('texts of tokens', () => {
  it("joined are the text in the sample model's vocabulary", async () => {
    const tokenizer = await opened(await sample('tokenizer.json'), await sample('tokenizer_config.json'));
    const text = 'Some years ago—never mind how long précisément 🐋, having little\nor no money 水';
    const ids = tokenizer.encode(text);
    expect(tokenizer.pieces(ids)).toHaveLength(ids.length);
    expect(tokenizer.pieces(ids).join('')).toBe(text);
    expect(tokenizer.pieces(ids).slice(0, 3)).toEqual(['S', 'ome', ' years']);
  });

  it('are names of added tokens, and numbers of ids nothing uses', async () => {
    const tokenizer = await opened(file(), null);
    expect(tokenizer.pieces([1, 5, 2, 99])).toEqual(['<s>', 'ab', '</s>', '[99]']);
    expect([tokenizer.piece(0), tokenizer.piece(99)]).toEqual(['<unk>', '[99]']);
  });
});

describe('encoding', () => {
  it('puts nothing around the text, whatever the post-processor adds', async () => {
    expect((await opened(file({ post_processor: TEMPLATE }), null)).encode('ab')).toEqual(Int32Array.of(5));
  });

  it('leaves out what the vocabulary cannot spell', async () => {
    const tokenizer = await opened(file(), null);
    // What is left stands side by side, and is merged, as in Python's tokenizers.
    expect(tokenizer.encode('azb')).toEqual(Int32Array.of(5));
    expect([tokenizer.charactersLeftOut('azb'), tokenizer.charactersLeftOut('ab')]).toEqual([1, 0]);
  });

  it('knows whole words too', async () => {
    const words = { type: 'WordLevel', vocab: { the: 0, whale: 1, '[UNK]': 2 }, unk_token: '[UNK]' };
    const tokenizer = await opened(
      file({ model: words, added_tokens: [], pre_tokenizer: { type: 'Whitespace' } }),
      null,
    );
    expect(tokenizer.encode('the white whale')).toEqual(Int32Array.of(0, 2, 1));
  });

  it('of nothing is nothing', async () => {
    expect((await opened(file(), null)).encode('')).toHaveLength(0);
  });

  it('counts added tokens into the vocabulary', async () => {
    expect(
      (await opened(file({ added_tokens: [...SPECIAL, { id: 6, content: '<extra>', special: true }] }), null))
        .vocabulary,
    ).toBe(7);
  });
});

describe('BOS', () => {
  it.each<{ when: string; parts: object; config: object | null; addsBos: boolean; bosId: number | null }>([
    {
      when: 'the configuration says so',
      parts: {},
      config: { add_bos_token: true, bos_token: '<s>' },
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'the configuration says so and gives the token as an object',
      parts: {},
      config: { add_bos_token: true, bos_token: { content: '<s>', lstrip: false }, chat_template: 7 },
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'the configuration says so and does not name the token',
      parts: {},
      config: { add_bos_token: true },
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'the configuration says no, the template yes',
      parts: { post_processor: TEMPLATE },
      config: { add_bos_token: false, bos_token: '<s>' },
      addsBos: false,
      bosId: 1,
    },
    {
      when: 'the configuration is silent, the template says yes',
      parts: { post_processor: TEMPLATE },
      config: { bos_token: '<s>', tokenizer_class: 'PreTrainedTokenizerFast' },
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'there is no configuration, the template says yes',
      parts: { post_processor: TEMPLATE },
      config: null,
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'the template is one of several processors',
      parts: { post_processor: { type: 'Sequence', processors: [BYTE_LEVEL, TEMPLATE] } },
      config: null,
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'the template only closes the text',
      parts: { post_processor: END_ONLY },
      config: { bos_token: '<s>', tokenizer_class: 'LlamaTokenizer' },
      addsBos: false,
      bosId: 1,
    },
    {
      when: 'the post-processor has no template',
      parts: { post_processor: BYTE_LEVEL },
      config: null,
      addsBos: false,
      bosId: 1,
    },
    {
      when: 'RobertaProcessing puts a token in front',
      parts: { post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 1] } },
      config: null,
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'only the class tells: Llama',
      parts: {},
      config: { tokenizer_class: 'LlamaTokenizerFast', bos_token: '<s>' },
      addsBos: true,
      bosId: 1,
    },
    {
      when: 'only the class tells: GPT-2',
      parts: {},
      config: { tokenizer_class: 'GPT2Tokenizer', bos_token: '<s>' },
      addsBos: false,
      bosId: 1,
    },
    {
      when: 'nothing tells but a SentencePiece vocabulary',
      parts: { model: { ...BPE, byte_fallback: true } },
      config: null,
      addsBos: true,
      bosId: 1,
    },
    { when: 'nothing tells', parts: {}, config: null, addsBos: false, bosId: 1 },
    {
      when: 'there is no such token',
      parts: { added_tokens: [] },
      config: { add_bos_token: true },
      addsBos: false,
      bosId: null,
    },
    {
      when: 'the token is not in the vocabulary',
      parts: {},
      config: { add_bos_token: true, bos_token: '<nowhere>' },
      addsBos: false,
      bosId: null,
    },
  ])('when $when', async ({ parts, config, addsBos, bosId }) => {
    expect(await opened(file(parts), config && JSON.stringify(config))).toMatchObject({ addsBos, bosId });
  });
});

describe('the longest sequence', () => {
  it('is what the configuration says, unless that means no limit', async () => {
    expect((await opened(file(), JSON.stringify({ model_max_length: 2048 }))).maxLength).toBe(2048);
    expect((await opened(file(), '{"model_max_length": 1000000000000000019884624838656}')).maxLength).toBeNull();
  });
});

describe('bytes of tokens', () => {
  const lengthsOf = async (json: string) => [...((await opened(json, null)).byteLengths() ?? [])];

  it("add up to the text in the sample model's byte-level vocabulary", async () => {
    const tokenizer = await opened(await sample('tokenizer.json'), await sample('tokenizer_config.json'));
    const text = 'Some years ago—never mind how long précisément 🐋, having little or no money';
    const lengths = tokenizer.byteLengths();
    expect([...tokenizer.encode(text)].reduce((sum, id) => sum + (lengths?.[id] ?? NaN), 0)).toBe(
      Buffer.byteLength(text),
    );
  });

  it('are those of the characters elsewhere, with ▁ for a space and bytes for themselves', async () => {
    const vocab = { '<unk>': 0, '<s>': 1, '</s>': 2, '▁the': 3, é: 4, '<0xE2>': 5, '🐋': 6 };
    expect(await lengthsOf(file({ model: { type: 'BPE', vocab, merges: [], byte_fallback: true } }))).toEqual([
      5, 3, 4, 4, 2, 1, 4,
    ]);
  });

  it('of an added token are those of what it says', async () => {
    const tokens = file({
      model: { type: 'BPE', vocab: { Ġa: 0 }, merges: [] },
      decoder: { type: 'Sequence', decoders: [BYTE_LEVEL] },
      added_tokens: [{ id: 1, content: '<é>', special: true }],
    });
    expect(await lengthsOf(tokens)).toEqual([2, 4]);
  });

  it('cannot be told where words lose the space between them', async () => {
    const words = { type: 'WordLevel', vocab: { the: 0, whale: 1, '[UNK]': 2 }, unk_token: '[UNK]' };
    expect((await opened(file({ model: words, added_tokens: [] }), null)).byteLengths()).toBeNull();
  });
});

describe('EOS', () => {
  it('is what the configuration names', async () => {
    expect((await opened(file(), JSON.stringify({ eos_token: '</s>' }))).eosId).toBe(2);
    expect((await opened(file(), JSON.stringify({ eos_token: '<nowhere>' }))).eosId).toBeNull();
    expect((await opened(file(), null)).eosId).toBeNull();
  });
});

describe('what is not a tokenizer', () => {
  it.each<{ what: string; json: string; config: string | null }>([
    { what: 'a file cut off', json: file().slice(0, 100), config: null },
    { what: 'nothing', json: '', config: null },
    { what: 'another JSON file', json: '{"model_type": "llama"}', config: null },
    { what: 'a list', json: '[1, 2]', config: null },
    { what: 'a model of an unknown type', json: file({ model: { type: 'Oracle', vocab: { a: 0 } } }), config: null },
    { what: 'a model without a vocabulary', json: file({ model: { type: 'BPE' } }), config: null },
    { what: 'an unknown normalizer', json: file({ normalizer: { type: 'Oracle' } }), config: null },
    { what: 'a broken configuration', json: file(), config: '{"bos_token": ' },
    { what: 'a configuration of the wrong shape', json: file(), config: '{"bos_token": 7}' },
  ])('is refused with a reason: $what', async ({ json, config }) => {
    const tokenizer = await openTokenizer(json, config);
    expect(tokenizer).toMatchObject({ ok: false, error: { code: 'tokenizer-invalid' } });
    expect(!tokenizer.ok && tokenizer.error.message.length > 20 && tokenizer.error.details.length > 0).toBe(true);
  });
});
