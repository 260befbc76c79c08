/**
 * Prints how fast the sample model and its int4 level are measured, statistics and all, beside a bare loop of
 * `session.run` over the same windows that asks for the logits and looks at none:
 * `node workers/evaluate/bench.mjs [WINDOWS] [THREADS] [ROUNDS]`. Of each kind the fastest round counts.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-web';
import { createServer } from 'vite';
import { sampleText } from '../../models/sample/text.mjs';

const vite = await createServer({ configFile: false, logLevel: 'error', appType: 'custom', server: { middlewareMode: true, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
const load = (file) => vite.ssrLoadModule(fileURLToPath(new URL(file, import.meta.url)));
const { evaluate } = await load('evaluate.ts');
const { feedData, recogniseSignature } = await load('inputs.ts');
const { wasmRuntime } = await load('session.ts');
const { openTokenizer } = await load('tokenizer.ts');
const { quantize } = await load('../test-support.ts');

const [windows = 8, threads = 2, rounds = 3] = process.argv.slice(2).map(Number);
const CONTEXT = 512;
const sample = (name) => readFile(new URL(`../../models/sample/${name}`, import.meta.url));
const baseline = await sample('model_fp16.onnx');
const models = { fp16: baseline, int4: (await quantize(baseline, 'int4')).bytes };
const text = (await sampleText()).toString('utf8');
const tokenizerJson = (await sample('tokenizer.json')).toString('utf8');
const tokenizerConfig = (await sample('tokenizer_config.json')).toString('utf8');
const ids = (await openTokenizer(tokenizerJson, tokenizerConfig)).value.encode(text);

ort.env.wasm.numThreads = threads;

/** Seconds for all windows through both models, opened before the clock starts. */
async function bare() {
  const sessions = [];
  for (const bytes of Object.values(models)) {
    sessions.push(await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: ['wasm'], graphOptimizationLevel: 'all', enableCpuMemArena: false, logSeverityLevel: 3 }));
  }
  const { feeds, logits } = recogniseSignature(sessions[0].inputMetadata, sessions[0].outputMetadata).value;
  const runWindow = async (index) => {
    const window = ids.slice(index * CONTEXT, (index + 1) * CONTEXT);
    const inputs = Object.fromEntries(feeds.map((feed) => {
      const { data, dims } = feedData(feed, window, CONTEXT);
      return [feed.name, new ort.Tensor(feed.type, feed.type === 'float16' && globalThis.Float16Array ? new Float16Array(data.buffer) : data, dims)];
    }));
    for (const session of sessions) await session.run(inputs, [logits.name]);
  };
  await runWindow(0);
  const start = performance.now();
  for (let index = 0; index < windows; index++) await runWindow(index);
  const seconds = (performance.now() - start) / 1000;
  for (const session of sessions) await session.release();
  return seconds;
}

/** The same from the end of the first window on, when the sessions are open and warm. */
async function measured(compute) {
  const runtime = wasmRuntime(ort, threads, compute);
  let runs = 0;
  let start = 0;
  const timed = {
    ...runtime,
    async open(model) {
      const opened = await runtime.open(model);
      if (!opened.ok) throw new Error(opened.error.details);
      // Before its first window each model has run on a few tokens; one of full length makes it as warm as the bare loop.
      await opened.value.logits(ids.slice(0, CONTEXT), CONTEXT / 2, CONTEXT / 2 - 1);
      const { logits } = opened.value;
      return { ok: true, value: { ...opened.value, logits: (...given) => {
        if (runs++ === 0) start = performance.now();
        return logits(...given);
      } } };
    },
  };
  const result = await evaluate(timed, {
    baseline: { key: 'fp16', model: new Blob([models.fp16]) }, levels: [{ key: 'int4', model: new Blob([models.int4]) }],
    tokenizerJson, tokenizerConfig, text, textName: 'sample', maxTokens: windows * CONTEXT, threads,
  }, () => undefined);
  if (!result.ok || result.value.protocol.chunks !== windows) throw new Error('not measured');
  return (performance.now() - start) / 1000;
}

const kinds = {
  'bare session.run loop': bare,
  'measured, all logits computed': () => measured('all'),
  'measured, scored logits only': () => measured('asked'),
};
const best = Object.fromEntries(Object.keys(kinds).map((name) => [name, Infinity]));
for (let round = 0; round < rounds; round++) {
  for (const [name, work] of Object.entries(kinds)) best[name] = Math.min(best[name], await work());
}
const tokens = windows * CONTEXT * Object.keys(models).length;
console.log(`${windows} windows of ${CONTEXT} tokens through ${Object.keys(models).length} models, ${threads} thread${threads === 1 ? '' : 's'}, fastest of ${rounds}`);
for (const [name, seconds] of Object.entries(best)) {
  console.log(`${name.padEnd(30)} ${(tokens / seconds).toFixed(0).padStart(6)} tokens/s  ${(best['bare session.run loop'] / seconds).toFixed(3)} of the bare loop`);
}
process.exit(0);
