/**
 * The search for a block's grid, as methods `search` and `wsearch` have it: which integer zero point and scale give the
 * least (weighted) squared error. Candidates are a few zero points and scales around those of round to nearest. Each is
 * judged by the error after the least-squares refit of its scale, which one pass over the block gives: with steps d (code
 * less zero point) the best scale is A/B and the error Σwv² − A²/B, where A = Σwvd and B = Σwd². The best candidate is
 * refitted once more. Every step is one float32 operation. Related: NeUQI (arXiv 2505.17595), onnxruntime's k_quant.
 */
import type { BlockScheme } from './kernel.ts';

const { fround } = Math;

/** A grid: values are scale · (code − zeroPoint). */
export interface BlockGrid {
  /** float32, not yet rounded to the type it is stored in. */
  scale: number;
  zeroPoint: number;
}

/** Scales tried, as multiples of the scale of round to nearest, by bits; negative ones turn a symmetric grid round. */
export const FACTORS = {
  symmetric: {
    2: [1, 0.86, 0.72, 0.6, -1.25, -1.1, -0.95, -0.8],
    4: [1.02, 0.97, 0.92, 0.87, 0.82, -1.14, -1.08, -1.02, -0.96, -0.9],
    8: [1, 0.998, 0.996, 0.99, -1.007, -1.003, -1, -0.995],
  },
  asymmetric: {
    2: [1, 0.85, 0.7, 0.55],
    4: [1.04, 1, 0.96, 0.92, 0.88, 0.84],
    8: [1.004, 1, 0.996, 0.992],
  },
} as const;
/** Zero points tried: up to this many to either side of that of round to nearest. */
const REACH = 1;
/** Blocks whose largest magnitude lies outside are left to round to nearest: sums of squares could leave float32. */
const SEARCHED = { least: 2 ** -40, greatest: 2 ** 40 } as const;
/** Scales that are kept, by the type they are stored in; others could become 0 or infinite. */
const KEPT = {
  float32: { least: 2 ** -100, greatest: 2 ** 100 },
  float16: { least: 2 ** -24, greatest: 65504 },
} as const;

/**
 * A better grid for a block; null where round to nearest has to do: magnitudes out of range, or only zeros.
 * @param weights How much the squared error of each element counts, at most 1; null for all alike.
 * @param start The grid of round to nearest.
 */
export function searchGrid(
  values: ArrayLike<number>,
  weights: ArrayLike<number> | null,
  start: BlockGrid,
  { bits, symmetric }: Pick<BlockScheme, 'bits' | 'symmetric'>,
  type: 'float32' | 'float16',
): BlockGrid | null {
  let magnitude = 0;
  for (let i = 0; i < values.length; i++) magnitude = Math.max(magnitude, Math.abs(values[i]!));
  if (!(magnitude >= SEARCHED.least && magnitude <= SEARCHED.greatest)) return null;
  const largest = 2 ** bits - 1;

  let score = 0;
  const best = { ...start };
  const consider = (scale: number, zeroPoint: number) => {
    const fitted = fitScale(values, weights, fround(1 / scale), -zeroPoint, largest - zeroPoint);
    if (!(fitted.score > score)) return;
    score = fitted.score;
    best.scale = fitted.scale;
    best.zeroPoint = zeroPoint;
  };
  const factors = FACTORS[symmetric ? 'symmetric' : 'asymmetric'][bits];
  const reach = symmetric ? 0 : REACH;
  for (let shift = -reach; shift <= reach; shift++) {
    const zeroPoint = start.zeroPoint + shift;
    if (zeroPoint < 0 || zeroPoint > largest) continue;
    for (const factor of factors) consider(fround(start.scale * fround(factor)), zeroPoint);
  }
  if (score > 0) consider(best.scale, best.zeroPoint);
  const size = Math.abs(best.scale);
  return score > 0 && size >= KEPT[type].least && size <= KEPT[type].greatest ? best : null;
}

const fitted = { scale: 0, score: 0 };

/** The least-squares scale for the steps that a grid gives, and by how much it lowers the error from that of all zeros. */
function fitScale(
  values: ArrayLike<number>,
  weights: ArrayLike<number> | null,
  reciprocal: number,
  least: number,
  most: number,
): typeof fitted {
  let a = 0;
  let b = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const rounded = roundHalfEven(fround(value * reciprocal));
    const step = rounded < least ? least : rounded > most ? most : rounded;
    const weighted = weights ? fround(step * weights[i]!) : step;
    a = fround(a + fround(value * weighted));
    b = fround(b + fround(step * weighted));
  }
  fitted.scale = fround(a / b);
  fitted.score = b > 0 ? fround(a * fitted.scale) : 0;
  return fitted;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/**
 * Mean squares of input channels [K] as weights for the blocks they are in: the greatest of each block is 1. Null where
 * one of them is not a finite number of 0 or more.
 */
export function blockWeights(meanSquares: Float32Array, block: number): Float32Array | null {
  if (!meanSquares.every((value) => value >= 0 && value < Infinity)) return null;
  const weights = new Float32Array(meanSquares.length);
  for (let from = 0; from < weights.length; from += block) {
    const part = meanSquares.subarray(from, from + block);
    const greatest = part.reduce((most, value) => Math.max(most, value), 0);
    weights.set(greatest > 0 ? part.map((value) => value / greatest) : part.map(() => 1), from);
  }
  return weights;
}
