import * as ort from 'onnxruntime-web';
import { inOneFile } from '../onnx/model-files.ts';
import { describe, expect, it, vi } from 'vitest';
import type { Result } from '../contract/errors.ts';
import { quantize } from '../test-support.ts';
import { openDecoder } from './generate/decoder.ts';
import { evaluate } from './text/evaluate.ts';
import { wasmRuntime } from './sessions/graph-session.ts';
import { languageModels } from './text/language-model.ts';
import { CACHE_LAYOUTS, cachedAttention } from './test-caches.ts';
import { tinyText, tinyTokenizer } from './test-models.ts';

vi.setConfig({ testTimeout: 120_000 });

const runtime = wasmRuntime(ort, 1);
const VOCABULARY = 20;
const IDS = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6, 5, 3);

function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message} ${result.error.details}`);
  return result.value;
}

/** Logits after the last of some tokens, all run at once with an empty cache. */
async function lastLogits(model: Blob, ids: Int32Array): Promise<Float32Array> {
  const opened = valueOf(await languageModels(runtime).open(inOneFile(model)));
  const logits = valueOf(await opened.logits(ids, ids.length - 1, 1)).slice();
  await opened.release();
  return logits;
}

describe.each(CACHE_LAYOUTS)('a cache laid out as %s', (layout) => {
  it.each(['int64', 'int32'] as const)(
    'is empty before a text, with %s ids, and is fed back token by token',
    async (ids) => {
      const model = cachedAttention({ vocabulary: VOCABULARY, layout, ids });
      const expected = await lastLogits(model, IDS);
      const decoder = valueOf(await openDecoder(runtime, inOneFile(model)));
      expect(decoder.cached).toBe(true);
      let logits = valueOf(await decoder.next(IDS.subarray(0, 4)));
      for (let index = 4; index < IDS.length; index++)
        logits = valueOf(await decoder.next(IDS.subarray(index, index + 1)));
      for (const [index, logit] of logits.entries()) expect(logit).toBeCloseTo(expected[index] ?? NaN, 4);
      await decoder.release();
    },
  );

  it('has its perplexity measured, at a dynamic level too', async () => {
    const model = cachedAttention({ vocabulary: VOCABULARY, layout });
    const { bytes } = await quantize(new Uint8Array(await model.arrayBuffer()), 'int8:mode=dynamic');
    const { json, config } = tinyTokenizer(VOCABULARY);
    const outcome = valueOf(
      await evaluate(
        languageModels(runtime),
        {
          baseline: { key: 'fp16', model: inOneFile(model) },
          levels: [{ key: 'int8', model: inOneFile(new Blob([new Uint8Array(bytes)])) }],
          tokenizerJson: json,
          tokenizerConfig: config,
          text: tinyText(VOCABULARY, 1100),
          textName: 'tiny.txt',
          maxTokens: null,
          threads: 1,
        },
        () => undefined,
      ),
    );
    expect(outcome.levels.map(({ problem }) => problem)).toEqual([null, null]);
    expect(outcome.levels[1]?.activationRanges).toBe('run');
    expect(outcome.levels[0]?.activationRanges).toBeUndefined();
    expect(outcome.levels[1]?.drift?.kld.mean).toBeGreaterThan(0);
  });

  it('does not hide that later tokens are read', async () => {
    const model = cachedAttention({ vocabulary: VOCABULARY, layout, causal: false });
    expect(await languageModels(runtime).open(inOneFile(model))).toMatchObject({
      ok: false,
      error: { code: 'not-a-language-model' },
    });
    const { bytes } = await quantize(new Uint8Array(await model.arrayBuffer()), 'int8:mode=dynamic');
    expect(await languageModels(runtime).open(inOneFile(new Blob([new Uint8Array(bytes)])))).toMatchObject({
      ok: false,
      error: { code: 'not-a-language-model' },
    });
  });
});
