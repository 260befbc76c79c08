/**
 * The sample model measures what onnxruntime's own quantizers and CPU provider measure on it (figures.json,
 * made without this project), over the whole held-out text. Models are run by onnxruntime's native CPU provider, which
 * takes a fourth of the time; that WebAssembly gives the same is tested on less text (evaluate.test.ts).
 * `FIGURES_ON=wasm npx vitest run --project figures` measures all of it there.
 */
import { readFileSync } from 'node:fs';
import * as native from 'onnxruntime-node';
import { expect, test } from 'vitest';
import figures from './figures.json';
import { sampleText } from './text.mjs';
import { settle } from '../../workers/contract/errors.ts';
import { evaluate, type Evaluator } from '../../workers/evaluate/text/evaluate.ts';
import { createNodeEvaluator } from '../../workers/evaluate/evaluator.node.ts';
import { openGraph, SESSION_OPTIONS } from '../../workers/evaluate/sessions/graph-session.ts';
import { languageModels } from '../../workers/evaluate/text/language-model.ts';
import { createWasmKernel } from '../../workers/kernels/wasm/kernel.ts';
import { blobSink } from '../../workers/onnx/writing/write.ts';
import { compare } from '../../workers/pipeline/pipeline.ts';
import { parseLevel } from '../../workers/contract/levels/level.ts';

const sample = (name: string) => new File([readFileSync(new URL(name, import.meta.url))], name);

/** Relative difference. */
const off = (actual: number, expected: number) => Math.abs(actual / expected - 1);

const onWasm = createNodeEvaluator();
const natively: Evaluator = {
  ...onWasm,
  evaluate: (job, ...rest) => evaluate(languageModels({
    provider: 'wasm', threads: () => job.threads,
    open: (model) => openGraph(native, model, { ...SESSION_OPTIONS, executionProviders: ['cpu'], intraOpNumThreads: job.threads }),
  }), job, ...rest),
};

/** It has what time others leave. */
test('fp16 and int4', { timeout: 1_800_000 }, async () => {
  const spellings = ['int4'] as const;
  const text = new File([await sampleText()], 'held-out.txt');
  const result = await settle(() => compare({
    files: [sample('model_fp16.onnx'), sample('tokenizer.json'), sample('tokenizer_config.json'), text],
    levels: spellings.map((spelling) => {
      const level = parseLevel(spelling);
      if (!level.ok) throw new Error(level.error.message);
      return { key: spelling, ...level.value };
    }),
    maxTokens: null,
  }, {
    kernel: () => createWasmKernel(), sink: (_, source) => Promise.resolve(blobSink(source)), evaluator: process.env['FIGURES_ON'] === 'wasm' ? onWasm : natively, threads: 1,
  }, () => undefined, new AbortController().signal));
  if (!result.ok) throw new Error(result.error.message);

  const { protocol, levels: [baseline, ...levels] } = result.value;
  expect(protocol).toMatchObject({ textTokens: figures.tokens_in_text, tokens: figures.figures.base.tokens, context: 512 });
  expect(off(baseline?.perplexity?.value ?? NaN, figures.figures.base.ppl)).toBeLessThan(1e-5);
  expect(off(baseline?.perplexity?.error ?? NaN, figures.figures.base.se)).toBeLessThan(1e-4);
  expect(levels).toHaveLength(spellings.length);
  levels.forEach(({ perplexity, drift }, i) => {
    const expected = figures.figures[spellings[i] ?? 'int4'];
    const where = spellings[i];
    if (!perplexity || !drift) throw new Error(`${where} was not measured`);
    expect(off(perplexity.value, expected.ppl), `${where} perplexity`).toBeLessThan(1e-4);
    expect(Math.abs(drift.kld.mean - expected.mean_kld), `${where} KL divergence`).toBeLessThan(Math.max(0.01 * expected.mean_kld, 2e-5));
    expect(Math.abs(drift.lnRatio.value - expected.ln_ratio), `${where} ln ratio`).toBeLessThan(1e-4);
    expect(off(drift.lnRatio.error, expected.ln_ratio_se), `${where} ln ratio's error`).toBeLessThan(0.01);
    expect(off(drift.kld.error, expected.kld_se), `${where} KL divergence's error`).toBeLessThan(0.02);
    expect(off(drift.kld.p99, expected.kld_99), `${where} 99th percentile`).toBeLessThan(0.02);
    expect(Math.abs(drift.sameTop.value - expected.same_top1), `${where} same top token`).toBeLessThan(5e-4);
    expect(off(drift.deltaP.rms.value, expected.rms_dp), `${where} RMS of the change in probability`).toBeLessThan(0.01);
  });
});
