import { describe, expect, it } from 'vitest';
import { feedData, recogniseSignature, type Feed, type ValueInfo } from './inputs.ts';

type Shape = (number | string)[];
const value = (name: string, type: string, shape: Shape): ValueInfo => ({ name, isTensor: true, type, shape });
const ids = (shape: Shape = ['batch_size', 'sequence_length'], type = 'int64') => value('input_ids', type, shape);
const logits = (shape: Shape = ['batch_size', 'sequence_length', 4096], type = 'float32') =>
  value('logits', type, shape);
const feed = (name: string, type: Feed['type'], fill: Feed['fill'], dims: Feed['dims']): Feed => ({
  name,
  type,
  fill,
  dims,
});

const cache = (name: string, type: string, shape: Shape) => value(name, type, shape);
const idsFeed = feed('input_ids', 'int64', 'ids', [1, 'window']);
const maskFeed = feed('attention_mask', 'int64', 'mask', [1, 'window']);
const positionsFeed = feed('position_ids', 'int64', 'positions', [1, 'window']);
const mask = value('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
const positions = value('position_ids', 'int64', ['batch_size', 'sequence_length']);

/** Inputs as exporters name them, and how each must be fed. */
const EXPORTS: { from: string; inputs: ValueInfo[]; feeds: Feed[]; window?: number }[] = [
  { from: 'nothing but ids', inputs: [value('input_ids', 'int64', ['batch', 'sequence'])], feeds: [idsFeed] },
  {
    from: 'nanoGPT through torch.onnx',
    inputs: [value('idx', 'int64', [1, 'n'])],
    feeds: [feed('idx', 'int64', 'ids', [1, 'window'])],
  },
  {
    from: 'a nameless input',
    inputs: [value('onnx::Gather_0', 'int32', ['a', 'b'])],
    feeds: [feed('onnx::Gather_0', 'int32', 'ids', [1, 'window'])],
  },
  {
    from: 'optimum and transformers.js',
    inputs: [
      ids(),
      mask,
      positions,
      cache('past_key_values.0.key', 'float16', ['batch_size', 2, 'past_sequence_length', 64]),
      cache('past_key_values.0.value', 'float16', ['batch_size', 2, 'past_sequence_length', 64]),
    ],
    feeds: [
      idsFeed,
      maskFeed,
      positionsFeed,
      feed('past_key_values.0.key', 'float16', 'zeros', [1, 2, 0, 64]),
      feed('past_key_values.0.value', 'float16', 'zeros', [1, 2, 0, 64]),
    ],
  },
  {
    from: 'optimum with both branches in one graph',
    inputs: [
      ids(),
      value('attention_mask', 'int64', ['batch_size', 'attention_mask_sequence_length']),
      cache('past_key_values.0.key', 'float32', ['batch_size', 12, 'past_decoder_sequence_length', 64]),
      value('use_cache_branch', 'bool', [1]),
    ],
    feeds: [
      idsFeed,
      maskFeed,
      feed('past_key_values.0.key', 'float32', 'zeros', [1, 12, 0, 64]),
      feed('use_cache_branch', 'bool', 'use-cache', [1]),
    ],
  },
  {
    from: 'optimum with logits to keep',
    inputs: [ids(), value('num_logits_to_keep', 'int64', [])],
    feeds: [idsFeed, feed('num_logits_to_keep', 'int64', 'keep', [])],
  },
  {
    from: 'onnxruntime-genai',
    inputs: [
      ids(['batch_size', 'sequence_length'], 'int32'),
      value('attention_mask', 'int32', ['batch_size', 'total_sequence_length']),
      cache('past_key_0', 'float16', ['batch_size', 8, 'past_sequence_length', 128]),
      cache('past_value_0', 'float16', ['batch_size', 8, 'past_sequence_length', 128]),
    ],
    feeds: [
      feed('input_ids', 'int32', 'ids', [1, 'window']),
      feed('attention_mask', 'int32', 'mask', [1, 'window']),
      feed('past_key_0', 'float16', 'zeros', [1, 8, 0, 128]),
      feed('past_value_0', 'float16', 'zeros', [1, 8, 0, 128]),
    ],
  },
  {
    from: 'onnxruntime-genai with lengths in place of a mask',
    inputs: [
      ids(),
      value('seqlens_k', 'int32', ['batch_size']),
      value('total_sequence_length', 'int32', []),
      value('past_sequence_length', 'int32', [1]),
    ],
    feeds: [
      idsFeed,
      feed('seqlens_k', 'int32', 'last', [1]),
      feed('total_sequence_length', 'int32', 'length', []),
      feed('past_sequence_length', 'int32', 'past', [1]),
    ],
  },
  {
    from: "onnxruntime's GPT-2 converter: keys and values in one",
    inputs: [
      ids(),
      positions,
      value('attention_mask', 'float32', ['batch_size', 'total_seq_len']),
      cache('past_0', 'float32', [2, 'batch_size', 12, 'past_seq_len', 64]),
    ],
    feeds: [
      idsFeed,
      positionsFeed,
      feed('attention_mask', 'float32', 'mask', [1, 'window']),
      feed('past_0', 'float32', 'zeros', [2, 1, 12, 0, 64]),
    ],
  },
  {
    from: 'one cache for key and value (multi-query)',
    inputs: [ids(), cache('past_key_values.0.key_value', 'float32', ['batch_size', 'past_sequence_length', 256])],
    feeds: [idsFeed, feed('past_key_values.0.key_value', 'float32', 'zeros', [1, 0, 256])],
  },
  {
    from: 'tokens before the batch',
    inputs: [ids(), cache('past_key_values.0.key', 'float16', ['past_seq_len', 'batch_size', 2, 128])],
    feeds: [idsFeed, feed('past_key_values.0.key', 'float16', 'zeros', [0, 1, 2, 128])],
  },
  {
    from: 'torch.export, whose free dimensions have no names',
    inputs: [
      ids(['s77', 's27']),
      cache('past.0.key', 'float32', ['s77', 4, 's9', 32]),
      cache('cache_v_0', 'float32', [1, 4, 's9', 32]),
    ],
    feeds: [
      idsFeed,
      feed('past.0.key', 'float32', 'zeros', [1, 4, 0, 32]),
      feed('cache_v_0', 'float32', 'zeros', [1, 4, 0, 32]),
    ],
  },
  {
    from: 'a quantized cache',
    inputs: [ids(), cache('past_key_values.0.key', 'uint8', ['batch_size', 8, 'past_sequence_length', 64])],
    feeds: [idsFeed, feed('past_key_values.0.key', 'uint8', 'zeros', [1, 8, 0, 64])],
  },
  {
    from: 'a convolution between attention layers',
    inputs: [
      ids(),
      cache('past_conv.0', 'float32', ['batch_size', 1024, 3]),
      cache('past_key_values.2.key', 'float32', ['batch_size', 8, 'past_sequence_length', 64]),
    ],
    feeds: [
      idsFeed,
      feed('past_conv.0', 'float32', 'zeros', [1, 1024, 3]),
      feed('past_key_values.2.key', 'float32', 'zeros', [1, 8, 0, 64]),
    ],
  },
  {
    from: 'positions for time, height and width',
    inputs: [ids(), value('position_ids', 'int64', [3, 'batch_size', 'sequence_length'])],
    feeds: [idsFeed, feed('position_ids', 'int64', 'positions', [3, 1, 'window'])],
  },
  {
    from: 'positions without a batch',
    inputs: [ids(), value('cache_position', 'int64', ['sequence_length'])],
    feeds: [idsFeed, feed('cache_position', 'int64', 'positions', ['window'])],
  },
  {
    from: 'segment ids',
    inputs: [ids(), value('token_type_ids', 'int64', ['batch_size', 'sequence_length'])],
    feeds: [idsFeed, feed('token_type_ids', 'int64', 'zeros', [1, 'window'])],
  },
  {
    from: 'optimum: Bloom, with batch and heads in one dimension and keys turned round',
    inputs: [
      ids(),
      mask,
      cache('past_key_values.0.key', 'float32', ['batch_size x num_heads', 16, 'past_sequence_length']),
      cache('past_key_values.0.value', 'float32', ['batch_size x num_heads', 'past_sequence_length', 16]),
    ],
    feeds: [
      idsFeed,
      maskFeed,
      feed('past_key_values.0.key', 'float32', 'zeros', [1, 16, 0]),
      feed('past_key_values.0.value', 'float32', 'zeros', [1, 0, 16]),
    ],
  },
  {
    from: 'a product of which one factor is a number',
    inputs: [
      ids(),
      cache('past_key_values.0.key', 'float32', ['batch_size * 12', 16, 'past_sequence_length']),
      cache('past_key_values.0.value', 'float32', ['12*batch', 'past_sequence_length', 16]),
    ],
    feeds: [
      idsFeed,
      feed('past_key_values.0.key', 'float32', 'zeros', [12, 16, 0]),
      feed('past_key_values.0.value', 'float32', 'zeros', [12, 0, 16]),
    ],
  },
  {
    from: 'Falcon: one head for keys and values, with an axis of its own or without',
    inputs: [
      ids(),
      mask,
      cache('past_key_values.0.key', 'float32', ['batch_size', 1, 'past_sequence_length', 64]),
      cache('past_key_values.1.key', 'float32', ['batch_size', 'past_sequence_length', 64]),
    ],
    feeds: [
      idsFeed,
      maskFeed,
      feed('past_key_values.0.key', 'float32', 'zeros', [1, 1, 0, 64]),
      feed('past_key_values.1.key', 'float32', 'zeros', [1, 0, 64]),
    ],
  },
  {
    from: 'a number of heads that has only a name',
    inputs: [
      ids(),
      cache('past_key_values.0.key', 'float32', ['batch_size', 'num_heads', 'past_sequence_length', 'head_dim']),
    ],
    feeds: [idsFeed, feed('past_key_values.0.key', 'float32', 'zeros', [1, 1, 0, 1])],
  },
  {
    from: 'a mask as long as the cache and one token',
    inputs: [
      ids(),
      value('attention_mask', 'int64', ['batch_size', 'past_sequence_length + 1']),
      cache('past_key_values.0.key', 'float32', ['batch_size', 4, 'past_sequence_length + 0', 64]),
    ],
    feeds: [idsFeed, maskFeed, feed('past_key_values.0.key', 'float32', 'zeros', [1, 4, 0, 64])],
  },
  {
    from: 'all layers in one tensor, keys and values too',
    inputs: [ids(), cache('past_key_values', 'float16', [24, 2, 'batch', 8, 'past_len', 64])],
    feeds: [idsFeed, feed('past_key_values', 'float16', 'zeros', [24, 2, 1, 8, 0, 64])],
  },
  {
    from: 'a cache for two sequences at once',
    inputs: [ids(), mask, cache('past_key_values.0.key', 'float32', [2, 4, 'past_sequence_length', 16])],
    feeds: [
      feed('input_ids', 'int64', 'ids', [2, 'window']),
      feed('attention_mask', 'int64', 'mask', [2, 'window']),
      feed('past_key_values.0.key', 'float32', 'zeros', [2, 4, 0, 16]),
    ],
  },
  {
    from: 'everything in int32, and a switch that is a number',
    inputs: [
      ids(undefined, 'int32'),
      value('attention_mask', 'int32', ['batch_size', 'total']),
      value('position_ids', 'int32', ['batch_size', 'sequence_length']),
      value('use_cache_branch', 'int32', [1]),
    ],
    feeds: [
      feed('input_ids', 'int32', 'ids', [1, 'window']),
      feed('attention_mask', 'int32', 'mask', [1, 'window']),
      feed('position_ids', 'int32', 'positions', [1, 'window']),
      feed('use_cache_branch', 'int32', 'use-cache', [1]),
    ],
  },
  {
    from: 'four positions for a token',
    inputs: [ids(), value('position_ids', 'int64', [4, 'batch_size', 'sequence_length'])],
    feeds: [idsFeed, feed('position_ids', 'int64', 'positions', [4, 1, 'window'])],
  },
  {
    from: 'fixed shapes',
    inputs: [ids([2, 128]), value('attention_mask', 'bool', [2, 128])],
    feeds: [feed('input_ids', 'int64', 'ids', [2, 'window']), feed('attention_mask', 'bool', 'mask', [2, 'window'])],
    window: 128,
  },
  {
    from: 'a fixed mask',
    inputs: [ids(), value('attention_mask', 'int64', [1, 256])],
    feeds: [idsFeed, maskFeed],
    window: 256,
  },
];

describe('inputs of', () => {
  it.each(EXPORTS)('$from', ({ inputs, feeds, window }) => {
    const found = recogniseSignature(inputs, [logits()]);
    expect(found).toEqual({
      ok: true,
      value: { feeds, window: window ?? null, logits: { name: 'logits', type: 'float32', vocabulary: 4096 } },
    });
  });

  it.each<{ what: string; input: ValueInfo }>([
    {
      what: 'hidden states of an encoder',
      input: value('encoder_hidden_states', 'float32', ['batch_size', 'encoder_sequence_length', 512]),
    },
    {
      what: "an encoder's cache",
      input: cache('past_key_values.0.encoder.key', 'float32', ['batch_size', 8, 'encoder_sequence_length_out', 64]),
    },
    { what: 'an image', input: value('pixel_values', 'float32', ['batch_size', 3, 224, 224]) },
    { what: 'embeddings', input: value('inputs_embeds', 'float32', ['batch_size', 'sequence_length', 576]) },
    { what: 'a cache of fixed length', input: cache('past_key_values.0.key', 'float32', [1, 8, 128, 64]) },
    {
      what: 'a cache whose free dimensions have no names',
      input: cache('past_key_values.0.key', 'float32', ['', '', '', 64]),
    },
    {
      what: 'a cache of an unknown element type',
      input: cache('past_key_values.0.key', 'float64', ['batch_size', 8, 'past_sequence_length', 64]),
    },
    {
      what: 'a mask over pairs of positions',
      input: value('attention_mask', 'float32', ['batch_size', 1, 'sequence_length', 'total_sequence_length']),
    },
    { what: 'something never heard of', input: value('temperature', 'float32', [1]) },
    { what: 'a sequence', input: { name: 'past_key_values.0.key', isTensor: false } },
  ])('with $what cannot be fed, and the input is named', ({ input }) => {
    const found = recogniseSignature([ids(), input], [logits()]);
    expect(found).toMatchObject({ ok: false, error: { code: 'inputs-unknown' } });
    expect(!found.ok && found.error.message).toContain(`"${input.name}"`);
  });

  it('are filled for as many sequences at once as are asked for, where the graph leaves their number free', () => {
    const rows = (inputs: ValueInfo[]) => {
      const found = recogniseSignature(inputs, [logits()], 2);
      return found.ok ? found.value.feeds.map(({ dims }) => dims) : null;
    };
    expect(
      rows([
        ids(),
        positions,
        value('past_sequence_length', 'int32', [1]),
        value('seqlens_k', 'int32', ['batch_size']),
        cache('past.0.key', 'float32', ['batch_size', 2, 'past_sequence_length', 64]),
        cache('past.1.key', 'float32', ['batch_size x num_heads', 64, 'past_sequence_length']),
        cache('past_conv.2', 'float32', ['batch_size', 8, 3]),
      ]),
    ).toEqual([[2, 'window'], [2, 'window'], [1], [2], [2, 2, 0, 64], [2, 64, 0], [2, 8, 3]]);
    expect(rows([ids([1, 'sequence_length'])])).toEqual([[1, 'window']]);
  });

  it('of an encoder-decoder model are told from those that are merely unknown', () => {
    const message = (input: ValueInfo) => {
      const found = recogniseSignature([ids(), input], [logits()]);
      return found.ok ? '' : found.error.message;
    };
    const stranger = message(value('temperature', 'float32', [1]));
    for (const input of [
      value('encoder_hidden_states', 'float32', ['b', 's', 64]),
      value('decoder_input_ids', 'int64', ['b', 's']),
      cache('past_key_cross_0', 'float32', ['b', 8, 'encoder_len', 64]),
    ]) {
      expect(message(input)).toContain(`"${input.name}"`);
      expect(message(input).replace(input.name, '')).not.toBe(stranger.replace('temperature', ''));
    }
  });

  it('that take one token at a time cannot be fed windows', () => {
    expect(recogniseSignature([ids([1, 1])], [logits()])).toMatchObject({
      ok: false,
      error: { code: 'inputs-unknown' },
    });
  });

  it('without token ids are not those of a language model', () => {
    const image = value('pixel_values', 'float32', ['batch', 3, 224, 224]);
    expect(recogniseSignature([image], [logits(['batch', 1000])])).toMatchObject({
      ok: false,
      error: { code: 'not-a-language-model' },
    });
  });
});

describe('logits', () => {
  const present = value('present.0.key', 'float32', ['batch_size', 2, 'total_sequence_length', 64]);
  it.each<{ what: string; outputs: ValueInfo[]; found: unknown }>([
    {
      what: 'are the output of that name',
      outputs: [present, logits()],
      found: { name: 'logits', type: 'float32', vocabulary: 4096 },
    },
    {
      what: 'may be fp16',
      outputs: [logits(['b', 's', 32], 'float16')],
      found: { name: 'logits', type: 'float16', vocabulary: 32 },
    },
    {
      what: 'may have a free last dimension',
      outputs: [logits(['b', 's', 'v'])],
      found: { name: 'logits', type: 'float32', vocabulary: null },
    },
    {
      what: 'may be called something with logits',
      outputs: [value('lm_logits', 'float32', ['b', 's', 7]), value('hidden', 'float32', ['b', 's', 9])],
      found: { name: 'lm_logits', type: 'float32', vocabulary: 7 },
    },
    {
      what: 'are the only output of rank 3',
      outputs: [present, value('output_0', 'float32', ['b', 's', 7])],
      found: { name: 'output_0', type: 'float32', vocabulary: 7 },
    },
    {
      what: 'may have an unknown shape',
      outputs: [logits([])],
      found: { name: 'logits', type: 'float32', vocabulary: null },
    },
  ])('$what', ({ outputs, found }) => {
    expect(recogniseSignature([ids()], outputs)).toMatchObject({ ok: true, value: { logits: found } });
  });

  it.each<{ what: string; outputs: ValueInfo[] }>([
    { what: 'hidden states only', outputs: [value('last_hidden_state', 'float32', ['b', 's', 768])] },
    { what: 'a cache only', outputs: [present] },
    { what: 'integers', outputs: [logits(['b', 's', 7], 'int64')] },
    { what: 'two candidates', outputs: [value('a', 'float32', ['b', 's', 7]), value('b', 'float32', ['b', 's', 7])] },
  ])('are missed with $what', ({ outputs }) => {
    expect(recogniseSignature([ids()], outputs)).toMatchObject({ ok: false, error: { code: 'not-a-language-model' } });
  });
});

describe('feed data', () => {
  const tokens = Int32Array.of(7, 8, 9);

  it('has ids, mask and positions, padded to the window', () => {
    expect(feedData(idsFeed, tokens, 4)).toEqual({ data: BigInt64Array.of(7n, 8n, 9n, 0n), dims: [1, 4] });
    expect(feedData(maskFeed, tokens, 4)).toEqual({ data: BigInt64Array.of(1n, 1n, 1n, 0n), dims: [1, 4] });
    expect(feedData(positionsFeed, tokens, 4)).toEqual({ data: BigInt64Array.of(0n, 1n, 2n, 3n), dims: [1, 4] });
  });

  it('repeats the window for each row of a fixed batch', () => {
    expect(feedData(feed('x', 'int32', 'ids', [2, 'window']), tokens, 3)).toEqual({
      data: Int32Array.of(7, 8, 9, 7, 8, 9),
      dims: [2, 3],
    });
    expect(feedData(feed('x', 'int64', 'positions', [3, 1, 'window']), tokens, 3).data).toEqual(
      BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n, 0n, 1n, 2n),
    );
  });

  it('writes masks in any element type', () => {
    const maskOf = (type: Feed['type']) => feedData(feed('m', type, 'mask', [1, 'window']), Int32Array.of(5), 2).data;
    expect(maskOf('bool')).toEqual(Uint8Array.of(1, 0));
    expect(maskOf('float32')).toEqual(Float32Array.of(1, 0));
    expect(maskOf('float16')).toEqual(Uint16Array.of(0x3c00, 0));
  });

  it('gives lengths as scalars', () => {
    expect(feedData(feed('n', 'int32', 'length', []), tokens, 3)).toEqual({ data: Int32Array.of(3), dims: [] });
    expect(feedData(feed('n', 'int32', 'last', [1]), tokens, 3)).toEqual({ data: Int32Array.of(2), dims: [1] });
  });

  it('counts on from the tokens in the cache', () => {
    const next = Int32Array.of(5);
    const data = (type: Feed['type'], fill: Feed['fill'], dims: Feed['dims'], keep = 0) =>
      feedData(feed('x', type, fill, dims), next, 1, 3, keep);
    expect(data('int64', 'ids', [1, 'window'])).toEqual({ data: BigInt64Array.of(5n), dims: [1, 1] });
    expect(data('int64', 'mask', [1, 'window'])).toEqual({ data: BigInt64Array.of(1n, 1n, 1n, 1n), dims: [1, 4] });
    expect(data('int32', 'positions', [3, 1, 'window'])).toEqual({ data: Int32Array.of(3, 3, 3), dims: [3, 1, 1] });
    expect(data('int32', 'length', []).data).toEqual(Int32Array.of(4));
    expect(data('int32', 'last', [1]).data).toEqual(Int32Array.of(3));
    expect(data('int32', 'past', [1]).data).toEqual(Int32Array.of(3));
    expect(data('bool', 'use-cache', [1]).data).toEqual(Uint8Array.of(1));
    expect(feedData(feed('x', 'bool', 'use-cache', [1]), next, 1).data).toEqual(Uint8Array.of(0));
    expect(data('int64', 'keep', [], 1).data).toEqual(BigInt64Array.of(1n));
  });

  it('has nothing in an empty cache and zeros in a state', () => {
    expect(feedData(feed('k', 'float16', 'zeros', [1, 2, 0, 64]), tokens, 3)).toEqual({
      data: new Uint16Array(0),
      dims: [1, 2, 0, 64],
    });
    expect(feedData(feed('c', 'float32', 'zeros', [1, 2, 3]), tokens, 3)).toEqual({
      data: new Float32Array(6),
      dims: [1, 2, 3],
    });
  });
});
