/**
 * Where two providers part on the same model and inputs: the first node whose inputs agree and whose output does not.
 * Values are seen by adding them to the outputs of a copy of the graph, a few at a time, run on one provider after the
 * other.
 */
import type { Divergence, Result } from '../protocol.ts';
import { settle } from '../errors.ts';
import type { Model } from '../onnx/model.ts';
import { scanModel } from '../onnx/scan.ts';
import { blobSource } from '../source.ts';
import { dataflow, nodeName } from './dataflow.ts';
import { roundingOf, searchDivergence } from './divergence-search.ts';
import { cancelled, failure } from './errors.ts';
import { exposeOutputs } from './expose-outputs.ts';
import type { GraphRuntime, HostTensor } from './graph-session.ts';
import { tensorDifference, type Difference } from './tensor-difference.ts';

export interface DivergenceJob {
  model: Blob;
  feeds: Readonly<Record<string, HostTensor>>;
  left: GraphRuntime;
  right: GraphRuntime;
  /** Output of the model in which the providers differ. */
  output: string;
  /** Relative difference (RMS over RMS) above which values differ; half of that of `output` when absent. */
  tolerance?: number;
  /** Bytes of weights that released sessions may leave on the GPU before it is reset. */
  mostLeft?: number;
  signal?: AbortSignal | undefined;
}

/** Of half the output's difference, no more is taken: a fault in one of many branches shows less further on. */
const LARGEST_TOLERANCE = 0.01;
/** Values differ when they do so by this many times what rounding does to one operation: roundings add up. */
const ROUNDINGS = 4;

/**
 * Null where the output agrees, where it agrees as soon as anything is added to the outputs (the fault is of a fusion
 * that then does not happen), and where differences grow bit by bit and no node stands out. Where the fault is in a
 * fused kernel, whose inner values cannot be seen, the node named is the last of it.
 * Errors: `onnx-invalid`, `onnx-truncated`, `session-failed`, `out-of-memory`, `device-lost`, `cancelled`.
 */
export async function firstDivergence(job: DivergenceJob): Promise<Result<Divergence | null>> {
  const scanned = await settle(() => scanModel(blobSource('model', job.model)));
  if (!scanned.ok) return scanned;
  if (!scanned.value.graph.outputs.some(({ proto }) => proto.name === job.output)) {
    return failure('internal', `The model has no output "${job.output}" to compare.`, 'Report this.');
  }
  const values = dataflow(scanned.value.graph);
  const eyes = observer(job, scanned.value);

  const plain = await eyes.plain();
  if (!plain.ok) return plain;
  const rounding = roundingOf(plain.value.type);
  const tolerance = job.tolerance ?? Math.max(ROUNDINGS * rounding, Math.min(LARGEST_TOLERANCE, plain.value.relative / 2));
  if (plain.value.relative <= tolerance) return { ok: true, value: null };
  eyes.expect(tolerance);

  // A fault that shows less and less on its way to the output is found by looking closer.
  for (let threshold = tolerance; ; threshold /= CLOSER) {
    const found = await searchDivergence(values, job.output, eyes.look, threshold);
    if (!found.ok) return found;
    if (found.value) {
      const { value: { node, name }, difference, inputDifference } = found.value;
      return { ok: true, value: { node: nodeName(node), operator: node.type, tensor: name, difference, inputDifference } };
    }
    if (threshold / CLOSER < ROUNDINGS * rounding) return { ok: true, value: null };
  }
}

const CLOSER = 10;

const MOST_LEFT = 256 << 20;

interface Observer {
  /** The difference of the output in the model as it is. */
  plain(): Promise<Result<Difference>>;
  /** From now on, where the output differs by less, what was added hid the fault. */
  expect(tolerance: number): void;
  look(tensors: readonly string[]): Promise<Result<ReadonlyMap<string, Difference | null>>>;
}

function observer({ model, feeds, left, right, output, mostLeft = MOST_LEFT, signal }: DivergenceJob, scanned: Model): Observer {
  const seen = new Map<string, Difference | null>();
  let expected = 0;

  let released = 0;
  /** onnxruntime leaves the weights of a released session on the GPU; a large model must not be there time and again. */
  const giveBack = async (runtime: GraphRuntime) => {
    if (!runtime.reset || (released += model.size) <= mostLeft) return;
    released = 0;
    await runtime.reset();
  };

  const run = async (runtime: GraphRuntime, tensors: readonly string[]): Promise<Result<Record<string, HostTensor>>> => {
    if (signal?.aborted) return cancelled();
    const session = await runtime.open(exposeOutputs(model, scanned, tensors));
    if (!session.ok) return session;
    try {
      if (signal?.aborted) return cancelled();
      // What is no tensor cannot be fetched.
      const shown = new Set(session.value.outputs.filter(({ isTensor, type }) => isTensor && type !== 'string').map(({ name }) => name));
      return await session.value.run(feeds, [...new Set([output, ...tensors])].filter((tensor) => shown.has(tensor)));
    } finally {
      await session.value.release();
      await giveBack(runtime);
    }
  };

  const compare = async (tensors: readonly string[]): Promise<Result<ReadonlyMap<string, Difference | null>>> => {
    const ofLeft = await run(left, tensors);
    if (!ofLeft.ok) return ofLeft;
    const ofRight = await run(right, tensors);
    if (!ofRight.ok) return ofRight;
    return { ok: true, value: new Map([output, ...tensors].map((name) => {
      const [a, b] = [ofLeft.value[name], ofRight.value[name]];
      return [name, a && b ? tensorDifference(a, b) : null];
    })) };
  };

  /** In halves where together they hide the fault or do not run; what does so by itself cannot be seen. */
  const look = async (tensors: readonly string[]): Promise<Result<void>> => {
    const found = await compare(tensors);
    if (!found.ok && (found.error.code === 'cancelled' || found.error.code === 'device-lost')) return found;
    if (found.ok && (found.value.get(output)?.relative ?? 0) > expected) {
      for (const tensor of tensors) seen.set(tensor, found.value.get(tensor) ?? null);
      return { ok: true, value: undefined };
    }
    if (tensors.length === 1) {
      seen.set(tensors[0]!, null);
      return { ok: true, value: undefined };
    }
    const half = tensors.length >> 1;
    const first = await look(tensors.slice(0, half));
    return first.ok ? look(tensors.slice(half)) : first;
  };

  return {
    async plain() {
      const found = await compare([]);
      if (!found.ok) return found;
      const difference = found.value.get(output);
      if (!difference) return failure('session-failed', `The output "${output}" holds no numbers to compare.`, 'Choose another export of the model.');
      seen.set(output, difference);
      return { ok: true, value: difference };
    },
    expect(tolerance) { expected = tolerance; },
    async look(tensors) {
      const unseen = tensors.filter((tensor) => !seen.has(tensor));
      if (unseen.length > 0) {
        const looked = await look(unseen);
        if (!looked.ok) return looked;
      }
      return { ok: true, value: new Map(tensors.map((tensor) => [tensor, seen.get(tensor) ?? null])) };
    },
  };
}
