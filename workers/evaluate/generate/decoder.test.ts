import { openAsBlob } from 'node:fs';
import { inOneFile } from '../../onnx/model-files.ts';
import { join } from 'node:path';
import * as fc from 'fast-check';
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Result } from '../../contract/errors.ts';
import { openDecoder, type Decoder } from './decoder.ts';
import { wasmRuntime, type GraphRuntime } from '../sessions/graph-session.ts';
import { languageModels } from '../text/language-model.ts';
import { tinyDecoder, tinyModel } from '../test-models.ts';

const runtime = wasmRuntime(ort, 1);
const SAMPLE = join(import.meta.dirname, '..', '..', '..', 'models', 'sample', 'model_fp16.onnx');

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
}

const largest = (values: Float32Array): number => values.indexOf(Math.max(...values));

async function greedy(decoder: Decoder, prompt: Int32Array, count: number): Promise<number[]> {
  decoder.reset();
  const tokens: number[] = [];
  for (let ids = prompt; tokens.length < count;) {
    tokens.push(largest(value(await decoder.next(ids))));
    ids = Int32Array.from(tokens.slice(-1));
  }
  return tokens;
}

/** The same by the way perplexity is measured: everything from the beginning, every time. */
async function recomputed(model: Blob, prompt: Int32Array, count: number): Promise<number[]> {
  const opened = value(await languageModels(runtime).open(inOneFile(model)));
  const sequence = [...prompt];
  while (sequence.length < prompt.length + count) {
    sequence.push(largest(value(await opened.logits(Int32Array.from(sequence), sequence.length - 1, 1))));
  }
  await opened.release();
  return sequence.slice(prompt.length);
}

describe('decoder', () => {
  it.each(['cache', 'state'] as const)('with a %s says what recomputing everything says', async (memory) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1000 }),
        fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 9 }),
        async (seed, prompt) => {
          const model = tinyDecoder({ vocabulary: 13, memory, seed });
          const decoder = value(await openDecoder(runtime, inOneFile(model)));
          expect(decoder).toMatchObject({ cached: true, vocabulary: 13, longest: null });
          const ids = Int32Array.from(prompt);
          const tokens = await greedy(decoder, ids, 12);
          expect(await greedy(decoder, ids, 12)).toEqual(tokens);
          await decoder.release();
          expect(tokens).toEqual(await recomputed(model, ids, 12));
        },
      ),
      { numRuns: 12 },
    );
  });

  it('with the sample model, says what recomputing everything says', async () => {
    const model = await openAsBlob(SAMPLE);
    const decoder = value(await openDecoder(runtime, inOneFile(model)));
    expect(decoder).toMatchObject({ cached: true, vocabulary: 4096 });
    const prompt = Int32Array.of(0, 300, 1200, 75, 2048, 17);
    const tokens = await greedy(decoder, prompt, 24);
    await decoder.release();
    expect(new Set(tokens).size).toBeGreaterThan(4);
    expect(tokens).toEqual(await recomputed(model, prompt, 24));
  });

  it('tokens may come several at a time', async () => {
    const decoder = value(await openDecoder(runtime, inOneFile(tinyDecoder({ vocabulary: 13 }))));
    const atOnce = value(await decoder.next(Int32Array.of(1, 2, 3, 4, 5))).slice();
    decoder.reset();
    await decoder.next(Int32Array.of(1, 2));
    const inParts = value(await decoder.next(Int32Array.of(3, 4, 5)));
    for (const [index, logit] of atOnce.entries()) expect(inParts[index]).toBeCloseTo(logit, 4);
    await decoder.release();
  });

  it.each<[string, Blob, Partial<Decoder>]>([
    ['no cache', tinyModel({ vocabulary: 13 }), { cached: false, longest: null }],
    ['logits of the last token only', tinyModel({ vocabulary: 13, lastOnly: true }), { cached: false }],
    ['a window of fixed length', tinyModel({ vocabulary: 13, sequence: 24 }), { cached: false, longest: 24 }],
    ['half precision', tinyModel({ vocabulary: 13, type: 'float16' }), { cached: false }],
    ['a cache that forgets', tinyDecoder({ vocabulary: 13, forgets: true }), { cached: false }],
    [
      'a cache with names of its own',
      tinyDecoder({ vocabulary: 13, names: { past: 'kv_cache', present: 'concat_3' } }),
      { cached: true },
    ],
  ])('%s', async (_, model, expected) => {
    const decoder = value(await openDecoder(runtime, inOneFile(model)));
    expect(decoder).toMatchObject(expected);
    const tokens = await greedy(decoder, Int32Array.of(3, 1, 4, 1, 5), 8);
    await decoder.release();
    if (!_.startsWith('logits')) expect(tokens).toEqual(await recomputed(model, Int32Array.of(3, 1, 4, 1, 5), 8));
    else expect(tokens).toHaveLength(8);
  });

  it('more tokens than the window has are refused', async () => {
    const decoder = value(await openDecoder(runtime, inOneFile(tinyModel({ vocabulary: 13, sequence: 8 }))));
    expect(await decoder.next(new Int32Array(9))).toMatchObject({ ok: false, error: { code: 'usage' } });
    await decoder.release();
  });

  it.each<[string, Blob, string]>([
    ['a model that sees later tokens', tinyModel({ vocabulary: 13, sees: 'all' }), 'not-a-language-model'],
    ['an input nothing is known of', tinyModel({ vocabulary: 13, extraInput: 'temperature' }), 'inputs-unknown'],
    ['no model', new Blob(['nothing']), 'session-failed'],
  ])('%s is refused', async (_, model, code) => {
    expect(await openDecoder(runtime, inOneFile(model))).toMatchObject({ ok: false, error: { code } });
  });

  it('disposes of every cache it has made', async () => {
    let kept = 0;
    const counting: GraphRuntime = {
      ...runtime,
      async open(model, options) {
        expect(options?.keep).toEqual(['present.0.key']);
        const session = value(await runtime.open(model, options));
        return {
          ok: true,
          value: {
            ...session,
            async runKeeping(...given) {
              const run = value(await session.runKeeping(...given));
              const tensors = Object.entries(run.kept).map(([name, tensor]) => {
                kept++;
                const dispose = tensor.dispose.bind(tensor);
                tensor.dispose = () => {
                  kept--;
                  dispose();
                };
                return [name, tensor] as const;
              });
              return { ok: true, value: { ...run, kept: Object.fromEntries(tensors) } };
            },
          },
        };
      },
    };
    const decoder = value(await openDecoder(counting, inOneFile(tinyDecoder({ vocabulary: 13 }))));
    expect(kept).toBe(0);
    await greedy(decoder, Int32Array.of(1, 2), 5);
    expect(kept).toBe(1);
    await decoder.release();
    expect(kept).toBe(0);
  });
});
