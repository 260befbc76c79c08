import { describe, expect, it } from 'vitest';
import { levelName } from '../../workers/contract/levels/words.ts';
import {
  choicesOf,
  defaultTarget,
  offered,
  refusal,
  refused,
  refusedBy,
  replacements,
  targetFor,
  targetNamed,
  unasked,
  type Offer,
  type Offers,
} from './targets.ts';

const fine: Offer = { notOn: [], problem: null };
const no: Offer = {
  notOn: [
    { target: 'webgpu', reason: 'No kernel.' },
    { target: 'both', reason: 'No kernel.' },
  ],
  problem: null,
};
const large: Offer = { notOn: [{ target: 'transformers.js', reason: 'Too large.' }], problem: null };
const impossible: Offer = {
  notOn: [],
  problem: {
    code: 'nothing-to-quantize',
    message: 'No weight can be quantized.',
    action: 'Try another level.',
    details: '',
  },
};
const offers: Offers = new Map([
  ['int8 dynamic', no],
  ['uint8', no],
  ['fp16', no],
  ['int4', fine],
  ['int4 block 64', large],
  ['int4 block 128', large],
]);
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
    expect(refused(choicesOf(int8), offers, 'both')).toEqual([
      { words: ['dynamic'], reason: 'No kernel.', target: 'wasm' },
    ]);
    expect(refused(choicesOf(int4), offers, 'transformers.js')).toEqual([
      { words: ['block 64', 'block 128'], reason: 'Too large.', target: 'wasm' },
    ]);
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
    expect(targetNamed('toaster')).toBe('wasm');
  });

  it('name the runtime that refuses, and one that does not', () => {
    expect(refusedBy(offers, 'both', uint8)).toBe('webgpu');
    expect(refusedBy(offers, 'webgpu', uint8)).toBe('webgpu');
    expect(targetFor(offers, uint8)).toBe('wasm');
    const tooLarge: Offers = new Map([
      [
        'int8',
        {
          notOn: (['wasm', 'webgpu', 'both', 'transformers.js'] as const).map((target) => ({
            target,
            reason: 'Too large.',
          })),
          problem: null,
        },
      ],
    ]);
    expect(refusedBy(tooLarge, 'both', int8)).toBe('wasm');
    expect(targetFor(tooLarge, int8)).toBe('cpu');
  });

  it('are what the machine has, unless a level set up runs on WASM only', () => {
    const cpu = { backend: 'wasm', webgpu: { available: false, reason: '' }, isolated: true, threads: 2 } as const;
    const gpu = {
      backend: 'webgpu',
      webgpu: { available: true, adapter: '', f16: true },
      isolated: true,
      threads: 2,
    } as const;
    expect(defaultTarget(null, [fp16, int8], offers)).toBe('wasm');
    expect(defaultTarget(cpu, [fp16, int8], offers)).toBe('wasm');
    expect(defaultTarget(gpu, [fp16, int8, int4], offers)).toBe('both');
    expect(defaultTarget(gpu, [fp16, int8, uint8], offers)).toBe('wasm');
  });

  it('leave out what cannot be made, and know what could be made instead', () => {
    const model: Offers = new Map([
      ['int4', impossible],
      ['int4 block 64', impossible],
      ['q4f16', impossible],
      ['int8', no],
      ['int8 per channel', no],
      ['uint8', no],
    ]);
    expect(offered([fp16, int8, int4], model, 'wasm')).toEqual([fp16, int8]);
    expect(replacements([fp16, int8, int4], model, 'wasm', int4)).toEqual([uint8]);
    expect(replacements([fp16, int4], model, 'wasm', int4)).toEqual([int8, uint8]);
    expect(replacements([fp16, int4], model, 'webgpu', int4)).toEqual([]);
  });
});
