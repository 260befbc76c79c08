import { describe, expect, it } from 'vitest';
import type { Protocol } from '../../../workers/contract/report.ts';
import {
  lengthsOf,
  PROTOCOL_NAMES,
  protocolNamed,
  PROTOCOLS,
  protocolSentence,
  protocolTag,
  sameProtocol,
  stoppedSentence,
  stridesFor,
  unfinishedProvenance,
  WINDOWS,
} from './protocols.ts';

const protocol: Protocol = {
  name: 'llama.cpp',
  context: 512,
  tokens: 8160,
  chunks: 32,
  textTokens: 122_991,
  textBytes: 1,
  provider: 'wasm',
  threads: 2,
  text: 'held-out.txt',
};
const plain = (text: string | null) => text?.replaceAll('\u00a0', ' ');

describe('how a number was measured', () => {
  it('in full', () => {
    expect(protocolSentence(protocol)).toBe(
      'Measured as llama.cpp does: 32 windows of 512 tokens from held-out.txt, the second half of each scored, 8,160 tokens in all; run by onnxruntime-web, WASM on 2 threads. ± is one standard error.',
    );
    expect(protocolSentence({ ...protocol, name: 'huggingface', context: 1024, stride: 512 })).toContain(
      '32 windows of 1,024 tokens, a new one every 512, from held-out.txt, what is new in each scored',
    );
    expect(protocolSentence({ ...protocol, name: 'lm-eval', context: 2048, unit: 'word', words: 6000 })).toContain(
      'every token scored, 8,160 tokens and 6,000 words in all',
    );
  });
  it('in a tag that differs wherever numbers do not compare', () => {
    expect(protocolTag(protocol)).toBe('llama.cpp, windows of 512');
    expect(protocolTag({ name: 'huggingface', context: 1024, stride: 512 })).toBe(
      'huggingface, windows of 1,024 every 512',
    );
    const tags = PROTOCOL_NAMES.flatMap((name) => [512, 2048].map((context) => protocolTag({ name, context })));
    expect(new Set(tags).size).toBe(tags.length);
  });
  it('says how much of the text it was when it was stopped early', () => {
    expect(stoppedSentence({ ...protocol, stoppedEarly: false, plannedChunks: 32 })).toBeNull();
    const stopped = { ...protocol, chunks: 12, plannedChunks: 240, stoppedEarly: true };
    expect(plain(stoppedSentence(stopped))).toBe(
      'Stopped early, after 12 of 240 windows (5.0 % of the text asked for).',
    );
    expect(plain(protocolSentence(stopped))).toContain('Stopped early, after 12 of 240 windows');
    expect(plain(stoppedSentence({ ...stopped, chunks: 9999, plannedChunks: 10_000 }))).toContain('(99.9 % of');
  });
});

it('every protocol can be chosen by its name, and nothing else', () => {
  for (const name of PROTOCOL_NAMES) expect(PROTOCOLS[protocolNamed(name)].name).toBe(name);
  expect(protocolNamed('toString')).toBe('llama.cpp');
});

describe('windows and strides', () => {
  it('are the protocol’s own unless set, and are said as set', () => {
    expect(PROTOCOLS['llama.cpp'].about(lengthsOf({ name: 'llama.cpp' }))).toBe(
      'Windows of 512 tokens, the second half of each scored: comparable with what llama.cpp prints.',
    );
    expect(PROTOCOLS['llama.cpp'].about(lengthsOf({ name: 'llama.cpp', context: 2048 }))).toContain('with -c 2048');
    expect(lengthsOf({ name: 'huggingface' })).toMatchObject({ window: 1024, step: 512 });
    expect(lengthsOf({ name: 'huggingface', context: 256 })).toMatchObject({ window: 256, step: 128 });
    expect(unfinishedProvenance({ name: 'huggingface', context: 512, stride: 64 }, true).tag).toBe(
      'huggingface, windows of 512 every 64',
    );
  });
  it('that can be chosen are whole and never leave out text', () => {
    for (const window of WINDOWS)
      for (const stride of stridesFor(window)) {
        expect(Number.isInteger(stride)).toBe(true);
        expect(stride).toBeLessThanOrEqual(window);
      }
  });
  it('tell figures apart that do not compare', () => {
    expect(sameProtocol({ name: 'llama.cpp' }, { name: 'llama.cpp', context: 512 })).toBe(true);
    expect(sameProtocol({ name: 'llama.cpp' }, { name: 'llama.cpp', context: 256 })).toBe(false);
    expect(sameProtocol({ name: 'huggingface', stride: 256 }, { name: 'huggingface' })).toBe(false);
    expect(sameProtocol({ name: 'gptq' }, { name: 'lm-eval' })).toBe(false);
  });
});
