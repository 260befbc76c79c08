import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it, vi } from 'vitest';
import { quantize } from '../../test-support.ts';
import { readsLaterTokens } from './causality.ts';
import { openDecoder } from '../generate/decoder.ts';
import { hasDynamicRanges } from './dynamic-ranges.ts';
import { evaluate, type EvaluationOutcome } from './evaluate.ts';
import { wasmRuntime } from '../sessions/graph-session.ts';
import { languageModels } from './language-model.ts';
import { cachedAttention } from '../test-caches.ts';
import { tinyModel, tinyText, tinyTokenizer } from '../test-models.ts';
import { tinyTransformer } from '../test-transformer.ts';

vi.setConfig({ testTimeout: 120_000 });

const VOCABULARY = 24;
const runtime = wasmRuntime(ort, 1);

async function level(model: Blob, spelling: string): Promise<Blob> {
  return new Blob([new Uint8Array((await quantize(new Uint8Array(await model.arrayBuffer()), spelling)).bytes)]);
}

/** For one sequence only, which a range has to be looked for that the last token does not set. */
const alone = {
  causal: tinyTransformer({ vocabulary: VOCABULARY }),
  reading: tinyTransformer({ vocabulary: VOCABULARY, mask: 0 }),
};
const many = {
  causal: cachedAttention({ vocabulary: VOCABULARY, layout: 'plain' }),
  reading: cachedAttention({ vocabulary: VOCABULARY, layout: 'plain', causal: false }),
};

async function outcomeOf(baseline: Blob, levels: Record<string, Blob>): Promise<EvaluationOutcome> {
  const { json, config } = tinyTokenizer(VOCABULARY);
  const result = await evaluate(
    languageModels(runtime),
    {
      baseline: { key: 'baseline', model: inOneFile(baseline) },
      levels: Object.entries(levels).map(([key, model]) => ({ key, model: inOneFile(model) })),
      tokenizerJson: json,
      tokenizerConfig: config,
      text: tinyText(VOCABULARY, 1100),
      textName: 'tiny.txt',
      maxTokens: null,
      threads: 1,
    },
    () => undefined,
  );
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

describe.each([
  ['one sequence at a time', alone],
  ['several sequences at once', many],
])('a graph for %s', (_, models) => {
  it.each(['int8:mode=dynamic', 'uint8'])('is measured at %s, and dropped as that', async (spelling) => {
    const quantized = await level(models.causal, spelling);
    expect(await hasDynamicRanges(quantized)).toBe(true);
    const asLevel = await outcomeOf(models.causal, { [spelling]: quantized });
    expect(asLevel.levels.map(({ problem, activationRanges }) => ({ problem, activationRanges }))).toEqual([
      { problem: null, activationRanges: undefined },
      { problem: null, activationRanges: 'run' },
    ]);
    // One of the ranges; of int8 weights another one, of CPUs whose sums of products saturate.
    expect(asLevel.notes.filter((note) => note.startsWith(`${spelling}:`))).toHaveLength(spelling === 'uint8' ? 1 : 2);
    const asBaseline = await outcomeOf(quantized, {});
    expect(asBaseline.levels[0]?.perplexity?.value).toBe(asLevel.levels[1]?.perplexity?.value);
  });

  it.each(['fp16', 'int8:mode=dynamic', 'uint8'])('that reads later tokens is refused at %s', async (spelling) => {
    const model = spelling === 'fp16' ? models.reading : await level(models.reading, spelling);
    expect(await languageModels(runtime).open(inOneFile(model))).toMatchObject({
      ok: false,
      error: { code: 'not-a-language-model' },
    });
    expect(await openDecoder(runtime, inOneFile(await level(models.causal, 'int8:mode=dynamic')))).toMatchObject({
      ok: true,
    });
  });
});

describe('reading later tokens', () => {
  const check = async (model: Blob) => {
    const session = await runtime.open(inOneFile(model));
    if (!session.ok) throw new Error(session.error.details);
    const reads = await readsLaterTokens({
      session: session.value,
      inputs: session.value.inputs,
      ids: Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      dynamicRanges: () => hasDynamicRanges(model),
    });
    await session.value.release();
    return reads.ok ? reads.value : reads.error.code;
  };

  it('is told by running both texts together', async () => {
    expect(await check(await level(many.causal, 'int8:mode=dynamic'))).toBe(false);
    expect(await check(many.reading)).toBe(true);
    expect(await check(await level(many.reading, 'int8:mode=dynamic'))).toBe(true);
    expect(await check(tinyModel({ vocabulary: VOCABULARY, sees: 'all' }))).toBe(true);
  });

  it('of a graph for one sequence is not taken on trust', async () => {
    expect(await check(await level(alone.causal, 'int8:mode=dynamic'))).toBe(false);
    expect(await check(await level(alone.reading, 'int8:mode=dynamic'))).not.toBe(false);
  });
});
