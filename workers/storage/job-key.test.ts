import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { matMulModel, randomValues, tinyLanguageModel } from '../../models/build.ts';
import { LEVEL_IDS } from '../schemes/registry.ts';
import { quantize } from '../test-support.ts';
import { isKey, levelKey, measurementKey, RESULT_FORMAT, type MeasurementIdentity } from './job-key.ts';

const IDENTITY: MeasurementIdentity = {
  model: { name: 'm.onnx', fingerprint: 'a' }, levels: ['fp16', 'int4'], text: { name: 't', content: 'text' }, tokenizer: { json: '{}', config: null }, inputs: [],
  protocol: undefined, maxTokens: null, extras: undefined, provider: undefined, threads: 1,
};

describe('keys', () => {
  test('are the same for the same work', async () => {
    expect(await levelKey('a', 'int4')).toBe(await levelKey('a', 'int4'));
    expect(await measurementKey({ ...IDENTITY, protocol: { name: 'llama.cpp' }, extras: { speed: false } })).toBe(await measurementKey(IDENTITY));
    expect(isKey(await measurementKey(IDENTITY))).toBe(true);
  });

  test.each<[string, Partial<MeasurementIdentity>]>([
    ['model', { model: { name: 'm.onnx', fingerprint: 'b' } }], ['name', { model: { name: 'n.onnx', fingerprint: 'a' } }], ['levels', { levels: ['fp16', 'int8'] }],
    ['text', { text: { name: 't', content: 'texts' } }], ['no text', { text: null }], ['tokenizer', { tokenizer: { json: '{ }', config: null } }],
    ['tokenizer configuration', { tokenizer: { json: '{}', config: '{}' } }], ['inputs', { inputs: [{ name: 'i', fingerprint: 'i' }] }], ['protocol', { protocol: { name: 'gptq' } }],
    ['context', { protocol: { name: 'llama.cpp', context: 128 } }], ['stride', { protocol: { name: 'llama.cpp', stride: 128 } }], ['tokens', { maxTokens: 512 }],
    ['extras', { extras: { words: true } }], ['provider', { provider: 'webgpu' }], ['threads', { threads: 2 }],
  ])('differ with the %s', async (_, change) => {
    expect(await measurementKey({ ...IDENTITY, ...change })).not.toBe(await measurementKey(IDENTITY));
  });

  test('parts cannot run into each other', async () => {
    expect(await levelKey('a', 'b","c')).not.toBe(await levelKey('a","b', 'c'));
  });
});

/**
 * The bytes of this format. When this fails because files are written differently now, on purpose: raise
 * `RESULT_FORMAT`, so that files stored before are not taken for these, and put the new digest here.
 */
test('the format is raised when files come out differently', async () => {
  const models = [
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }),
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float16', tied: false }),
    matMulModel(randomValues(1, 70 * 64), 70, 64),
  ];
  const digest = createHash('sha256');
  for (const model of models) for (const level of [...LEVEL_IDS, 'int4:block=16,asymmetric,embedding']) digest.update((await quantize(model, level)).bytes);
  expect({ format: RESULT_FORMAT, digest: digest.digest('hex') }).toEqual({ format: 2, digest: '1f8fb0c56d54f430f544a64b8cd5a854a7c2939fc16cfb7e85a2beeab71ec74d' });
});
