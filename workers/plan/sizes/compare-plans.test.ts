import { describe, expect, test } from 'vitest';
import { tinyLanguageModel, type TinyLanguageModel } from '../../../models/build.ts';
import { plan } from '../../pipeline/preview.ts';
import type { LevelPlan } from '../../contract/level-plan.ts';
import type { LevelRequest } from '../../contract/job.ts';
import { parseLevel } from '../../contract/levels/level.ts';
import { quantize } from '../../test-support.ts';

const TIED: TinyLanguageModel = { vocabulary: 256, width: 128, hidden: 16, type: 'float16', tied: true };
const TABLE_BYTES = 256 * 128 * 2;

function request(spelling: string): LevelRequest {
  const level = parseLevel(spelling);
  if (!level.ok) throw new Error(level.error.message);
  return { key: spelling, ...level.value };
}

async function planned(shape: TinyLanguageModel, spelling: string): Promise<LevelPlan> {
  const [only] = await plan([new File([tinyLanguageModel(shape)], 'model.onnx')], [request(spelling)]);
  if (!only) throw new Error('nothing was planned');
  return only;
}

describe('a table shared by Gather and, through a Transpose, by the output projection', () => {
  test.each([
    ['int8', 'int8', 256 * 128 + 256 * 4 * 2],
    ['int4', 'int4', 256 * 64 + 256 * 4 * 2],
  ])('is stored twice at %s', async (spelling, type, bytes) => {
    const { storedTwice, bytes: all, baselineBytes, sourceBytes } = await planned(TIED, spelling);
    expect(storedTwice).toEqual({
      tensors: [
        {
          tensor: 'embed.weight',
          forms: [
            { type: 'float16', bytes: TABLE_BYTES },
            { type, bytes },
          ],
          bytes: TABLE_BYTES + bytes,
          extra: TABLE_BYTES,
        },
      ],
      bytes: TABLE_BYTES,
    });
    expect(baselineBytes).toBe(tinyLanguageModel(TIED).length);
    expect(sourceBytes).toBe(tinyLanguageModel(TIED).length);
    expect(all).toBeGreaterThan(baselineBytes ?? Infinity);
  });

  test('is stored once by the alternatives, whose bytes are those that are written', async () => {
    const { alternatives = [] } = await planned(TIED, 'int4');
    expect(alternatives.map(({ settings, storedTwiceBytes }) => ({ settings, storedTwiceBytes }))).toEqual([
      { settings: { embedding: 'tokens' }, storedTwiceBytes: 0 },
      { settings: { override: [{ name: 'embed.weight', to: 'int8' }] }, storedTwiceBytes: 0 },
      { settings: { head: 'keep' }, storedTwiceBytes: 0 },
    ]);
    const fingerprint = '0'.repeat(64);
    const written = await Promise.all(
      ['int4:embedding=tokens', 'int4:override=embed.weight=int8', 'int4:head=keep'].map(
        async (spelling) =>
          (await quantize(tinyLanguageModel(TIED), spelling, undefined, { fingerprint })).bytes.length,
      ),
    );
    expect(alternatives.map(({ bytes }) => bytes)).toEqual(written);
  });

  test('is stored in two quantized forms where the block does not divide its width', async () => {
    const { storedTwice } = await planned({ ...TIED, width: 96 }, 'int4:block=64,embedding');
    const scales = 256 * 2 * 2;
    const [rows, padded] = [256 * 48 + scales, 256 * 64 + scales];
    expect(
      storedTwice?.tensors.map(({ tensor, forms, bytes, extra }) => ({
        tensor,
        forms: forms.map((form) => form.bytes).sort((a, b) => a - b),
        bytes,
        extra,
      })),
    ).toEqual([{ tensor: 'embed.weight', forms: [rows, padded], bytes: 256 * (48 + 64) + scales, extra: 256 * 64 }]);
  });
});

describe('nothing is said', () => {
  test('of the baseline and of a level that stores everything once', async () => {
    for (const spelling of ['fp16', 'int8:embedding=tokens', 'int4:override=embed.weight=int8,embedding=tokens']) {
      const { storedTwice, alternatives = [] } = await planned(TIED, spelling);
      expect([storedTwice, alternatives]).toEqual([undefined, []]);
    }
  });

  test('of variants, which are planned for their targets alone', async () => {
    const [, variant] = await plan(
      [new File([tinyLanguageModel(TIED)], 'model.onnx')],
      [request('fp16')],
      [request('int4')],
    );
    expect(variant).not.toHaveProperty('storedTwice');
    expect(variant).not.toHaveProperty('baselineBytes');
  });
});

test('a float32 model is compared with its rounded weights, at q4f16 too', async () => {
  const float32 = { ...TIED, type: 'float32' } as const;
  const half = (await quantize(tinyLanguageModel(float32), 'fp16', undefined, { fingerprint: '0'.repeat(64) })).bytes
    .length;
  for (const [spelling, kept] of [
    ['int4', 'float32'],
    ['q4f16', 'float16'],
  ] as const) {
    const { baselineBytes, sourceBytes, storedTwice, alternatives = [] } = await planned(float32, spelling);
    expect(baselineBytes).toBe(half);
    expect(sourceBytes).toBe(tinyLanguageModel(float32).length);
    expect(storedTwice?.tensors[0]?.forms[0]?.type).toBe(kept);
    expect(alternatives[0]?.settings).toEqual({ embedding: 'tokens' });
  }
});
