/** Conversion and reordering of elements, as a view of a constant needs them. */
import { asFloat32, asUint16 } from '../../lib/bytes.ts';
import { BFLOAT16, elementCount, FLOAT16, FLOAT32, FLOAT64 } from './element-types.ts';
import { fromFloat16Array, toFloat16Array } from './float16.ts';

/**
 * Elements of a floating-point type as float32 or float16 bytes.
 * @param types The stored type, and what it is cast to one after the other; the last is float32 or float16. Each cast
 * rounds to nearest, ties to even, and float64 goes to float16 by way of float32, as onnxruntime's Cast does.
 */
export function convert(bytes: Uint8Array, types: readonly number[]): Uint8Array {
  const [stored = FLOAT32, ...casts] = types.filter((type, i) => type !== types[i - 1]);
  if (casts.length === 0 && (stored === FLOAT32 || stored === FLOAT16)) return bytes;
  let values = widen(bytes, stored);
  for (const cast of casts) {
    if (cast === FLOAT16) values = fromFloat16Array(toFloat16Array(values));
    else if (cast === BFLOAT16) values = roundToBfloat16(values);
  }
  return casts.at(-1) === FLOAT16 ? bytesOf(toFloat16Array(values)) : bytesOf(values);
}

/** float32 values rounded to float16 and back. */
export function roundedToFloat16(bytes: Uint8Array): Uint8Array {
  return convert(bytes, [FLOAT32, FLOAT16, FLOAT32]);
}

/** Copies elements of `width` bytes into the order of a view. `strides` are in elements. */
export function gather(
  bytes: Uint8Array,
  width: number,
  dims: readonly number[],
  strides: readonly number[],
): Uint8Array {
  const ordered = new Uint8Array(elementCount(dims) * width);
  const index = dims.map(() => 0);
  let from = 0;
  for (let to = 0; to < ordered.length; to += width) {
    for (let i = 0; i < width; i++) ordered[to + i] = bytes[from * width + i] ?? 0;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const at = (index[axis] ?? 0) + 1;
      from += strides[axis] ?? 0;
      index[axis] = at;
      if (at < (dims[axis] ?? 1)) break;
      from -= at * (strides[axis] ?? 0);
      index[axis] = 0;
    }
  }
  return ordered;
}

function widen(bytes: Uint8Array, type: number): Float32Array {
  switch (type) {
    case FLOAT16:
      return fromFloat16Array(asUint16(bytes));
    case BFLOAT16:
      return new Float32Array(Uint32Array.from(asUint16(bytes), (bits) => bits << 16).buffer);
    case FLOAT64:
      return Float32Array.from(new Float64Array(new Uint8Array(bytes).buffer));
    default:
      return asFloat32(bytes);
  }
}

function roundToBfloat16(values: Float32Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(values.slice().buffer);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i]!;
    // NaN stays NaN; everything else is rounded to the nearest, ties to even.
    bits[i] = (value & 0x7fffffff) > 0x7f800000 ? value | 0x400000 : value + 0x7fff + ((value >>> 16) & 1);
    bits[i] = bits[i]! & 0xffff0000;
  }
  return new Float32Array(bits.buffer);
}

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
