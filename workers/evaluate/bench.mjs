/**
 * Prints how fast the sample model and its int4 level are measured, statistics and all, beside a bare loop of
 * `session.run` over the same windows that asks for the logits and looks at none:
 * `node workers/evaluate/bench.mjs [WINDOWS] [THREADS] [ROUNDS]`. Of each kind the fastest window counts, which other programs disturb least.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-web';
import { build } from 'vite';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const outDir = here('../../build/bench/');
// Bundled as it ships: unbundled, every call between modules looks its function up, and the statistics' inner loops pay for it.
const input = {
  evaluate: here('text/evaluate.ts'),
  inputs: here('inputs.ts'),
  session: here('sessions/graph-session.ts'),
  model: here('text/language-model.ts'),
  tokenizer: here('text/tokenizer/tokenizer.ts'),
  support: here('../test-support.ts'),
};
await build({
  configFile: false,
  logLevel: 'error',
  build: {
    ssr: true,
    outDir,
    emptyOutDir: true,
    copyPublicDir: false,
    target: 'node20',
    rolldownOptions: { input, output: { entryFileNames: '[name].mjs' } },
  },
});
const load = (name) => import(pathToFileURL(join(outDir, `${name}.mjs`)).href);
const { evaluate } = await load('evaluate');
const { feedData, recogniseSignature } = await load('inputs');
const { wasmRuntime } = await load('session');
const { languageModels } = await load('model');
const { openTokenizer } = await load('tokenizer');
const { quantize } = await load('support');

const [windows = 8, threads = 2, rounds = 3] = process.argv.slice(2).map(Number);
const CONTEXT = 512;
const sample = (name) => readFile(new URL(`../../models/sample/${name}`, import.meta.url));
const baseline = await sample('model_fp16.onnx');
const models = { fp16: baseline, int4: (await quantize(baseline, 'int4')).bytes };
const text = sampleText();
const tokenizerJson = (await sample('tokenizer.json')).toString('utf8');
const tokenizerConfig = (await sample('tokenizer_config.json')).toString('utf8');
const ids = (await openTokenizer(tokenizerJson, tokenizerConfig)).value.encode(text);

ort.env.wasm.numThreads = threads;

function sampleText() {
  const folder = mkdtempSync(join(tmpdir(), 'nibble-bench-'));
  try {
    const file = join(folder, 'text.txt');
    execFileSync(process.execPath, [here('../../models/sample/text.mjs'), file]);
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Seconds of the fastest window through both models. */
async function bare() {
  const sessions = [];
  for (const bytes of Object.values(models)) {
    sessions.push(
      await ort.InferenceSession.create(new Uint8Array(bytes), {
        executionProviders: ['wasm'],
        graphOptimizationLevel: 'all',
        enableCpuMemArena: false,
        logSeverityLevel: 3,
      }),
    );
  }
  const { feeds, logits } = recogniseSignature(sessions[0].inputMetadata, sessions[0].outputMetadata).value;
  const runWindow = async (index) => {
    const window = ids.slice(index * CONTEXT, (index + 1) * CONTEXT);
    const inputs = Object.fromEntries(
      feeds.map((feed) => {
        const { data, dims } = feedData(feed, window, CONTEXT);
        return [
          feed.name,
          new ort.Tensor(
            feed.type,
            feed.type === 'float16' && globalThis.Float16Array ? new Float16Array(data.buffer) : data,
            dims,
          ),
        ];
      }),
    );
    for (const session of sessions) await session.run(inputs, [logits.name]);
  };
  await runWindow(0);
  const starts = [];
  for (let index = 0; index < windows; index++) {
    starts.push(performance.now());
    await runWindow(index);
  }
  starts.push(performance.now());
  for (const session of sessions) await session.release();
  return fastest(starts);
}

/** The same with everything that is done for a window, from one start of the baseline to the next. */
async function measured(compute) {
  const runtime = languageModels(wasmRuntime(ort, threads), compute);
  const starts = [];
  let open = 0;
  const timed = {
    ...runtime,
    async open(model) {
      const opened = await runtime.open(model);
      if (!opened.ok) throw new Error(opened.error.details);
      // Before its first window each model has run on a few tokens; one of full length makes it as warm as the bare loop.
      await opened.value.logits(ids.slice(0, CONTEXT), CONTEXT / 2, CONTEXT / 2 - 1);
      const { logits } = opened.value;
      const isBaseline = open++ === 0;
      return {
        ok: true,
        value: {
          ...opened.value,
          logits: (...given) => {
            if (isBaseline) starts.push(performance.now());
            return logits(...given);
          },
        },
      };
    },
  };
  const result = await evaluate(
    timed,
    {
      baseline: { key: 'fp16', model: new Blob([models.fp16]) },
      levels: [{ key: 'int4', model: new Blob([models.int4]) }],
      tokenizerJson,
      tokenizerConfig,
      text,
      textName: 'sample',
      maxTokens: windows * CONTEXT,
      threads,
    },
    () => undefined,
  );
  if (!result.ok || result.value.protocol.chunks !== windows) throw new Error('not measured');
  starts.push(performance.now());
  return fastest(starts);
}

function fastest(starts) {
  return Math.min(...starts.slice(1).map((end, index) => end - starts[index])) / 1000;
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
const tokens = CONTEXT * Object.keys(models).length;
console.log(
  `${windows} windows of ${CONTEXT} tokens through ${Object.keys(models).length} models, ${threads} thread${threads === 1 ? '' : 's'}, fastest window of ${rounds} rounds`,
);
for (const [name, seconds] of Object.entries(best)) {
  console.log(
    `${name.padEnd(30)} ${(tokens / seconds).toFixed(0).padStart(6)} tokens/s  ${(best['bare session.run loop'] / seconds).toFixed(3)} of the bare loop`,
  );
}
process.exit(0);
