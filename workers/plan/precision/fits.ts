/**
 * Whether fp16 holds the numbers of a tensor, told from one reading of it.
 *
 * fp16 keeps 11 significant bits between 2^-14 and 65,504, which is an error of 2^-11 at most. Below, its numbers are
 * 2^-24 apart, so an error grows in relation to the number until it is all of it; above there is only infinity.
 * Trained weights hold some numbers close to 0 whose own error says nothing, as products add them to larger ones. So a
 * tensor is judged as a whole: its error, as a root mean square, has to stay within 2^-10 of its numbers', and most of
 * its numbers within 2^-10 of themselves (one large number must not hide that all others are lost). A few numbers
 * alone, such as an epsilon or a divisor, each count. Numbers with a fixed step, such as counts and coordinates, are
 * compared and subtracted from each other: those must be exact.
 */
import { asFloat32 } from '../../lib/bytes.ts';
import type { Tensor } from '../../onnx/model.ts';
import { elementCount } from '../../onnx/numbers/element-types.ts';
import { readTensor } from '../../onnx/tensor-data.ts';
import { readChunks, NO_EXTERNAL_FILES, type ByteSource, type ExternalFiles } from '../../io/source.ts';

/** Why fp16 does not hold a tensor; `low` when only numbers far below zero are beyond it, as masks have them. */
export type Misfit = 'large' | 'low' | 'small' | 'stepped';

/** Misfits by the name of the tensor; all others fit. */
export type Misfits = ReadonlyMap<string, Misfit>;

export const NO_MISFITS: Misfits = new Map();

/** The largest error in relation to a number that a rounded one may have. */
const TOLERANCE = 2 ** -10;
/** The smallest float32 that rounds to infinity in fp16: halfway between 65,504 and 65,536. */
const OVERFLOW = 65_520;
/** The smallest number fp16 has with all of its bits. */
const SMALLEST_NORMAL = 2 ** -14;
/** What fp16's numbers below that are apart. */
const SMALLEST_STEP = 2 ** -24;
/** Up to so many numbers each counts by itself. */
const FEW = 16;
/** The finest step of counts and coordinates: an eighth. */
const STEPS_IN_ONE = 8;
/** Bits of a float32 significand that fp16 does not have. */
const LOST_BITS = 0x1fff;

export interface Judge {
  add(values: Float32Array): void;
  /** Null when fp16 holds all that was added. */
  verdict(): Misfit | null;
}

/** @param count Numbers in the tensor. */
function judgeNumbers(count: number): Judge {
  let [squares, errors, nonZero, lost] = [0, 0, 0, 0];
  let [isBeyond, isBeyondAbove, isStepped, isInexact] = [false, false, true, false];
  return {
    add(values) {
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!;
        const size = Math.abs(value);
        if (size === 0 || !(size < Infinity)) continue;
        nonZero++;
        if (size >= OVERFLOW) {
          isBeyond = true;
          if (value > 0) isBeyondAbove = true;
          continue;
        }
        squares += size * size;
        if (size < SMALLEST_NORMAL) {
          const error = Math.abs(Math.round(size / SMALLEST_STEP) * SMALLEST_STEP - size);
          errors += error * error;
          if (error > size * TOLERANCE) lost++;
        }
        if (!isStepped) continue;
        if (!Number.isInteger(size * STEPS_IN_ONE)) isStepped = false;
        else if ((bits[i]! & LOST_BITS) !== 0) isInexact = true;
      }
    },
    verdict() {
      const isLost = count <= FEW ? lost > 0 : lost * 2 > nonZero || errors > squares * TOLERANCE ** 2;
      if (isLost) return 'small';
      if (isBeyondAbove) return 'large';
      if (isStepped && isInexact) return 'stepped';
      return isBeyond ? 'low' : null;
    },
  };
}

export function judge(values: Float32Array): Misfit | null {
  const { add, verdict } = judgeNumbers(values.length);
  add(values);
  return verdict();
}

/** The float32 tensors that fp16 does not hold. Reads each tensor once, in slabs. */
export async function findMisfits(
  source: ByteSource,
  tensors: readonly Tensor[],
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
  external: ExternalFiles = NO_EXTERNAL_FILES,
): Promise<Misfits> {
  const misfits = new Map<string, Misfit>();
  for (const tensor of tensors) {
    const { name, dims, data, bytes: size } = tensor;
    const { add, verdict } = judgeNumbers(elementCount(dims));
    const file = data.kind === 'inline' ? source : data.kind === 'external' ? external.get(data.location) : undefined;
    if (file && (data.kind === 'inline' || data.kind === 'external')) {
      for await (const slab of readChunks(file, data.offset, data.offset + (data.length ?? size))) {
        signal.throwIfAborted();
        onBytes(slab.length);
        add(asFloat32(slab));
      }
    } else {
      signal.throwIfAborted();
      add(asFloat32(await readTensor(source, tensor, external)));
      onBytes(size);
    }
    const found = verdict();
    if (found) misfits.set(name, found);
  }
  return misfits;
}

/** For the ledger. */
export function describeMisfit(misfit: Misfit): string {
  switch (misfit) {
    case 'large':
    case 'low':
      return 'holds values beyond 65,504, the largest fp16 number';
    case 'small':
      return 'holds values so small that fp16 would lose them';
    case 'stepped':
      return 'holds whole numbers, or fractions of a fixed step, that fp16 would not keep apart';
  }
}
