/**
 * Where two providers part on the same model and inputs, and which of them is wrong.
 *
 * Values from inside a graph are seen by adding them to the outputs of a copy of it. onnxruntime fuses no nodes over an
 * added output, so values are compared only between graphs that are fused alike: without optimizations, where none is
 * fused; or one value at a time, where the copy is fused as the model is but over that value.
 */
import type { ModelFiles } from '../../contract/files.ts';
import type { Arbitration, Divergence } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import { settle } from '../../contract/errors.ts';
import { scanModel } from '../../onnx/scan.ts';
import { blobSource } from '../../io/source.ts';
import { arbitrate, type Suspicion } from './arbitrate.ts';
import { computedValues, nodeName, type ComputedValue } from '../../onnx/graph/walk.ts';
import { roundingOf, searchDivergence, type Look, type Parting } from './divergence-search.ts';
import { failure } from '../errors.ts';
import { fusedRange } from './fused-range.ts';
import type { GraphRuntime, HostTensor } from '../sessions/graph-session.ts';
import { isFinal, observer, type Observe, type Side } from './observe-values.ts';
import { tensorDifference, type Difference } from '../outputs/tensor-difference.ts';

export interface DivergenceJob {
  model: ModelFiles;
  feeds: Readonly<Record<string, HostTensor>>;
  /** What the report calls `against`, and `provider`. */
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

export interface Diagnosis {
  arbitration: Arbitration;
  /** Null where differences grow bit by bit and no node stands out. */
  partsAt: Divergence | null;
}

/** Of half the output's difference, no more is taken: a fault in one of many branches shows less further on. */
const LARGEST_TOLERANCE = 0.01;
/** Values differ when they do so by this many times what rounding does to one operation: roundings add up. */
const ROUNDINGS = 4;
/** A fault that shows less and less on its way to the output is found by looking this many times closer. */
const CLOSER = 10;
/** Values seen in one copy where nothing is fused. */
const TOGETHER = 8;

/**
 * Null where the output agrees.
 * Errors: `onnx-invalid`, `onnx-truncated`, `session-failed`, `out-of-memory`, `device-lost`, `cancelled`.
 */
export async function firstDivergence({ tolerance: asked, ...job }: DivergenceJob): Promise<Result<Diagnosis | null>> {
  const { model, left, right, output } = job;
  const scanned = await settle(() => scanModel(blobSource('model', model.model)));
  if (!scanned.ok) return scanned;
  if (!scanned.value.graph.outputs.some(({ proto }) => proto.name === output)) {
    return failure('internal', `The model has no output "${output}" to compare.`, 'Report this.');
  }
  const values = computedValues(scanned.value.graph);
  const observed = { ...job, scanned: scanned.value };
  const observe = observer(observed);

  const ofLeft = await observe({ runtime: left, optimized: true }, [output]);
  if (!ofLeft.ok) return ofLeft;
  const ofRight = await observe({ runtime: right, optimized: true }, [output]);
  if (!ofRight.ok) return ofRight;
  const plain = { left: ofLeft.value[output], right: ofRight.value[output] };
  const apart = plain.left && plain.right ? tensorDifference(plain.left, plain.right) : null;
  if (!plain.left || !plain.right || !apart) {
    return failure(
      'session-failed',
      `The output "${output}" holds no numbers to compare.`,
      'Choose another export of the model.',
    );
  }
  const rounding = roundingOf(apart.type);
  const tolerance = asked ?? Math.max(ROUNDINGS * rounding, Math.min(LARGEST_TOLERANCE, apart.relative / 2));
  if (apart.relative <= tolerance) return { ok: true, value: null };

  const arbitrated = await arbitrate({ ...observed, tolerance, difference: apart.relative }, observe, {
    left: plain.left,
    right: plain.right,
  });
  if (!arbitrated.ok) return arbitrated;
  const { arbitration, suspicion } = arbitrated.value;
  const parting = await closer(values, output, suspicion, observe, tolerance, ROUNDINGS * rounding);
  if (!parting.ok) return parting;
  if (!parting.value) return { ok: true, value: { arbitration, partsAt: null } };
  const partsAt = await described(values, parting.value, suspicion, observe, arbitration);
  return partsAt.ok ? { ok: true, value: { arbitration, partsAt: partsAt.value } } : partsAt;
}

/** Looks for the node, closer and closer until differences are roundings. */
async function closer(
  values: ReadonlyMap<string, ComputedValue>,
  output: string,
  suspicion: Suspicion,
  observe: Observe,
  tolerance: number,
  finest: number,
): Promise<Result<Parting | null>> {
  const together = suspicion.suspect.optimized || suspicion.reference.optimized ? 1 : TOGETHER;
  const look = looking(suspicion, observe);
  for (let threshold = tolerance; ; threshold /= CLOSER) {
    const found = await searchDivergence(values, output, look, threshold, together);
    if (!found.ok || found.value) return found;
    if (threshold / CLOSER < finest) return { ok: true, value: null };
  }
}

/** Differences between two sides, each value looked at once. */
function looking({ reference, suspect }: Suspicion, observe: Observe): Look {
  const seen = new Map<string, Difference | null>();

  const compare = async (tensors: readonly string[]): Promise<Result<void>> => {
    const right = await observe(reference, tensors);
    const wrong = right.ok ? await observe(suspect, tensors) : right;
    if (right.ok && wrong.ok) {
      for (const name of tensors) {
        const [a, b] = [right.value[name], wrong.value[name]];
        seen.set(name, a && b ? tensorDifference(a, b) : null);
      }
      return { ok: true, value: undefined };
    }
    if (isFinal(wrong) && !wrong.ok) return wrong;
    // In halves where together they do not run; what does so by itself cannot be seen.
    if (tensors.length === 1) {
      seen.set(tensors[0]!, null);
      return { ok: true, value: undefined };
    }
    const half = tensors.length >> 1;
    const first = await compare(tensors.slice(0, half));
    return first.ok ? compare(tensors.slice(half)) : first;
  };

  return async (tensors) => {
    const unseen = tensors.filter((tensor) => !seen.has(tensor));
    if (unseen.length > 0) {
      const compared = await compare(unseen);
      if (!compared.ok) return compared;
    }
    return { ok: true, value: new Map(tensors.map((tensor) => [tensor, seen.get(tensor) ?? null])) };
  };
}

/** The node that was found; when it is the end of a fused kernel, with the range of nodes that became the kernel. */
async function described(
  values: ReadonlyMap<string, ComputedValue>,
  { value: { node, name }, difference, inputDifference }: Parting,
  { reference, suspect }: Suspicion,
  observe: Observe,
  { wrong }: Arbitration,
): Promise<Result<Divergence>> {
  const [only] = wrong;
  const provider = isFusion(reference, suspect) ? suspect.runtime.provider : wrong.length === 1 && only ? only : null;
  const found: Divergence = {
    node: nodeName(node),
    operator: node.type,
    tensor: name,
    difference,
    inputDifference,
    provider,
    fused: null,
  };
  if (!suspect.optimized || reference.optimized) return { ok: true, value: found };
  const right = await observe(reference, [name]);
  if (isFinal(right) && !right.ok) return right;
  const tensor = right.ok ? right.value[name] : undefined;
  if (!tensor) return { ok: true, value: found };
  const range = await fusedRange({ values, target: name, difference, suspect, right: tensor, observe });
  return range.ok ? { ok: true, value: { ...found, fused: range.value } } : range;
}

/** Whether one provider is held against itself without optimizations. */
function isFusion(reference: Side, suspect: Side): boolean {
  return reference.runtime === suspect.runtime;
}
