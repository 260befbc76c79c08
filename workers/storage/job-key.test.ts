import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { matMulModel, randomValues, tinyLanguageModel } from '../../models/build.ts';
import { LEVEL_IDS } from '../contract/levels/registry.ts';
import { quantize } from '../test-support.ts';
import { isKey, levelKey, measurementKey, RESULT_FORMAT, splitSpellings, type MeasurementIdentity } from './job-key.ts';

const IDENTITY: MeasurementIdentity = {
  model: { name: 'm.onnx', fingerprint: 'a' },
  levels: ['fp16', 'int4'],
  text: { name: 't', content: 'text' },
  tokenizer: { json: '{}', config: null },
  inputs: [],
  protocol: undefined,
  maxTokens: null,
  extras: undefined,
  provider: undefined,
  threads: 1,
};

describe('keys', () => {
  test('are the same for the same work', async () => {
    expect(await levelKey('a', 'int4')).toBe(await levelKey('a', 'int4'));
    expect(await measurementKey({ ...IDENTITY, protocol: { name: 'llama.cpp' }, extras: { speed: false } })).toBe(
      await measurementKey(IDENTITY),
    );
    expect(isKey(await measurementKey(IDENTITY))).toBe(true);
  });

  test.each<[string, Partial<MeasurementIdentity>]>([
    ['model', { model: { name: 'm.onnx', fingerprint: 'b' } }],
    ['name', { model: { name: 'n.onnx', fingerprint: 'a' } }],
    ['levels', { levels: ['fp16', 'int8'] }],
    ['text', { text: { name: 't', content: 'texts' } }],
    ['no text', { text: null }],
    ['tokenizer', { tokenizer: { json: '{ }', config: null } }],
    ['tokenizer configuration', { tokenizer: { json: '{}', config: '{}' } }],
    ['inputs', { inputs: [{ name: 'i', fingerprint: 'i' }] }],
    ['protocol', { protocol: { name: 'gptq' } }],
    ['context', { protocol: { name: 'llama.cpp', context: 128 } }],
    ['stride', { protocol: { name: 'llama.cpp', stride: 128 } }],
    ['tokens', { maxTokens: 512 }],
    ['extras', { extras: { words: true } }],
    ['provider', { provider: 'webgpu' }],
    ['threads', { threads: 2 }],
  ])('differ with the %s', async (_, change) => {
    expect(await measurementKey({ ...IDENTITY, ...change })).not.toBe(await measurementKey(IDENTITY));
  });

  test('of a model with a data file differ with the name of that file, which is in the model', async () => {
    const spellings = ['a_q4.onnx_data', 'b_q4.onnx_data'].flatMap((file) =>
      Object.values(splitSpellings('int4', file)),
    );
    expect(new Set(await Promise.all([...spellings, 'int4'].map((spelling) => levelKey('a', spelling)))).size).toBe(5);
  });

  test('parts cannot run into each other', async () => {
    expect(await levelKey('a', 'b","c')).not.toBe(await levelKey('a","b', 'c'));
  });
});

/**
 * The bytes of this format, level by level; a new level adds a line. When one of these fails because files are written
 * differently now, on purpose: raise `RESULT_FORMAT`, so that files stored before are not taken for these, and put the
 * new digests here.
 */
const BYTES = new Map([
  ['fp16', '734b689a649b5d00'],
  ['int8', '0d65f8955a8c0855'],
  ['int4', '2bfad6f5317a7d10'],
  ['q4f16', '940dab55b4fdf8f5'],
  ['uint8', '77df800d613da263'],
  ['int2', '0acfbc94a4c88d1b'],
  ['int4:block=16,asymmetric,embedding', '042a9c9ff60e8370'],
]);

describe('the format is raised when files come out differently', () => {
  const models = [
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }),
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float16', tied: false }),
    matMulModel(randomValues(1, 70 * 64), 70, 64),
  ];

  test('every level is here', () => {
    expect(RESULT_FORMAT).toBe(4);
    expect([...BYTES.keys()]).toEqual(expect.arrayContaining(LEVEL_IDS));
  });

  test.each([...BYTES])('%s', async (level, expected) => {
    const digest = createHash('sha256');
    for (const model of models) digest.update((await quantize(model, level)).bytes);
    expect(digest.digest('hex').slice(0, 16)).toBe(expected);
  });
});
