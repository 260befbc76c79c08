/** Numbers of a few bits, packed from the low bits of a byte upwards. */

/** @returns `columns` numbers of each of `rows` rows, one a byte; each row begins a byte and takes `stride` bytes. */
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

/** All numbers one after the other, as ONNX packs its 4-bit types: only the last byte may be half empty. */
export function packNibbles(numbers: Uint8Array): Uint8Array {
  const packed = new Uint8Array(Math.ceil(numbers.length / 2));
  for (let i = 0; i < numbers.length; i++)
    packed[i >> 1] = (packed[i >> 1] ?? 0) | (((numbers[i] ?? 0) & 15) << (4 * (i & 1)));
  return packed;
}

/** [rows, columns] elements of `width` bytes turned round. */
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
