import { describe, expect, it } from 'vitest';
import type { Protocol } from '../../workers/contract/report.ts';
import type { ProtocolRequest } from '../../workers/contract/job.ts';
import { PROTOCOL_NAMES } from '../features/protocols/protocols.ts';
import {
  DEFAULT_TOKENS,
  precisionOf,
  shortSentence,
  spreadOf,
  stops,
  tokensInWindows,
  tokensRun,
  WINDOW,
} from './amount.ts';

const REQUESTS: ProtocolRequest[] = PROTOCOL_NAMES.flatMap((name) => [
  { name },
  { name, context: 128 },
  { name, context: 4096 },
  ...(name === 'huggingface' ? [{ name, context: 512, stride: 64 }] : []),
]);
const protocol: Protocol = {
  name: 'llama.cpp',
  context: 512,
  tokens: 61_200,
  chunks: 240,
  plannedChunks: 240,
  textTokens: 122_991,
  textBytes: 500_000,
  provider: 'wasm',
  threads: 2,
  text: 'held-out.txt',
};

describe('text amount', () => {
  it('runs whole windows and never more than there is', () => {
    expect(tokensRun(16_384, 122_991)).toBe(16_384);
    expect(tokensRun(16_000, 122_991)).toBe(31 * WINDOW);
    expect(tokensRun(null, 122_991)).toBe(240 * WINDOW);
    expect(tokensRun(16_384, 3000)).toBe(5 * WINDOW);
    expect(tokensRun(16_384, 300)).toBe(300);
  });

  it('halves the error for four times the tokens', () => {
    const one = precisionOf(8 * WINDOW, { spread: null });
    const four = precisionOf(32 * WINDOW, { spread: null });
    expect(four.relativeError / one.relativeError).toBeCloseTo(0.5, 12);
    expect(one.basis).toBe('assumed');
  });

  it('predicts the error a run has had, and that of a part of it', () => {
    const spread = spreadOf(protocol, { value: 56.668, error: 0.6465 });
    expect(precisionOf(240 * WINDOW, { spread })).toMatchObject({ basis: 'measured' });
    expect(precisionOf(240 * WINDOW, { spread }).relativeError).toBeCloseTo(0.6465 / 56.668, 9);
    expect(spreadOf({ ...protocol, tokens: 15_300 }, { value: 50, error: 1 })).toBeCloseTo(
      spreadOf(protocol, { value: 50, error: 0.5 }) ?? 0,
      12,
    );
    expect(spreadOf(protocol, { value: 50, error: 0 })).toBeNull();
  });

  it('follows each protocol: its windows, what it scores and how much it runs', () => {
    expect(tokensRun(5000, 122_991, { name: 'gptq' })).toBe(4096);
    expect(tokensRun(null, 122_991, { name: 'gptq' })).toBe(60 * 2048);
    expect(tokensRun(512, 122_991, { name: 'gptq' })).toBe(2048);
    expect(tokensRun(1600, 122_991, { name: 'huggingface' })).toBe(1536);
    expect(tokensRun(null, 122_991, { name: 'huggingface' })).toBe(122_991);
    expect(tokensRun(null, 122_991, { name: 'lm-eval' })).toBe(122_991);
    expect(tokensRun(5000, 122_991, { name: 'llama.cpp', context: 2048 })).toBe(4096);
    expect(precisionOf(4096, { spread: null }, { name: 'llama.cpp', context: 2048 }).scored).toBe(2 * 1023);
    expect(
      tokensInWindows(2048, { name: 'huggingface', context: 512, stride: 128 }) /
        tokensInWindows(2048, { name: 'lm-eval' }),
    ).toBeCloseTo(13 / 4, 12);
    expect(precisionOf(4096, { spread: null }, { name: 'gptq' }).scored).toBe(2 * 2047);
    expect(precisionOf(2048, { spread: null }, { name: 'huggingface' }).scored).toBe(2047);
    expect(tokensInWindows(2048, { name: 'huggingface' }) / tokensInWindows(2048, { name: 'lm-eval' })).toBeCloseTo(
      1.5,
      12,
    );
  });

  it('expects the larger error of perplexity by word, and takes it out again when learning', () => {
    const byToken = precisionOf(4096, { bytesPerToken: 2.9, spread: null }, { name: 'huggingface' });
    const byWord = precisionOf(4095, { bytesPerToken: 2.9, spread: null }, { name: 'lm-eval' });
    expect(byWord.relativeError / byToken.relativeError).toBeCloseTo(2, 12);
    expect(spreadOf({ tokens: 10_000, words: 5000 }, { value: 1000, error: 60 })).toBeCloseTo(3, 12);
  });

  it('says what a short text is short of', () => {
    expect(shortSentence(63, 512)).toBe(
      'This text has 63 tokens, and 64 are the least that perplexity can be measured on: add some 1 words, better some thousands.',
    );
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
