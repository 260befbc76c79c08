/**
 * Damaged models through opening, planning and writing: every one ends in a file or in a sentence, within bounds; and no
 * file comes of what onnxruntime reads otherwise. `FUZZ_RUNS` says how many, `FUZZ_SEED` which.
 */
import { inOneFile } from './model-files.ts';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TensorProto_DataLocation } from 'onnx-buf';
import * as native from 'onnxruntime-node';
import { expect, test } from 'vitest';
import {
  encode,
  graph,
  localFunction,
  model,
  node,
  randomValues,
  tensor,
  tinyLanguageModel,
  value,
} from '../../models/build.ts';
import { fail, toEngineError } from '../contract/errors.ts';
import { openGraph, SESSION_OPTIONS, type HostTensor } from '../evaluate/sessions/graph-session.ts';
import { readInputHints } from '../evaluate/outputs/input-hints.ts';
import { feedsOf, findInputSpec, seededSample, type Feeds } from '../evaluate/outputs/seeded-inputs.ts';
import { checkExtents, findData } from '../io/external-data.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { createQuantizer } from '../quantize/quantizer.ts';
import { findMisfits } from '../plan/precision/fits.ts';
import { planLevel, judgedTensors, preparePlan, type Plan } from '../plan/plan.ts';
import type { EngineError } from '../contract/errors.ts';
import { parseLevel } from '../contract/levels/level.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { blobSource, bytesSource } from '../io/source.ts';
import { fromFloat16Array } from './numbers/float16.ts';
import type { Model } from './model.ts';
import { scanModel } from './scan.ts';
import { KINDS_OF_MUTATION, mutate, type Mutation } from './test-mutations.ts';
import { blobSink } from './writing/write.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 4);
/** Of the files written, so many are run. */
const RUN_IN_ONNXRUNTIME = Math.ceil(RUNS * 0.015);
/** A plan may not want more bytes than so many times the file's. */
const MOST_GROWTH = 64;
/** More of the processor's time than this is a hang: some ten thousand times what a case takes. */
const MOST_MINUTES = 5;

const LEVELS = [
  'fp16',
  'int8:embedding',
  'int8:mode=dynamic,embedding',
  'int8:mode=dequantize',
  'uint8:embedding',
  'int4:block=16,asymmetric,embedding',
  'int4:mode=dequantize,block=16',
  'int4:source=original',
];

const PARSED = LEVELS.map((text) => {
  const level = parseLevel(text);
  if (!level.ok) throw new Error(level.error.message);
  return { text, scheme: SCHEMES[level.value.id], settings: level.value.settings };
});

const kernel = createReferenceKernel();
const X = value('x', 'float32', [3, 32]);
const Y = value('y', 'float32', [3, 16]);
const w = (name: string, seed: number, dims = [32, 16]) =>
  tensor(
    name,
    'float32',
    dims,
    randomValues(
      seed,
      dims.reduce((a, b) => a * b),
      0.3,
    ),
  );
const branch = (name: string) =>
  graph({
    node: [node('MatMul', ['x', name], ['out'])],
    initializer: name === 'inner' ? [w('inner', 3)] : [],
    output: [value('out', 'float32', [3, 16])],
  });

/** Small, and every kind of message in one of them. */
const MODELS: readonly Uint8Array<ArrayBuffer>[] = [
  encode(
    model(graph({ node: [node('MatMul', ['x', 'w'], ['y'])], initializer: [w('w', 1)], input: [X], output: [Y] })),
  ),
  encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [w('w', 1)],
        input: [X, value('w', 'float32', [32, 16])],
        output: [Y],
      }),
      7,
      3,
    ),
  ),
  encode(
    model(
      graph({
        node: [
          node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
          node('Reshape', ['t', 'shape'], ['r']),
          node('Gemm', ['x', 'r', 'b'], ['y'], { alpha: { float: 1 } }),
        ],
        initializer: [
          w('w', 2, [16, 32]),
          tensor('shape', 'int64', [2], [32, -1]),
          tensor('b', 'float32', [16], randomValues(9, 16)),
        ],
        input: [X],
        output: [Y],
      }),
      21,
    ),
  ),
  encode(
    model(
      graph({
        node: [node('If', ['flag'], ['y'], { then_branch: branch('inner'), else_branch: branch('w') })],
        initializer: [w('w', 4)],
        input: [value('flag', 'bool', [1]), X],
        output: [Y],
      }),
    ),
  ),
  encode(
    model(
      graph({
        node: [node('Dense', ['x', 'p'], ['y'], {}, 'local')],
        initializer: [w('p', 5)],
        input: [X],
        output: [Y],
      }),
      17,
      8,
      [
        localFunction(
          'local',
          'Dense',
          ['v', 'p'],
          ['out'],
          [
            node('Constant', [], ['c'], { value: w('c', 6, [16, 16]) }),
            node('MatMul', ['v', 'p'], ['m']),
            node('MatMul', ['m', 'c'], ['out']),
          ],
        ),
      ],
    ),
  ),
  encode(
    model(
      graph({
        node: [
          node('Constant', [], ['w'], { value: w('w', 7, [8, 4, 3, 3]) }),
          node('Conv', ['x', 'w', 'b'], ['h'], { kernel_shape: [3, 3] }),
          node('Flatten', ['h'], ['f']),
          node('MatMul', ['f', 'v'], ['y']),
        ],
        initializer: [tensor('b', 'float32', [8], randomValues(8, 8)), w('v', 8, [32, 8])],
        input: [value('x', 'float32', [1, 4, 4, 4])],
        output: [value('y', 'float32', [1, 8])],
      }),
    ),
  ),
  encode(
    model(
      graph({
        node: [node('LSTM', ['x', 'w', 'r'], ['y'], { hidden_size: 8, direction: { text: 'forward' } })],
        initializer: [w('w', 10, [1, 32, 16]), w('r', 11, [1, 32, 8])],
        input: [value('x', 'float32', [2, 1, 16])],
        output: [value('y', 'float32', [2, 1, 1, 8])],
      }),
    ),
  ),
  tinyLanguageModel({ vocabulary: 24, width: 32, hidden: 16, type: 'float32', tied: true }),
  tinyLanguageModel({ vocabulary: 24, width: 16, hidden: 32, type: 'float16', tied: false }),
  encode(
    model(
      graph({
        node: [
          node('Cast', ['w'], ['wide'], { to: 1 }),
          node('MatMul', ['x', 'wide'], ['h']),
          node('DequantizeLinear', ['codes', 'scale'], ['q']),
          node('MatMul', ['h', 'q'], ['y']),
        ],
        initializer: [
          tensor('w', 'bfloat16', [32, 16], randomValues(12, 512, 0.3)),
          tensor('codes', 'uint8', [16, 16], randomValues(13, 256, 50).map(Math.abs)),
          tensor('scale', 'float32', [], [0.01]),
        ],
        input: [X],
        output: [Y],
      }),
    ),
  ),
  // Elements in typed fields, and in another file.
  encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['h']), node('MatMul', ['h', 'e'], ['y'])],
        initializer: [
          { ...w('w', 14), rawData: new Uint8Array(), floatData: [...randomValues(14, 512, 0.3)] },
          {
            ...w('e', 15, [16, 16]),
            rawData: new Uint8Array(),
            dataLocation: TensorProto_DataLocation.EXTERNAL,
            externalData: [
              ['location', 'model.data'],
              ['offset', '0'],
              ['length', '1024'],
            ].map(([key = '', text = '']) => ({ $typeName: 'onnx.StringStringEntryProto' as const, key, value: text })),
          },
        ],
        input: [X],
        output: [Y],
      }),
    ),
  ),
];

/** Of the model that keeps a weight elsewhere. */
const DATA = new File([Float32Array.from(randomValues(15, 256, 0.3))], 'model.data');

const mutations = fc.array(
  fc.record<Mutation>({ what: fc.nat(KINDS_OF_MUTATION - 1), at: fc.nat(1 << 20), how: fc.nat(1 << 16) }),
  { minLength: 1, maxLength: 3 },
);
const damaged = fc.tuple(fc.nat(MODELS.length - 1), mutations, fc.nat(LEVELS.length - 1));

interface Outcome {
  files: { level: string; bytes: Uint8Array<ArrayBuffer>; plan: Plan }[];
  errors: EngineError[];
}

/** Opens, plans every level, and writes those asked for. Not `expect`, here and below: half a million would take longer than the plans. */
async function through(bytes: Uint8Array<ArrayBuffer>, levels: readonly string[]): Promise<Outcome> {
  const outcome: Outcome = { files: [], errors: [] };
  const { signal } = new AbortController();
  try {
    const source = bytesSource('model.onnx', bytes);
    const { model: scanned, files } = await withData(await scanModel(source), bytes);
    const input = preparePlan(scanned);
    const misfits = await findMisfits(source, judgedTensors(input), signal, () => undefined);
    for (const { text, scheme, settings } of PARSED) {
      const plan = planLevel(input, scheme, settings, misfits);
      assert(
        plan.bytes <= bytes.length * MOST_GROWTH,
        `${text} wants ${plan.bytes} bytes of a file of ${bytes.length}`,
      );
      assert.equal(plan.weightBytes + plan.graphBytes, plan.bytes, text);
      if (plan.problem) outcome.errors.push(plan.problem);
      if (plan.problem || !levels.includes(text)) continue;
      try {
        const sink = blobSink(new Blob([bytes]), files);
        const blob = await createQuantizer({ kernel, model: scanned }).write(plan, sink, { signal });
        outcome.files.push({ level: text, plan, bytes: new Uint8Array(await blob.arrayBuffer()) });
      } catch (thrown) {
        outcome.errors.push(refusal(thrown));
      }
    }
  } catch (thrown) {
    outcome.errors.push(refusal(thrown));
  }
  return outcome;
}

/** The model with its one file of external data beside it; as the page does, nothing is tried where data is missing or short. */
async function withData(
  scanned: Model,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ model: Model; files: ReadonlyMap<string, File> }> {
  if (scanned.externalTensors.length === 0) return { model: scanned, files: new Map() };
  const file = new File([bytes], 'model.onnx');
  const { files, missing } = findData(scanned, file, [file, DATA]);
  if (missing.length > 0) fail('onnx-external-data', `${missing[0]?.location ?? ''} is missing.`, 'Add it.');
  checkExtents(scanned, files);
  return {
    model: {
      ...scanned,
      external: new Map([...files].map(([location, data]) => [location, blobSource(location, data)])),
    },
    files,
  };
}

/** What a check of this test throws goes on; everything else becomes a value. */
function refusal(thrown: unknown): EngineError {
  if (thrown instanceof Error && thrown.name === 'AssertionError') throw thrown;
  return toEngineError(thrown);
}

test('end in a file or a sentence, within bounds', async () => {
  let files = 0;
  let sentences = 0;
  await fc.assert(
    fc.asyncProperty(damaged, async ([which, changes, level]) => {
      const bytes = mutate(MODELS[which]!, changes);
      const before = process.cpuUsage();
      const outcome = await through(bytes, [LEVELS[level]!]);
      const { user, system } = process.cpuUsage(before);
      assert(user + system < MOST_MINUTES * 60e6, 'it hangs');
      for (const { code, message, action, details } of outcome.errors) {
        assert.notEqual(code, 'internal', details);
        for (const text of [message, action]) assert.match(text, /^\S.*[.]$/s);
      }
      for (const file of outcome.files) {
        assert.equal(file.bytes.length, file.plan.bytes);
        // What was written can be opened again.
        const { errors } = await through(file.bytes, []);
        assert.deepEqual(
          errors.filter(({ code }) => !/^(nothing-to-quantize|already-quantized)$/.test(code)),
          [],
        );
      }
      files += outcome.files.length;
      sentences += outcome.errors.some(({ code }) => code.startsWith('onnx-')) ? 1 : 0;
    }),
    { numRuns: RUNS, seed: SEED },
  );
  // Damage that is always or never noticed tests nothing.
  expect(files).toBeGreaterThan(RUNS / 20);
  expect(sentences).toBeGreaterThan(RUNS / 20);
});

/** Signal-to-noise ratio of what a level may still change, dB: weights may have become anything. */
const LEAST_SQNR = { fp16: 20, 'int8:embedding': 12, 'int4:block=16,asymmetric,embedding': 3 };

test('give no file that onnxruntime reads otherwise', async () => {
  const feeds = await Promise.all(MODELS.map(feedsFor));
  const tally = { both: 0, compared: 0, neither: 0 };
  const found: string[] = [];
  let left = RUN_IN_ONNXRUNTIME;
  for (const one of fc.sample(damaged, { numRuns: RUN_IN_ONNXRUNTIME * 10, seed: SEED + 1 })) {
    const [which, changes] = one;
    const bytes = mutate(MODELS[which]!, changes);
    const { files } = await through(bytes, Object.keys(LEAST_SQNR));
    if (files.length === 0) continue;
    if (left-- === 0) break;
    const before = await run(bytes, feeds[which]!);
    for (const { level, bytes: written } of files) {
      const after = await run(written, feeds[which]!);
      const told = (what: string) => {
        found.push(`${JSON.stringify(one)} ${level}: ${what}`);
      };
      if (before.loads && !after.loads) told(`the file does not load: ${after.why}`);
      else if (!before.loads && after.loads) told(`the file loads, the model does not: ${before.why}`);
      else if (!before.loads) tally.neither++;
      else {
        tally.both++;
        if (before.outputs && !after.outputs) told(`the file does not run: ${after.why}`);
        if (!before.outputs || !after.outputs) continue;
        const ratio = sqnr(after.outputs, before.outputs);
        if (ratio === null) continue;
        tally.compared++;
        if (!(ratio >= LEAST_SQNR[level as keyof typeof LEAST_SQNR]))
          told(`gives other results: ${ratio.toFixed(1)} dB`);
      }
    }
  }
  expect(found).toEqual([]);
  expect(left).toBeLessThanOrEqual(0);
  expect(tally.compared).toBeGreaterThan(RUN_IN_ONNXRUNTIME / 5);
});

/** What the undamaged model takes; nothing for one whose weights lie elsewhere. */
async function feedsFor(bytes: Uint8Array<ArrayBuffer>): Promise<Feeds> {
  const session = await open(bytes);
  if (!session.ok) return {};
  const hints = await readInputHints(new Blob([bytes]));
  const task = await findInputSpec(
    session.value,
    session.value.outputs.map(({ name }) => name),
    hints,
    SEED,
  );
  const sample = task.ok ? seededSample(session.value.inputs, hints, task.value, 0) : task;
  await session.value.release();
  if (!sample.ok) throw new Error(sample.error.message);
  return feedsOf(sample.value);
}

interface Run {
  loads: boolean;
  outputs: Record<string, HostTensor> | null;
  why: string;
}

async function run(bytes: Uint8Array<ArrayBuffer>, feeds: Feeds): Promise<Run> {
  const session = await open(bytes);
  if (!session.ok) return { loads: false, outputs: null, why: session.error.details.slice(0, 300) };
  try {
    // Damage to the inputs a model names leaves nothing to run it on.
    if (session.value.inputs.some(({ name }) => !(name in feeds)))
      return { loads: true, outputs: null, why: 'it has other inputs' };
    const outputs = await session.value.run(
      Object.fromEntries(session.value.inputs.map(({ name }) => [name, feeds[name]!])),
    );
    return outputs.ok
      ? { loads: true, outputs: outputs.value, why: '' }
      : { loads: true, outputs: null, why: outputs.error.details.slice(0, 300) };
  } finally {
    await session.value.release();
  }
}

const open = (bytes: Uint8Array<ArrayBuffer>) =>
  openGraph(native, inOneFile(new Blob([bytes])), {
    ...SESSION_OPTIONS,
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'basic',
    logSeverityLevel: 4,
  });

/** The lowest over all outputs; null where they cannot be compared: no floats, or none that are finite. */
function sqnr(actual: Record<string, HostTensor>, expected: Record<string, HostTensor>): number | null {
  const ratios = Object.entries(expected).flatMap(([name, { type, data }]) => {
    const got = actual[name];
    if (!/^float(16|32)$/.test(type)) return [];
    if (got?.data.length !== data.length) return [-Infinity];
    const numbers = (values: HostTensor['data']) =>
      type === 'float16' ? fromFloat16Array(values as Uint16Array) : (values as Float32Array);
    const [a, b] = [numbers(got.data), numbers(data)];
    if (b.length === 0 || b.some((number) => !Number.isFinite(number) || Math.abs(number) > 1e15)) return [];
    const signal = b.reduce((sum, number) => sum + number ** 2, 0);
    const noise = b.reduce((sum, number, i) => sum + (number - a[i]!) ** 2, 0);
    return [noise === 0 ? Infinity : 10 * Math.log10(signal / noise)];
  });
  return ratios.length > 0 ? Math.min(...ratios) : null;
}
