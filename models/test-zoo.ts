/**
 * The zoo: models of every kind, each with a level and what must come of it (zoo.json). `visit` takes one case all the
 * way: opened, planned, written, checked, loaded in both builds of onnxruntime, and run beside its dequantized self and
 * the model it was made of.
 */
import { inOneFile } from '../workers/onnx/model-files.ts';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as native from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { toEngineError } from '../workers/contract/errors.ts';
import {
  openGraph,
  SESSION_OPTIONS,
  type GraphSession,
  type HostTensor,
  type OnnxRuntime,
} from '../workers/evaluate/sessions/graph-session.ts';
import { readInputHints } from '../workers/evaluate/outputs/input-hints.ts';
import {
  DEFAULT_SEED,
  feedsOf,
  findInputSpec,
  seededSample,
  type Feeds,
} from '../workers/evaluate/outputs/seeded-inputs.ts';
import type { Kernel } from '../workers/kernels/kernel.ts';
import { fromFloat16Array } from '../workers/onnx/numbers/float16.ts';
import type { Model, Node } from '../workers/onnx/model.ts';
import type { Result } from '../workers/contract/errors.ts';
import { findScopes } from '../workers/onnx/graph/scopes.ts';
import { quantize, scanBytes } from '../workers/test-support.ts';
import { checkModel } from './check-model.ts';
import { dequantizedSelf } from './dequantized-self.ts';
import { multipliesIntegers, unsignedCodes } from './unsigned-codes.ts';
import { BUILT, type Source, type ZooCase } from './zoo-cases.ts';

/** What came of a case; `problems` is empty when nothing is wrong with the file. */
export interface Visit {
  nodes: Record<string, number>;
  quantizedTensors: number;
  bytes: number;
  bytesBefore: number;
  /** Against the dequantized self, in onnxruntime-node and onnxruntime-web. */
  error: { native: number; web: number };
  /** Against the model as it was; Infinity where nothing differs. */
  sqnr: number;
  problems: string[];
}

const ROOT = new URL('../', import.meta.url);

/** Whether a case can be visited here: what is shared is not always there. */
export function isThere(from: Source): boolean {
  return !('shared' in from) || existsSync(fileOf(from) ?? '');
}

/** Errors: rejects where the table names what is not there. */
export async function readSource(from: Source): Promise<Uint8Array<ArrayBuffer>> {
  if ('built' in from) {
    const build = BUILT.get(from.built);
    if (!build) throw new Error(`no model is built by the name "${from.built}"`);
    return build();
  }
  return new Uint8Array(await readFile(fileOf(from)!));
}

function fileOf(from: Source): URL | null {
  if ('package' in from) return new URL(`node_modules/${from.package}`, ROOT);
  if ('file' in from) return new URL(from.file, ROOT);
  return 'shared' in from ? new URL(`../shared/models/${from.shared}`, ROOT) : null;
}

/** A model with seeded inputs and what it makes of them, worked out once for all its levels. */
export interface Exhibit {
  bytes: Uint8Array<ArrayBuffer>;
  feeds: Feeds;
  outputs: Record<string, HostTensor>;
  model: Model;
  problems: string[];
}

export async function exhibit(bytes: Uint8Array<ArrayBuffer>, inputs?: ZooCase['inputs']): Promise<Exhibit> {
  const session = await open(web, bytes);
  try {
    const hints = await readInputHints(new Blob([bytes]));
    const task = valueOf(
      await findInputSpec(
        session,
        session.outputs.map(({ name }) => name),
        hints,
        DEFAULT_SEED,
      ),
    );
    const feeds = feedsOf(valueOf(seededSample(session.inputs, hints, task, 0)));
    if (inputs === 'bars') Object.values(feeds).forEach(drawBars);
    return {
      bytes,
      feeds,
      outputs: await run(native, bytes, feeds),
      model: await scanBytes(bytes),
      problems: checkModel(bytes),
    };
  } finally {
    await session.release();
  }
}

/** In pixels [1, channels, height, width] about 0. */
function drawBars({ dims, data }: HostTensor): void {
  const [height = 0, width = 0] = dims.slice(2);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width) % height];
    data[i] = y % 56 >= 16 && y % 56 < 40 && x % 12 < 4 && x > 20 && x < width - 24 ? -1.8 : 2;
  }
}

/** The code of the error that a level of a model is refused with; null when it is not. */
export async function refusal(bytes: Uint8Array, level: string, kernel: Kernel): Promise<string | null> {
  try {
    return (await quantize(bytes, level, kernel)).plan.problem?.code ?? null;
  } catch (thrown) {
    return toEngineError(thrown).code;
  }
}

export async function visit(
  { bytes: before, feeds, outputs, model, problems: known }: Exhibit,
  level: string,
  kernel: Kernel,
): Promise<Visit> {
  const { bytes, plan } = await quantize(before, level, kernel);
  if (plan.problem) throw new Error(plan.problem.message);
  const written = await scanBytes(bytes);
  const problems = checkModel(bytes).filter((problem) => !known.includes(problem));
  const ledger = plan.ledger.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0);
  const stored = findScopes(written)
    .flatMap(({ constants, shadowed }) => [...constants.values(), ...shadowed])
    .reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  if (bytes.length !== plan.bytes) problems.push(`planned were ${plan.bytes} bytes, written ${bytes.length}`);
  if (ledger + plan.graphBytes !== bytes.length)
    problems.push(`the ledger's ${ledger} bytes and the graph's ${plan.graphBytes} are not the file's ${bytes.length}`);
  if (stored + sparseBytes(written) !== ledger)
    problems.push(`the ledger adds up to ${ledger} bytes of weights, the file holds ${stored}`);
  for (const { domain, version } of model.opsets) {
    if (!written.opsets.some((opset) => opset.domain === domain && opset.version === version))
      problems.push(`operator set ${version} of "${domain}" is another now`);
  }
  const expected = await run(native, dequantizedSelf(bytes), feeds);
  const integers = multipliesIntegers(countOperators(written).keys());
  if (integers) await (await open(native, bytes as Uint8Array<ArrayBuffer>)).release();
  const inNode = await run(native, integers ? unsignedCodes(bytes) : bytes, feeds);
  const error = { native: difference(inNode, expected), web: difference(await run(web, bytes, feeds), expected) };
  return {
    nodes: increase(model, written),
    quantizedTensors: plan.changed,
    bytes: bytes.length,
    bytesBefore: before.length,
    error,
    sqnr: sqnr(inNode, outputs),
    problems,
  };
}

function sparseBytes(model: Model): number {
  return findScopes(model)
    .flatMap(({ sparse }) => sparse)
    .reduce((sum, { bytes }) => sum + bytes, 0);
}

function increase(before: Model, after: Model): Record<string, number> {
  const [old, now] = [countOperators(before), countOperators(after)];
  return Object.fromEntries(
    [...now]
      .map(([type, count]) => [type, count - (old.get(type) ?? 0)] as const)
      .filter(([, more]) => more > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function countOperators(model: Model): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { type } of findScopes(model).flatMap(({ nodes }): readonly Node[] => nodes))
    counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

async function open(runtime: OnnxRuntime, bytes: Uint8Array<ArrayBuffer>): Promise<GraphSession> {
  // Beyond `basic`, native onnxruntime makes a MatMulNBits of DequantizeLinear and MatMul and rounds activations in it:
  // what the file says is what is compared.
  const options =
    runtime === native
      ? { ...SESSION_OPTIONS, executionProviders: ['cpu'], graphOptimizationLevel: 'basic' as const }
      : { ...SESSION_OPTIONS, executionProviders: ['wasm'] };
  return valueOf(await openGraph(runtime, inOneFile(new Blob([bytes])), options));
}

async function run(runtime: OnnxRuntime, bytes: Uint8Array, feeds: Feeds): Promise<Record<string, HostTensor>> {
  const session = await open(runtime, bytes as Uint8Array<ArrayBuffer>);
  try {
    return valueOf(await session.run(feeds));
  } finally {
    await session.release();
  }
}

function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details.slice(0, 400)}`);
  return result.value;
}

function numbersOf({ type, data }: HostTensor): Float64Array {
  return type === 'float16'
    ? Float64Array.from(fromFloat16Array(data as Uint16Array))
    : Float64Array.from(data as ArrayLike<number | bigint>, Number);
}

/** Largest difference over all outputs, each as a share of its largest magnitude. */
function difference(actual: Record<string, HostTensor>, expected: Record<string, HostTensor>): number {
  return Math.max(
    ...Object.entries(expected).map(([name, tensor]) => {
      const [got, wanted] = [numbersOf(actual[name]!), numbersOf(tensor)];
      if (got.length !== wanted.length) return Infinity;
      const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = wanted.reduce(
        (most, value, i) => Math.max(most, Object.is(got[i], value) ? 0 : Math.abs(got[i]! - value)),
        0,
      );
      return worst === 0 ? 0 : worst / scale;
    }),
  );
}

/** The lowest of all outputs, dB. */
function sqnr(actual: Record<string, HostTensor>, expected: Record<string, HostTensor>): number {
  return Math.min(
    ...Object.entries(expected).map(([name, tensor]) => {
      const [got, wanted] = [numbersOf(actual[name]!), numbersOf(tensor)];
      const noise = wanted.reduce((sum, value, i) => sum + (got[i]! - value) ** 2, 0);
      return noise === 0 ? Infinity : 10 * Math.log10(wanted.reduce((sum, value) => sum + value ** 2, 0) / noise);
    }),
  );
}
