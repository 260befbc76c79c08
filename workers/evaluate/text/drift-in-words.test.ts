import fc from 'fast-check';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../../../models/build.ts';
import type { DriftInWords } from '../../contract/report.ts';
import type { ProtocolRequest } from '../../contract/job.ts';
import type { Result } from '../../contract/errors.ts';
import { collectWords, inWords, PASSAGE_TOKENS, WORST_PER_LEVEL } from './drift-in-words.ts';
import { failure } from '../errors.ts';
import { evaluate, type EvaluationJob, type EvaluationOutcome } from './evaluate.ts';
import type { EvaluationRuntime, LanguageModel } from './language-model.ts';
import type { Window } from './protocols.ts';
import { createReferenceScorer } from '../statistics/reference-scorer.ts';
import { generator, tinyTokenizer } from '../test-models.ts';
import { openTokenizer } from './tokenizer/tokenizer.ts';

const logitsOf = (...rows: number[][]) => Float32Array.from(rows.flat().map((p) => Math.log(p)));

/** Letters a to z, by id. */
const LETTERS = {
  piece: (id: number) => String.fromCharCode(97 + id),
  pieces: (ids: Iterable<number>) => Array.from(ids, (id) => String.fromCharCode(97 + id)),
};

/** One pass over windows of which each model gives the logits. */
function pass(
  windows: { window: Window; baseline: Float32Array; levels: Record<string, Float32Array> }[],
  measured?: string[],
) {
  const collector = collectWords();
  for (const { window, baseline, levels } of windows) {
    const scorer = createReferenceScorer(window.targets.length, baseline.length / window.targets.length);
    collector.baseline(window, baseline, scorer.baseline(baseline, window.targets));
    for (const [key, logits] of Object.entries(levels)) collector.level(key, logits, scorer.compare(logits));
    collector.windowDone();
  }
  return collector.collected(measured ?? Object.keys(windows[0]?.levels ?? {}));
}

const window = (ids: number[], first: number, targets: number[]): Window => ({
  ids: Int32Array.from(ids),
  first,
  targets: Int32Array.from(targets),
});

describe('worked out by hand', () => {
  // Of c and then of a: the baseline gives them 1/2 and 1/4, int8 the same and 1/2, int4 1/8 and 1/16.
  const collected = pass([
    {
      window: window([0, 1, 2, 0], 1, [2, 0]),
      baseline: logitsOf([0.25, 0.25, 0.5], [0.25, 0.5, 0.25]),
      levels: {
        int8: logitsOf([0.25, 0.25, 0.5], [0.5, 0.25, 0.25]),
        int4: logitsOf([0.625, 0.25, 0.125], [0.0625, 0.1875, 0.75]),
      },
    },
  ]);
  const { passages, worst } = inWords([collected], LETTERS, 'abca');

  it('a passage has its context, the loss at the baseline and the change of each level', () => {
    expect(passages).toHaveLength(1);
    expect(passages[0]).toMatchObject({ tokens: ['a', 'b', 'c', 'a'], scoredFrom: 2 });
    expect(passages[0]?.baseline.map((nll) => nll / Math.LN2)).toEqual([expect.closeTo(1, 6), expect.closeTo(2, 6)]);
    expect(passages[0]?.levels.map(({ level, change }) => [level, ...change.map((value) => value / Math.LN2)])).toEqual(
      [
        ['int8', expect.closeTo(0, 6), expect.closeTo(-1, 6)],
        ['int4', expect.closeTo(2, 6), expect.closeTo(2, 6)],
      ],
    );
  });

  it('the worst tokens are those that lose, with what every model says instead', () => {
    expect(worst).toHaveLength(2);
    expect(worst.map(({ before, token }) => [before, token])).toEqual(
      expect.arrayContaining([
        ['ab', 'c'],
        ['abc', 'a'],
      ]),
    );
    const c = worst.find(({ token }) => token === 'c');
    expect(c?.baseline).toEqual({
      probability: expect.closeTo(0.5, 6),
      guess: { token: 'c', probability: expect.closeTo(0.5, 6) },
    });
    expect(c?.levels).toEqual([
      {
        level: 'int8',
        probability: expect.closeTo(0.5, 6),
        change: expect.closeTo(0, 6),
        guess: { token: 'c', probability: expect.closeTo(0.5, 6) },
      },
      {
        level: 'int4',
        probability: expect.closeTo(0.125, 6),
        change: expect.closeTo(2 * Math.LN2, 6),
        guess: { token: 'a', probability: expect.closeTo(0.625, 6) },
      },
    ]);
    const a = worst.find(({ token }) => token === 'a');
    expect(a?.levels.map(({ guess }) => guess)).toEqual([
      { token: 'a', probability: expect.closeTo(0.5, 6) },
      { token: 'c', probability: expect.closeTo(0.75, 6) },
    ]);
  });

  it('nothing loses of a model against itself', () => {
    const same = logitsOf([0.25, 0.25, 0.5]);
    expect(
      inWords([pass([{ window: window([0, 1], 0, [1]), baseline: same, levels: { same } }])], LETTERS, 'ab').worst,
    ).toEqual([]);
  });

  it('passes over the same windows are put together', () => {
    const of = (levels: Record<string, Float32Array>) =>
      pass([
        { window: window([0, 1, 2], 0, [1, 2]), baseline: logitsOf([0.25, 0.5, 0.25], [0.25, 0.25, 0.5]), levels },
      ]);
    const both = inWords(
      [
        of({ a: logitsOf([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]) }),
        of({ b: logitsOf([0.5, 0.25, 0.25], [0.5, 0.25, 0.25]) }),
      ],
      LETTERS,
      'abc',
    );
    expect(both.passages).toHaveLength(1);
    expect(both.passages[0]?.levels.map(({ level }) => level)).toEqual(['a', 'b']);
    expect(both.worst.map(({ token, levels }) => [token, levels.map(({ level }) => level)])).toEqual([
      ['b', ['a', 'b']],
      ['c', ['b']],
    ]);
  });

  it('a level that has failed on the way is in none of it', () => {
    const level = logitsOf([0.5, 0.25, 0.25]);
    const { passages, worst } = inWords(
      [
        pass(
          [{ window: window([0, 1], 0, [1]), baseline: logitsOf([0.25, 0.5, 0.25]), levels: { broken: level } }],
          [],
        ),
      ],
      LETTERS,
      'ab',
    );
    expect(worst).toEqual([]);
    expect(passages[0]?.levels).toEqual([]);
  });
});

describe('the worst tokens', () => {
  it('are those of all the text whose loss rose most, at any level', () => {
    const vocabulary = 5;
    const row = fc.array(fc.float({ min: -5, max: 5, noNaN: true }), { minLength: vocabulary, maxLength: vocabulary });
    const token = fc.record({ id: fc.integer({ min: 0, max: vocabulary - 1 }), baseline: row, a: row, b: row });
    fc.assert(
      fc.property(
        fc.array(fc.array(token, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 6 }),
        (windows) => {
          const floats = (rows: number[][]) => Float32Array.from(rows.flat());
          const collected = pass(
            windows.map((tokens) => ({
              window: window(
                [0, ...tokens.slice(0, -1).map(({ id }) => id)],
                0,
                tokens.map(({ id }) => id),
              ),
              baseline: floats(tokens.map(({ baseline }) => baseline)),
              levels: { a: floats(tokens.map(({ a }) => a)), b: floats(tokens.map(({ b }) => b)) },
            })),
          );
          const nll = (logits: number[], id: number) =>
            Math.log(logits.reduce((sum, value) => sum + Math.exp(Math.fround(value)), 0)) - Math.fround(logits[id]!);
          const all = windows.flat();
          const changes = {
            a: all.map((each) => nll(each.a, each.id) - nll(each.baseline, each.id)),
            b: all.map((each) => nll(each.b, each.id) - nll(each.baseline, each.id)),
          };
          const { worst } = inWords([collected], LETTERS, '');
          for (const level of ['a', 'b'] as const) {
            const expected = changes[level]
              .filter((change) => change > 1e-9)
              .sort((x, y) => y - x)
              .slice(0, WORST_PER_LEVEL);
            const got = worst
              .map(({ levels }) => levels.find((each) => each.level === level)?.change ?? NaN)
              .sort((x, y) => y - x)
              .slice(0, expected.length);
            expected.forEach((change, index) => {
              expect(got[index]).toBeCloseTo(change, 9);
            });
          }
          expect(worst.length).toBeLessThanOrEqual(2 * WORST_PER_LEVEL);
          const largest = worst.map(({ levels }) => Math.max(...levels.map(({ change }) => change)));
          expect(largest).toEqual([...largest].sort((x, y) => y - x));
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** Logits of `vocabulary` tokens by the token before and the model's size. */
function runtime(vocabulary: number, room = Infinity): EvaluationRuntime {
  let open = 0;
  return {
    provider: 'wasm',
    threads: () => 1,
    async open(model): Promise<Result<LanguageModel>> {
      if (open >= room) return failure('out-of-memory', 'full', 'make room');
      open++;
      return {
        ok: true,
        value: {
          vocabulary,
          longest: null,
          async logits(ids, first, rows) {
            const logits = new Float32Array(rows * vocabulary);
            for (let row = 0; row < rows; row++) {
              const random = generator(ids[first + row]!);
              const noise = generator(ids[first + row]! * 7 + model.model.size);
              for (let index = 0; index < vocabulary; index++)
                logits[row * vocabulary + index] = 4 * random() + (model.model.size > 1 ? noise() : 0);
            }
            return { ok: true, value: logits };
          },
          async release() {
            open--;
          },
        },
      };
    },
  };
}

/** Characters of one to four bytes, words, a line break. */
const TEXT =
  'Sòme years ago — never mind hów long précisely 🐋\nhaving little or no money in my purse, 水の中. '.repeat(80);

const job = (parts: Partial<EvaluationJob> = {}): EvaluationJob => ({
  baseline: { key: 'fp16', model: inOneFile(new Blob(['x'])) },
  levels: [
    { key: 'int8', model: inOneFile(new Blob(['xx'])) },
    { key: 'int4', model: inOneFile(new Blob(['xxx'])) },
  ],
  tokenizerJson: byteTokenizer(),
  tokenizerConfig: null,
  text: TEXT,
  textName: 'text',
  maxTokens: null,
  threads: 1,
  words: true,
  ...parts,
});

async function outcomeOf(
  job: EvaluationJob,
  models = runtime(256),
): Promise<EvaluationOutcome & { words: DriftInWords }> {
  const result = await evaluate(models, job, () => undefined);
  if (!result.ok) throw new Error(result.error.message);
  if (!result.value.words) throw new Error('no words');
  return { ...result.value, words: result.value.words };
}

describe('an evaluation', () => {
  it('tells nothing of this unless asked', async () => {
    const result = await evaluate(runtime(256), job({ words: false }), () => undefined);
    expect(result.ok && result.value.words).toBeNull();
  });

  it.each<{ protocol: ProtocolRequest; step: number; contexts: number }>([
    { protocol: { name: 'llama.cpp', context: 256 }, step: 256, contexts: 129 },
    { protocol: { name: 'gptq', context: 512 }, step: 512, contexts: 1 },
    { protocol: { name: 'huggingface', context: 256, stride: 128 }, step: 128, contexts: 128 },
    { protocol: { name: 'lm-eval', context: 512 }, step: 512, contexts: 1 },
  ])('shows the text of its first windows, $protocol.name', async ({ protocol, step, contexts }) => {
    const {
      words: { passages },
    } = await outcomeOf(job({ protocol }));
    expect(passages.reduce((sum, { baseline }) => sum + baseline.length, 0)).toBe(PASSAGE_TOKENS);
    expect(passages[1]?.scoredFrom).toBe(contexts);
    const bytes = new TextEncoder().encode(TEXT);
    for (const [index, { tokens, scoredFrom, baseline, levels }] of passages.entries()) {
      // One byte a token.
      expect(tokens.join('')).toBe(
        new TextDecoder().decode(bytes.subarray(index * step, index * step + tokens.length)),
      );
      expect(tokens).toHaveLength(scoredFrom + baseline.length);
      expect(levels.map(({ level, change }) => [level, change.length])).toEqual([
        ['int8', baseline.length],
        ['int4', baseline.length],
      ]);
    }
    expect(passages[0]?.tokens.slice(0, 5)).toEqual(['S', '', 'ò', 'm', 'e']);
  });

  it('gives changes that add up to what the perplexities say of the same tokens', async () => {
    const { words, levels } = await outcomeOf(job({ maxTokens: 1536 }));
    const tokens = words.passages.flatMap(({ baseline }) => baseline);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(tokens).toHaveLength(3 * 255);
    expect(Math.exp(mean(tokens))).toBeCloseTo(levels[0]?.perplexity?.value ?? NaN, 9);
    for (const { key, perplexity, drift } of levels.slice(1)) {
      const change = words.passages.flatMap(
        (passage) => passage.levels.find(({ level }) => level === key)?.change ?? [],
      );
      expect(mean(change)).toBeCloseTo(drift?.lnRatio.value ?? NaN, 10);
      expect(Math.exp(mean(tokens.map((value, index) => value + change[index]!)))).toBeCloseTo(
        perplexity?.value ?? NaN,
        9,
      );
    }
  });

  it('keeps as much of a long text as of a short one', async () => {
    const long = (await outcomeOf(job({ text: TEXT.repeat(4) }))).words;
    expect(long.passages.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeLessThan(3 * PASSAGE_TOKENS);
    expect(long.worst.length).toBeLessThanOrEqual(2 * WORST_PER_LEVEL);
    for (const { before } of long.worst) expect(before.length).toBeLessThanOrEqual(32);
  });

  it('names bytes that only begin a character, and finds the character where it ends', async () => {
    const {
      words: { worst },
    } = await outcomeOf(job());
    for (const { token, before, levels } of worst) {
      expect(token).toMatch(/^([\s\S]|<0x[0-9A-F]{2}>)$/u);
      expect(before).not.toMatch(/^\uFFFD|\uFFFD$/);
      expect(levels.map(({ level }) => level)).toEqual(['int8', 'int4']);
    }
  });

  it('has every level, though memory holds only some at once', async () => {
    const whole = await outcomeOf(job());
    const parts = await outcomeOf(job(), runtime(256, 2));
    expect(parts.words.passages).toEqual(whole.words.passages);
    expect(new Set(parts.words.worst.map(({ before, token }) => before + token))).toEqual(
      new Set(whole.words.worst.map(({ before, token }) => before + token)),
    );
    expect(parts.notes.join()).toContain('worst tokens');
  });

  it('shows a BOS token by its name', async () => {
    const { json, config } = tinyTokenizer(50, true);
    const text = Array.from({ length: 600 }, (_, index) => String.fromCodePoint(0x101 + (index % 49))).join('');
    const {
      words: { passages },
    } = await outcomeOf(
      job({ tokenizerJson: json, tokenizerConfig: config, text, protocol: { name: 'llama.cpp', context: 64 } }),
      runtime(50),
    );
    for (const { tokens } of passages) expect(tokens[0]).toBe('<s>');
    expect(passages[0]?.tokens.slice(1).join('')).toBe(text.slice(0, 63));
  });

  it('leaves out the space a SentencePiece vocabulary puts before a text, and keeps one of its own', async () => {
    const tokenizer = await openTokenizer(
      JSON.stringify({
        version: '1.0',
        added_tokens: [{ id: 0, content: '<s>', special: true }],
        pre_tokenizer: null,
        post_processor: null,
        decoder: null,
        normalizer: {
          type: 'Sequence',
          normalizers: [
            { type: 'Prepend', prepend: '▁' },
            { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
          ],
        },
        model: { type: 'BPE', vocab: { '<s>': 0, '▁': 1, a: 2, '▁a': 3 }, merges: ['▁ a'] },
      }),
      null,
    );
    if (!tokenizer.ok) throw new Error(tokenizer.error.details);
    const passageOf = (text: string, bos: number[]) => {
      const ids = [...bos, ...tokenizer.value.encode(text)];
      const logits = new Float32Array(4 * (ids.length - 1));
      return inWords(
        [pass([{ window: window(ids, 0, ids.slice(1)), baseline: logits, levels: {} }])],
        tokenizer.value,
        text,
      ).passages[0]?.tokens;
    };
    expect(passageOf('a a', [])).toEqual(['a', ' a']);
    expect(passageOf('a a', [0])).toEqual(['<s>', 'a', ' a']);
    expect(passageOf(' a', [0])?.join('')).toBe('<s> a');
  });
});
