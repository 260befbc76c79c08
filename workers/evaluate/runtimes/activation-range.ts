/**
 * Looks for values that fp16 cannot hold, by running a float32 model: the largest and the smallest number of each
 * value are computed in a copy of the graph, so that a few numbers come out and no activations.
 */
import type { ModelFiles } from '../../contract/files.ts';
import { settle } from '../../contract/errors.ts';
import { encodeNode } from '../../onnx/writing/encode.ts';
import type { Model } from '../../onnx/model.ts';
import { scanModel } from '../../onnx/scan.ts';
import type { Report } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import { blobSource } from '../../io/source.ts';
import { computedValues, nodeName, type ComputedValue } from '../../onnx/graph/walk.ts';
import { cancelled } from '../errors.ts';
import { appendFields, editModel, encodeOutput, exposeOutputs } from '../../onnx/graph/edit.ts';
import type { GraphRuntime, HostTensor } from '../sessions/graph-session.ts';
import { floatValues } from '../outputs/tensor-difference.ts';

export type Overflow = NonNullable<Report['overflow']>[number];

export interface ActivationRange {
  /** Nodes with values beyond fp16 that are finite in float32, the largest first. */
  overflow: Overflow[];
  /** Values that could not be looked at. */
  unseen: string[];
}

export interface ActivationRangeJob {
  /** In float32. */
  model: ModelFiles;
  /** Inputs of each run. */
  samples: readonly Readonly<Record<string, HostTensor>>[];
  runtime: GraphRuntime;
  signal?: AbortSignal | undefined;
}

const LARGEST_HALF = 65_504;
const BOOL = 9;
const ELEMENT_TYPES = { float32: 1, float64: 11 } as const;

/**
 * Attention masks are left out: numbers far below zero that only ever go to a softmax are as good as −∞, in fp16 too.
 * What is infinite or no number in float32 already is not fp16's doing, and is left out of the range.
 * What is made of constants alone is not looked at, the plan looks at weights.
 * Errors: `onnx-invalid`, `onnx-truncated`, `session-failed`, `out-of-memory`, `device-lost`, `cancelled`.
 */
export async function activationRange(job: ActivationRangeJob): Promise<Result<ActivationRange>> {
  const scanned = await settle(() => scanModel(blobSource('model', job.model.model)));
  if (!scanned.ok) return scanned;
  const values = computedValues(scanned.value.graph);
  const floats = await floatsOf(
    job,
    scanned.value,
    [...values.values()].filter(({ constant }) => !constant),
  );
  if (!floats.ok) return floats;
  const ranges = new Map<string, Range | null>();
  const measured = await measure(job, scanned.value, floats.value, ranges);
  if (!measured.ok) return measured;

  const softened = maskTest(values, new Set(scanned.value.graph.outputs.map(({ proto }) => proto.name)));
  const overflow: Overflow[] = [];
  const unseen: string[] = [];
  for (const { name, node } of floats.value) {
    const range = ranges.get(name);
    if (!range) unseen.push(name);
    else if (isBeyond(range) && !(range.high <= LARGEST_HALF && softened(name))) {
      overflow.push({
        node: nodeName(node),
        operator: node.type,
        tensor: name,
        largest: Math.max(range.high, -range.low),
      });
    }
  }
  return { ok: true, value: { overflow: overflow.sort((a, b) => b.largest - a.largest), unseen } };
}

/** Of finite numbers. */
interface Range {
  low: number;
  high: number;
}

interface FloatValue extends ComputedValue {
  type: keyof typeof ELEMENT_TYPES;
}

function isBeyond({ low, high }: Range): boolean {
  return low < -LARGEST_HALF || high > LARGEST_HALF;
}

/** onnxruntime tells the types when a copy with all values as outputs is opened; nothing is run. */
async function floatsOf(
  { model, runtime, signal }: ActivationRangeJob,
  scanned: Model,
  values: readonly ComputedValue[],
): Promise<Result<FloatValue[]>> {
  if (signal?.aborted) return cancelled();
  const session = await runtime.open({
    ...model,
    model: exposeOutputs(
      model.model,
      scanned,
      values.map(({ name }) => name),
    ),
  });
  if (!session.ok) return session;
  const types = new Map(session.value.outputs.map(({ name, type }) => [name, type]));
  await session.value.release();
  return {
    ok: true,
    value: values.flatMap((value) => {
      const type = types.get(value.name);
      return type === 'float32' || type === 'float64' ? [{ ...value, type }] : [];
    }),
  };
}

/** All at once; in halves where that does not run, as when a value is empty and has no largest number. */
async function measure(
  job: ActivationRangeJob,
  scanned: Model,
  values: readonly FloatValue[],
  ranges: Map<string, Range | null>,
): Promise<Result<void>> {
  if (values.length === 0) return { ok: true, value: undefined };
  const found = await rangesOf(job, scanned, values);
  if (found.ok) {
    found.value.forEach((range, index) => ranges.set(values[index]!.name, range));
    return { ok: true, value: undefined };
  }
  if (found.error.code === 'cancelled' || found.error.code === 'device-lost') return found;
  if (values.length === 1) {
    ranges.set(values[0]!.name, null);
    return { ok: true, value: undefined };
  }
  const half = values.length >> 1;
  const first = await measure(job, scanned, values.slice(0, half), ranges);
  return first.ok ? measure(job, scanned, values.slice(half), ranges) : first;
}

const SUFFIXES = ['highest', 'lowest'] as const;

async function rangesOf(
  { model, samples, runtime, signal }: ActivationRangeJob,
  scanned: Model,
  values: readonly FloatValue[],
): Promise<Result<Range[]>> {
  if (signal?.aborted) return cancelled();
  const fields = values.flatMap(({ name, type: element }) => {
    const made = (suffix: string) => `${name}/range/${suffix}`;
    const add = (type: string, inputs: string[], suffix: string, attributes: Record<string, number> = {}) =>
      encodeNode({ type, domain: '', name: made(suffix), inputs, outputs: [made(suffix)], attributes });
    return [
      // x − x is 0 but for infinities and what is no number, which a Cast makes false and true of.
      add('Sub', [name, name], 'zeros'),
      add('Cast', [made('zeros')], 'strange', { to: BOOL }),
      add('Not', [made('strange')], 'ordinary'),
      add('Cast', [made('ordinary')], 'ones', { to: ELEMENT_TYPES[element] }),
      add('Where', [made('ordinary'), name, made('ones')], 'numbers'),
      add('ReduceMax', [made('numbers')], 'highest', { keepdims: 0 }),
      add('ReduceMin', [made('numbers')], 'lowest', { keepdims: 0 }),
      ...SUFFIXES.map((suffix) => encodeOutput(made(suffix))),
    ];
  });
  const session = await runtime.open({
    ...model,
    model: editModel(model.model, scanned, [appendFields(scanned.graph, fields)]),
  });
  if (!session.ok) return session;
  const ranges = values.map((): Range => ({ low: Infinity, high: -Infinity }));
  try {
    for (const feeds of samples) {
      if (signal?.aborted) return cancelled();
      const outputs = await session.value.run(
        feeds,
        values.flatMap(({ name }) => SUFFIXES.map((suffix) => `${name}/range/${suffix}`)),
      );
      if (!outputs.ok) return outputs;
      values.forEach(({ name }, index) => {
        const number = (suffix: (typeof SUFFIXES)[number]) => {
          const tensor = outputs.value[`${name}/range/${suffix}`];
          return (tensor && floatValues(tensor)?.[0]) ?? NaN;
        };
        const range = ranges[index]!;
        range.low = Math.min(range.low, number('lowest'));
        range.high = Math.max(range.high, number('highest'));
      });
    }
  } finally {
    await session.value.release();
  }
  return { ok: true, value: ranges };
}

/** Operators that carry a mask on its way to where it is used. */
const CARRIES_MASKS = new Set([
  'Add',
  'Cast',
  'Concat',
  'Expand',
  'Gather',
  'GatherND',
  'Identity',
  'Max',
  'Min',
  'Mul',
  'Pad',
  'Reshape',
  'ScatterND',
  'Slice',
  'Split',
  'Squeeze',
  'Sub',
  'Tile',
  'Transpose',
  'Trilu',
  'Unsqueeze',
  'Where',
]);
const TAKES_MASKS = new Set(['Attention', 'GroupQueryAttention', 'LogSoftmax', 'MultiHeadAttention', 'Softmax']);
/** What only tells something about a value that masks do not change. */
const IGNORES_NUMBERS = new Set(['Shape', 'Size']);

/** Whether a value goes nowhere but to a softmax, as scores and masks do. */
export function maskTest(
  values: ReadonlyMap<string, ComputedValue>,
  outputs: ReadonlySet<string>,
): (name: string) => boolean {
  const users = new Map<string, Set<ComputedValue['node']>>();
  for (const { node, inputs } of values.values()) {
    for (const input of inputs) users.set(input, (users.get(input) ?? new Set()).add(node));
  }
  const softened = new Set<string>();
  // From the end to the front: what a value goes to has been decided then.
  for (const name of [...values.keys()].reverse()) {
    const isSoftened =
      !outputs.has(name) &&
      [...(users.get(name) ?? [])].every(
        ({ type, outputs: made }) =>
          TAKES_MASKS.has(type) ||
          IGNORES_NUMBERS.has(type) ||
          (CARRIES_MASKS.has(type) && made.every((output) => output === '' || softened.has(output))),
      );
    if (isSoftened) softened.add(name);
  }
  return (name) => softened.has(name);
}
