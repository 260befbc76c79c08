import * as native from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { version } from '../../package.json';
import { tinyLanguageModel } from '../../models/build.ts';
import { quantize, scanBytes } from '../test-support.ts';

const FINGERPRINT = 'ab'.repeat(32);
const MODEL = tinyLanguageModel({ vocabulary: 128, width: 64, hidden: 96, type: 'float32', tied: false });
const HALF = tinyLanguageModel({ vocabulary: 128, width: 64, hidden: 96, type: 'float16', tied: false });

const written = async (bytes: Uint8Array) =>
  Object.fromEntries((await scanBytes(bytes)).metadata.map(({ key, value }) => [key, value]));

describe('a written model says where it comes from', () => {
  test.each<[string, object]>([
    ['fp16', {}],
    [
      'int4:block=64,asymmetric',
      { block: 64, asymmetric: true, head: 'quantize', embedding: false, source: 'baseline' },
    ],
    [
      'uint8:exclude=a|b',
      { head: 'quantize', embedding: false, source: 'baseline', mode: 'dynamic', exclude: ['a', 'b'] },
    ],
  ])('%s', async (level, settings) => {
    const { bytes, plan } = await quantize(MODEL, level, undefined, { fingerprint: FINGERPRINT });
    expect(plan.bytes).toBe(bytes.length);
    const { 'nibble.settings': given, ...rest } = await written(bytes);
    expect(JSON.parse(given ?? '')).toEqual(settings);
    expect(rest).toEqual({
      'nibble.version': version,
      'nibble.level': level,
      'nibble.source_fingerprint': FINGERPRINT,
    });
    await (await native.InferenceSession.create(bytes)).release();
  });

  test('of the same size whatever the fingerprint, and nothing else differs', async () => {
    const { bytes } = await quantize(MODEL, 'int4', undefined, { fingerprint: FINGERPRINT });
    const { plan } = await quantize(MODEL, 'int4', undefined, { fingerprint: '0'.repeat(64) });
    const { bytes: without } = await quantize(MODEL, 'int4');
    expect(plan.bytes).toBe(bytes.length);
    expect(bytes.subarray(0, without.length)).toEqual(without);
  });

  test('once only: what an earlier run said goes', async () => {
    const first = await quantize(MODEL, 'fp16', undefined, { fingerprint: '0'.repeat(64) });
    const { bytes } = await quantize(first.bytes, 'int4', undefined, { fingerprint: FINGERPRINT });
    const { metadata } = await scanBytes(bytes);
    expect(metadata.map(({ key }) => key)).toEqual([
      'nibble.version',
      'nibble.level',
      'nibble.settings',
      'nibble.source_fingerprint',
    ]);
    expect((await written(bytes))['nibble.source_fingerprint']).toBe(FINGERPRINT);
  });

  test('a level that changes nothing is the file itself', async () => {
    expect((await quantize(HALF, 'fp16', undefined, { fingerprint: FINGERPRINT })).bytes).toEqual(HALF);
  });
});
