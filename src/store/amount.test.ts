import { describe, expect, it } from 'vitest';
import type { Protocol, ProtocolRequest } from '../../workers/protocol.ts';
import { PROTOCOL_NAMES } from '../protocols/protocols.ts';
import { checksOf, costOf, DEFAULT_TOKENS, learn, shortSentence, stops, tokensRun, WINDOW } from './amount.ts';

const REQUESTS: ProtocolRequest[] = PROTOCOL_NAMES.flatMap((name) => [{ name }, { name, context: 128 }, { name, context: 4096 }, ...(name === 'huggingface' ? [{ name, context: 512, stride: 64 }] : [])]);
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

  it('counts in the checks that are switched on and can be made', () => {
    const all = { noiseFloor: true, runtimeDrift: true, speed: true };
    const tokens = 32 * WINDOW;
    const plain = costOf(tokens, machine, null).seconds;
    const perToken = plain / (machine.levels * tokens);
    const checks = (extras: Partial<typeof all>, gpu: 'none' | 'software' | 'hardware') =>
      costOf(tokens, { ...machine, checks: { noiseFloor: false, runtimeDrift: false, speed: false, ...extras, gpu } }, null);
    expect(checks({}, 'hardware')).toMatchObject({ seconds: plain, checkSeconds: 0 });
    expect(checks({ noiseFloor: true }, 'none').seconds - plain).toBeCloseTo(16 * WINDOW * perToken, 9);
    expect(checks({ runtimeDrift: true }, 'none').checkSeconds).toBe(0);
    expect(checks({ runtimeDrift: true }, 'software').checkSeconds).toBeLessThanOrEqual(3 * 2);
    expect(checks({ speed: true }, 'hardware').checkSeconds).toBeCloseTo(2 * checks({ speed: true }, 'none').checkSeconds, 9);
    expect(checks(all, 'hardware').checkSeconds).toBeGreaterThan(checks(all, 'software').checkSeconds);
  });

  it('learns what the checks take apart from the rest, for the same checks', () => {
    const protocol: Protocol = {
      name: 'llama.cpp', context: 512, tokens: 61_200, chunks: 240, textTokens: 122_991, textBytes: 500_000, provider: 'wasm', threads: 2, text: 'held-out.txt',
    };
    const of = checksOf({ speed: true }, null);
    const measured = learn(protocol, { value: 56.668, error: 0.6465 }, 3, { seconds: 150, stretch: { share: 0.5, seconds: 50 }, checks: { seconds: 30, of } });
    expect(costOf(240 * WINDOW, machine, measured).seconds).toBeCloseTo(120, 9);
    expect(costOf(240 * WINDOW, { ...machine, checks: of }, measured)).toMatchObject({ checkSeconds: 30 });
    expect(costOf(240 * WINDOW, { ...machine, checks: checksOf({}, null) }, measured).checkSeconds).toBe(0);
  });

  it('learns the same from a part as from the whole', () => {
    const whole: Protocol = {
      name: 'llama.cpp', context: 512, tokens: 61_200, chunks: 240, plannedChunks: 240, textTokens: 122_991, textBytes: 500_000,
      provider: 'wasm', threads: 2, text: 'held-out.txt',
    };
    const part: Protocol = { ...whole, tokens: 15_300, chunks: 60, stoppedEarly: true };
    const all = learn(whole, { value: 50, error: 0.5 }, 3, { seconds: 120, stretch: { share: 0.9, seconds: 90 } });
    const quarter = learn(part, { value: 50, error: 1 }, 3, { seconds: 45, stretch: { share: 0.2, seconds: 20 } });
    expect(quarter?.secondsPerToken).toBeCloseTo(all?.secondsPerToken ?? 0, 12);
    expect(quarter?.secondsPerLevel).toBeCloseTo(all?.secondsPerLevel ?? 0, 12);
    expect(quarter?.spread).toBeCloseTo(all?.spread ?? 0, 12);
  });

  it('follows each protocol: its windows, what it scores and how much it runs', () => {
    expect(tokensRun(5000, 122_991, { name: 'gptq' })).toBe(4096);
    expect(tokensRun(null, 122_991, { name: 'gptq' })).toBe(60 * 2048);
    expect(tokensRun(512, 122_991, { name: 'gptq' })).toBe(2048);
    expect(tokensRun(1600, 122_991, { name: 'huggingface' })).toBe(1536);
    expect(tokensRun(null, 122_991, { name: 'huggingface' })).toBe(122_991);
    expect(tokensRun(null, 122_991, { name: 'lm-eval' })).toBe(122_991);
    expect(tokensRun(5000, 122_991, { name: 'llama.cpp', context: 2048 })).toBe(4096);
    expect(costOf(4096, machine, null, { name: 'llama.cpp', context: 2048 }).scored).toBe(2 * 1023);
    expect(costOf(2048, machine, null, { name: 'huggingface', context: 512, stride: 128 }).seconds / costOf(2048, machine, null, { name: 'lm-eval' }).seconds).toBeCloseTo(13 / 4, 12);
    expect(costOf(4096, machine, null, { name: 'gptq' }).scored).toBe(2 * 2047);
    expect(costOf(2048, machine, null, { name: 'huggingface' }).scored).toBe(2047);
    expect(costOf(2048, machine, null, { name: 'huggingface' }).seconds / costOf(2048, machine, null, { name: 'lm-eval' }).seconds).toBeCloseTo(1.5, 12);
  });

  it('expects the larger error of perplexity by word, and takes it out again when learning', () => {
    const byToken = costOf(4096, { ...machine, bytesPerToken: 2.9 }, null, { name: 'huggingface' });
    const byWord = costOf(4095, { ...machine, bytesPerToken: 2.9 }, null, { name: 'lm-eval' });
    expect(byWord.relativeError / byToken.relativeError).toBeCloseTo(2, 12);
    const measured = learn({
      name: 'lm-eval', context: 2048, unit: 'word', tokens: 10_000, words: 5000, chunks: 5, textTokens: 10_000, textBytes: 29_000,
      provider: 'wasm', threads: 2, text: 't',
    }, { value: 1000, error: 60 }, 3, { seconds: 10, stretch: null });
    expect(measured?.spread).toBeCloseTo(3, 12);
  });

  it('says what a short text is short of', () => {
    expect(shortSentence(63, 512)).toBe('This text has 63 tokens, and 64 are the least that perplexity can be measured on: add some 1 words, better some thousands.');
    expect(shortSentence(20, 512)).toContain('add some 33 words');
    expect(shortSentence(300, 512)).toContain('fewer than one window of 512');
    expect(shortSentence(512, 512)).toBeNull();
  });

  it('offers ascending stops that end with the whole text', () => {
    for (const available of [100, 600, 2000, 20_000, 122_991, 5_000_000]) {
      for (const protocol of REQUESTS) {
        const list = stops(available, protocol);
        expect(list.at(-1)).toBe(tokensRun(null, available, protocol));
        expect([...list].sort((a, b) => a - b)).toEqual(list);
        expect(new Set(list).size).toBe(list.length);
        for (const amount of list) expect(tokensRun(amount, available, protocol)).toBe(amount);
      }
    }
    expect(stops(122_991)).toContain(DEFAULT_TOKENS);
  });
});
