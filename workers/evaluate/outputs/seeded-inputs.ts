/**
 * Inputs for any graph, random where nothing else is known, from a seed: the same bytes on every machine (random.ts).
 *
 * Floats are standard normal, pixels uniform from 0 to 1 (0 to 255 in bytes), whole numbers below what the graph looks
 * them up in, else 0 or 1; masks and booleans are ones. What a name gives a meaning to is filled as for a text: token
 * ids at random, attention masks, positions, token types, lengths, empty caches.
 */
import { toFloat16Bits } from '../../onnx/numbers/float16.ts';
import type { Result } from '../../contract/errors.ts';
import { failure, type Failure } from '../errors.ts';
import type { GraphSession, HostTensor, TensorValues } from '../sessions/graph-session.ts';
import type { InputHints } from './input-hints.ts';
import {
  imageLayout,
  resolveShapes,
  sizesToTry,
  USUAL_SIZES,
  type FreeSizes,
  type KnownSizes,
} from './input-shapes.ts';
import { feedData, knownFeed, type Feed, type ValueInfo } from '../inputs.ts';
import { randomNumbers, type RandomNumbers } from '../random.ts';

export type Feeds = Record<string, HostTensor>;

/** How inputs are made: all that decides their bytes beside the graph. */
export interface InputSpec {
  seed: number;
  free: FreeSizes;
  /** Whole numbers of unknown range are below this. */
  wholeBelow: number;
}

export interface SeededInput {
  tensor: HostTensor;
  /** What it holds, in words. */
  from: string;
  /** Whether it follows from the input's name, with nothing random in it. */
  given: boolean;
}

export const DEFAULT_SEED = 1;
export const DEFAULT_SAMPLES = 8;

/** More elements than this in one input is a shape gone wrong. */
const MOST_ELEMENTS = 2 ** 28;

/**
 * The inputs of one sample.
 * @param known Sizes of named dimensions that files have settled.
 * @param wanted Which inputs to make; all when absent. Shapes are settled with the others in mind.
 * Errors: `inputs-unknown`, naming the input that cannot be made.
 */
export function seededSample(
  inputs: readonly ValueInfo[],
  hints: InputHints,
  spec: InputSpec,
  sample: number,
  known?: KnownSizes,
  wanted?: ReadonlySet<string>,
): Result<Map<string, SeededInput>> {
  const { shapes } = resolveShapes(inputs, hints, spec.free, known);
  const made = new Map<string, SeededInput>();
  for (const [place, input] of inputs.entries()) {
    if (wanted && !wanted.has(input.name)) continue;
    const shape = shapes.get(input.name) ?? [];
    if (elements(shape) > MOST_ELEMENTS)
      return cannotMake(input, `a shape of [${shape.join(', ')}] is more than can be made up`);
    const one = fill(input, shape, shapes, hints, spec, randomNumbers(spec.seed, sample, place));
    if (typeof one === 'string') return cannotMake(input, one);
    made.set(input.name, one);
  }
  return { ok: true, value: made };
}

/**
 * Finds sizes the graph takes, by running it: the usual ones, then others one kind at a time.
 * Errors: `inputs-unknown` when it refuses them all, `out-of-memory`.
 */
export async function findInputSpec(
  session: GraphSession,
  fetch: readonly string[],
  hints: InputHints,
  seed: number,
  signal?: AbortSignal,
): Promise<Result<InputSpec>> {
  const { guessed } = resolveShapes(session.inputs, hints, USUAL_SIZES);
  const sizes = sizesToTry(guessed);
  const specs: InputSpec[] = [
    ...sizes.map((free) => ({ seed, free, wholeBelow: 2 })),
    { seed, free: USUAL_SIZES, wholeBelow: 1 },
  ];
  let refusal: Failure | null = null;
  for (const spec of specs) {
    if (signal?.aborted) break;
    const made = seededSample(session.inputs, hints, spec, 0);
    if (!made.ok) return made;
    const ran = await session.run(feedsOf(made.value), fetch);
    if (ran.ok) return { ok: true, value: spec };
    if (ran.error.code === 'out-of-memory') return ran;
    refusal ??= ran;
  }
  const { details } = refusal?.error ?? { details: '' };
  return failure(
    'inputs-unknown',
    'The model does not run on inputs made up from its graph.',
    'Give it inputs: .npy or .pb files named as its inputs, or JSON.',
    `${describeInputs(session.inputs)}\n${details}`,
  );
}

export function feedsOf(sample: ReadonlyMap<string, SeededInput>): Feeds {
  return Object.fromEntries([...sample].map(([name, { tensor }]) => [name, tensor]));
}

/** `name: type[shape]`, a line each. */
export function describeInputs(inputs: readonly ValueInfo[]): string {
  return inputs
    .map(
      (input) =>
        `${input.name}: ${input.isTensor ? `${input.type ?? ''}[${input.shape?.join(', ') ?? ''}]` : 'not a tensor'}`,
    )
    .join('\n');
}

/** The input's values, or why there are none. */
function fill(
  input: ValueInfo,
  shape: readonly number[],
  shapes: ReadonlyMap<string, number[]>,
  hints: InputHints,
  spec: InputSpec,
  random: RandomNumbers,
): SeededInput | string {
  if (!input.isTensor) return 'it is not a tensor';
  const type = input.type ?? '';
  const allocate = ALLOCATE.get(type);
  if (!allocate) return type === 'string' ? 'it takes strings' : `its element type is ${type}`;
  const feed = knownFeed(input);
  if (feed && feed.fill !== 'ids') return conventional(input, feed, shape, shapes);

  const { name } = input;
  const lower = name.toLowerCase();
  const float = type.startsWith('float');
  const below = hints.get(name)?.below ?? null;
  const make = (from: string, next: () => number): SeededInput => ({
    tensor: tensorOf(type, shape, allocate, next),
    from,
    given: false,
  });
  const whole = (limit: number) => make(`random whole numbers from 0 to ${limit - 1}`, () => random.below(limit));
  const is = (value: number, words: string): SeededInput => ({ ...make(words, () => value), given: true });

  if (type === 'bool' || /mask/.test(lower)) return is(1, 'ones');
  if (/^(sr|sample_?rate|sampling_rate)$/.test(lower)) return is(16_000, 'the sampling rate 16000');
  if (below !== null && !float) return whole(below);
  if (feed) return whole(100);
  if (/^time_?steps?$|^t$/.test(lower) && elements(shape) === 1) return whole(1000);
  const pixels = imageLayout(input, hints) !== null;
  if (pixels && type === 'uint8') return whole(256);
  if (pixels && float) return make('random, uniform from 0 to 1', () => random.uniform());
  if (float) return make('random, standard normal', () => random.normal());
  if (/len/.test(lower)) return is(spec.free.sequence, `the length ${spec.free.sequence}`);
  return whole(spec.wholeBelow);
}

function conventional(
  input: ValueInfo,
  feed: Feed,
  shape: readonly number[],
  shapes: ReadonlyMap<string, number[]>,
): SeededInput {
  // Caches are empty, so what counts past and present together is as long as the ids are.
  const last = input.shape?.at(-1);
  const ofText = feed.dims.at(-1) !== 'window' || (typeof last === 'string' && /past|total|\+/i.test(last));
  const window = ofText ? textLength(shapes) : (shape.at(-1) ?? 1);
  const dims = feed.dims.map((dim, axis) =>
    dim === 'window' ? window : shape[axis] !== undefined && dim !== 0 && shape[axis] > 0 ? shape[axis] : dim,
  );
  const { data } = feedData({ ...feed, dims }, new Int32Array(window), window);
  const words = {
    ids: '',
    mask: 'ones',
    positions: 'positions 0, 1, 2, …',
    length: `the length ${window}`,
    last: `the last position ${window - 1}`,
    past: 'zeros',
    'use-cache': 'zeros',
    keep: 'zeros',
    zeros: dims.includes(0) ? 'empty' : 'zeros',
  };
  return { tensor: { type: feed.type, dims, data }, from: words[feed.fill], given: true };
}

function textLength(shapes: ReadonlyMap<string, number[]>): number {
  const ids = [...shapes].find(([name]) => /ids$/i.test(name));
  return ids?.[1].at(-1) ?? 1;
}

const ALLOCATE: ReadonlyMap<string, (size: number) => TensorValues> = new Map<string, (size: number) => TensorValues>([
  ['float32', (size) => new Float32Array(size)],
  ['float64', (size) => new Float64Array(size)],
  ['float16', (size) => new Uint16Array(size)],
  ['int64', (size) => new BigInt64Array(size)],
  ['uint64', (size) => new BigUint64Array(size)],
  ['int32', (size) => new Int32Array(size)],
  ['uint32', (size) => new Uint32Array(size)],
  ['int16', (size) => new Int16Array(size)],
  ['uint16', (size) => new Uint16Array(size)],
  ['int8', (size) => new Int8Array(size)],
  ['uint8', (size) => new Uint8Array(size)],
  ['bool', (size) => new Uint8Array(size)],
]);

function tensorOf(
  type: string,
  dims: readonly number[],
  allocate: (size: number) => TensorValues,
  next: () => number,
): HostTensor {
  const data = allocate(elements(dims));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (let index = 0; index < data.length; index++) data[index] = BigInt(next());
  } else if (type === 'float16') {
    for (let index = 0; index < data.length; index++) data[index] = toFloat16Bits(next());
  } else {
    for (let index = 0; index < data.length; index++) data[index] = next();
  }
  return { type, dims, data };
}

const elements = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

function cannotMake(input: ValueInfo, why: string): Failure {
  return failure(
    'inputs-unknown',
    `Nothing can be made up for the input "${input.name}": ${why}.`,
    'Export the model with inputs that are tensors of numbers.',
    describeInputs([input]),
  );
}
