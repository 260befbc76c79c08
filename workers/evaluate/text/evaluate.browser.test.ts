import { describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import { createEvaluator } from '../client.ts';
import type { EvaluationEvent, EvaluationJob } from './evaluate.ts';
import { tinyModel, tinyText, tinyTokenizer } from '../test-models.ts';

const VOCABULARY = 50;
const { json, config } = tinyTokenizer(VOCABULARY);

const job = (tokens: number): EvaluationJob => ({
  baseline: { key: 'fp16', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) },
  levels: [
    { key: 'same', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) },
    { key: 'int4', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, noise: 0.2 })) },
  ],
  tokenizerJson: json,
  tokenizerConfig: config,
  text: tinyText(VOCABULARY, tokens),
  textName: 'tiny.txt',
  maxTokens: null,
  threads: 2,
});

/** Enough text to be sure that it is still under way. */
const LONG = 512 * 4000;

describe('measuring in a worker', () => {
  it('gives figures and events, on threads', async () => {
    const events: EvaluationEvent[] = [];
    const result = await createEvaluator().evaluate(job(1100), (event) => {
      events.push(event);
    });
    if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
    const [base, same, int4] = result.value.levels;
    expect(crossOriginIsolated).toBe(true);
    expect(result.value.protocol).toMatchObject({ context: 512, chunks: 2, tokens: 510, threads: 2 });
    expect(same?.perplexity).toEqual(base?.perplexity);
    expect(same?.drift?.kld.max).toBe(0);
    expect(int4?.drift?.kld.mean).toBeGreaterThan(1e-4);
    expect(
      events
        .filter((event) => event.type === 'measured')
        .filter((event) => event.final)
        .map(({ level }) => level),
    ).toEqual(['fp16', 'same', 'int4']);
    expect(events.filter((event) => event.type === 'progress').at(-1)).toMatchObject({ done: 1024, total: 1024 });
  });

  it('is cancelled at once, and another measurement can follow', async () => {
    const evaluator = createEvaluator();
    const stop = new AbortController();
    const result = await evaluator.evaluate(
      job(LONG),
      (event) => {
        if (event.type === 'progress') stop.abort();
      },
      stop.signal,
    );
    expect(result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(await evaluator.evaluate(job(1100), () => undefined)).toMatchObject({ ok: true });
  });

  it('is finished early with what it has', async () => {
    const finish = new AbortController();
    const result = await createEvaluator().evaluate(
      job(LONG),
      (event) => {
        if (event.type === 'progress') finish.abort();
      },
      undefined,
      finish.signal,
    );
    if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
    expect(result.value.protocol).toMatchObject({ stoppedEarly: true, plannedChunks: 4000 });
    expect(result.value.protocol.chunks).toBeLessThan(4000);
    expect(result.value.levels.every(({ perplexity }) => perplexity !== null)).toBe(true);
  });

  it('is finished after one window when asked before it began', async () => {
    const result = await createEvaluator().evaluate(job(1100), () => undefined, undefined, AbortSignal.abort());
    expect(result.ok && result.value.protocol).toMatchObject({ chunks: 1, plannedChunks: 2, stoppedEarly: true });
  });

  it('is cancelled while it starts, and before', async () => {
    const stop = new AbortController();
    const starting = createEvaluator().evaluate(job(LONG), () => undefined, stop.signal);
    stop.abort();
    expect(await starting).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(await createEvaluator().evaluate(job(LONG), () => undefined, stop.signal)).toMatchObject({
      ok: false,
      error: { code: 'cancelled' },
    });
  });
});

describe('a worker that crashes', () => {
  const crashing = (message: string) => () =>
    new Worker(URL.createObjectURL(new Blob([`onmessage = () => { throw new Error(${JSON.stringify(message)}); };`])));

  it('is reported, with what it said', async () => {
    const result = await createEvaluator(crashing('unreachable')).evaluate(job(1100), () => undefined);
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'worker-crashed', details: expect.stringContaining('unreachable') as string },
    });
  });

  it('for want of memory says so', async () => {
    const result = await createEvaluator(crashing('WebAssembly.Memory(): could not allocate memory')).evaluate(
      job(1100),
      () => undefined,
    );
    expect(result).toMatchObject({ ok: false, error: { code: 'out-of-memory' } });
  });

  it('that cannot be loaded is one too', async () => {
    const missing = () => new Worker(new URL('/nowhere.js', location.href), { type: 'module' });
    expect(await createEvaluator(missing).evaluate(job(1100), () => undefined)).toMatchObject({
      ok: false,
      error: { code: 'worker-crashed' },
    });
  });
});
