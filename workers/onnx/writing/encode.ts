/** New messages for a graph: nodes, small constants, and tensors whose data is made while writing. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type ValueInfoProto,
} from 'onnx-buf';
import { INT64 } from '../numbers/element-types.ts';
import { pieceLength, type Piece } from './splice.ts';
import { fieldNumbers } from '../fields.ts';
import { concatBytes, encodeField, encodeHeader, encodeVarint } from '../wire.ts';

const MODEL = fieldNumbers(ModelProtoSchema);
const GRAPH = fieldNumbers(GraphProtoSchema);
const FUNCTION = fieldNumbers(FunctionProtoSchema);
const NODE = fieldNumbers(NodeProtoSchema);
const ATTRIBUTE = fieldNumbers(AttributeProtoSchema);
const TENSOR = fieldNumbers(TensorProtoSchema);

/** The field of a graph, and of a function, that holds its nodes. */
export const NODE_FIELD = { graph: GRAPH.node, function: FUNCTION.node };
/** The field of a model, and of a function, that holds operator sets. */
export const OPSET_FIELD = { model: MODEL.opsetImport, function: FUNCTION.opsetImport };

export interface NewNode {
  type: string;
  domain: string;
  name: string;
  inputs: string[];
  outputs: string[];
  /** Integer attributes; an array makes a list. */
  attributes: Record<string, number | number[]>;
  /** Attributes taken over from another node. */
  taken?: AttributeProto[];
}

/** A `node` field of a graph, or of a function. */
export function encodeNode(node: NewNode, field: number = NODE_FIELD.graph): Uint8Array {
  const message = toBinary(
    NodeProtoSchema,
    create(NodeProtoSchema, {
      opType: node.type,
      name: node.name,
      domain: node.domain,
      input: node.inputs,
      output: node.outputs,
      attribute: [
        ...(node.taken ?? []),
        ...Object.entries(node.attributes).map(([name, value]) =>
          create(
            AttributeProtoSchema,
            Array.isArray(value)
              ? { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) }
              : { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) },
          ),
        ),
      ],
    }),
  );
  return encodeField(field, message);
}

/** A tensor whose raw data is `data`, to be made while writing or known. */
export interface NewTensor<Task> {
  name: string;
  type: number;
  dims: readonly number[];
  data: Exclude<Piece<Task>, { kind: 'copy' }>;
}

/** A range of another file. */
export interface DataPlace {
  location: string;
  offset: number;
  length: number;
}

/** The tensor as an `initializer` field; its data is not written here when it is said to lie `elsewhere`. */
export function encodeInitializer<Task>(tensor: NewTensor<Task>, elsewhere: DataPlace | null = null): Piece<Task>[] {
  if (elsewhere) {
    const { name, type, dims } = tensor;
    const placed = concatBytes([
      toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt) })),
      encodePlace(elsewhere),
    ]);
    return [bytes(encodeField(GRAPH.initializer, placed))];
  }
  const message = tensorMessage(tensor);
  return [bytes(encodeHeader(GRAPH.initializer, message.length)), ...message.pieces];
}

/** The tensor as a `Constant` node: of a function, which has no initializers, or of a graph. */
export function encodeConstant<Task>(tensor: NewTensor<Task>, field: number = NODE_FIELD.function): Piece<Task>[] {
  const message = tensorMessage(tensor);
  const attribute = concatBytes([
    toBinary(
      AttributeProtoSchema,
      create(AttributeProtoSchema, { name: 'value', type: AttributeProto_AttributeType.TENSOR }),
    ),
    encodeHeader(ATTRIBUTE.t, message.length),
  ]);
  const length = attribute.length + message.length;
  const node = concatBytes([
    toBinary(
      NodeProtoSchema,
      create(NodeProtoSchema, { opType: 'Constant', name: tensor.name, output: [tensor.name] }),
    ),
    encodeHeader(NODE.attribute, length),
  ]);
  return [bytes(concatBytes([encodeHeader(field, node.length + length), node, attribute])), ...message.pieces];
}

function tensorMessage<Task>({ name, type, dims, data }: NewTensor<Task>): {
  length: number;
  pieces: Piece<Task>[];
} {
  const size = pieceLength(data);
  const head = concatBytes([
    toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt) })),
    encodeRawDataHeader(size),
  ]);
  return { length: head.length + size, pieces: [bytes(head), data] };
}

function bytes<Task>(of: Uint8Array): Piece<Task> {
  return { kind: 'bytes', bytes: of };
}

/** The fields of a tensor whose elements lie elsewhere. */
export function encodePlace({ location, offset, length }: DataPlace): Uint8Array {
  const entries = { location, offset: String(offset), length: String(length) };
  return toBinary(
    TensorProtoSchema,
    create(TensorProtoSchema, {
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
    }),
  );
}

/** The `raw_data` field of a tensor, whose elements follow it. */
export function encodeRawDataHeader(length: number): Uint8Array {
  return encodeHeader(TENSOR.rawData, length);
}

/** A `metadata_props` field of a model. */
export function encodeMetadata(key: string, value: string): Uint8Array {
  const message = toBinary(StringStringEntryProtoSchema, create(StringStringEntryProtoSchema, { key, value }));
  return encodeField(MODEL.metadataProps, message);
}

/** A list of int64, as shapes are given. */
export function int64Tensor(name: string, values: readonly number[]): NewTensor<never> {
  return {
    name,
    type: INT64,
    dims: [values.length],
    data: { kind: 'bytes', bytes: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer) },
  };
}

/** An `input` field of a graph, or another that states a value's type; a type that is left out is inferred. */
export function encodeValueInfo(value: ValueInfoProto, field: number): Uint8Array {
  return encodeField(field, toBinary(ValueInfoProtoSchema, value));
}

/** An `input` field of a node, or another that holds a name. */
export function encodeInput(name: string, field: number = NODE.input): Uint8Array {
  const text = new TextEncoder().encode(name);
  return encodeField(field, text);
}

/** An `initializer` field that holds a list of int64, as shapes are given. */
export function encodeInt64Initializer(name: string, values: readonly number[]): Uint8Array {
  const pieces = encodeInitializer(int64Tensor(name, values));
  return concatBytes(pieces.flatMap((piece) => (piece.kind === 'bytes' ? [piece.bytes] : [])));
}

/** The `ir_version` field of a model. */
export function encodeIrVersion(version: number): Uint8Array {
  return concatBytes([encodeVarint(MODEL.irVersion * 8), encodeVarint(version)]);
}

/** An `opset_import` field of a model, or of a function. */
export function encodeOpset(domain: string, version: number, field: number = OPSET_FIELD.model): Uint8Array {
  const message = toBinary(
    OperatorSetIdProtoSchema,
    create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
  );
  return encodeField(field, message);
}
