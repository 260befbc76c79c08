/**
 * A tensor's elements as the little-endian bytes `raw_data` would hold, wherever they lie: in raw or typed fields of
 * the model, in numbers of an attribute, or in another file. Which typed field a type uses is said in onnx.proto.
 */
import { TensorProtoSchema } from 'onnx-buf';
import { fail } from '../contract/errors.ts';
import { NO_EXTERNAL_FILES, type ByteSource, type ExternalFiles } from '../io/source.ts';
import { fieldNumbers, isMistyped } from './fields.ts';
import { elementCount, elementType, packedBytes } from './numbers/element-types.ts';
import type { Tensor } from './model.ts';
import { createReader, type Reader } from './wire.ts';

const { floatData, int32Data, stringData, int64Data, doubleData, uint64Data } = fieldNumbers(TensorProtoSchema);
/** Field numbers of `TensorProto`'s typed data. */
export const TYPED_FIELD = {
  float: floatData,
  int32: int32Data,
  string: stringData,
  int64: int64Data,
  double: doubleData,
  uint64: uint64Data,
};

const FIELD_OF: Readonly<Record<string, number>> = {
  float32: TYPED_FIELD.float,
  complex64: TYPED_FIELD.float,
  float64: TYPED_FIELD.double,
  complex128: TYPED_FIELD.double,
  int64: TYPED_FIELD.int64,
  uint32: TYPED_FIELD.uint64,
  uint64: TYPED_FIELD.uint64,
  string: TYPED_FIELD.string,
};

/**
 * Where `elements` values of a type lie in typed fields: the field, how many numbers, and the bytes of each (null for
 * varints). Null for types nobody knows.
 */
export function typedEntries(
  type: number,
  elements: number,
): { field: number; count: number; width: 4 | 8 | null } | null {
  const { name, bits } = elementType(type);
  if (bits === 0 && name !== 'string') return null;
  const field = FIELD_OF[name] ?? TYPED_FIELD.int32;
  const width = field === TYPED_FIELD.float ? 4 : field === TYPED_FIELD.double ? 8 : null;
  const count = name.startsWith('complex')
    ? elements * 2
    : bits > 0 && bits < 8
      ? Math.ceil((elements * bits) / 8)
      : elements;
  return { field, count, width };
}

/** Whether `readTensor` can read it; `external` says which files there are. */
export function isReadable({ type, data }: Tensor, external: ExternalFiles = NO_EXTERNAL_FILES): boolean {
  if (elementType(type).bits === 0) return false;
  return data.kind !== 'external' || external.has(data.location);
}

/**
 * @returns `packedBytes(type, elements)` bytes; a view of the source where it lies in one piece.
 * Errors: `onnx-external-data` when its file is missing or too short, `onnx-invalid` when its typed field holds too few
 * or too many numbers.
 */
export async function readTensor(
  source: ByteSource,
  tensor: Tensor,
  external: ExternalFiles = NO_EXTERNAL_FILES,
): Promise<Uint8Array> {
  const { data } = tensor;
  switch (data.kind) {
    case 'inline':
      return source.read(data.offset, data.length);
    case 'values':
      return data.bytes;
    case 'typed':
      return readTyped(createReader(source), tensor, data.body, data.end);
    case 'external': {
      const file = external.get(data.location);
      const length = data.length ?? packedBytes(tensor.type, elementCount(tensor.dims)) ?? 0;
      if (!file)
        fail(
          'onnx-external-data',
          `The weight ${tensor.name} lies in ${data.location}, which is missing.`,
          `Add ${data.location}; it belongs to the model.`,
        );
      if (data.offset + length > file.size) {
        fail(
          'onnx-external-data',
          `${data.location} is too short: the weight ${tensor.name} ends at byte ${data.offset + length} of ${file.size}.`,
          'Download it again; it may have been cut off.',
        );
      }
      return file.read(data.offset, length);
    }
  }
}

/** Part of a tensor's bytes that lies in `count` chunks of `bytes`, the first where the tensor's data begins, each `pitch` after the one before. */
export interface StridedRange {
  count: number;
  bytes: number;
  pitch: number;
}

/** Gaps up to this size are read, too: a read costs about as much as so many bytes of a longer one. */
const LONGEST_GAP = 1 << 19;
const READ_BYTES = 1 << 22;
const READS_AT_ONCE = 4;

/** The lines one after the other. Errors: those of `readTensor`, of which this is a part. */
export async function readStrided(
  source: ByteSource,
  tensor: Tensor,
  { count, bytes, pitch }: StridedRange,
  external: ExternalFiles = NO_EXTERNAL_FILES,
): Promise<Uint8Array> {
  const { data } = tensor;
  if (data.kind !== 'inline' && data.kind !== 'external') throw new Error(`${tensor.name} does not lie in one piece`);
  const joined = new Uint8Array(count * bytes);
  const together = pitch - bytes <= LONGEST_GAP ? Math.max(1, Math.floor(READ_BYTES / pitch)) : 1;
  const read = async (line: number) => {
    const lines = Math.min(together, count - line);
    const span = await readTensor(
      source,
      { ...tensor, data: { ...data, offset: data.offset + line * pitch, length: (lines - 1) * pitch + bytes } },
      external,
    );
    for (let i = 0; i < lines; i++) joined.set(span.subarray(i * pitch, i * pitch + bytes), (line + i) * bytes);
  };
  const step = together * READS_AT_ONCE;
  for (let line = 0; line < count; line += step) {
    await Promise.all(
      Array.from({ length: Math.min(READS_AT_ONCE, Math.ceil((count - line) / together)) }, (_, i) =>
        read(line + i * together),
      ),
    );
  }
  return joined;
}

/**
 * A short list of int64 that lies in the model, as numbers; beyond 2^53 they are rounded, which no shape reaches.
 * It goes through a reader, whose window holds it already when the model is being walked.
 */
export async function readInts(reader: Reader, tensor: Tensor): Promise<number[] | null> {
  const { data } = tensor;
  if (data.kind !== 'inline' && data.kind !== 'typed') return null;
  const bytes =
    data.kind === 'inline'
      ? await reader.bytes(data.offset, data.offset + data.length)
      : await readTyped(reader, tensor, data.body, data.end);
  return Array.from(new BigInt64Array(new Uint8Array(bytes).buffer), Number);
}

async function readTyped(reader: Reader, tensor: Tensor, body: number, end: number): Promise<Uint8Array> {
  const { source } = reader;
  const elements = elementCount(tensor.dims);
  const entries = typedEntries(tensor.type, elements);
  const size = packedBytes(tensor.type, elements);
  if (!entries || size === null)
    throw new Error(`${tensor.name}: ${elementType(tensor.type).name} has no bytes to read`);
  const bytes = new Uint8Array(size);
  // Complex numbers are two entries; below eight bits an entry is a byte of several elements.
  const width = entries.width ?? Math.max(1, elementType(tensor.type).bits / 8);
  let at = 0;
  const wrong = (): never =>
    fail(
      'onnx-invalid',
      `${source.name} is not a valid ONNX model: tensor ${tensor.name} of shape [${tensor.dims.join(', ')}] holds another number of elements.`,
      'Check that the export finished, or export the model again.',
    );
  const put = (value: bigint) => {
    if (at + width > size) wrong();
    for (let i = 0; i < width; i++) bytes[at++] = Number((value >> BigInt(8 * i)) & 255n);
  };
  for await (const field of reader.fields(body, end)) {
    if (field.number !== entries.field || isMistyped(TensorProtoSchema, field)) continue;
    if (field.wireType === 0) put(field.value);
    else {
      const payload = await reader.bytes(field.body, field.end);
      if (entries.width !== null) {
        if (at + payload.length > size) wrong();
        bytes.set(payload, at);
        at += payload.length;
      } else {
        at = unpackVarints(payload, bytes, at, width) ?? wrong();
      }
    }
  }
  if (at !== size) wrong();
  return bytes;
}

/** The low `width` bytes of each varint, little-endian, from `at` on; the place after them, or null when they do not fit. */
function unpackVarints(payload: Uint8Array, bytes: Uint8Array, at: number, width: number): number | null {
  let to = at;
  for (let from = 0; from < payload.length;) {
    if (to + width > bytes.length) return null;
    let low = 0;
    let high = 0;
    let byte = 128;
    for (let shift = 0; byte >= 128; shift += 7) {
      if (from >= payload.length || shift > 63) return null;
      byte = payload[from++]!;
      const value = byte & 127;
      if (shift < 28) low |= value << shift;
      else if (shift === 28) {
        low |= value << 28;
        high = value >> 4;
      } else high |= value << (shift - 32);
    }
    for (let i = 0; i < width; i++) bytes[to++] = i < 4 ? low >>> (8 * i) : high >>> (8 * (i - 4));
  }
  return to;
}
