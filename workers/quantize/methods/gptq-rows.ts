/**
 * GPTQ (arXiv 2210.17323) and the refinement after it, on the rows of a matrix: each output channel is quantized on its
 * own against the Gram matrix H = XᵀX of the layer's inputs, so that (q − w)ᵀH(q − w), the squared error of the output,
 * is small. All matrices are row-major float64.
 */
import { nearestGrid } from '../../kernels/reference.ts';
import { searchGrid, type BlockGrid } from '../../kernels/search.ts';
import { fromFloat16Bits, toFloat16Bits } from '../../onnx/numbers/float16.ts';
import { emptyCodes, type BlockCodes } from './block-codes.ts';
import type { BlockScheme, WeightMatrix } from '../../kernels/kernel.ts';
import { addScaled, applyInverse, dot, inverseFactor } from './linear-algebra.ts';

/** What a layer's inputs X say: H = XᵀX of the model that is quantized so far, and C = XᵀX₀ against the original's inputs X₀. */
export interface Grams {
  /** [K, K]. */
  gram: Float64Array;
  /** [K, K]; null when both models have the same inputs. */
  cross: Float64Array | null;
}

/** Factored once for all matrices that share their inputs. */
export interface Solver {
  k: number;
  /** H with damping on its diagonal. */
  damped: Float64Array;
  /** Upper triangular, UᵀU = H⁻¹. */
  factor: Float64Array;
  /** [K, K] that takes a row of weights to its target, W + H⁻¹(C − H)W; null for the weights themselves. */
  toTarget: Float64Array | null;
}

/** Share of the mean of H's diagonal that is added to it, tried in this order until H can be factored. */
const DAMPING = [0.01, 0.1, 1] as const;

/** Null when H cannot be used: not finite, all zero, or not positive definite with any damping. */
export function createSolver({ gram, cross }: Grams, k: number): Solver | null {
  let mean = 0;
  for (let i = 0; i < k; i++) mean += gram[i * k + i]! / k;
  if (!(mean > 0) || !Number.isFinite(mean)) return null;
  for (const damping of DAMPING) {
    const damped = gram.slice();
    for (let i = 0; i < k; i++) damped[i * k + i] = damped[i * k + i]! + damping * mean;
    const factor = inverseFactor(damped, k);
    if (!factor) continue;
    const toTarget = cross && targetMap(gram, cross, factor, k);
    return { k, damped, factor, toTarget };
  }
  return null;
}

/** I + H⁻¹(C − H). */
function targetMap(gram: Float64Array, cross: Float64Array, factor: Float64Array, k: number): Float64Array {
  const difference = cross.map((value, i) => value - gram[i]!);
  const map = applyInverse(factor, k, difference, k);
  for (let i = 0; i < k; i++) map[i * k + i] = map[i * k + i]! + 1;
  return map;
}

/** What the rows should give: [N, K] float64, of weights [N, K]. */
export function targetRows({ k, toTarget }: Solver, weights: Float32Array): Float64Array {
  const rows = Float64Array.from(weights);
  if (!toTarget) return rows;
  const targets = new Float64Array(rows.length);
  for (let at = 0; at < rows.length; at += k)
    for (let i = 0; i < k; i++) targets[at + i] = dot(toTarget, i * k, rows, at, k);
  return targets;
}

/** Quantizes rows [N, K]: a column after the other, its error moved to those that follow; the grid of a block is searched when it is reached, and kept. */
export function quantizeRows(
  { k, factor }: Solver,
  targets: Float64Array,
  type: WeightMatrix['type'],
  scheme: BlockScheme,
): BlockCodes {
  const n = targets.length / k;
  const { bits, block } = scheme;
  const result = emptyCodes({ k, n, type }, scheme);
  const blocks = Math.ceil(k / block);
  const largest = 2 ** bits - 1;
  const importance = blockImportance(factor, k, block);
  const row = new Float64Array(k);
  for (let j = 0; j < n; j++) {
    row.set(targets.subarray(j * k, (j + 1) * k));
    let scale = 0;
    let zeroPoint = 0;
    for (let i = 0; i < k; i++) {
      if (i % block === 0) {
        const b = i / block;
        const values = Float32Array.from(row.subarray(i, Math.min(k, i + block)));
        ({ scale, zeroPoint } = gridOf(values, importance[b]!, scheme, type));
        result.scales[j * blocks + b] = scale;
        result.zeroPoints[j * blocks + b] = zeroPoint;
      }
      const value = row[i]!;
      const step = scale === 0 ? 0 : Math.min(Math.max(Math.round(value / scale), -zeroPoint), largest - zeroPoint);
      result.steps[j * k + i] = step;
      const error = (value - step * scale) / factor[i * k + i]!;
      addScaled(row, i + 1, -error, factor, i * k + i + 1, k - i - 1);
    }
  }
  return result;
}

/** 1/U²ⱼⱼ of each block's columns, the greatest of the block 1. */
function blockImportance(factor: Float64Array, k: number, block: number): Float32Array[] {
  return Array.from({ length: Math.ceil(k / block) }, (_, b) => {
    const count = Math.min(block, k - b * block);
    const weights = new Float32Array(count);
    for (let i = 0; i < count; i++) weights[i] = 1 / factor[(b * block + i) * (k + 1)]! ** 2;
    const greatest = weights.reduce((a, c) => Math.max(a, c), 0);
    return weights.map((weight) => weight / greatest);
  });
}

/** The searched grid of a block, its scale as it is stored. */
function gridOf(
  values: Float32Array,
  weights: Float32Array,
  scheme: BlockScheme,
  type: WeightMatrix['type'],
): BlockGrid {
  const nearest = nearestGrid(values, scheme.bits, scheme.symmetric);
  const { scale, zeroPoint } = searchGrid(values, weights, nearest, scheme, type) ?? nearest;
  const stored = storedScale(scale, type);
  return { scale: Number.isFinite(stored) ? stored : 0, zeroPoint };
}

/** The nearest number that the scales' type can hold. */
function storedScale(scale: number, type: WeightMatrix['type']): number {
  return type === 'float16' ? fromFloat16Bits(toFloat16Bits(scale)) : Math.fround(scale);
}

const ROUNDS = 4;

/**
 * Lowers the squared output error of codes that are there: in turn, all scales of a row by least squares, and its codes
 * one by one. Zero points stay. Gives new codes; a row whose error does not fall stays as it was.
 */
export function refineRows(
  { k, damped }: Solver,
  targets: Float64Array,
  codes: BlockCodes,
  rounds = ROUNDS,
): BlockCodes {
  const { n, scheme, type } = codes;
  const { block, bits } = scheme;
  const blocks = Math.ceil(k / block);
  const largest = 2 ** bits - 1;
  const result = { ...codes, steps: codes.steps.slice(), scales: codes.scales.slice() };
  const products = new Float64Array(blocks * k);
  const wanted = new Float64Array(k);
  const gradient = new Float64Array(k);
  const normal = new Float64Array(blocks * blocks);
  const right = new Float64Array(blocks);
  const values = new Float64Array(k);

  for (let j = 0; j < n; j++) {
    const steps = result.steps.subarray(j * k, (j + 1) * k);
    const scales = result.scales.subarray(j * blocks, (j + 1) * blocks);
    const zeroPoints = result.zeroPoints.subarray(j * blocks, (j + 1) * blocks);
    const target = targets.subarray(j * k, (j + 1) * k);
    for (let i = 0; i < k; i++) wanted[i] = dot(damped, i * k, target, 0, k);
    const constant = dot(target, 0, wanted, 0, k);
    let best = Infinity;
    let kept = { steps: steps.slice(), scales: scales.slice() };

    const multiply = () => {
      products.fill(0);
      for (let i = 0; i < k; i++) addScaled(products, Math.floor(i / block) * k, steps[i]!, damped, i * k, k);
    };
    /** The gradient, and the error, of what steps, scales and products are now. */
    const evaluate = () => {
      for (let i = 0; i < k; i++) gradient[i] = -wanted[i]!;
      for (let b = 0; b < blocks; b++) addScaled(gradient, 0, scales[b]!, products, b * k, k);
      let error = constant;
      for (let i = 0; i < k; i++) {
        values[i] = steps[i]! * scales[Math.floor(i / block)]!;
        error += values[i]! * (gradient[i]! - wanted[i]!);
      }
      if (error < best) {
        best = error;
        kept = { steps: steps.slice(), scales: scales.slice() };
      }
      return error;
    };

    multiply();
    evaluate();
    for (let round = 0; round < rounds; round++) {
      const before = best;
      for (let b = 0; b < blocks; b++) {
        right[b] = blockDot(steps, wanted, 0, b, block, k);
        for (let c = 0; c < blocks; c++) normal[b * blocks + c] = blockDot(steps, products, c * k, b, block, k);
      }
      solveScales(normal, right, scales, blocks, type);
      evaluate();
      for (let i = 0; i < k; i++) {
        const b = Math.floor(i / block);
        const scale = scales[b]!;
        if (scale === 0) continue;
        const wish = values[i]! - gradient[i]! / damped[i * k + i]!;
        const zeroPoint = zeroPoints[b]!;
        const step = Math.min(Math.max(Math.round(wish / scale), -zeroPoint), largest - zeroPoint);
        const change = (step - steps[i]!) * scale;
        if (change === 0) continue;
        steps[i] = step;
        values[i] = step * scale;
        addScaled(gradient, 0, change, damped, i * k, k);
      }
      multiply();
      evaluate();
      if (!(best < before * (1 - 1e-4))) break;
    }
    steps.set(kept.steps);
    scales.set(kept.scales);
  }
  return result;
}

function blockDot(steps: Int16Array, vector: Float64Array, at: number, b: number, block: number, k: number): number {
  let sum = 0;
  for (let i = b * block; i < Math.min(k, (b + 1) * block); i++) sum += steps[i]! * vector[at + i]!;
  return sum;
}

/** Solves for the scales of one row in place, in the type they are stored in; leaves them where the system is singular. */
function solveScales(
  normal: Float64Array,
  right: Float64Array,
  scales: Float32Array,
  blocks: number,
  type: WeightMatrix['type'],
): void {
  let trace = 0;
  for (let b = 0; b < blocks; b++) trace += normal[b * blocks + b]!;
  const ridge = (trace / blocks) * 1e-6;
  if (!(ridge > 0)) return;
  // A pull towards what they are keeps blocks without codes, and those that say the same, in place.
  for (let b = 0; b < blocks; b++) {
    normal[b * blocks + b] = normal[b * blocks + b]! + ridge;
    right[b] = right[b]! + ridge * scales[b]!;
  }
  const factor = inverseFactor(normal, blocks);
  if (!factor) return;
  const solved = applyInverse(factor, blocks, right, 1);
  for (let b = 0; b < blocks; b++) {
    const scale = storedScale(solved[b]!, type);
    if (Number.isFinite(scale) && scale !== 0) scales[b] = scale;
  }
}
