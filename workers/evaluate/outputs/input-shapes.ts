/**
 * Sizes for the free dimensions of a graph's inputs, the same for the same name. What a weight or a file fixes comes
 * first, then what the name says, then what is usual for such an input.
 */
import type { InputHints } from './input-hints.ts';
import type { ValueInfo } from '../inputs.ts';

/** Kinds of dimensions that nothing in the graph fixes. */
export type FreeKind = 'sequence' | 'image' | 'audio' | 'frames';
export type FreeSizes = Readonly<Record<FreeKind, number>>;

export const USUAL_SIZES: FreeSizes = { sequence: 16, image: 224, audio: 16_000, frames: 3000 };

/** What to try, in this order, when the graph refuses the usual size: shapes it was exported for are not always in it. */
const OTHER_SIZES: Readonly<Record<FreeKind, readonly number[]>> = {
  sequence: [128, 64, 32, 512, 77, 8, 1],
  image: [256, 384, 512, 640, 299, 128, 64, 32, 28],
  audio: [512, 32_000, 80_000, 480_000],
  frames: [1500, 100, 1024],
};

/** Sizes known before: by name of the dimension. */
export type KnownSizes = ReadonlyMap<string, number>;

export interface InputShapes {
  /** By name of the input. */
  shapes: ReadonlyMap<string, number[]>;
  /** Which kinds of dimensions were given a size nothing prescribed. */
  guessed: ReadonlySet<FreeKind>;
}

export type ImageLayout = 'NCHW' | 'NHWC';

/**
 * How pixels lie in an input that takes images: rank 4, floats or bytes, one or three (or four) channels second or
 * last, told by the shape, by the convolution that takes it, or, when channels are free too, by its name.
 */
export function imageLayout({ name, type, shape = [] }: ValueInfo, hints: InputHints): ImageLayout | null {
  if (shape.length !== 4 || !['float32', 'float16', 'float64', 'uint8'].includes(type ?? '')) return null;
  const isChannels = (dim: number | string | undefined) =>
    dim === 1 || dim === 3 || dim === 4 || (typeof dim === 'string' && /chan|^c$/i.test(dim));
  if (isChannels(shape[1]) && shape[2] !== 0) return 'NCHW';
  if (isChannels(shape[3])) return 'NHWC';
  const hint = hints.get(name);
  if (hint?.convolved && [1, 3, 4].includes(hint.sizes.find(({ axis }) => axis === 1)?.size ?? 0)) return 'NCHW';
  return typeof shape[1] === 'string' && /pixel|image|img/i.test(name) ? 'NCHW' : null;
}

export function resolveShapes(
  inputs: readonly ValueInfo[],
  hints: InputHints,
  free: FreeSizes,
  known: KnownSizes = new Map(),
): InputShapes {
  const sizes = new Map(known);
  const fixed = new Map(inputs.map((input) => [input.name, new Map<number, number>()]));
  for (const { name, shape = [] } of inputs) {
    for (const { axis, size } of hints.get(name)?.sizes ?? []) {
      const at = axis < 0 ? shape.length + axis : axis;
      const dim = shape[at];
      if (typeof dim !== 'string') continue;
      if (dim !== '' && !sizes.has(dim)) sizes.set(dim, size);
      fixed.get(name)?.set(at, size);
    }
  }
  const guessed = new Set<FreeKind>();
  const sizeOf = (input: ValueInfo, axis: number, dim: string): number => {
    const found = sizes.get(dim) ?? fixed.get(input.name)?.get(axis) ?? sumOf(dim, sizes);
    if (found !== null) return found;
    const guess = guessDimension(input, axis, dim, hints);
    if (typeof guess === 'string') guessed.add(guess);
    const size = typeof guess === 'number' ? guess : free[guess];
    if (dim !== '') sizes.set(dim, size);
    return size;
  };
  const shapes = inputs.map((input): [string, number[]] => [
    input.name,
    (input.shape ?? []).map((dim, axis) => (typeof dim === 'number' ? dim : sizeOf(input, axis, dim))),
  ]);
  return { shapes: new Map(shapes), guessed };
}

/** The sizes to try, the usual ones first; then one kind at a time differs. */
export function sizesToTry(guessed: ReadonlySet<FreeKind>): FreeSizes[] {
  return [
    USUAL_SIZES,
    ...[...guessed].flatMap((kind) => OTHER_SIZES[kind].map((size) => ({ ...USUAL_SIZES, [kind]: size }))),
  ];
}

const BATCH = /batch|^[bn]$|^bs$|^unk__/i;
/** Whether samples may be put one after the other along this dimension; a nameless one counts when it comes first. */
export const isBatch = (dim: number | string | undefined): boolean =>
  typeof dim === 'string' && (dim === '' || BATCH.test(dim));

const LENGTH = /seq|len|time|token|step|ctx|context/i;
const AUDIO_INPUT = /audio|wave|speech|sound|input_values/i;
const STATE = /state|hidden|^[hc]\d*$/i;

/** A size, or the kind of dimension to take the usual size of. */
function guessDimension(input: ValueInfo, axis: number, dim: string, hints: InputHints): number | FreeKind {
  const rank = input.shape?.length ?? 0;
  const layout = imageLayout(input, hints);
  if (dim !== '' && BATCH.test(dim)) return 1;
  if (layout !== null) return axis === 0 ? 1 : axis === (layout === 'NCHW' ? 1 : 3) ? 3 : 'image';
  if (/chan|^c$/i.test(dim)) return 3;
  if (/height|width|^[hw]$/i.test(dim)) return 'image';
  if (/^past|_past|cache/i.test(dim) && !/\+/.test(dim)) return 0;
  // Spectrograms, as Whisper takes them: [batch, mel bins, frames].
  if (/input_features|mel/i.test(input.name) && rank === 3) return axis === 0 ? 1 : axis === 1 ? 80 : 'frames';
  // States of recurrent layers: [layers, batch, width].
  if (STATE.test(input.name) && rank === 3 && axis === 1) return 1;
  if (axis === 0 && rank >= 2 && !LENGTH.test(dim)) return 1;
  if (AUDIO_INPUT.test(input.name) || /sample|audio|wave/i.test(dim)) return 'audio';
  return 'sequence';
}

/** `past_sequence_length + 1` and the like: the sum of its parts where all are known, a past being empty. */
function sumOf(dim: string, sizes: KnownSizes): number | null {
  const parts = dim.split('+').map((part) => part.trim());
  if (parts.length < 2) return null;
  let sum = 0;
  for (const part of parts) {
    const size = sizes.get(part) ?? (/^\d+$/.test(part) ? Number(part) : /past|cache/i.test(part) ? 0 : null);
    if (size === null) return null;
    sum += size;
  }
  return sum;
}
