import { describe, expect, it } from 'vitest';
import { planWindows, tokenizeText, type Windows } from './perplexity.ts';
import { planProtocol, windowOf, type Window } from './protocols.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

const planned = (tokens: number, maxTokens: number | null = null, longest: number | null = null): Windows => {
  const windows = planWindows(tokens, maxTokens, longest);
  if (!windows.ok) throw new Error(windows.error.message);
  return windows.value;
};

describe('windows', () => {
  it('are disjoint, of 512 tokens, the second half scored: stories260k', () => {
    const windows = planned(129_469);
    expect(windows).toMatchObject({ context: 512, count: 252, firstScored: 256, scored: 255, notes: [] });
    expect(windows.count * windows.scored).toBe(64_260);
  });

  it("cover the sample model's text as figures.json counts it", () => {
    const windows = planned(122_991);
    expect(windows.count * windows.scored).toBe(61_200);
  });

  it('are as many as the limit allows, one at least', () => {
    expect(planned(129_469, 5_200).count).toBe(10);
    expect(planned(129_469, 100).count).toBe(1);
    expect(planned(2_000, 1_000_000).count).toBe(3);
  });

  it('shrink for a text of fewer than two of them, and say so', () => {
    expect(planned(1024).context).toBe(512);
    expect(planned(1023)).toMatchObject({ context: 256, count: 3, firstScored: 128, scored: 127 });
    expect(planned(1023).notes.join()).toContain('1023 tokens');
    expect(planned(64)).toMatchObject({ context: 32, count: 2, scored: 15 });
  });

  it('refuse a text of fewer than two of the smallest', () => {
    expect(planWindows(63, null, null)).toMatchObject({ ok: false, error: { code: 'text-too-short' } });
    expect(planWindows(0, null, null)).toMatchObject({ ok: false, error: { code: 'text-too-short' } });
  });

  it('are no longer than the model takes, and say so', () => {
    expect(planned(10_000, null, 100)).toMatchObject({ context: 100, count: 100, firstScored: 50, scored: 49 });
    expect(planned(10_000, null, 100).notes.join()).toContain('at most 100');
    expect(planned(10_000, null, 2048)).toMatchObject({ context: 512, notes: [] });
    expect(planned(150, null, 100).context).toBe(64);
  });
});

describe('a window', () => {
  const tokenizer = (addsBos: boolean): Tokenizer => ({
    vocabulary: 1000,
    addsBos,
    bosId: 1,
    eosId: null,
    unknownId: null,
    charactersLeftOut: () => 0,
    maxLength: null,
    byteLengths: () => null,
    decode: (ids) => ids.join(),
    pieces: () => [],
    piece: () => '',
    encode: (text) => Int32Array.from(text, (_, index) => 100 + index),
  });
  const text = 'x'.repeat(130);
  const window = (addsBos: boolean, index: number): Window => {
    const plan = planProtocol(
      { name: 'llama.cpp' },
      tokenizeText(tokenizer(addsBos), text),
      tokenizer(addsBos),
      null,
      64,
    );
    if (!plan.ok) throw new Error(plan.error.message);
    return windowOf(plan.value, index);
  };

  it('has its own tokens when the tokenizer adds no BOS', () => {
    const tokenized = tokenizeText(tokenizer(false), text);
    expect(tokenized.tokens).toHaveLength(130);
    const second = window(false, 1).ids;
    expect([second[0], second[63]]).toEqual([164, 227]);
  });

  it('begins with BOS in place of its first token when the tokenizer adds one', () => {
    const tokenized = tokenizeText(tokenizer(true), text);
    expect(tokenized.tokens).toHaveLength(131);
    expect(Array.from(window(true, 0).ids.slice(0, 3))).toEqual([1, 100, 101]);
    expect(Array.from(window(true, 1).ids.slice(0, 3))).toEqual([1, 164, 165]);
    // The text itself stays as it was.
    expect(tokenized.tokens[64]).toBe(163);
  });

  it('is scored on the tokens after the first half', () => {
    const { targets, first } = window(false, 0);
    expect(first).toBe(32);
    expect(targets).toHaveLength(planned(131, null, 64).scored);
    expect([targets[0], targets.at(-1)]).toEqual([133, 163]);
  });
});
