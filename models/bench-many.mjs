/** Seconds of processor time that models with very many nodes and weights take to be opened, planned and written, without measuring. See .ci/bench-many.mjs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as many from './many.ts';
import { createWasmKernel } from '../workers/kernels/wasm/kernel.ts';
import { scanModel } from '../workers/onnx/scan.ts';
import { findMisfits } from '../workers/plan/precision/fits.ts';
import { planAnyLevel } from '../workers/plan/half/plan-half.ts';
import { judgedTensors, preparePlan } from '../workers/plan/plan.ts';
import { parseLevel } from '../workers/contract/levels/level.ts';
import { SCHEMES } from '../workers/contract/levels/registry.ts';
import { createQuantizer } from '../workers/quantize/quantizer.ts';
import { blobSource } from '../workers/io/source.ts';
import { summarizeModel } from '../workers/pipeline/summarize-model.ts';
import { windowedSource } from '../workers/io/windowed-source.ts';
import { fileSink } from '../workers/entry/node/files/file-sink.ts';
import { openFile } from '../workers/entry/node/files/open-file.ts';

const SHAPES = {
  'weights, fp16': () => many.manyWeights(20_000, 'float16'),
  'weights, fp32': () => many.manyWeights(20_000, 'float32'),
  'one name': () => many.manyWeights(20_000, 'float32', (i) => `w_${i % 2}${'_2'.repeat(i % 3)}_${i}`),
  'stated values': () => many.manyStatedValues(20_000),
  'uses of one weight': () => many.manyUses(20_000),
  'views of one weight': () => many.manyViews(20_000),
  'Constant nodes': () => many.manyConstants(20_000),
  chain: () => many.longChain(60_000),
  'chain of casts': () => many.longChain(60_000, 'Identity'),
  'chain of products': () => many.deepProducts(20_000),
  'long view': () => many.longView(60_000),
  'nested bodies': () => many.nestedBodies(15, 300),
  bodies: () => many.manyBodies(5_000),
  functions: () => many.manyFunctions(10_000),
  outputs: () => many.manyOutputs(10_000),
  'wide node': () => many.wideNode(20_000),
  sparse: () => many.manySparse(10_000),
};

const { values } = parseArgs({ options: { only: { type: 'string' }, level: { type: 'string' } } });
const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), 'nibble-many-'));
const kernel = await createWasmKernel();

/** Processor time of all threads: other work on the machine does not count. */
function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/**
 * @template T
 * @param {() => T | Promise<T>} work
 * @returns {Promise<[T, number]>} The result and the seconds of processor time.
 */
async function timed(work) {
  const began = cpu();
  const result = await work();
  return [result, cpu() - began];
}

try {
  for (const [name, build] of Object.entries(SHAPES)) {
    if (values.only !== undefined && !values.only.split('|').some((part) => name.includes(part))) continue;
    const path = join(folder, 'model.onnx');
    await writeFile(path, build());
    const file = await openFile(path);
    const source = blobSource(file.name, file);
    const [model, scan] = await timed(() => scanModel(source));
    const [input, prepare] = await timed(() => preparePlan(model));
    const [, sum] = await timed(() => summarizeModel(input));
    const [beyond, range] = await timed(() =>
      findMisfits(windowedSource(source), judgedTensors(input), signal, () => undefined),
    );
    const cells = [
      `scan ${scan.toFixed(1)}`,
      `scopes ${prepare.toFixed(1)}`,
      `summary ${sum.toFixed(1)}`,
      `range ${range.toFixed(1)}`,
    ];
    for (const spelling of values.level === undefined
      ? ['fp16', 'int8', 'int4', 'q4f16', 'int8:mode=dynamic', 'int8:mode=dequantize']
      : [values.level]) {
      const level = parseLevel(spelling);
      if (!level.ok) throw new Error(level.error.message);
      const [plan, planning] = await timed(() =>
        planAnyLevel(input, SCHEMES[level.value.id], level.value.settings, beyond),
      );
      if (plan.problem) {
        cells.push(`${spelling}: ${plan.problem.code} after ${planning.toFixed(1)}`);
        continue;
      }
      const [, writing] = await timed(async () => {
        const sink = await fileSink(join(folder, 'written.onnx'), file);
        await createQuantizer({ kernel, model }).write(plan, sink, { signal });
      });
      cells.push(`${spelling}: plan ${planning.toFixed(1)} write ${writing.toFixed(1)}`);
    }
    console.warn(
      `${name} (${model.graph.nodes.length} nodes, ${input.constants.length} constants): ${cells.join(', ')}`,
    );
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
