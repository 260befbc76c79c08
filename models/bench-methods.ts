/** What the quantization methods cost in quality, at equal bytes, on a model with a text. See .ci/bench-methods.mjs. */
import type { ModelFiles } from '../workers/contract/files.ts';
import { inOneFile } from '../workers/onnx/model-files.ts';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-web';
import { calibrateGptq, type CalibratedWeight } from '../workers/calibrate/calibrate.ts';
import { generateWindows } from '../workers/calibrate/generate-windows.ts';
import { measureMeanSquares } from '../workers/calibrate/mean-squares.ts';
import { findProducts } from '../workers/calibrate/products.ts';
import { windowsOfText } from '../workers/calibrate/windows.ts';
import { parseLevel } from '../workers/contract/levels/level.ts';
import { SCHEMES } from '../workers/contract/levels/registry.ts';
import { wasmRuntime } from '../workers/evaluate/sessions/graph-session.ts';
import { evaluate } from '../workers/evaluate/text/evaluate.ts';
import { languageModels } from '../workers/evaluate/text/language-model.ts';
import { openTokenizer } from '../workers/evaluate/text/tokenizer/tokenizer.ts';
import { blobSource } from '../workers/io/source.ts';
import type { BlockScheme, WeightMatrix } from '../workers/kernels/kernel.ts';
import { createWasmKernel } from '../workers/kernels/wasm/kernel.ts';
import { scanModel } from '../workers/onnx/scan.ts';
import { widenModel } from '../workers/onnx/widen.ts';
import { blobSink, writePieces } from '../workers/onnx/writing/write.ts';
import { planAnyLevel } from '../workers/plan/half/plan-half.ts';
import { judgedTensors, preparePlan } from '../workers/plan/plan.ts';
import { findMisfits } from '../workers/plan/precision/fits.ts';
import { executeTasks } from '../workers/quantize/execute-tasks.ts';
import { packCodes, unpackCodes, weightRows, type BlockCodes } from '../workers/quantize/methods/block-codes.ts';
import { blockedParts, quantizeChunk, weightMatrix } from '../workers/quantize/quantize-chunk.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    tokenizer: { type: 'string' },
    text: { type: 'string' },
    calibrate: { type: 'string' },
    level: { type: 'string', default: 'int4:asymmetric' },
    methods: { type: 'string', default: 'rtn,search,wsearch,gptq' },
    tokens: { type: 'string' },
    windows: { type: 'string', default: '64' },
    context: { type: 'string', default: '512' },
    judged: { type: 'string', default: '8' },
    threads: { type: 'string', default: '2' },
  },
});

const missing = (['model', 'tokenizer', 'text', 'calibrate'] as const).filter((name) => values[name] === undefined);
if (missing.length > 0) {
  console.error(`Missing: ${missing.map((name) => `--${name}`).join(' ')}. See workers/quantize/methods/README.md.`);
  process.exit(2);
}

const { signal } = new AbortController();
const runtime = wasmRuntime(ort, Number(values.threads));
const kernel = await createWasmKernel();
const bytes = await readFile(values.model!);
const file = new Blob([bytes]);
const source = blobSource('model.onnx', file);
const model = await scanModel(source);
const input = preparePlan(model);
const misfits = await findMisfits(source, judgedTensors(input), signal, () => undefined);
const folder = join(values.tokenizer!, '..');
const tokenizerJson = await readFile(values.tokenizer!, 'utf8');
const tokenizerConfig = await readFile(join(folder, 'tokenizer_config.json'), 'utf8').catch(() => null);
const tokenizer = must(await openTokenizer(tokenizerJson, tokenizerConfig));
const text = await readFile(values.text!, 'utf8');

function must<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

const wide = (await widenModel(inOneFile(file)))?.model ?? file;
const wideModel = await scanModel(blobSource('model.onnx', wide));
const products = findProducts(preparePlan(wideModel));
const context = Number(values.context);
const windows = await calibrationWindows();

async function calibrationWindows(): Promise<Int32Array[]> {
  const size = { windows: Number(values.windows), context };
  if (values.calibrate !== 'generated') {
    const calibration = await readFile(values.calibrate!, 'utf8');
    return must(windowsOfText(tokenizer, calibration, tokenizer.encode(text), size)).windows;
  }
  const began = performance.now();
  const made = must(await generateWindows(runtime, wide, { ...size, bos: tokenizer.bosId }));
  console.log(`generated ${made.length} windows of ${context} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return made;
}

async function write(
  spelling: string,
  method: string,
): Promise<{ blob: Blob; seconds: number; cpuSeconds: number; notes: string }> {
  const level = must(parseLevel(spelling));
  const plan = await planAnyLevel(input, SCHEMES[level.id], level.settings, misfits, {});
  const tasks = [...new Set(plan.pieces.flatMap((piece) => (piece.kind === 'made' ? [piece.task] : [])))];
  const began = performance.now();
  const usage = process.cpuUsage();
  const ready = new Map<string, BlockCodes>();
  let notes = '';
  const matrices = new Map<string, WeightMatrix>();
  const schemes = new Map<string, CalibratedWeight['scheme']>();
  for (const task of tasks)
    if (task.kind === 'quantize') {
      matrices.set(task.tensor.name, (await weightMatrix(task, source)).matrix);
      schemes.set(task.tensor.name, task.scheme);
    }
  if (method === 'search' || method === 'wsearch') {
    const squares =
      method === 'wsearch' ? must(await measureMeanSquares(runtime, wide, wideModel, products, windows)) : null;
    for (const [name, matrix] of matrices) {
      const scheme: BlockScheme = { ...schemes.get(name)!, method: 'search' };
      const meanSquares = squares?.get(name);
      const quantized = await kernel.quantize({ ...matrix, ...(meanSquares && { meanSquares }) }, scheme);
      ready.set(name, unpackCodes(quantized, matrix, scheme));
    }
  } else if (method === 'gptq') {
    const weights = products.flatMap((product): CalibratedWeight[] => {
      const matrix = matrices.get(product.tensor);
      return matrix
        ? [{ product, rows: weightRows(matrix), type: matrix.type, scheme: schemes.get(product.tensor)! }]
        : [];
    });
    const calibrated = must(
      await calibrateGptq(runtime, wide, wideModel, weights, {
        windows,
        judged: Number(values.judged),
        onProgress: (done, total, tensor) =>
          process.stderr.write(`\r${done}/${total} ${tensor} ${((performance.now() - began) / 1000).toFixed(0)} s   `),
      }),
    );
    process.stderr.write('\n');
    for (const [name, { codes }] of calibrated.tensors) ready.set(name, codes);
    const refined = [...calibrated.tensors.values()].filter((tensor) => tensor.refined).length;
    notes = `refined ${refined} of ${calibrated.tensors.size}, skipped ${calibrated.skipped.size}, calibration KLD ${calibrated.kld.toFixed(4)}`;
  }
  const { user, system } = process.cpuUsage(usage);
  const seconds = (performance.now() - began) / 1000;
  const cpuSeconds = (user + system) / 1e6;
  const blob = await writePieces({
    pieces: plan.pieces,
    ...executeTasks(async (chunk) => {
      const codes = chunk.kind === 'quantize' ? ready.get(chunk.tensor.name) : undefined;
      return codes && chunk.kind === 'quantize'
        ? blockedParts(chunk, packCodes(codes))
        : quantizeChunk(chunk, source, kernel, signal);
    }),
    nameOf: (task) => task.tensor.name,
    sink: blobSink(file),
    onProgress: () => undefined,
    signal,
  });
  return { blob, seconds, cpuSeconds, notes };
}

const baseline = (await write('fp16', 'rtn')).blob;
const levels: { key: string; model: ModelFiles; seconds: number; cpuSeconds: number; notes: string }[] = [];
for (const spelling of values.level.split(' '))
  for (const method of values.methods.split(',')) {
    const { blob, seconds, cpuSeconds, notes } = await write(spelling, method);
    levels.push({ key: `${spelling} ${method}`, model: inOneFile(blob), seconds, cpuSeconds, notes });
  }
const outcome = must(
  await evaluate(
    languageModels(runtime),
    {
      baseline: { key: 'fp16', model: inOneFile(baseline) },
      levels,
      tokenizerJson,
      tokenizerConfig,
      text,
      textName: 'text',
      maxTokens: values.tokens === undefined ? null : Number(values.tokens),
      threads: Number(values.threads),
    },
    () => undefined,
  ),
);
console.log(
  `${windows.length} calibration windows of ${context}; ${outcome.protocol.tokens} tokens scored, baseline perplexity ${outcome.levels[0]?.perplexity?.value.toFixed(3)}`,
);
for (const [i, { drift, problem }] of outcome.levels.slice(1).entries()) {
  const {
    key,
    model: { model: blob },
    seconds,
    cpuSeconds,
    notes,
  } = levels[i]!;
  console.log(
    `${key.padEnd(28)} ${String(blob.size).padStart(9)} B  KLD ${drift?.kld.mean.toFixed(5)} ± ${drift?.kld.error.toFixed(5)}  ln ratio ${drift?.lnRatio.value.toFixed(5)} ± ${drift?.lnRatio.error.toFixed(5)}  ${seconds.toFixed(1)} s (CPU ${cpuSeconds.toFixed(1)} s)  ${notes} ${problem?.message ?? ''}`,
  );
}
process.exit(0);
