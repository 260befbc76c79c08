/** Why a weight cannot be quantized, in true words: broken numbers and large ones are different faults. */
import { fail } from '../contract/errors.ts';
import { elementType, FLOAT16, FLOAT32, FLOAT64 } from '../onnx/numbers/element-types.ts';
import { convert } from '../onnx/numbers/elements.ts';
import type { Tensor } from '../onnx/model.ts';
import { asFloat32 } from '../lib/bytes.ts';
import { shown } from '../lib/shown.ts';

/** What is in some of a weight's elements as they are stored. */
export interface Extent {
  /** Whether NaN or an infinity is among them. */
  broken: boolean;
  /** The largest absolute value of the others. */
  largest: number;
}

/** Looks at elements of a floating-point type. */
export function extentOf(stored: Uint8Array, type: number): Extent {
  const values =
    type === FLOAT64 ? new Float64Array(new Uint8Array(stored).buffer) : asFloat32(convert(stored, [type, FLOAT32]));
  let broken = false;
  let largest = 0;
  for (const value of values) {
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
    else broken = true;
  }
  return { broken, largest };
}

/**
 * Errors: `weights-not-finite` when the model's own numbers are broken; `weights-too-large` when they are finite and only
 * the level's arithmetic, in elements of `type`, has no room for them.
 */
export function refuseWeight(
  { name, type: stored }: Pick<Tensor, 'name' | 'type'>,
  type: number,
  { broken, largest }: Extent,
): never {
  if (broken)
    fail(
      'weights-not-finite',
      `The weight ${shown(name)} holds NaN or infinity.`,
      'The model itself is broken there: export it again, or check the training run.',
    );
  const narrow = type === FLOAT16 && stored !== FLOAT16;
  fail(
    'weights-too-large',
    `The weight ${shown(name)} holds numbers up to ${largest.toPrecision(3)}, ${narrow ? 'and this level needs them in float16, which ends at 65,504' : `and a block of such numbers has a range beyond ${elementType(type).name}`}.`,
    `Leave it as it is with exclude=${shown(name)}, or use another level.`,
  );
}
