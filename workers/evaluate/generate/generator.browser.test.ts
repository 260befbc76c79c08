import { describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import type { Generated, GenerationJob } from '../../contract/generation.ts';
import { createGenerator } from './generator.ts';
import { tinyDecoder, tinyModel, tinyText, tinyTokenizer } from '../test-models.ts';

const VOCABULARY = 50;
const { json, config } = tinyTokenizer(VOCABULARY);

const job = (maxTokens: number): GenerationJob => ({
  models: [
    { key: 'a', model: inOneFile(tinyDecoder({ vocabulary: VOCABULARY })) },
    { key: 'b', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) },
  ],
  files: [new File([json], 'tokenizer.json'), new File([config], 'tokenizer_config.json')],
  prompt: tinyText(VOCABULARY, 5),
  maxTokens,
  sampling: { kind: 'seeded', seed: 3, temperature: 1, topK: 10 },
  provider: 'wasm',
});
/** Enough tokens to be sure that it is still under way. */
const ENDLESS = 1_000_000;

const continuing = (generationJob: GenerationJob, signal = new AbortController().signal, start?: () => Worker) => {
  const events: Generated[] = [];
  const result = createGenerator(2, start).generate(
    generationJob,
    (event) => {
      events.push(event);
    },
    signal,
  );
  return { events, result };
};

describe('continuing a prompt in workers', () => {
  it('goes on with one model after the other', async () => {
    const { events, result } = continuing(job(10));
    expect(await result).toEqual({ ok: true, value: null });
    expect(events.filter(({ final }) => final)).toMatchObject([
      { key: 'a', tokens: 10, cached: true, problem: null },
      { key: 'b', tokens: 10, cached: false, problem: null },
    ]);
  });

  it('is stopped at once', async () => {
    const stop = new AbortController();
    const endless = {
      ...job(ENDLESS),
      models: [{ key: 'b', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) }],
    };
    const result = createGenerator(2).generate(
      endless,
      () => {
        stop.abort();
      },
      stop.signal,
    );
    expect(await result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(await continuing(job(10), stop.signal).result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  });

  it('a worker that dies is the problem of its model', async () => {
    const crashing = () =>
      new Worker(URL.createObjectURL(new Blob(['onmessage = () => { throw new Error("unreachable"); };'])));
    const { events, result } = continuing(job(10), undefined, crashing);
    expect(await result).toEqual({ ok: true, value: null });
    expect(events.map(({ key, final, problem }) => [key, final, problem?.code])).toEqual([
      ['a', true, 'worker-crashed'],
      ['b', true, 'worker-crashed'],
    ]);
  });

  it('what holds for all models is an error', async () => {
    expect(await continuing({ ...job(10), files: [] }).result).toMatchObject({
      ok: false,
      error: { code: 'no-tokenizer' },
    });
  });
});
