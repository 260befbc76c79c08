/** Numbers of a few bits, packed from the low bits of a byte upwards. */

/**
 * Unpacks `columns` numbers of each of `rows` rows into one byte each. A row starts at a byte and takes `stride` bytes.
 */
export function unpackRows(
  packed: Uint8Array,
  bits: number,
  rows: number,
  columns: number,
  stride: number,
): Uint8Array {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const numbers = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      numbers[row * columns + column] =
        ((packed[row * stride + Math.floor(column / perByte)] ?? 0) >> (bits * (column % perByte))) & mask;
    }
  }
  return numbers;
}

/** Packs 4-bit numbers without gaps, as ONNX does. An odd last one leaves half a byte empty. */
export function packNibbles(numbers: Uint8Array): Uint8Array {
  const packed = new Uint8Array(Math.ceil(numbers.length / 2));
  for (let i = 0; i < numbers.length; i++)
    packed[i >> 1] = (packed[i >> 1] ?? 0) | (((numbers[i] ?? 0) & 15) << (4 * (i & 1)));
  return packed;
}

/** Transposes [rows, columns] elements of `width` bytes. */
export function transposed(elements: Uint8Array, rows: number, columns: number, width = 1): Uint8Array {
  const turned = new Uint8Array(elements.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let i = 0; i < width; i++)
        turned[(column * rows + row) * width + i] = elements[(row * columns + column) * width + i] ?? 0;
    }
  }
  return turned;
}
