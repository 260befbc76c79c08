import { readFile } from 'node:fs/promises';
import { inOneFile } from '../../onnx/model-files.ts';
import * as native from 'onnxruntime-node';
import * as ort from 'onnxruntime-web';
import { describe, expect, it, vi } from 'vitest';
import type { Result } from '../../contract/errors.ts';
import { quantize } from '../../test-support.ts';
import { failure } from '../errors.ts';
import { evaluate, type EvaluationEvent, type EvaluationJob, type EvaluationOutcome } from './evaluate.ts';
import { createNodeEvaluator } from '../evaluator.node.ts';
import { wasmRuntime } from '../sessions/graph-session.ts';
import { languageModels, type EvaluationRuntime, type LanguageModel } from './language-model.ts';
import { generator, tinyModel, tinyText, tinyTokenizer } from '../test-models.ts';

const VOCABULARY = 50;

const job = (parts: Partial<EvaluationJob> & { tokens?: number; bos?: boolean } = {}): EvaluationJob => {
  const { json, config } = tinyTokenizer(VOCABULARY, parts.bos);
  return {
    baseline: { key: 'fp16', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) },
    levels: [{ key: 'int4', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, noise: 0.2 })) }],
    tokenizerJson: json,
    tokenizerConfig: config,
    text: tinyText(VOCABULARY, parts.tokens ?? 1600),
    textName: 'tiny.txt',
    maxTokens: null,
    threads: 2,
    ...parts,
  };
};

async function run(
  job: EvaluationJob,
  runtime: EvaluationRuntime = languageModels(wasmRuntime(ort, job.threads)),
  signal?: AbortSignal,
  finish?: AbortSignal,
): Promise<{ result: Result<EvaluationOutcome>; events: EvaluationEvent[] }> {
  const events: EvaluationEvent[] = [];
  return {
    result: await evaluate(
      runtime,
      job,
      (event) => {
        events.push(event);
      },
      signal,
      finish,
    ),
    events,
  };
}

async function outcomeOf(job: EvaluationJob, runtime?: EvaluationRuntime): Promise<EvaluationOutcome> {
  const { result } = await run(job, runtime);
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message} ${result.error.details}`);
  return result.value;
}

/** The Declaration of Independence, from its second paragraph on (public domain); the model has not been trained on it. */
const TEXT = `We hold these truths to be self-evident, that all men are created equal, that they are endowed by their Creator with certain unalienable Rights, that among these are Life, Liberty and the pursuit of Happiness. That to secure these rights, Governments are instituted among Men, deriving their just powers from the consent of the governed. That whenever any Form of Government becomes destructive of these ends, it is the Right of the People to alter or to abolish it, and to institute new Government, laying its foundation on such principles and organizing its powers in such form, as to them shall seem most likely to effect their Safety and Happiness. Prudence, indeed, will dictate that Governments long established should not be changed for light and transient causes; and accordingly all experience hath shewn, that mankind are more disposed to suffer, while evils are sufferable, than to right themselves by abolishing the forms to which they are accustomed.
`;

describe('the sample model and a level', () => {
  // Dynamic quantization rounds activations to 255 steps of a range over the window: what floats of two builds differ by
  // moves some to the next, and x86 CPUs differ in the products of integers. The same build gives the same logits.
  it.each([
    { level: 'int4', runtime: native, name: 'onnxruntime-node', perplexity: 1e-4, kld: 0.01 },
    { level: 'int8:mode=dynamic', runtime: ort, name: 'onnxruntime-web', perplexity: 1e-4, kld: 0.01 },
  ])(
    '$level measures as all logits of $name do, by statistics written out',
    async ({ level: spelling, runtime, ...tolerance }) => {
      const sample = (name: string) => readFile(new URL(`../../../models/sample/${name}`, import.meta.url));
      const baseline = await sample('model_fp16.onnx');
      const { bytes: level } = await quantize(baseline, spelling);
      const text = TEXT.repeat(6);
      const windows = 2;
      const evaluator = createNodeEvaluator();
      const result = await evaluator.evaluate(
        {
          baseline: { key: 'fp16', model: inOneFile(new Blob([new Uint8Array(baseline)])) },
          levels: [{ key: spelling, model: inOneFile(new Blob([new Uint8Array(level)])) }],
          tokenizerJson: (await sample('tokenizer.json')).toString('utf8'),
          tokenizerConfig: (await sample('tokenizer_config.json')).toString('utf8'),
          text,
          textName: 'text',
          maxTokens: windows * 512,
          threads: 2,
        },
        () => undefined,
      );
      if (!result.ok) throw new Error(result.error.details);
      expect(result.value.protocol).toMatchObject({ context: 512, chunks: windows, tokens: windows * 255, threads: 2 });

      const expected = await measureApart(
        runtime,
        baseline,
        level,
        (await sample('tokenizer.json')).toString('utf8'),
        text,
        windows,
      );
      const [base, measured] = result.value.levels;
      expect(base?.perplexity?.value).toSatisfy(within(expected.base, 1e-4));
      expect(measured?.perplexity?.value).toSatisfy(within(expected.level, tolerance.perplexity));
      expect(measured?.drift?.kld.mean).toSatisfy(within(expected.kld, tolerance.kld));
      expect(Math.abs((measured?.drift?.lnRatio.value ?? NaN) - Math.log(expected.level / expected.base))).toBeLessThan(
        tolerance.perplexity,
      );
      expect(measured?.drift?.lnRatio.error).toSatisfy(within(expected.pairedError, tolerance.kld));
      expect(Math.abs((measured?.drift?.sameTop.value ?? NaN) - expected.sameTop)).toBeLessThan(0.01);
      expect(measured?.drift?.deltaP.rms.value).toSatisfy(within(expected.rms, tolerance.kld));
    },
  );
});

const within = (expected: number, share: number) => (value: number | undefined) =>
  value !== undefined && Math.abs(value / expected - 1) < share;

/** The same windows through a runtime's CPU provider, every definition from all log-probabilities at once. */
async function measureApart(
  runtime: typeof native | typeof ort,
  baseline: Uint8Array,
  level: Uint8Array,
  tokenizer: string,
  text: string,
  windows: number,
) {
  const { PreTrainedTokenizer } = await import('@huggingface/transformers');
  const ids = new PreTrainedTokenizer(JSON.parse(tokenizer) as object, {}).encode(text, { add_special_tokens: false });
  const logProbabilities = async (model: Uint8Array): Promise<number[][]> => {
    const session = await runtime.InferenceSession.create(model, {
      intraOpNumThreads: 1,
      executionProviders: [runtime === native ? 'cpu' : 'wasm'],
    });
    const rows: number[][] = [];
    for (let window = 0; window < windows; window++) {
      const chunk = ids.slice(window * 512, (window + 1) * 512);
      const feeds: Record<string, ort.Tensor> = {};
      for (const input of session.inputMetadata) {
        if (!input.isTensor) throw new Error(input.name);
        const values = {
          input_ids: chunk,
          attention_mask: chunk.map(() => 1),
          position_ids: chunk.map((_, index) => index),
        }[input.name];
        feeds[input.name] = values
          ? new runtime.Tensor('int64', BigInt64Array.from(values.map(BigInt)), [1, 512])
          : new runtime.Tensor(
              'float16',
              Reflect.construct(
                'Float16Array' in globalThis
                  ? (Reflect.get(globalThis, 'Float16Array') as typeof Uint16Array)
                  : Uint16Array,
                [0],
              ) as Uint16Array,
              [1, 2, 0, 64],
            );
      }
      const { logits } = await session.run(feeds, ['logits']);
      const values = logits?.data as Float32Array;
      for (let position = 256; position <= 510; position++) {
        const row = Array.from(values.subarray(position * 4096, (position + 1) * 4096));
        const max = row.reduce((a, b) => Math.max(a, b));
        const logSum = max + Math.log(row.reduce((sum, value) => sum + Math.exp(value - max), 0));
        rows.push(row.map((value) => value - logSum));
      }
    }
    await session.release();
    return rows;
  };
  const base = await logProbabilities(baseline);
  const other = await logProbabilities(level);
  const targets = base.map((_, row) => ids[Math.floor(row / 255) * 512 + 257 + (row % 255)]!);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const top = (row: number[]) => row.indexOf(row.reduce((a, b) => Math.max(a, b)));
  const at = (rows: number[][]) => targets.map((target, row) => rows[row]![target]!);
  const differences = at(base).map((value, row) => value - at(other)[row]!);
  const center = mean(differences);
  return {
    base: Math.exp(-mean(at(base))),
    level: Math.exp(-mean(at(other))),
    kld: mean(
      base.map((row, index) =>
        row.reduce((sum, logP, token) => (logP > -16 ? sum + Math.exp(logP) * (logP - other[index]![token]!) : sum), 0),
      ),
    ),
    pairedError: Math.sqrt(mean(differences.map((value) => (value - center) ** 2)) / (differences.length - 1)),
    sameTop: mean(base.map((row, index) => Number(top(row) === top(other[index]!)))),
    rms: Math.sqrt(mean(at(base).map((value, row) => (Math.exp(at(other)[row]!) - Math.exp(value)) ** 2))),
  };
}

describe('evaluating', () => {
  it('finds no drift of a model against itself, and some of another', async () => {
    const outcome = await outcomeOf(
      job({
        levels: [
          { key: 'same', model: inOneFile(tinyModel({ vocabulary: VOCABULARY })) },
          { key: 'other', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, noise: 0.2 })) },
        ],
      }),
    );
    const [base, same, other] = outcome.levels;
    expect(outcome.levels.map(({ key }) => key)).toEqual(['fp16', 'same', 'other']);
    expect(base).toMatchObject({ drift: null, problem: null });
    expect(same?.perplexity).toEqual(base?.perplexity);
    expect(same?.drift).toMatchObject({
      lnRatio: { value: 0, error: 0 },
      kld: { max: 0 },
      sameTop: { value: 1, error: 0 },
    });
    expect(other?.drift?.kld.mean).toBeGreaterThan(1e-4);
    expect(other?.drift?.sameTop.value).toBeLessThan(1);
    expect(outcome.protocol).toMatchObject({
      name: 'llama.cpp',
      context: 512,
      chunks: 3,
      tokens: 3 * 255,
      textTokens: 1600,
      textBytes: 3200,
      provider: 'wasm',
      text: 'tiny.txt',
    });
    expect(outcome.notes).toEqual([]);
  });

  it('gives the same figures every time', async () => {
    expect(await outcomeOf(job())).toEqual(await outcomeOf(job()));
  });

  it('counts BOS into the text and puts it in front of every window', async () => {
    const windows: Int32Array[] = [];
    const outcome = await outcomeOf(
      job({ bos: true, tokens: 1535 }),
      fakeRuntime({ onRun: (ids) => windows.push(ids) }),
    );
    expect(outcome.protocol).toMatchObject({ textTokens: 1536, chunks: 3 });
    expect(windows.map((ids) => ids[0])).toEqual([0, 0, 0, 0, 0, 0]);
    expect(windows.every((ids) => !ids.subarray(1).includes(0))).toBe(true);
  });

  it('runs no more of the text than it is told to', async () => {
    expect((await outcomeOf(job({ maxTokens: 1100 }))).protocol).toMatchObject({ chunks: 2, textTokens: 1600 });
  });

  it('uses smaller windows for a short text and says so', async () => {
    const outcome = await outcomeOf(job({ tokens: 300 }));
    expect(outcome.protocol.context).toBe(128);
    expect(outcome.notes.join()).toContain('300 tokens');
  });

  it('keeps to the length a graph is fixed to', async () => {
    const outcome = await outcomeOf(
      job({
        baseline: { key: 'fp16', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, sequence: 100 })) },
        levels: [],
      }),
    );
    expect(outcome.protocol).toMatchObject({ context: 100, chunks: 16 });
    expect(outcome.notes.join()).toContain('at most 100');
  });

  it('pads windows for a graph fixed to a longer one, to the same figures', async () => {
    const outcome = await outcomeOf(
      job({ levels: [{ key: 'longer', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, sequence: 700 })) }] }),
    );
    expect(outcome.levels[1]?.drift?.kld.max).toBeLessThan(1e-9);
    expect(outcome.levels[1]?.perplexity?.value).toBeCloseTo(outcome.levels[0]?.perplexity?.value ?? NaN, 6);
  });

  it("keeps to the length the tokenizer's configuration names", async () => {
    const outcome = await outcomeOf(job({ tokenizerConfig: JSON.stringify({ model_max_length: 256 }) }));
    expect(outcome.protocol.context).toBe(256);
  });

  it('reads fp16 logits', async () => {
    const model = tinyModel({ vocabulary: VOCABULARY, type: 'float16', sees: 'none' });
    const outcome = await outcomeOf(
      job({
        baseline: { key: 'fp32', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, sees: 'none' })) },
        levels: [{ key: 'fp16', model: inOneFile(model) }],
      }),
    );
    expect(outcome.levels[1]?.drift?.kld.mean).toBeLessThan(1e-4);
    expect(outcome.levels[1]?.drift?.kld.mean).toBeGreaterThan(0);
  });
});

describe('events', () => {
  it('count tokens up to all of them and end with the final figures', async () => {
    const { result, events } = await run(job());
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.every((event, index) => event.done >= (progress[index - 1]?.done ?? 0))).toBe(true);
    expect(progress.at(-1)).toMatchObject({ stage: 'measure', level: null, done: 1536, total: 1536, unit: 'tokens' });
    const final = events.filter((event) => event.type === 'measured').filter((event) => event.final);
    expect(
      result.ok && result.value.levels.map(({ key, perplexity, drift }) => ({ level: key, perplexity, drift })),
    ).toEqual(final.map(({ level, perplexity, drift }) => ({ level, perplexity, drift })));
    expect(final.map(({ tokens }) => tokens)).toEqual([765, 765]);
  });

  it('give running figures and time left, in moderation', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const runtime = fakeRuntime({
      onRun: () => {
        vi.advanceTimersByTime(60);
      },
    });
    const { events } = await run(
      job({ tokens: 512 * 10, levels: [{ key: 'int4', model: inOneFile(new Blob(['x'])) }] }),
      runtime,
    ).finally(() => vi.useRealTimers());
    // Ten windows of 120 ms; figures are due every 250 ms and looked at after each window.
    const running = events
      .filter((event) => event.type === 'measured')
      .filter((event) => !event.final && event.level === 'int4');
    expect(running.map(({ tokens }) => tokens / 255)).toEqual([3, 6, 9]);
    expect(running[0]?.drift?.kld.mean).toBeGreaterThan(0);
    // Progress is due every 100 ms, so after every other run.
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.map(({ done }) => done / 512)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(progress[0]?.secondsLeft).toBeNull();
    expect(progress[5]?.secondsLeft).toBeCloseTo(4 * 0.12, 6);
  });
});

describe('what cannot be measured', () => {
  const codeOf = async (parts: Parameters<typeof job>[0]) => {
    const { result } = await run(job(parts));
    return result.ok ? null : result.error;
  };
  const baseline = (model: Blob) => ({ key: 'fp16', model: inOneFile(model) });

  it('is a text too short', async () => {
    expect(await codeOf({ tokens: 40 })).toMatchObject({ code: 'text-too-short' });
  });

  it('is a text the tokenizer of another model has made, in numbers', async () => {
    const error = await codeOf({ baseline: baseline(tinyModel({ vocabulary: 30 })), levels: [] });
    expect(error).toMatchObject({ code: 'tokenizer-mismatch' });
    expect(error?.message).toMatch(/token 49.*0 to 29/);
  });

  it('is a broken tokenizer', async () => {
    expect(await codeOf({ tokenizerJson: '{' })).toMatchObject({ code: 'tokenizer-invalid' });
  });

  it('is what onnxruntime cannot open', async () => {
    const error = await codeOf({ baseline: baseline(new Blob(['not a model at all'])) });
    expect(error).toMatchObject({ code: 'session-failed' });
    expect(error?.details).toMatch(/^fp16: .+/);
  });

  it('is a model that sees later tokens', async () => {
    expect(await codeOf({ baseline: baseline(tinyModel({ vocabulary: VOCABULARY, sees: 'all' })) })).toMatchObject({
      code: 'not-a-language-model',
    });
  });

  it('is a model with logits for the last token only', async () => {
    const error = await codeOf({ baseline: baseline(tinyModel({ vocabulary: VOCABULARY, lastOnly: true })) });
    expect(error).toMatchObject({ code: 'not-a-language-model' });
    expect(error?.message).toContain('1 of 8');
  });

  it('is a model that asks for more than text', async () => {
    const error = await codeOf({
      baseline: baseline(tinyModel({ vocabulary: VOCABULARY, extraInput: 'temperature' })),
    });
    expect(error).toMatchObject({ code: 'inputs-unknown' });
    expect(error?.message).toContain('"temperature"');
  });

  it('is a baseline that is not finite', async () => {
    expect(
      await codeOf({ baseline: baseline(tinyModel({ vocabulary: VOCABULARY, spoil: NaN })), bos: true }),
    ).toMatchObject({ code: 'session-failed' });
  });
});

describe('a level in trouble', () => {
  it('does not keep the others from being measured', async () => {
    const outcome = await outcomeOf(
      job({
        bos: true,
        levels: [
          { key: 'broken', model: inOneFile(new Blob(['not a model'])) },
          { key: 'overflowing', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, spoil: Infinity })) },
          { key: 'of another vocabulary', model: inOneFile(tinyModel({ vocabulary: VOCABULARY + 1 })) },
          { key: 'fine', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, noise: 0.1 })) },
        ],
      }),
    );
    const byKey = Object.fromEntries(outcome.levels.map((level) => [level.key, level]));
    expect(byKey['fp16']?.perplexity?.value).toBeGreaterThan(1);
    expect(byKey['fine']).toMatchObject({ problem: null });
    expect(byKey['fine']?.drift?.kld.mean).toBeGreaterThan(0);
    for (const key of ['broken', 'overflowing', 'of another vocabulary']) {
      expect(byKey[key]).toMatchObject({ perplexity: null, drift: null, problem: { code: 'session-failed' } });
    }
  });
});

interface Fake {
  /** Sessions that fit in memory at once. */
  room?: number;
  runMs?: number;
  onRun?: (ids: Int32Array) => void;
  /** Runs out of memory at this run of a session while more than `room` levels are open. */
  failAtRun?: number;
}

interface CountingRuntime extends EvaluationRuntime {
  mostOpen: number;
  open_: number;
}

/** Models whose logits depend on the tokens and on the size of their blob; counts how many are open. */
function fakeRuntime({ room = Infinity, runMs = 0, onRun, failAtRun = Infinity }: Fake = {}): CountingRuntime {
  const runtime: CountingRuntime = {
    mostOpen: 0,
    open_: 0,
    provider: 'wasm',
    threads: () => 1,
    async open(model): Promise<Result<LanguageModel>> {
      if (runtime.open_ >= room && failAtRun === Infinity) return failure('out-of-memory', 'full', 'make room');
      runtime.open_++;
      runtime.mostOpen = Math.max(runtime.mostOpen, runtime.open_);
      let runs = 0;
      return {
        ok: true,
        value: {
          vocabulary: VOCABULARY,
          longest: null,
          async logits(ids, first, rows) {
            if (++runs >= failAtRun && runtime.open_ > room) return failure('out-of-memory', 'full', 'make room');
            onRun?.(ids);
            if (runMs > 0)
              await new Promise((resolve) => {
                setTimeout(resolve, runMs);
              });
            const logits = new Float32Array(rows * VOCABULARY);
            for (let row = 0; row < rows; row++) {
              const random = generator(ids[first + row]!);
              for (let index = 0; index < VOCABULARY; index++)
                logits[row * VOCABULARY + index] = 4 * random() + 0.01 * ((index * model.model.size) % 7);
            }
            return { ok: true, value: logits };
          },
          async release() {
            runtime.open_--;
          },
        },
      };
    },
  };
  return runtime;
}

describe('memory', () => {
  const levels = [1, 2, 3, 4, 5].map((size) => ({
    key: `level ${size}`,
    model: inOneFile(new Blob(['x'.repeat(size)])),
  }));
  const roomy = () => outcomeOf(job({ levels }), fakeRuntime());

  it('for all models lets all run side by side', async () => {
    const runtime = fakeRuntime();
    await outcomeOf(job({ levels }), runtime);
    expect(runtime).toMatchObject({ mostOpen: 6, open_: 0 });
  });

  it.each([{ room: 2 }, { room: 3 }, { room: 5 }])(
    'for $room models gives the same figures in several passes, and says so',
    async ({ room }) => {
      const runtime = fakeRuntime({ room });
      const outcome = await outcomeOf(job({ levels }), runtime);
      expect(outcome.levels).toEqual((await roomy()).levels);
      expect(outcome.notes.join()).toContain('not enough memory for all levels at once');
      expect(runtime).toMatchObject({ mostOpen: room, open_: 0 });
    },
  );

  it('that runs out while running leads to smaller passes too', async () => {
    const runtime = fakeRuntime({ room: 3, failAtRun: 2 });
    expect((await outcomeOf(job({ levels }), runtime)).levels).toEqual((await roomy()).levels);
    expect(runtime.open_).toBe(0);
  });

  it('never lets progress go back', async () => {
    const { events } = await run(job({ levels }), fakeRuntime({ room: 2, runMs: 15 }));
    const done = events.flatMap((event) => (event.type === 'progress' ? [event.done] : []));
    expect(done.length).toBeGreaterThan(2);
    expect([...done].sort((a, b) => a - b)).toEqual(done);
    expect(done.at(-1)).toBe(1536);
  });

  it('for the baseline alone still measures that', async () => {
    const outcome = await outcomeOf(job(), fakeRuntime({ room: 1 }));
    expect(outcome.levels[0]?.perplexity?.value).toBeGreaterThan(1);
    expect(outcome.levels[1]).toMatchObject({ key: 'int4', perplexity: null, problem: { code: 'out-of-memory' } });
  });

  it('for nothing is an error', async () => {
    expect((await run(job(), fakeRuntime({ room: 0 }))).result).toMatchObject({
      ok: false,
      error: { code: 'out-of-memory' },
    });
  });
});

describe('finishing early', () => {
  const levels = [1, 2, 3, 4].map((size) => ({ key: `level ${size}`, model: inOneFile(new Blob(['x'.repeat(size)])) }));

  it('gives the figures of the windows run so far, as a run over those alone does, and says so', async () => {
    const finish = new AbortController();
    let runs = 0;
    // Five models a window: the fourteenth run is in the third window.
    const runtime = fakeRuntime({
      onRun: () => {
        if (++runs === 14) finish.abort();
      },
    });
    const { result, events } = await run(job({ levels, tokens: 5120 }), runtime, undefined, finish.signal);
    const alone = await outcomeOf(job({ levels, tokens: 5120, maxTokens: 1536 }), fakeRuntime());
    if (!result.ok) throw new Error(result.error.message);
    expect(runs).toBe(15);
    expect(result.value.levels).toEqual(alone.levels);
    expect(result.value.protocol).toEqual({ ...alone.protocol, plannedChunks: 10, stoppedEarly: true });
    expect(alone.protocol).toMatchObject({ chunks: 3, plannedChunks: 3, stoppedEarly: false, tokens: 765 });
    expect(result.value.notes).toEqual([
      expect.stringMatching(/Stopped early: 3 of 10 windows were run, the first 30\.0 %/),
    ]);
    expect(
      events
        .filter((event) => event.type === 'measured' && event.final)
        .map((event) => event.type === 'measured' && event.tokens),
    ).toEqual([765, 765, 765, 765, 765]);
    expect(runtime.open_).toBe(0);
  });

  it('runs one window when asked before the first', async () => {
    const finish = new AbortController();
    finish.abort();
    const { result } = await run(job({ tokens: 5120 }), fakeRuntime(), undefined, finish.signal);
    expect(result.ok && result.value.protocol).toMatchObject({ chunks: 1, stoppedEarly: true });
  });

  it('in the last window changes nothing', async () => {
    const finish = new AbortController();
    let runs = 0;
    const { result } = await run(
      job(),
      fakeRuntime({
        onRun: () => {
          if (++runs === 6) finish.abort();
        },
      }),
      undefined,
      finish.signal,
    );
    expect(finish.signal.aborted).toBe(true);
    expect(result.ok && result.value.protocol.stoppedEarly).toBe(false);
  });

  it('leaves levels of a pass that was not finished without figures: theirs would be of other windows', async () => {
    const finish = new AbortController();
    let runs = 0;
    // Room for three: two passes of two levels over three windows, nine runs each.
    const runtime = fakeRuntime({
      room: 3,
      onRun: () => {
        if (++runs === 13) finish.abort();
      },
    });
    const { result } = await run(job({ levels }), runtime, undefined, finish.signal);
    if (!result.ok) throw new Error(result.error.message);
    expect(result.value.protocol).toMatchObject({ chunks: 3, stoppedEarly: false });
    const whole = await outcomeOf(job({ levels }), fakeRuntime());
    expect(result.value.levels.slice(0, 3)).toEqual(whole.levels.slice(0, 3));
    expect(result.value.levels.slice(3)).toMatchObject([
      { perplexity: null, problem: { code: 'cancelled' } },
      { perplexity: null, problem: { code: 'cancelled' } },
    ]);
  });

  it('in the first of several passes does without the others', async () => {
    const finish = new AbortController();
    let runs = 0;
    const runtime = fakeRuntime({
      room: 3,
      onRun: () => {
        if (++runs === 2) finish.abort();
      },
    });
    const { result } = await run(job({ levels }), runtime, undefined, finish.signal);
    expect(runs).toBe(3);
    expect(result.ok && result.value.protocol).toMatchObject({ chunks: 1, stoppedEarly: true });
    expect(result.ok && result.value.levels.map(({ perplexity }) => perplexity !== null)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  it('can still be cancelled', async () => {
    const finish = new AbortController();
    const stop = new AbortController();
    let runs = 0;
    const runtime = fakeRuntime({
      onRun: () => {
        finish.abort();
        if (++runs === 2) stop.abort();
      },
    });
    const { result } = await run(job({ levels }), runtime, stop.signal, finish.signal);
    expect(result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  });
});

describe('bits per byte', () => {
  it('are of the bytes the scored tokens stand for', async () => {
    const [base] = (await outcomeOf(job())).levels;
    // Each token of the test's tokenizer is a character of two bytes.
    expect(base?.perplexity?.bitsPerByte?.value).toBeCloseTo(Math.log2(base?.perplexity?.value ?? NaN) / 2, 10);
    expect((await outcomeOf(job())).protocol.scoredBytes).toBe(3 * 255 * 2);
  });

  it('are not given where the tokenizer drops part of the text', async () => {
    const text = tinyText(VOCABULARY, 1600).replace(/./gu, (character, at: number) =>
      at % 20 === 0 ? `${character}\u4e00` : character,
    );
    const outcome = await outcomeOf(job({ text }));
    expect(outcome.protocol.scoredBytes).toBeNull();
    expect(outcome.levels[0]?.perplexity).not.toHaveProperty('bitsPerByte');
  });
});

describe('cancelling', () => {
  it('stops between runs and gives everything back', async () => {
    const stop = new AbortController();
    let runs = 0;
    const runtime = fakeRuntime({
      onRun: () => {
        if (++runs === 3) stop.abort();
      },
    });
    const { result, events } = await run(job(), runtime, stop.signal);
    expect(result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(runs).toBe(3);
    expect(runtime.open_).toBe(0);
    expect(events.some((event) => event.type === 'measured')).toBe(false);
  });

  it('is heard while it computes', async () => {
    const stop = new AbortController();
    setTimeout(() => {
      stop.abort();
    }, 300);
    const busy = fakeRuntime({
      onRun: () => {
        for (const until = performance.now() + 30; performance.now() < until;);
      },
    });
    const { result } = await run(job({ tokens: 512 * 200 }), busy, stop.signal);
    expect(result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  });
});
