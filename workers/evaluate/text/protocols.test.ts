import fc from 'fast-check';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it } from 'vitest';
import type { ProtocolName, ProtocolRequest } from '../../contract/job.ts';
import { failure } from '../errors.ts';
import { evaluate, type EvaluationOutcome } from './evaluate.ts';
import { planProtocol, tokensReached, tokensScored, windowOf, type WindowPlan } from './protocols.ts';
import type { EvaluationRuntime } from './language-model.ts';

/** Tokens a, b, space and BOS. */
const VOCABULARY = 4;
const BOS = 3;
const tokenizerJson = JSON.stringify({
  version: '1.0',
  added_tokens: [{ id: BOS, content: '<s>', special: true }],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: { type: 'BPE', vocab: { a: 0, b: 1, ' ': 2, '<s>': BOS }, merges: [] },
});
const configuration = (addsBos: boolean, more: object = {}) =>
  JSON.stringify({ add_bos_token: addsBos, bos_token: '<s>', ...more });

/** 70 tokens and bytes, 24 words. */
const TEXT = `${'ab '.repeat(23)}a`;

/**
 * The baseline, after t tokens of its window, gives the token that does follow (t + 1) / (t + 4), so that the product
 * over positions a to b of a window is (b+2)(b+3)(b+4) / ((a+1)(a+2)(a+3)), inverted. The level always guesses: ¼.
 */
function runtime(longest: number | null = null, ran: Int32Array[] = []): EvaluationRuntime {
  const follower = (id: number) => (id === BOS ? 0 : (id + 1) % 3);
  return {
    provider: 'wasm',
    threads: () => 1,
    async open(model) {
      const guesses = model.model.size > 1;
      return {
        ok: true,
        value: {
          vocabulary: VOCABULARY,
          longest,
          async logits(ids, first, rows) {
            if (!guesses) ran.push(ids);
            const logits = new Float32Array(rows * VOCABULARY);
            for (let row = 0; row < rows && !guesses; row++)
              logits[row * VOCABULARY + follower(ids[first + row]!)] = Math.log(first + row + 1);
            return { ok: true, value: logits };
          },
          release: () => Promise.resolve(),
        },
      };
    },
  };
}

async function measured(
  protocol: ProtocolRequest,
  { text = TEXT, maxTokens = null as number | null, config = configuration(false), model = runtime() } = {},
): Promise<EvaluationOutcome> {
  const outcome = await evaluate(
    model,
    {
      baseline: { key: 'base', model: inOneFile(new Blob(['x'])) },
      levels: [{ key: 'guess', model: inOneFile(new Blob(['xx'])) }],
      tokenizerJson,
      tokenizerConfig: config,
      text,
      textName: 'text',
      maxTokens,
      threads: 1,
      protocol,
    },
    () => undefined,
  );
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}

const product = (from: number, to: number) => ((to + 2) * (to + 3) * (to + 4)) / ((from + 1) * (from + 2) * (from + 3));

describe('worked out by hand: 70 tokens in windows of 32', () => {
  it('llama.cpp scores positions 16 to 30 of two windows', async () => {
    const { protocol, levels } = await measured({ name: 'llama.cpp', context: 32 });
    const [base, guess] = levels;
    expect(protocol).toMatchObject({
      name: 'llama.cpp',
      context: 32,
      unit: 'token',
      tokens: 30,
      chunks: 2,
      plannedChunks: 2,
      stoppedEarly: false,
      scoredBytes: 30,
    });
    expect(protocol).not.toHaveProperty('stride');
    expect(base?.perplexity?.value).toBeCloseTo(product(16, 30) ** (1 / 15), 5);
    // One byte a token.
    expect(base?.perplexity?.bitsPerByte?.value).toBeCloseTo(Math.log2(product(16, 30)) / 15, 6);
    expect(guess?.perplexity?.bitsPerByte?.value).toBeCloseTo(2, 12);
    expect(guess?.drift?.ratio?.value).toBeCloseTo(4 / product(16, 30) ** (1 / 15), 5);
  });

  it('gptq scores all positions of two windows', async () => {
    const { protocol, levels } = await measured({ name: 'gptq', context: 32 });
    expect(protocol).toMatchObject({ name: 'gptq', context: 32, tokens: 62, chunks: 2, scoredBytes: 62 });
    expect(levels[0]?.perplexity?.value).toBeCloseTo(product(0, 30) ** (1 / 31), 5);
    expect(levels[1]?.perplexity?.value).toBeCloseTo(4, 12);
  });

  it('gptq has BOS where the tokenizer puts it: 71 tokens, once', async () => {
    const ran: Int32Array[] = [];
    await measured({ name: 'gptq', context: 32 }, { config: configuration(true), model: runtime(null, ran) });
    expect(ran.map((ids) => [ids.length, ids.indexOf(BOS), ids.lastIndexOf(BOS)])).toEqual([
      [32, 0, 0],
      [32, -1, -1],
    ]);
  });

  it('huggingface scores what each window adds', async () => {
    const { protocol, levels } = await measured({ name: 'huggingface', context: 32, stride: 16 });
    expect(protocol).toMatchObject({
      name: 'huggingface',
      context: 32,
      stride: 16,
      tokens: 69,
      chunks: 4,
      scoredBytes: 69,
    });
    // Tokens 1–31, 32–47, 48–63 and, in a window of 22, 64–69.
    const inverse = product(0, 30) * product(15, 30) ** 2 * product(15, 20);
    expect(levels[0]?.perplexity?.value).toBeCloseTo(inverse ** (1 / 69), 5);
  });

  it('lm-eval scores every token, by word', async () => {
    const ran: Int32Array[] = [];
    const { protocol, levels, notes } = await measured({ name: 'lm-eval', context: 32 }, { model: runtime(null, ran) });
    const [base, guess] = levels;
    expect(protocol).toMatchObject({
      name: 'lm-eval',
      context: 32,
      unit: 'word',
      tokens: 70,
      words: 24,
      chunks: 3,
      scoredBytes: 70,
    });
    // BOS and 31 tokens, then 32 behind the last of those; the last 6 are filled up to 32 inputs with what is before them.
    expect(ran.map((ids) => [ids.length, ids.includes(BOS)])).toEqual([
      [32, true],
      [32, false],
      [32, false],
    ]);
    const inverse = product(0, 31) ** 2 * product(26, 31);
    expect(base?.perplexity?.value).toSatisfy((value: number) => Math.abs(value / inverse ** (1 / 24) - 1) < 1e-5);
    expect(base?.perplexity?.bytePerplexity?.value).toBeCloseTo(inverse ** (1 / 70), 5);
    expect(base?.perplexity?.bitsPerByte?.value).toBeCloseTo(Math.log2(inverse) / 70, 5);
    expect(guess?.perplexity?.value).toBeCloseTo(4 ** (70 / 24), 6);
    expect(guess?.drift?.lnRatio.value).toBeCloseTo((70 * Math.log(4) - Math.log(inverse)) / 24, 5);
    expect(notes).toEqual([]);
  });

  it('lm-eval counts the words of the part it scored', async () => {
    const { protocol } = await measured({ name: 'lm-eval', context: 32 }, { maxTokens: 64 });
    // 64 bytes: twenty-one times "ab " and an a.
    expect(protocol).toMatchObject({ tokens: 64, words: 22, chunks: 2, scoredBytes: 64 });
  });

  it('lm-eval without a token to begin with leaves out the first and says so', async () => {
    const { protocol, notes } = await measured(
      { name: 'lm-eval', context: 32 },
      { config: JSON.stringify({ bos_token: '<nowhere>' }) },
    );
    expect(protocol.tokens).toBe(69);
    expect(notes.join()).toContain('neither a BOS nor an EOS');
  });

  it('lm-eval begins with EOS where there is no BOS', async () => {
    const ran: Int32Array[] = [];
    await measured(
      { name: 'lm-eval', context: 32 },
      { config: JSON.stringify({ bos_token: '<nowhere>', eos_token: '<s>' }), model: runtime(null, ran) },
    );
    expect(ran[0]?.[0]).toBe(BOS);
  });
});

describe('a model that takes fewer tokens', () => {
  it.each<[ProtocolName, number]>([
    ['gptq', 2048],
    ['huggingface', 1024],
    ['lm-eval', 2048],
    ['llama.cpp', 512],
  ])('is measured by %s in windows it takes, and that is said', async (name, usual) => {
    const ran: Int32Array[] = [];
    const { protocol, notes } = await measured({ name }, { text: TEXT.repeat(10), model: runtime(64, ran) });
    expect(protocol.context).toBe(64);
    expect(notes.join()).toContain(`at most 64 tokens at once, so windows of 64 were used instead of ${usual}`);
    expect(Math.max(...ran.map((ids) => ids.length))).toBe(64);
  });
});

describe('a model that takes fewer tokens and does not say so', () => {
  const limited = (most: number): EvaluationRuntime => {
    const unlimited = runtime();
    return {
      ...unlimited,
      async open(blob) {
        const opened = await unlimited.open(blob);
        if (!opened.ok) return opened;
        const { logits } = opened.value;
        return {
          ok: true,
          value: {
            ...opened.value,
            logits: async (ids, first, rows) =>
              ids.length > most ? failure('session-failed', 'too long', '') : logits(ids, first, rows),
          },
        };
      },
    };
  };

  it.each<[ProtocolName, number]>([
    ['gptq', 700],
    ['huggingface', 512],
    ['lm-eval', 33],
  ])('is measured by %s in windows of the %i it runs', async (name, most) => {
    const { protocol, notes } = await measured({ name }, { text: TEXT.repeat(50), model: limited(most) });
    expect(protocol.context).toBe(most);
    expect(notes.join()).toContain(`at most ${most} tokens at once`);
    expect(protocol.stride).toBe(name === 'huggingface' ? 256 : undefined);
  });

  it('and runs nothing at all fails as it does', async () => {
    await expect(measured({ name: 'gptq' }, { text: TEXT.repeat(50), model: limited(8) })).rejects.toThrow('too long');
  });
});

describe('settings that make no sense', () => {
  it.each<[ProtocolRequest]>([
    [{ name: 'gptq', context: 31 }],
    [{ name: 'llama.cpp', context: 100.5 }],
    [{ name: 'gptq', stride: 16 }],
    [{ name: 'huggingface', context: 64, stride: 65 }],
    [{ name: 'huggingface', stride: 0 }],
  ])('%j are refused', async (protocol) => {
    expect(
      await evaluate(
        runtime(),
        {
          baseline: { key: 'base', model: inOneFile(new Blob(['x'])) },
          levels: [],
          tokenizerJson,
          tokenizerConfig: null,
          text: TEXT,
          textName: 'text',
          maxTokens: null,
          threads: 1,
          protocol,
        },
        () => undefined,
      ),
    ).toMatchObject({ ok: false, error: { code: 'usage' } });
  });
});

const plan = (
  request: ProtocolRequest,
  length: number,
  {
    maxTokens = null as number | null,
    longest = null as number | null,
    bos = null as number | null,
    prefix = null as number | null,
  } = {},
): WindowPlan => {
  const planned = planProtocol(
    request,
    { tokens: Int32Array.from({ length }, (_, index) => index), bos },
    { bosId: prefix, eosId: null },
    maxTokens,
    longest,
  );
  if (!planned.ok) throw new Error(planned.error.message);
  return planned.value;
};

/** How often each token of the sequence is scored. */
function timesScored({ sequence, spans }: WindowPlan): number[] {
  const times = Array.from(sequence, () => 0);
  for (const { from, to } of spans) for (let at = from; at < to; at++) times[at]!++;
  return times;
}

const cases = fc.record({
  length: fc.integer({ min: 64, max: 700 }),
  context: fc.integer({ min: 32, max: 200 }),
  share: fc.double({ min: 0.01, max: 1, noNaN: true }),
  maxTokens: fc.option(fc.integer({ min: 1, max: 900 })),
  longest: fc.option(fc.integer({ min: 32, max: 200 })),
  prefix: fc.option(fc.constant(5)),
});
const strideOf = (context: number, share: number) => Math.max(1, Math.floor(context * share));

describe('plans of windows', () => {
  it('run no more tokens at once than a window has, score what is run, in order, and no more than is there', () => {
    fc.assert(
      fc.property(
        cases,
        fc.constantFrom<ProtocolName>('llama.cpp', 'gptq', 'huggingface', 'lm-eval'),
        ({ length, context, share, maxTokens, longest, prefix }, name) => {
          const planned = plan(
            { name, context, ...(name === 'huggingface' && { stride: strideOf(context, share) }) },
            length,
            { maxTokens, longest, prefix },
          );
          expect(planned.spans.length).toBeGreaterThan(0);
          expect(planned.context).toBeLessThanOrEqual(Math.min(context, longest ?? Infinity));
          planned.spans.forEach(({ start, end, from, to }, index) => {
            expect(end - start).toBeLessThanOrEqual(planned.context);
            expect(start).toBeGreaterThanOrEqual(0);
            expect(from).toBeGreaterThan(start);
            expect(to).toBeGreaterThan(from);
            expect(to).toBeLessThanOrEqual(Math.min(end + 1, planned.sequence.length));
            expect(from).toBeGreaterThanOrEqual(planned.spans[index - 1]?.to ?? 1);
            if (maxTokens !== null && index > 0) expect(end).toBeLessThanOrEqual(maxTokens);
            const { ids, first, targets } = windowOf(planned, index);
            expect([ids[first], targets[0]]).toEqual([planned.sequence[from - 1], planned.sequence[from]]);
            expect(first + targets.length).toBeLessThanOrEqual(ids.length);
          });
          expect(tokensScored(planned, planned.spans.length)).toBe(
            timesScored(planned).reduce((sum, times) => sum + times, 0),
          );
          expect(tokensReached(planned, planned.spans.length)).toBeLessThanOrEqual(planned.sequence.length);
        },
      ),
    );
  });

  it('of gptq score every token but the first of each window once', () => {
    fc.assert(
      fc.property(cases, ({ length, context }) => {
        const planned = plan({ name: 'gptq', context }, length);
        const whole = Math.floor(length / planned.context) * planned.context;
        expect(timesScored(planned)).toEqual(
          Array.from({ length }, (_, at) => Number(at < whole && at % planned.context > 0)),
        );
      }),
    );
  });

  it('of llama.cpp score the second half of each window once', () => {
    fc.assert(
      fc.property(cases, ({ length, context }) => {
        const planned = plan({ name: 'llama.cpp', context }, length);
        const whole = Math.floor(length / planned.context) * planned.context;
        expect(timesScored(planned)).toEqual(
          Array.from({ length }, (_, at) =>
            Number(at < whole && at % planned.context > Math.floor(planned.context / 2)),
          ),
        );
      }),
    );
  });

  it('of huggingface score every token but the first once, behind as many others as the stride leaves', () => {
    fc.assert(
      fc.property(cases, ({ length, context, share }) => {
        const stride = Math.min(context - 1, strideOf(context, share));
        const planned = plan({ name: 'huggingface', context, stride }, length);
        expect(timesScored(planned)).toEqual(Array.from({ length }, (_, at) => Number(at > 0)));
        for (const { start, from } of planned.spans.slice(1))
          expect(from - start).toBeGreaterThanOrEqual(context - stride);
      }),
    );
  });

  it('of huggingface whose windows do not overlap are those of gptq, and the rest of the text', () => {
    fc.assert(
      fc.property(cases, ({ length, context }) => {
        fc.pre(context <= length);
        const sliding = plan({ name: 'huggingface', context, stride: context }, length).spans;
        const disjoint = plan({ name: 'gptq', context }, length).spans;
        expect(sliding.slice(0, disjoint.length)).toEqual(disjoint);
        expect(sliding.length - disjoint.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('of lm-eval score every token of the text once, and full windows but for a shorter text', () => {
    fc.assert(
      fc.property(cases, ({ length, context, prefix }) => {
        const planned = plan({ name: 'lm-eval', context }, length, { prefix });
        expect(planned.sequence).toHaveLength(length + Number(prefix !== null));
        expect(timesScored(planned)).toEqual(Array.from(planned.sequence, (_, at) => Number(at > 0)));
        const full = Math.min(context, planned.sequence.length - 1);
        for (const { start, end, from, to } of planned.spans) {
          expect(end - start).toBe(full);
          expect(end).toBe(to - 1);
          if (to - from === context) expect(start).toBe(from - 1);
        }
      }),
    );
  });
});
