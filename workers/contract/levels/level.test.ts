import fc from 'fast-check';
import { expect, test } from 'vitest';
import { choicesAt, formatLevel, formatValue, normalize, parseLevel, readPatterns, settingsOf } from './level.ts';
import { LEVEL_IDS, SCHEMES } from './registry.ts';

test.each([
  ['int8', { id: 'int8', settings: {} }],
  ['int4:block=128,asymmetric,embedding', { id: 'int4', settings: { block: 128, asymmetric: true, embedding: true } }],
  ['int4:head=keep', { id: 'int4', settings: { head: 'keep' } }],
  ['int4:asymmetric=false', { id: 'int4', settings: {} }],
  ['int4:embedding=tokens', { id: 'int4', settings: { embedding: 'tokens' } }],
  ['int8:source=original', { id: 'int8', settings: { source: 'original' } }],
  [
    'int4:override=lm_head*=int8|a=b=int4',
    {
      id: 'int4',
      settings: {
        override: [
          { name: 'lm_head*', to: 'int8' },
          { name: 'a=b', to: 'int4' },
        ],
      },
    },
  ],
  ['q4f16:block=16', { id: 'q4f16', settings: { block: 16 } }],
])('reads %s', (text, level) => {
  expect(parseLevel(text)).toEqual({ ok: true, value: level });
});

test.each([
  ['int5', 'level-unknown'],
  ['', 'level-unknown'],
  ['constructor', 'level-unknown'],
  ['int4:block=48', 'level-invalid'],
  ['int4:block', 'level-invalid'],
  ['int4:blocks=32', 'level-invalid'],
  ['int4:', 'level-invalid'],
  ['int8:block=32', 'level-invalid'],
  ['fp16:embedding', 'level-invalid'],
  ['int4:head=drop', 'level-invalid'],
  ['int4:asymmetric,asymmetric', 'level-invalid'],
  ['int4:__proto__=1', 'level-invalid'],
  ['int4:embedding=yes', 'level-invalid'],
  ['int4:override=w', 'level-invalid'],
  ['int4:override=w=fp16', 'level-invalid'],
  ['int4:override==int8', 'level-invalid'],
  ['int4:override', 'level-invalid'],
  ['q4f16:mode=dequantize', 'level-invalid'],
])('refuses %s as %s', (text, code) => {
  const level = parseLevel(text);
  expect(level.ok ? 'ok' : level.error.code).toBe(code);
});

test('what is written is read back, with defaults left out', () => {
  const settings = fc.record(
    {
      block: fc.constantFrom(16, 32, 64, 128, 256),
      asymmetric: fc.boolean(),
      head: fc.constant('keep'),
      embedding: fc.constantFrom(true, false, 'tokens' as const),
      source: fc.constant('original'),
      override: fc.array(fc.record({ name: fc.stringMatching(/^[a-z*?=./]+$/), to: fc.constantFrom('int4', 'int8') }), {
        minLength: 1,
        maxLength: 3,
      }),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Parameters<typeof formatLevel>[0]['settings']>;
  fc.assert(
    fc.property(settings, (given) => {
      const level = parseLevel(formatLevel({ id: 'int4', settings: given }));
      if (!level.ok) throw new Error(level.error.message);
      expect(SCHEMES.int4.resolve(level.value.settings)).toEqual(SCHEMES.int4.resolve(given));
      expect(formatLevel(level.value)).toBe(formatLevel({ id: 'int4', settings: given }));
    }),
  );
});

test('every value of every setting is read back as it is written', () => {
  for (const id of LEVEL_IDS)
    for (const key of settingsOf(id))
      for (const { value } of choicesAt(id, key)) {
        const level = parseLevel(`${id}:${formatValue(key, value)}`);
        expect(level).toEqual({ ok: true, value: { id, settings: normalize(id, { [key]: value }) } });
      }
});

test('settings that a level does not take are dropped, and so are defaults', () => {
  expect(normalize('int4', { mode: 'dynamic', exclude: [] })).toEqual({});
  expect(normalize('uint8', { block: 64, asymmetric: true, head: 'keep' })).toEqual({ head: 'keep' });
  expect(normalize('int4', { block: 32, head: 'quantize', source: 'baseline', mode: 'blocks' })).toEqual({});
});

test('patterns are typed with commas or spaces between them', () => {
  expect(readPatterns(' lm_head*, model.layers.0.* lm_head* ')).toEqual(['lm_head*', 'model.layers.0.*']);
  expect(readPatterns(' ,')).toEqual([]);
});
