/**
 * A float16 model rewritten in float32, for adapters that compute no float16 and for the noise floor; only ever to be
 * evaluated. Every float16 in the file is widened: tensors wherever they stand (initializers, constants, fill values,
 * scales), types of inputs, outputs and values, and attributes that name a type, in the graph, in bodies of control flow
 * and in functions. The message tree is walked by offsets, guided by the schema of onnx-buf.
 */
import { fromBinary, type DescMessage } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  ModelProtoSchema,
  TensorProtoSchema,
  TypeProto_SparseTensorSchema,
  TypeProto_TensorSchema,
} from 'onnx-buf';
import { asUint16 } from '../lib/bytes.ts';
import { fail } from '../contract/errors.ts';
import { blobSource, type ByteSource } from '../io/source.ts';
import { FLOAT16, FLOAT32 } from './numbers/element-types.ts';
import { fieldNumbers, isMistyped, messageIn } from './fields.ts';
import { encodeRawDataHeader } from './writing/encode.ts';
import { fromFloat16Array } from './numbers/float16.ts';
import type { Span } from './model.ts';
import type { ModelFiles } from '../contract/files.ts';
import { splice, type Edit, type Piece } from './writing/splice.ts';
import { createReader, encodeVarint, type Field, type Reader } from './wire.ts';
import { atOnce, blobSink, writePieces } from './writing/write.ts';

/** Halves to widen: bytes [offset, offset + length) of the source, or of the model's second file. */
interface Halves {
  offset: number;
  length: number;
  outside?: boolean;
}

const MODEL = fieldNumbers(ModelProtoSchema);
const ATTRIBUTE = fieldNumbers(AttributeProtoSchema);
const TENSOR = fieldNumbers(TensorProtoSchema);
/** Fields that hold an element type, by the message they are in. */
const ELEMENT_TYPES: ReadonlyMap<DescMessage, number> = new Map<DescMessage, number>([
  [TypeProto_TensorSchema, TypeProto_TensorSchema.field.elemType.number],
  [TypeProto_SparseTensorSchema, TypeProto_SparseTensorSchema.field.elemType.number],
]);
/** What a runtime computes with; training information and metadata are left as they are. */
const WALKED_IN_MODEL: ReadonlySet<number> = new Set([MODEL.graph, MODEL.functions]);
const EXTERNAL = 1n;

/** Attributes whose integer is an element type (onnx Operators.md: Cast, EyeLike, DequantizeLinear, HannWindow, LayerNormalization, Attention …). */
const TYPE_ATTRIBUTES = new Set(['to', 'dtype', 'output_dtype', 'output_datatype', 'stash_type', 'softmax_precision']);

/** Halves widened at once, so that memory does not follow the largest tensor. */
const CHUNK_BYTES = 8 << 20;

/**
 * The model with float32 in place of float16; null when it holds none. The result refers to the bytes of `model`, beside
 * its widened tensors; float16 weights of its data file are in the model's file then.
 * Fails with `onnx-invalid`, `onnx-truncated`, and `onnx-external-data` when float16 weights lie in a file that is not there.
 */
export async function widenModel({ model, data }: ModelFiles, chunkBytes = CHUNK_BYTES): Promise<ModelFiles | null> {
  const source = blobSource('The model', model);
  const outside = data && { file: data.file, source: blobSource(data.file, data.blob) };
  const edits = await editsOf(source, outside?.file ?? null, chunkBytes);
  if (edits.length === 0) return null;
  const pieces = splice(source.size, edits);
  const wide = await writePieces({
    pieces,
    ...atOnce(
      pieces,
      async (halves) =>
        new Map([
          [
            'values',
            float32Bytes(
              asUint16(await (halves.outside && outside ? outside.source : source).read(halves.offset, halves.length)),
            ),
          ],
        ]),
    ),
    nameOf: ({ offset }) => `float16 at byte ${offset}`,
    sink: blobSink(model),
    onProgress: () => undefined,
    signal: new AbortController().signal,
  });
  return { model: wide, data };
}

/** @param outside The second file that is there. */
async function editsOf(source: ByteSource, outside: string | null, chunkBytes: number): Promise<Edit<Halves>[]> {
  const reader = createReader(source);
  const edits: Edit<Halves>[] = [];

  const retype = (field: Field, within: Span[]) => {
    if (field.wireType !== 0 || field.value !== BigInt(FLOAT16)) return;
    edits.push({
      start: field.body,
      end: field.end,
      within,
      pieces: [{ kind: 'bytes', bytes: encodeVarint(FLOAT32) }],
    });
  };

  const walk = async (schema: DescMessage, start: number, end: number, within: Span[]): Promise<void> => {
    const elementType = ELEMENT_TYPES.get(schema);
    for await (const field of reader.fields(start, end)) {
      if (isMistyped(schema, field)) continue;
      if (schema === ModelProtoSchema && !WALKED_IN_MODEL.has(field.number)) continue;
      if (field.number === elementType) retype(field, within);
      const message = messageIn(schema, field.number);
      if (message) await visit(message, field, [...within, spanOf(field)]);
    }
  };

  const visit = async (schema: DescMessage, message: Field, within: Span[]): Promise<void> => {
    if (schema === TensorProtoSchema) {
      for (const edit of await widenTensor(reader, message, within, outside, chunkBytes)) edits.push(edit);
      return;
    }
    if (schema === AttributeProtoSchema && TYPE_ATTRIBUTES.has(await attributeName(reader, message))) {
      for await (const field of reader.fields(message.body, message.end))
        if (field.number === ATTRIBUTE.i) retype(field, within);
    }
    await walk(schema, message.body, message.end, within);
  };

  await walk(ModelProtoSchema, 0, source.size, []);
  return edits;
}

async function widenTensor(
  reader: Reader,
  tensor: Field,
  within: Span[],
  outside: string | null,
  chunkBytes: number,
): Promise<Edit<Halves>[]> {
  let type: Field | undefined;
  let raw: Field | undefined;
  let external = false;
  const placed: Field[] = [];
  const typed: Field[] = [];
  for await (const field of reader.fields(tensor.body, tensor.end)) {
    if (isMistyped(TensorProtoSchema, field)) continue;
    if (field.number === TENSOR.dataType) type = field;
    else if (field.number === TENSOR.rawData) raw = field;
    else if (field.number === TENSOR.int32Data) typed.push(field);
    else if (field.number === TENSOR.externalData) placed.push(field);
    else if (field.number === TENSOR.dataLocation) {
      external = field.value === EXTERNAL;
      placed.push(field);
    }
  }
  if (type?.value !== BigInt(FLOAT16)) return [];
  const there = external ? await placeIn(reader, tensor, outside) : null;
  const edits: Edit<Halves>[] = [
    { start: type.body, end: type.end, within, pieces: [{ kind: 'bytes', bytes: encodeVarint(FLOAT32) }] },
  ];
  if (there) {
    placed.forEach(({ start, end }, index) => {
      edits.push({ start, end, within, pieces: index > 0 ? [] : rawData({ ...there, outside: true }, chunkBytes) });
    });
  } else if (raw) {
    edits.push({
      start: raw.start,
      end: raw.end,
      within,
      pieces: rawData({ offset: raw.body, length: raw.end - raw.body }, chunkBytes),
    });
  } else if (typed.length > 0) {
    // The bits of a half in each int32, as small constants have them: packed, unpacked or both.
    const { int32Data } = fromBinary(TensorProtoSchema, await reader.bytes(tensor.body, tensor.end));
    const bytes = float32Bytes(Uint16Array.from(int32Data));
    typed.forEach(({ start, end }, index) => {
      const pieces: Piece<Halves>[] =
        index > 0
          ? []
          : [
              { kind: 'bytes', bytes: encodeRawDataHeader(bytes.length) },
              { kind: 'bytes', bytes },
            ];
      edits.push({ start, end, within, pieces });
    });
  }
  return edits;
}

/** Raw data of halves, widened. */
function rawData(halves: Halves, chunkBytes: number): Piece<Halves>[] {
  const pieces: Piece<Halves>[] = [{ kind: 'bytes', bytes: encodeRawDataHeader(halves.length * 2) }];
  for (let at = 0; at < halves.length; at += chunkBytes) {
    const part = Math.min(chunkBytes, halves.length - at);
    pieces.push({
      kind: 'made',
      task: { ...halves, offset: halves.offset + at, length: part },
      part: 'values',
      length: part * 2,
    });
  }
  return pieces;
}

/** Where in the second file a tensor lies. */
async function placeIn(
  reader: Reader,
  tensor: Field,
  outside: string | null,
): Promise<{ offset: number; length: number }> {
  const { externalData: entries, dims } = fromBinary(TensorProtoSchema, await reader.bytes(tensor.body, tensor.end));
  const said = new Map(entries.map(({ key, value }) => [key, value]));
  if (outside === null || said.get('location') !== outside) return externalData();
  return {
    offset: Number(said.get('offset') ?? 0),
    length: Number(said.get('length') ?? dims.reduce((product, size) => product * Number(size), 2)),
  };
}

async function attributeName(reader: Reader, attribute: Field): Promise<string> {
  for await (const field of reader.fields(attribute.body, attribute.end)) {
    if (field.number === ATTRIBUTE.name && field.wireType === 2)
      return new TextDecoder().decode(await reader.bytes(field.body, field.end));
  }
  return '';
}

function float32Bytes(halves: Uint16Array): Uint8Array {
  return new Uint8Array(fromFloat16Array(halves).buffer);
}

function spanOf({ start, body, end, number }: Field): Span {
  return { start, body, end, number };
}

function externalData(): never {
  fail(
    'onnx-external-data',
    'The model keeps float16 weights in another file, which cannot be widened to float32.',
    'Save it as one file.',
  );
}
