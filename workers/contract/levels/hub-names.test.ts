import { expect, test } from 'vitest';
import { hubNames, hubStem, namedLevel } from './hub-names.ts';
import { dtypeSuffix, levelSuffix } from './file-name.ts';
import { choicesAt, formatValue, parseLevel, settingsOf } from './level.ts';
import { LEVEL_IDS } from './registry.ts';

const named = (source: string, levels: readonly string[]) =>
  hubNames(
    source,
    levels.map((level) => namedLevel(level, undefined)),
  );

test.each([
  [
    ['q4f16', 'q4f16:block=64'],
    ['model_q4f16.onnx', 'model_q4f16_block64.onnx'],
  ],
  [
    ['q4f16:block=64', 'q4f16'],
    ['model_q4f16_block64.onnx', 'model_q4f16.onnx'],
  ],
  [
    ['fp16', 'int8', 'int4', 'q4f16', 'uint8'],
    ['model_fp16.onnx', 'model_int8.onnx', 'model_q4.onnx', 'model_q4f16.onnx', 'model_uint8.onnx'],
  ],
  [['int8:mode=dynamic'], ['model_quantized.onnx']],
])('%j are called %j', (levels, names) => {
  expect(named('tiny.onnx', levels)).toEqual(names);
});

test.each([
  [['int4:block=128'], ['model_q4.onnx']],
  [
    ['int4:block=128', 'int4:asymmetric', 'q4f16:block=128'],
    ['model_q4.onnx', 'model_q4_asymmetric.onnx', 'model_q4f16.onnx'],
  ],
  [
    ['int8:mode=dequantize', 'int8:mode=dynamic,head=keep', 'uint8:embedding'],
    ['model_int8.onnx', 'model_quantized.onnx', 'model_uint8.onnx'],
  ],
  [
    ['int8:mode=dequantize', 'int8'],
    ['model_int8_dequantize.onnx', 'model_int8.onnx'],
  ],
])('one level of a dtype has the name transformers.js looks for: %j are called %j', (levels, names) => {
  expect(named('tiny.onnx', levels)).toEqual(names);
});

test.each([
  ['model.onnx', 'model'],
  ['model_q4.onnx', 'model'],
  ['model_fp16.onnx', 'model'],
  ['foo_quantized.onnx', 'model'],
  ['a_q4_b.onnx', 'model'],
  ['', 'model'],
  ['.onnx', 'model'],
  ['decoder_model_merged.onnx', 'decoder_model_merged'],
  ['decoder_model_merged_q4f16.onnx', 'decoder_model_merged'],
  ['decoder_model_q4_block64.onnx', 'decoder_model'],
  ['onnx/Encoder_Model_FP32.ONNX', 'encoder_model'],
  ['C:\\models\\embed_tokens.onnx', 'embed_tokens'],
  // None of the names that are looked for.
  ['decoder_model_of_mine.onnx', 'model'],
  ['my_decoder_model.onnx', 'model'],
  ['modelling.onnx', 'model'],
  ['__proto__.onnx', 'model'],
])('the stem of %s is %s', (source, stem) => {
  expect(hubStem(source)).toBe(stem);
});

test('the suffix of every level begins with the one that is looked for', () => {
  for (const id of LEVEL_IDS) {
    for (const key of settingsOf(id)) {
      for (const { value } of choicesAt(id, key)) {
        const level = parseLevel(`${id}:${formatValue(key, value)}`);
        if (!level.ok) throw new Error(level.error.message);
        expect(levelSuffix(level.value).startsWith(dtypeSuffix(level.value))).toBe(true);
      }
    }
    expect(levelSuffix({ id, settings: {} })).toBe(dtypeSuffix({ id, settings: {} }));
  }
});

test('the report decides: a spelling leaves out characters of names', () => {
  const line = { suffix: levelSuffix({ id: 'int4', settings: { exclude: ['a,b'] } }) };
  expect(hubNames('m.onnx', [namedLevel('int4', undefined), namedLevel('int4:exclude=a?b', line)])).toEqual([
    'model_q4.onnx',
    `model${line.suffix}.onnx`,
  ]);
});

test('what is no level is an error', () => {
  expect(() => namedLevel('int3', undefined)).toThrow();
});
