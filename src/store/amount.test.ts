import { describe, expect, it } from 'vitest';
import type { Protocol } from '../../workers/protocol.ts';
import { costOf, DEFAULT_TOKENS, learn, stops, tokensRun, WINDOW } from './amount.ts';

const machine = { levels: 3, parameters: 5_800_000, threads: 2 };

describe('text amount', () => {
  it('runs whole windows and never more than there is', () => {
    expect(tokensRun(16_384, 122_991)).toBe(16_384);
    expect(tokensRun(16_000, 122_991)).toBe(31 * WINDOW);
    expect(tokensRun(null, 122_991)).toBe(240 * WINDOW);
    expect(tokensRun(16_384, 3000)).toBe(5 * WINDOW);
    expect(tokensRun(16_384, 300)).toBe(300);
  });

  it('takes well under a minute on a small model by default', () => {
    expect(costOf(DEFAULT_TOKENS, machine, null).seconds).toBeLessThan(40);
  });

  it('halves the error for four times the tokens, at four times the time', () => {
    const one = costOf(8 * WINDOW, machine, null);
    const four = costOf(32 * WINDOW, machine, null);
    expect(four.relativeError / one.relativeError).toBeCloseTo(0.5, 12);
    expect(four.seconds / one.seconds).toBeCloseTo(4, 12);
    expect(one.basis).toBe('assumed');
  });

  it('predicts from what a run measured', () => {
    const protocol: Protocol = {
      name: 'llama.cpp', context: 512, tokens: 61_200, chunks: 240, textTokens: 122_991, textBytes: 500_000,
      provider: 'wasm', threads: 2, text: 'held-out.txt',
    };
    const measured = learn(protocol, { value: 56.668, error: 0.6465 }, 3, { seconds: 120, stretch: { share: 0.5, seconds: 50 } });
    const cost = costOf(240 * WINDOW, machine, measured);
    expect(cost.basis).toBe('measured');
    expect(cost.seconds).toBeCloseTo(120, 9);
    expect(costOf(120 * WINDOW, machine, measured).seconds).toBeCloseTo(70, 9);
    expect(cost.relativeError).toBeCloseTo(0.6465 / 56.668, 9);
    expect(learn(protocol, { value: 56.668, error: 0.6465 }, 3, { seconds: 120, stretch: null })).toMatchObject({ secondsPerLevel: 0 });
    expect(learn(protocol, { value: 56.668, error: 0.6465 }, 3, { seconds: 0, stretch: null })).toBeNull();
  });

  it('offers ascending stops that end with the whole text', () => {
    for (const available of [100, 600, 2000, 20_000, 122_991, 5_000_000]) {
      const list = stops(available);
      expect(list.at(-1)).toBe(tokensRun(null, available));
      expect([...list].sort((a, b) => a - b)).toEqual(list);
      expect(new Set(list).size).toBe(list.length);
    }
    expect(stops(122_991)).toContain(DEFAULT_TOKENS);
  });
});
