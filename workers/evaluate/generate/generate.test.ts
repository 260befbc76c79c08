import { openAsBlob } from 'node:fs';
import { inOneFile } from '../../onnx/model-files.ts';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Generated, GenerationJob } from '../../contract/generation.ts';
import { generate, GENERATED_EVERY_MS } from './generate.ts';
import { wasmRuntime } from '../sessions/graph-session.ts';
import { tinyDecoder, tinyModel, tinyText, tinyTokenizer } from '../test-models.ts';

const VOCABULARY = 29;
const runtime = wasmRuntime(ort, 1);
const sample = async (name: string) =>
  new File([await openAsBlob(join(import.meta.dirname, '..', '..', '..', 'models', 'sample', name))], name);

function tokenizerFiles(config: object = {}): File[] {
  const { json, config: base } = tinyTokenizer(VOCABULARY);
  return [
    new File([JSON.stringify({ ...(JSON.parse(json) as object), decoder: { type: 'Fuse' } })], 'tokenizer.json'),
    new File([JSON.stringify({ ...(JSON.parse(base) as object), ...config })], 'tokenizer_config.json'),
  ];
}

const JOB: GenerationJob = {
  models: [{ key: 'a', model: inOneFile(tinyDecoder({ vocabulary: VOCABULARY })) }],
  files: tokenizerFiles(),
  prompt: tinyText(VOCABULARY, 5),
  maxTokens: 12,
  sampling: { kind: 'greedy' },
  provider: 'wasm',
};
const seeded = (seed: number): GenerationJob['sampling'] => ({ kind: 'seeded', seed, temperature: 2, topK: 20 });

/** A clock that goes on by `step` each time it is asked. */
function clock(step: number): () => number {
  let time = 0;
  return () => (time += step);
}

async function run(job: Partial<GenerationJob>, step = 10) {
  const events: Generated[] = [];
  const result = await generate(
    runtime,
    { ...JOB, ...job },
    (event) => {
      events.push(event);
    },
    clock(step),
  );
  return { result, events, last: events.filter(({ final }) => final) };
}

describe('generate', () => {
  it('continues with each model, and says how', async () => {
    const { result, events, last } = await run({
      models: [
        { key: 'cached', model: inOneFile(tinyDecoder({ vocabulary: VOCABULARY })) },
        { key: 'whole', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) },
      ],
    });
    expect(result).toEqual({ ok: true, value: null });
    expect(last).toMatchObject([
      { key: 'cached', tokens: 12, cached: true, tokensPerSecond: 100, problem: null },
      { key: 'whole', tokens: 12, cached: false, tokensPerSecond: 100, problem: null },
    ]);
    for (const { text, tokens } of last) expect(Array.from(text)).toHaveLength(tokens);
    expect(events.at(-1)).toBe(last[1]);
  });

  it('tells now and then', async () => {
    const { events } = await run({ maxTokens: 50 }, GENERATED_EVERY_MS / 10);
    expect(events.map(({ tokens }) => tokens)).toEqual([1, 11, 21, 31, 41, 50]);
    const often = await run({ maxTokens: 5 }, GENERATED_EVERY_MS);
    expect(often.events.map(({ tokens, tokensPerSecond, final }) => [tokens, tokensPerSecond, final])).toEqual([
      [1, null, false],
      [2, 10, false],
      [3, 10, false],
      [4, 10, false],
      [5, 10, true],
    ]);
  });

  it('the same seed says the same, another seed something else, every model drawing the same numbers', async () => {
    const text = async (sampling: GenerationJob['sampling']) =>
      (await run({ sampling, models: [...JOB.models, { key: 'again', model: JOB.models[0]!.model }] })).last.map(
        (event) => event.text,
      );
    const [first, again] = await text(seeded(1));
    expect(again).toBe(first);
    expect(await text(seeded(1))).toEqual([first, first]);
    expect((await text(seeded(2)))[0]).not.toBe(first);
    expect((await text({ kind: 'greedy' }))[0]).not.toBe(first);
  });

  it('stops at the end of the text', async () => {
    const free = (await run({ maxTokens: 12 })).last[0]!.text;
    const [eos] = Array.from(free).slice(4);
    const { last } = await run({ files: tokenizerFiles({ eos_token: eos }) });
    const at = Array.from(free).indexOf(eos!);
    expect(last).toMatchObject([{ text: Array.from(free).slice(0, at).join(''), tokens: at, problem: null }]);
  });

  it("stops where the model's context ends", async () => {
    expect((await run({ files: tokenizerFiles({ model_max_length: 8 }) })).last).toMatchObject([
      { tokens: 4, problem: null },
    ]);
    expect(
      (await run({ models: [{ key: 'a', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, sequence: 8 })) }] }))
        .last,
    ).toMatchObject([{ tokens: 4, problem: null }]);
    expect((await run({ files: tokenizerFiles({ model_max_length: 4 }) })).last).toMatchObject([
      { tokens: 0, problem: { code: 'usage' } },
    ]);
  });

  it('what is wrong with one model is its problem', async () => {
    const { result, last } = await run({
      models: [
        { key: 'broken', model: inOneFile(new Blob(['nothing'])) },
        { key: 'small', model: inOneFile(tinyDecoder({ vocabulary: 2 })) },
        { key: 'spoilt', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, spoil: NaN, sees: 'none' })) },
        ...JOB.models,
      ],
      prompt: String.fromCodePoint(0x100, 0x105),
    });
    expect(result.ok).toBe(true);
    expect(last.map(({ key, problem }) => [key, problem?.code ?? null])).toEqual([
      ['broken', 'session-failed'],
      ['small', 'tokenizer-mismatch'],
      ['spoilt', 'session-failed'],
      ['a', null],
    ]);
  });

  it.each<[string, Partial<GenerationJob>, string]>([
    ['without a tokenizer', { files: [] }, 'no-tokenizer'],
    ['without a prompt', { prompt: '' }, 'no-text'],
    ['for no tokens', { maxTokens: 0 }, 'usage'],
    ['at no temperature', { sampling: { kind: 'seeded', seed: 1, temperature: 0, topK: 1 } }, 'usage'],
  ])('%s it does not start', async (_, job, code) => {
    const { result, events } = await run(job);
    expect(result).toMatchObject({ ok: false, error: { code } });
    expect(events).toEqual([]);
  });

  it('with the sample model, writes English', async () => {
    const { last } = await run({
      models: [{ key: 'sample', model: inOneFile(await sample('model_fp16.onnx')) }],
      files: [await sample('tokenizer.json'), await sample('tokenizer_config.json')],
      prompt: 'Call me Ishmael. Some years ago',
      maxTokens: 20,
    });
    expect(last[0]).toMatchObject({ cached: true, problem: null, tokens: 20 });
    expect(last[0]!.text).toMatch(/^[ ,.;]/);
    expect(last[0]!.text.match(/ (the|of|and|to|in|a|I|was|had|that)\b/g)?.length).toBeGreaterThan(1);
  });
});
