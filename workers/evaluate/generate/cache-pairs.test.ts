import { describe, expect, it } from 'vitest';
import { pairCaches } from './cache-pairs.ts';
import type { Feed, ValueInfo } from '../inputs.ts';

const cache = (name: string, dims: Feed['dims'] = [1, 2, 0, 64], type: Feed['type'] = 'float32'): Feed => ({
  name,
  type,
  fill: 'zeros',
  dims,
});
const output = (name: string, shape: (number | string)[] = ['batch', 2, 'total', 64], type = 'float32'): ValueInfo => ({
  name,
  isTensor: true,
  type,
  shape,
});
const ids: Feed = { name: 'input_ids', type: 'int64', fill: 'ids', dims: [1, 'window'] };
const segments: Feed = { name: 'token_type_ids', type: 'int64', fill: 'zeros', dims: [1, 'window'] };
const pairs = (feeds: Feed[], outputs: ValueInfo[]) =>
  pairCaches([ids, ...feeds], [output('logits', ['b', 's', 64]), ...outputs], 'logits')?.map(
    ({ feed, output: name }) => `${feed.name} ← ${name}`,
  ) ?? null;

describe('what is fed back', () => {
  it.each<[string, string[], string[]]>([
    [
      'optimum and transformers.js',
      ['past_key_values.0.key', 'past_key_values.0.value', 'past_key_values.1.key'],
      ['present.0.key', 'present.0.value', 'present.1.key'],
    ],
    ['optimum, encoder-decoder spelling', ['past_key_values.0.decoder.key'], ['present.0.decoder.key']],
    ['onnxruntime-genai', ['past_key_0', 'past_value_0'], ['present_key_0', 'present_value_0']],
    ['onnxruntime GPT-2', ['past_0', 'past_1'], ['present_0', 'present_1']],
    ['both called key_values', ['past_key_values.0.key'], ['present_key_values.0.key']],
    ['a cache and the new one', ['k_cache_0', 'v_cache_0'], ['new_k_cache_0', 'new_v_cache_0']],
    ['in and out', ['cache_k_0_in', 'cache_v_0_in'], ['cache_k_0_out', 'cache_v_0_out']],
  ])('%s', (_, inputs, outputs) => {
    const expected = inputs.map((name, index) => `${name} ← ${outputs[index] ?? ''}`);
    expect(
      pairs(
        inputs.map((name) => cache(name)),
        outputs.map((name) => output(name)),
      ),
    ).toEqual(expected);
    // By name, so in any order.
    expect(
      pairs(
        inputs.map((name) => cache(name)),
        outputs.map((name) => output(name)).reverse(),
      ),
    ).toEqual(expected);
  });

  it('states keep their size', () => {
    expect(
      pairs(
        [cache('past_conv.0', [1, 64, 3]), cache('past_key_values.1.key')],
        [output('present_conv.0', ['b', 64, 3]), output('present.1.key')],
      ),
    ).toEqual(['past_conv.0 ← present_conv.0', 'past_key_values.1.key ← present.1.key']);
    expect(pairs([cache('past_conv.0', [1, 64, 3])], [output('present_conv.0', ['b', 64, 4])])).toBeNull();
  });

  it('nameless outputs are taken in order when they are as many', () => {
    expect(pairs([cache('past.0.key'), cache('past.0.value')], [output('add_17'), output('add_21')])).toEqual([
      'past.0.key ← add_17',
      'past.0.value ← add_21',
    ]);
    expect(
      pairs([cache('past.0.key'), cache('past.0.value')], [output('add_17'), output('add_21'), output('add_25')]),
    ).toBeNull();
  });

  it('a cache without an output cannot be fed back', () => {
    expect(pairs([cache('past.0.key')], [])).toBeNull();
    expect(pairs([cache('past.0.key')], [output('present.0.key', ['batch', 2, 'total', 64], 'float16')])).toBeNull();
  });

  it('zeros for each token are no cache', () => {
    expect(pairs([segments], [])).toEqual([]);
  });
});
