import { expect, it } from 'vitest';
import { SETTINGS } from '../settings.ts';
import { choicesAt, settingOf, settingsOf } from './level.ts';
import { LEVEL_IDS, SCHEMES } from './registry.ts';
import { describeSettings, levelName, sameLevel, settingWords, spellingInWords } from './words.ts';

it.each([
  ['fp16', 'fp16'],
  ['int4:block=128,embedding=tokens', 'int4, block 128, embedding'],
  ['int4:asymmetric,head=keep,embedding', 'int4, asymmetric, head kept, all tables'],
  ['int8:mode=dequantize', 'int8, per channel'],
  ['int4:mode=dequantize,source=original', 'int4, DequantizeLinear, from float32'],
  ['int8:mode=dynamic,exclude=lm_head*|model.0', 'int8, dynamic, without lm_head* model.0'],
  ['int4:override=a=b=int8|c=int4', 'int4, a=b as int8, c as int4'],
  ['int4:later=7', 'int4, later=7'],
])('%s', (spelling, words) => {
  expect(spellingInWords(spelling)).toBe(words);
});

it('names a level by what differs from the defaults', () => {
  expect(levelName({ id: 'int4', settings: { block: 32, asymmetric: false } })).toBe('int4');
  expect(levelName({ id: 'int4', settings: { block: 128, asymmetric: true } })).toBe('int4 block 128 asymmetric');
  expect(levelName({ id: 'int8', settings: { head: 'keep', embedding: 'tokens' } })).toBe('int8 head kept embedding');
  expect(
    settingWords({ id: 'int8', settings: { mode: 'dequantize', exclude: ['lm_head*', 'a.b'], source: 'original' } }),
  ).toEqual(['per channel', 'from float32', 'without lm_head* a.b']);
});

it('takes levels for the same when they write the same file', () => {
  expect(sameLevel({ id: 'int4', settings: { block: 32 } }, { id: 'int4', settings: {} })).toBe(true);
  expect(sameLevel({ id: 'int4', settings: { block: 64 } }, { id: 'int4', settings: {} })).toBe(false);
  expect(sameLevel({ id: 'int8', settings: { mode: 'dequantize' } }, { id: 'int8', settings: {} })).toBe(false);
});

it('describes every setting, those that are fixed at the level included', () => {
  const parts = (level: Parameters<typeof describeSettings>[0]) => describeSettings(level).split(', ');
  expect(parts({ id: 'int4', settings: {} })).toEqual(['block 32', 'symmetric', 'head quantized', 'embedding kept']);
  expect(parts({ id: 'uint8', settings: {} })).toEqual(
    expect.arrayContaining(['one scale a tensor', 'asymmetric', 'activations quantized while running']),
  );
  expect(parts({ id: 'int8', settings: { mode: 'dequantize', source: 'original' } })).toEqual(
    expect.arrayContaining(['one scale a channel', 'symmetric', 'behind DequantizeLinear', 'from the float32 weights']),
  );
});

it('has words of their own for the values of every setting at every level', () => {
  for (const id of LEVEL_IDS)
    for (const key of settingsOf(id)) {
      const words = choicesAt(id, key).map((choice) => choice.words);
      expect(new Set(words).size).toBe(words.length);
    }
});

it('takes at every level a default that may be chosen', () => {
  for (const id of LEVEL_IDS)
    for (const key of settingsOf(id)) {
      const setting = settingOf(key);
      if (setting?.kind !== 'choice') continue;
      const standard = SCHEMES[id].settings[key]?.default ?? SETTINGS[key as 'block'].default;
      expect(choicesAt(id, key).map(({ value }) => value)).toContain(standard);
    }
});
