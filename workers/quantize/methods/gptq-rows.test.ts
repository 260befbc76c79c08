import { describe, expect, it } from 'vitest';
import type { BlockScheme, WeightMatrix } from '../../kernels/kernel.ts';
import { createReferenceKernel } from '../../kernels/reference.ts';
import { random } from '../../kernels/test-weights.ts';
import { toFloat16Array } from '../../onnx/numbers/float16.ts';
import { dequantizedRows, packCodes, unpackCodes, weightRows, type BlockCodes } from './block-codes.ts';
import { createSolver, quantizeRows, refineRows, targetRows, type Solver } from './gptq-rows.ts';
import { applyInverse, inverseFactor, upperFactor } from './linear-algebra.ts';

const kernel = createReferenceKernel({ sliceMs: Infinity });

/** Inputs [rows, k] that depend on each other, and XᵀX. */
function inputs(k: number, rows: number, seed: number): { x: Float64Array; gram: Float64Array } {
  const next = random(seed);
  const x = new Float64Array(rows * k);
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < k; i++) x[r * k + i] = next() - 0.4 + (i > 0 ? 0.6 * x[r * k + i - 1]! : 0);
  return { x, gram: product(x, x, k) };
}

function product(x: Float64Array, y: Float64Array, k: number): Float64Array {
  const gram = new Float64Array(k * k);
  for (let from = 0; from < x.length; from += k)
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) gram[i * k + j]! += x[from + i]! * y[from + j]!;
  return gram;
}

function weights(k: number, n: number, type: WeightMatrix['type'], layout: WeightMatrix['layout']): WeightMatrix {
  const next = random(k + n);
  const values = Float32Array.from({ length: k * n }, () => (next() + next() + next() - 1.5) * 0.1);
  const { buffer } = type === 'float16' ? toFloat16Array(values) : values;
  return { data: new Uint8Array(buffer), type, layout, k, n };
}

/** (q − t)ᵀH(q − t), summed over all rows. */
function outputError({ damped, k }: Solver, targets: Float64Array, codes: BlockCodes): number {
  const rows = dequantizedRows(codes);
  let sum = 0;
  for (let at = 0; at < rows.length; at += k)
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++)
        sum += damped[i * k + j]! * (rows[at + i]! - targets[at + i]!) * (rows[at + j]! - targets[at + j]!);
  return sum;
}

const SCHEMES: BlockScheme[] = ([2, 4, 8] as const).flatMap((bits) =>
  [true, false].map((symmetric) => ({ bits, block: 16 as const, symmetric })),
);

describe('linear algebra', () => {
  it('factors and inverts', () => {
    const k = 37;
    const { gram } = inputs(k, 200, 1);
    const r = upperFactor(gram, k)!;
    const identity = applyInverse(inverseFactor(gram, k)!, k, gram, k);
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) {
        let sum = 0;
        for (let m = 0; m < k; m++) sum += r[i * k + m]! * r[j * k + m]!;
        expect(sum).toBeCloseTo(gram[i * k + j]!, 8);
        expect(identity[i * k + j]!).toBeCloseTo(i === j ? 1 : 0, 8);
      }
  });

  it('gives null for what has no factor', () => {
    expect(upperFactor(Float64Array.of(1, 2, 2, 1), 2)).toBeNull();
    expect(upperFactor(Float64Array.of(NaN, 0, 0, 1), 2)).toBeNull();
  });
});

describe('codes of blocks', () => {
  it('are packed as kernels pack them', async () => {
    for (const type of ['float32', 'float16'] as const)
      for (const layout of ['kn', 'nk'] as const)
        for (const scheme of SCHEMES) {
          const matrix = weights(41, 9, type, layout);
          const made = await kernel.quantize(matrix, scheme);
          const again = packCodes(unpackCodes(made, matrix, scheme));
          expect(again.scales).toEqual(made.scales);
          expect(again.zeroPoints).toEqual(made.zeroPoints);
          // Elements of the last block that the matrix does not have are code 0 in both.
          expect(again.codes).toEqual(made.codes);
        }
  });
});

describe('GPTQ', () => {
  const k = 41;
  const { x, gram } = inputs(k, 300, 2);
  const solver = createSolver({ gram, cross: null }, k)!;

  for (const scheme of SCHEMES)
    it(`loses less of the output than search, refined less still: ${scheme.bits} bits ${scheme.symmetric}`, async () => {
      for (const type of ['float32', 'float16'] as const) {
        const matrix = weights(k, 12, type, 'kn');
        const rows = weightRows(matrix);
        const targets = targetRows(solver, rows);
        expect(targets).toEqual(Float64Array.from(rows));
        const searching: BlockScheme = { ...scheme, method: 'search' };
        const searched = unpackCodes(await kernel.quantize(matrix, searching), matrix, searching);
        const coarse = quantizeRows(solver, targets, type, scheme);
        const fine = refineRows(solver, targets, coarse);
        const error = outputError(solver, targets, coarse);
        expect(error).toBeLessThan(outputError(solver, targets, searched));
        expect(outputError(solver, targets, fine)).toBeLessThan(error);
        const largest = 2 ** scheme.bits - 1;
        const blocks = Math.ceil(k / scheme.block);
        for (const [i, step] of fine.steps.entries()) {
          const code = step + fine.zeroPoints[Math.floor(i / k) * blocks + Math.floor((i % k) / scheme.block)]!;
          expect(code >= 0 && code <= largest).toBe(true);
        }
        // Scales are numbers that their type holds: they survive being stored.
        const stored = unpackCodes(packCodes(fine), matrix, scheme);
        expect(stored.scales).toEqual(fine.scales);
        expect(stored.steps).toEqual(fine.steps);
      }
    });

  it('aims at the outputs of the original where inputs differ', () => {
    const next = random(9);
    const original = x.map((value) => value + 0.2 * (next() - 0.5));
    const toOriginal = createSolver({ gram, cross: product(x, original, k) }, k)!;
    const rows = weightRows(weights(k, 3, 'float32', 'nk'));
    const targets = targetRows(toOriginal, rows);
    const squaredError = (candidate: ArrayLike<number>) => {
      let sum = 0;
      for (let from = 0; from < x.length; from += k)
        for (let row = 0; row < rows.length; row += k) {
          let difference = 0;
          for (let i = 0; i < k; i++)
            difference += x[from + i]! * candidate[row + i]! - original[from + i]! * rows[row + i]!;
          sum += difference * difference;
        }
      return sum;
    };
    expect(squaredError(targets)).toBeLessThan(squaredError(rows));
  });

  it('takes inputs of one constant, and fewer rows than channels, with damping', () => {
    const constant = new Float64Array(k * k).fill(300);
    const few = inputs(k, 5, 3).gram;
    for (const singular of [constant, few]) {
      const damped = createSolver({ gram: singular, cross: null }, k)!;
      const rows = weightRows(weights(k, 3, 'float16', 'nk'));
      const targets = targetRows(damped, rows);
      const codes = refineRows(damped, targets, quantizeRows(damped, targets, 'float16', SCHEMES[3]!));
      expect(dequantizedRows(codes).every(Number.isFinite)).toBe(true);
    }
  });

  it('gives null for inputs that are zero or not finite', () => {
    expect(createSolver({ gram: new Float64Array(k * k), cross: null }, k)).toBeNull();
    for (const value of [NaN, Infinity]) {
      const broken = gram.slice();
      broken[k + 1] = value;
      expect(createSolver({ gram: broken, cross: null }, k)).toBeNull();
    }
  });

  it('leaves blocks of zeros at zero', () => {
    const targets = new Float64Array(2 * k);
    const codes = quantizeRows(solver, targets, 'float32', SCHEMES[2]!);
    expect(dequantizedRows(refineRows(solver, targets, codes)).every((value) => value === 0)).toBe(true);
  });
});
