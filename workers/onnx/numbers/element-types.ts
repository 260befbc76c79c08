/** ONNX element types: the numbers of `TensorProto.DataType` (onnx.proto), their names and widths. */

/** An element type of ONNX. */
export interface ElementType {
  code: number;
  name: string;
  /** Bits of one element; 0 for strings, whose width varies. */
  bits: number;
}

const TYPES: readonly ElementType[] = (
  [
    [1, 'float32', 32],
    [2, 'uint8', 8],
    [3, 'int8', 8],
    [4, 'uint16', 16],
    [5, 'int16', 16],
    [6, 'int32', 32],
    [7, 'int64', 64],
    [8, 'string', 0],
    [9, 'bool', 8],
    [10, 'float16', 16],
    [11, 'float64', 64],
    [12, 'uint32', 32],
    [13, 'uint64', 64],
    [14, 'complex64', 64],
    [15, 'complex128', 128],
    [16, 'bfloat16', 16],
    [17, 'float8e4m3fn', 8],
    [18, 'float8e4m3fnuz', 8],
    [19, 'float8e5m2', 8],
    [20, 'float8e5m2fnuz', 8],
    [21, 'uint4', 4],
    [22, 'int4', 4],
    [23, 'float4e2m1', 4],
    [24, 'float8e8m0', 8],
    [25, 'uint2', 2],
    [26, 'int2', 2],
  ] as const
).map(([code, name, bits]) => ({ code, name, bits }));

const BY_CODE = new Map(TYPES.map((type) => [type.code, type]));

export const FLOAT32 = 1;
export const UINT8 = 2;
export const INT8 = 3;
export const INT64 = 7;
export const FLOAT16 = 10;
export const FLOAT64 = 11;
export const BFLOAT16 = 16;
export const UINT4 = 21;
export const INT4 = 22;

/** The element type of a code. An unknown code becomes a type with the code as its name. */
export function elementType(code: number): ElementType {
  return BY_CODE.get(code) ?? { code, name: `type ${code}`, bits: 0 };
}

/** Bytes of `count` packed elements; null for strings and unknown types. */
export function packedBytes(code: number, count: number): number | null {
  const { bits } = elementType(code);
  return bits === 0 ? null : Math.ceil((count * bits) / 8);
}

/** IR versions that brought element types (onnx.proto); all others were there from the beginning. */
const SINCE: ReadonlyMap<number, number> = new Map([
  [17, 9],
  [18, 9],
  [19, 9],
  [20, 9],
  [UINT4, 10],
  [INT4, 10],
  [23, 11],
  [24, 12],
  [25, 13],
  [26, 13],
]);

/** The first IR version that has an element type. */
export function firstIrVersion(code: number): number {
  return SINCE.get(code) ?? 1;
}

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}
