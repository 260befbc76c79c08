import { describe, expect, it } from 'vitest';
import type { LevelAlternative, LevelPlan } from '../../../workers/contract/level-plan.ts';
import { adviceOn, betterDefault } from './advice.ts';

const TABLE = {
  tensor: 'embed.weight',
  forms: [
    { type: 'float16', bytes: 65_536 },
    { type: 'int4', bytes: 18_432 },
  ],
  bytes: 83_968,
  extra: 65_536,
};
const tokens = (bytes: number, storedTwiceBytes = 0): LevelAlternative => ({
  settings: { embedding: 'tokens' },
  bytes,
  storedTwiceBytes,
});
const eightBits = (bytes: number): LevelAlternative => ({
  settings: { override: [{ name: 'embed.weight', to: 'int8' }] },
  bytes,
  storedTwiceBytes: 0,
});
const keepHead = (bytes: number): LevelAlternative => ({ settings: { head: 'keep' }, bytes, storedTwiceBytes: 0 });
const plan = (change: Partial<LevelPlan>): LevelPlan => ({
  key: 'k',
  bytes: 100_000,
  baselineBytes: 90_000,
  weightBytes: 99_000,
  quantizedTensors: 4,
  summary: '',
  ledger: [],
  problem: null,
  ...change,
});

describe('advice on a level before it is run', () => {
  it('says what is stored twice, and offers the switch first', () => {
    const advice = adviceOn(
      plan({
        storedTwice: { tensors: [TABLE], bytes: 65_536 },
        alternatives: [tokens(20_000), eightBits(30_000), keepHead(60_000)],
      }),
      {},
    );
    expect(advice).toMatchObject({ code: 'stored-twice', bytes: 65_536, tensors: ['embed.weight'] });
    expect(advice?.ways.map(({ settings }) => settings)).toEqual([
      { embedding: 'tokens' },
      { override: [{ name: 'embed.weight', to: 'int8' }] },
      { head: 'keep' },
    ]);
  });

  it('says when a file is larger than fp16, and when the embedding is what is left', () => {
    expect(adviceOn(plan({ alternatives: [tokens(40_000)] }), {})).toMatchObject({
      code: 'larger-than-fp16',
      bytes: 10_000,
    });
    expect(adviceOn(plan({ baselineBytes: 300_000, alternatives: [tokens(60_000)] }), {})).toMatchObject({
      code: 'embedding-is-most',
      bytes: 40_000,
    });
  });

  it('is silent where nothing would change, and where there is nothing to say', () => {
    expect(adviceOn(plan({ alternatives: [tokens(99_000)] }), {})).toBeNull();
    expect(adviceOn(plan({}), {})).toBeNull();
    expect(
      adviceOn(
        plan({
          alternatives: [tokens(10)],
          problem: { code: 'nothing-to-quantize', message: '', action: '', details: '' },
        }),
        {},
      ),
    ).toBeNull();
    expect(
      adviceOn(
        plan({
          bytes: 20_000,
          alternatives: [
            {
              settings: { embedding: 'tokens', override: [{ name: 'embed.weight', to: 'int8' }] },
              bytes: 30_000,
              storedTwiceBytes: 0,
            },
          ],
        }),
        { embedding: 'tokens' },
      ),
    ).toBeNull();
  });
});

describe('what a new level has on a model', () => {
  it('is its embedding quantized where the table would be stored twice or the file hardly smaller', () => {
    expect(
      betterDefault(plan({ storedTwice: { tensors: [TABLE], bytes: 65_536 }, alternatives: [tokens(20_000)] })),
    ).toEqual({ embedding: 'tokens' });
    expect(betterDefault(plan({ bytes: 85_000, alternatives: [tokens(60_000)] }))).toEqual({ embedding: 'tokens' });
    expect(betterDefault(plan({ bytes: 40_000, alternatives: [tokens(15_000)] }))).toEqual({ embedding: 'tokens' });
  });

  it('is the level’s own where the embedding is a lesser part, and where the switch does not help', () => {
    expect(betterDefault(plan({ bytes: 45_000, alternatives: [tokens(28_000)] }))).toBeNull();
    expect(
      betterDefault(plan({ storedTwice: { tensors: [TABLE], bytes: 65_536 }, alternatives: [keepHead(50_000)] })),
    ).toBeNull();
    expect(
      betterDefault(
        plan({
          bytes: 45_000,
          storedTwice: { tensors: [TABLE], bytes: 20_000 },
          alternatives: [tokens(40_000, 20_000)],
        }),
      ),
    ).toBeNull();
  });
});
