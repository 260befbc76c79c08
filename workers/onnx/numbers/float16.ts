/** IEEE 754 binary16 to and from JavaScript numbers: exact, rounding to nearest with ties to even. */

const QUIET_NAN = 0x7e00;
const INFINITY = 0x7c00;
/** Adding and subtracting this rounds a double in [0, 2^51] to an integer, ties to even. */
const ROUND_TO_INTEGER = 2 ** 52;

const bitsOf = new DataView(new ArrayBuffer(8));

/**
 * The bits of the nearest binary16 number. Beyond 65 504 by half a step or more it is an infinity; NaN becomes 0x7e00.
 */
export function toFloat16Bits(value: number): number {
  if (Number.isNaN(value)) return QUIET_NAN;
  bitsOf.setFloat64(0, value);
  const high = bitsOf.getUint32(0);
  const sign = (high >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | INFINITY;
  // Subnormals share the exponent of the smallest normal, so a step is never below 2^-24.
  const exponent = Math.max(((high >>> 20) & 0x7ff) - 1023, -14);
  const steps = magnitude * 2 ** (10 - exponent) + ROUND_TO_INTEGER - ROUND_TO_INTEGER;
  // The leading 1 of a normal's 1024…2047 steps, and a carry to 2048, both go into the exponent field.
  return sign | (((exponent + 14) << 10) + steps);
}

/** The number that binary16 bits stand for. */
export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** `toFloat16Bits` of every element. */
export function toFloat16Array(values: Float32Array): Uint16Array<ArrayBuffer> {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < source.length; i++) {
    const bits = source[i]!;
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    let half: number;
    if (magnitude >= 0x477ff000) {
      half = magnitude > 0x7f800000 ? QUIET_NAN : sign | INFINITY;
    } else if (magnitude >= 0x38800000) {
      half = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else if (magnitude <= 0x33000000) {
      half = sign;
    } else {
      const shift = 126 - (magnitude >>> 23);
      const significand = (magnitude & 0x7fffff) | 0x800000;
      const kept = significand >>> shift;
      const rest = significand & ((1 << shift) - 1);
      const tie = 1 << (shift - 1);
      half = sign | (kept + (rest > tie || (rest === tie && (kept & 1) === 1) ? 1 : 0));
    }
    halves[i] = half;
  }
  return halves;
}

let table: Float32Array | undefined;

/** `fromFloat16Bits` of every element, by a table of all 65 536. */
export function fromFloat16Array(halves: Uint16Array): Float32Array<ArrayBuffer> {
  table ??= Float32Array.from({ length: 0x10000 }, (_, bits) => fromFloat16Bits(bits));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = table[halves[i]!]!;
  return values;
}
