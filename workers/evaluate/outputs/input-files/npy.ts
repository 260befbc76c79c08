/**
 * NumPy's .npy format, versions 1 to 3 (numpy/lib/format.py): the magic, a version, a Python literal that says element
 * type, order and shape, then the elements.
 */
import type { Result } from '../../../contract/errors.ts';
import type { HostTensor } from '../../sessions/graph-session.ts';
import { countElements, elementBytes, invalid, valuesOf } from './file-tensor.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** `head`: the first bytes of a file, six at least. */
export const isNpy = (head: Uint8Array): boolean => MAGIC.every((byte, index) => head[index] === byte);

const LONGEST_HEADER = 1 << 20;
const TYPES: ReadonlyMap<string, string> = new Map([
  ['f2', 'float16'],
  ['f4', 'float32'],
  ['f8', 'float64'],
  ['i1', 'int8'],
  ['i2', 'int16'],
  ['i4', 'int32'],
  ['i8', 'int64'],
  ['u1', 'uint8'],
  ['u2', 'uint16'],
  ['u4', 'uint32'],
  ['u8', 'uint64'],
  ['b1', 'bool'],
]);

/** Elements come in C order whatever the file's. Errors: `input-invalid`, before anything of the stated size is allocated. */
export function readNpy(name: string, bytes: Uint8Array): Result<HostTensor> {
  if (bytes.length < 12 || !isNpy(bytes)) return invalid(name, 'is not a .npy file');
  const version = bytes[6]!;
  if (version < 1 || version > 3)
    return invalid(name, `is of version ${version} of the .npy format, and versions 1 to 3 can be read`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > LONGEST_HEADER || start + length > bytes.length)
    return invalid(name, 'ends in the middle of its header');
  const header = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, start + length));

  const described = /['"]descr['"]\s*:\s*['"]([<>|=]?)([^'"]*)['"]/.exec(header);
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(header)?.[1];
  const shape = /['"]shape['"]\s*:\s*\(([^()]*)\)/.exec(header)?.[1];
  if (!described && /['"]descr['"]\s*:\s*\[/.test(header))
    return invalid(name, 'holds records of several fields, not numbers', 'Save each field as an array of its own.');
  if (!described || order === undefined || shape === undefined)
    return invalid(name, 'has a header that cannot be read', undefined, header.slice(0, 300));
  const [, byteOrder = '', code = ''] = described;
  const type = TYPES.get(code);
  const size = type === undefined ? null : elementBytes(type);
  if (type === undefined || size === null)
    return invalid(
      name,
      `holds elements of type "${byteOrder}${code}", which no input takes`,
      'Save it as an array of numbers, for example with .astype(numpy.float32).',
    );
  const entries = shape
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const dims = entries.map((part) => (/^\d{1,16}L?$/.test(part) ? Number.parseInt(part, 10) : NaN));
  const count = countElements(dims);
  if (count === null) return invalid(name, `states a shape of (${shape.slice(0, 100)}), which cannot be`);
  const given = bytes.length - start - length;
  if (given !== count * size)
    return invalid(
      name,
      `states ${(count * size).toLocaleString('en')} bytes of ${type} and holds ${given.toLocaleString('en')}`,
    );

  const data = bytes.slice(start + length);
  if (byteOrder === '>') swap(data, size);
  return {
    ok: true,
    value: { type, dims, data: valuesOf(type, order === 'True' ? toRowMajor(data, dims, size) : data) },
  };
}

/** Turns every element's bytes round, in place. */
function swap(bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

/** Elements stored with the first index running fastest, in the order where the last does. */
function toRowMajor(bytes: Uint8Array, dims: readonly number[], size: number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  const strides = dims.map((_, axis) => dims.slice(0, axis).reduce((product, dim) => product * dim, 1));
  const index = dims.map(() => 0);
  let source = 0;
  for (let at = 0; at < bytes.length; at += size) {
    result.set(bytes.subarray(source * size, source * size + size), at);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      source += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      source -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
