import { describe, expect, it } from 'vitest';
import type { LevelPlan } from '../../workers/protocol.ts';
import { levelName } from './levels.ts';
import { choicesOf, offered, refusal, refused, targetNamed, unasked, type Offers } from './targets.ts';

const no: NonNullable<LevelPlan['notOn']> = [{ target: 'webgpu', reason: 'No kernel.' }, { target: 'both', reason: 'No kernel.' }];
const offers: Offers = new Map([['int8 dynamic', no], ['uint8', no], ['fp16', no], ['int4', []], ['int4 block 64', [{ target: 'transformers.js' as const, reason: 'No such name.' }]], ['int4 block 128', [{ target: 'transformers.js' as const, reason: 'No such name.' }]]]);
const int8 = { id: 'int8' as const, settings: {} };
const uint8 = { id: 'uint8' as const, settings: {} };
const int4 = { id: 'int4' as const, settings: {} };
const fp16 = { id: 'fp16' as const, settings: {} };

describe('targets', () => {
  it('refuse what the engine says is not made for them, and nothing it has not spoken of', () => {
    expect(refusal(offers, 'webgpu', uint8)).toBe('No kernel.');
    expect(refusal(offers, 'wasm', uint8)).toBeNull();
    expect(refusal(offers, 'both', int8)).toBeNull();
    expect(offered([fp16, int8, uint8], offers, 'both')).toEqual([fp16, int8]);
    expect(offered([fp16, int8, uint8], offers, 'wasm')).toEqual([fp16, int8, uint8]);
  });

  it('gather what is refused by why', () => {
    expect(refused(choicesOf(int8), offers, 'both')).toEqual([{ words: ['dynamic'], reason: 'No kernel.' }]);
    expect(refused(choicesOf(int4), offers, 'transformers.js')).toEqual([{ words: ['block 64', 'block 128'], reason: 'No such name.' }]);
    expect(refused(choicesOf(int4), offers, 'cpu')).toEqual([]);
  });

  it('ask of every choice once, and not of what is known or planned anyway', () => {
    const names = unasked([int8, int4], offers).map(levelName);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('int8 per channel');
    expect(names).toContain('int4 asymmetric');
    for (const known of [...offers.keys(), 'int8', 'int4']) expect(names).not.toContain(known);
  });

  it('change one setting at a time and keep the others', () => {
    const level = { id: 'int4' as const, settings: { block: 64 as const, head: 'keep' as const } };
    const names = choicesOf(level).map((choice) => levelName(choice.level));
    expect(names).toContain('int4 head kept');
    expect(names).toContain('int4 block 64 asymmetric head kept');
    expect(names).not.toContain(levelName(level));
    expect(choicesOf(fp16)).toEqual([]);
  });

  it('go by the names the command line has', () => {
    expect(targetNamed('transformers.js')).toBe('transformers.js');
    expect(targetNamed('toaster')).toBe('both');
  });
});
