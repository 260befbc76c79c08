/** Tensors out of dropped files: what readers of a format give, and how they become what an input takes. */
import { fromFloat16Bits, toFloat16Bits } from '../../../onnx/numbers/float16.ts';
import type { Result } from '../../../contract/errors.ts';
import { failure, type Failure } from '../../errors.ts';
import type { HostTensor, TensorValues } from '../../sessions/graph-session.ts';

/** Inputs larger than this are no inputs; what a reader allocates stays within a small multiple of it. */
export const MOST_BYTES = 2 ** 30;

export function invalid(
  name: string,
  why: string,
  action = 'Save it again, for example with numpy.save.',
  details = '',
): Failure {
  return failure('input-invalid', `${name} ${why}.`, action, details);
}

/** Element types a file can hold, by onnxruntime's names, their bytes, and the array of such elements. */
const ARRAYS: ReadonlyMap<string, { bytes: number; view(buffer: ArrayBuffer): TensorValues }> = new Map<
  string,
  { bytes: number; view(buffer: ArrayBuffer): TensorValues }
>([
  ['float16', { bytes: 2, view: (buffer) => new Uint16Array(buffer) }],
  ['float32', { bytes: 4, view: (buffer) => new Float32Array(buffer) }],
  ['float64', { bytes: 8, view: (buffer) => new Float64Array(buffer) }],
  ['int8', { bytes: 1, view: (buffer) => new Int8Array(buffer) }],
  ['int16', { bytes: 2, view: (buffer) => new Int16Array(buffer) }],
  ['int32', { bytes: 4, view: (buffer) => new Int32Array(buffer) }],
  ['int64', { bytes: 8, view: (buffer) => new BigInt64Array(buffer) }],
  ['uint8', { bytes: 1, view: (buffer) => new Uint8Array(buffer) }],
  ['uint16', { bytes: 2, view: (buffer) => new Uint16Array(buffer) }],
  ['uint32', { bytes: 4, view: (buffer) => new Uint32Array(buffer) }],
  ['uint64', { bytes: 8, view: (buffer) => new BigUint64Array(buffer) }],
  ['bool', { bytes: 1, view: (buffer) => new Uint8Array(buffer) }],
]);

/** Bytes of one element; null for a type inputs cannot have. */
export const elementBytes = (type: string): number | null => ARRAYS.get(type)?.bytes ?? null;

/** Raw little-endian elements, copied, as an array of `type`, one `elementBytes` knows. */
export function valuesOf(type: string, bytes: Uint8Array): TensorValues {
  const array = ARRAYS.get(type);
  if (!array) throw new TypeError(`elements of type ${type}`);
  return array.view(new Uint8Array(bytes).buffer);
}

/** NumPy's own limit. */
const MOST_DIMENSIONS = 64;

/** Elements of a shape; null when a dimension is no whole number, or there are more than fit `MOST_BYTES`. */
export function countElements(dims: readonly number[]): number | null {
  if (dims.length > MOST_DIMENSIONS) return null;
  let count = 1;
  // Zeros first, or a huge dimension beside one would count.
  if (dims.includes(0)) return dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0) ? 0 : null;
  for (const dim of dims) {
    count *= dim;
    if (!Number.isSafeInteger(dim) || dim < 0 || count > MOST_BYTES) return null;
  }
  return count;
}

const RANGES: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['int8', [-128, 127]],
  ['uint8', [0, 255]],
  ['int16', [-32_768, 32_767]],
  ['uint16', [0, 65_535]],
  ['int32', [-(2 ** 31), 2 ** 31 - 1]],
  ['uint32', [0, 2 ** 32 - 1]],
  ['bool', [0, 1]],
]);

/**
 * The same values as elements of `type`. Floats are rounded to the nearest; a whole number must stay what it is.
 * @param name The file, for the message. Errors: `input-invalid` at the first value that does not fit.
 */
export function convert(name: string, tensor: HostTensor, type: string): Result<HostTensor> {
  if (tensor.type === type) return { ok: true, value: tensor };
  const bytes = elementBytes(type);
  const array = ARRAYS.get(type);
  if (bytes === null || !array)
    return invalid(
      name,
      `cannot become ${type}, which the model takes`,
      'Export the model with inputs that are tensors of numbers.',
    );
  const { data } = tensor;
  const values = array.view(new ArrayBuffer(data.length * bytes));
  const refuse = (value: number | bigint) =>
    invalid(name, `holds ${value}, which is no ${type}`, `Save it as ${type}, the type the model takes.`);

  for (let index = 0; index < data.length; index++) {
    const value = tensor.type === 'float16' ? fromFloat16Bits(Number(data[index])) : data[index]!;
    if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
      if (typeof value === 'number' && !Number.isSafeInteger(value)) return refuse(value);
      const whole = BigInt(value);
      values[index] = whole;
      if (values[index] !== whole) return refuse(value);
      continue;
    }
    const number = Number(value);
    if (type === 'float16') {
      values[index] = toFloat16Bits(number);
      if (Number.isFinite(number) && Math.abs(number) >= 65_520) return refuse(value);
    } else {
      const range = RANGES.get(type);
      if (range && !(Number.isInteger(number) && number >= range[0] && number <= range[1])) return refuse(value);
      values[index] = number;
      if (type === 'float32' && Number.isFinite(number) && !Number.isFinite(values[index])) return refuse(value);
    }
  }
  return { ok: true, value: { type, dims: tensor.dims, data: values } };
}
