/** New messages for a graph: nodes, small constants, and tensors whose data is made while writing. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type AttributeProto,
} from 'onnx-buf';
import { INT64 } from '../numbers/element-types.ts';
import { pieceLength, type Piece } from './splice.ts';
import { concatBytes, encodeHeader, encodeVarint } from '../wire.ts';

/** Number of the field nodes are in. */
export const NODE_FIELD = { graph: 1, function: 7 } as const;
/** Number of the field operator sets are in. */
export const OPSET_FIELD = { model: 8, function: 9 } as const;
const MODEL_IR_VERSION = 1;
const MODEL_METADATA = 14;
const GRAPH_INITIALIZER = 5;
const NODE_ATTRIBUTE = 5;
const NODE_INPUT = 1;
const ATTRIBUTE_TENSOR = 5;
const TENSOR_RAW_DATA = 9;

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
  return concatBytes([encodeHeader(field, message.length), message]);
}

/** A tensor whose raw data is `data`, to be made while writing or known. */
export interface NewTensor<Recipe> {
  name: string;
  type: number;
  dims: readonly number[];
  data: Exclude<Piece<Recipe>, { kind: 'copy' }>;
}

/** A range of another file. */
export interface DataPlace {
  location: string;
  offset: number;
  length: number;
}

/** The tensor as an `initializer` field; its data is not written here when it is said to lie `elsewhere`. */
export function encodeInitializer<Recipe>(
  tensor: NewTensor<Recipe>,
  elsewhere: DataPlace | null = null,
): Piece<Recipe>[] {
  if (elsewhere) {
    const { name, type, dims } = tensor;
    const placed = concatBytes([
      toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt) })),
      encodePlace(elsewhere),
    ]);
    return [bytes(concatBytes([encodeHeader(GRAPH_INITIALIZER, placed.length), placed]))];
  }
  const message = tensorMessage(tensor);
  return [bytes(encodeHeader(GRAPH_INITIALIZER, message.length)), ...message.pieces];
}

/** The tensor as a `Constant` node: of a function, which has no initializers, or of a graph. */
export function encodeConstant<Recipe>(
  tensor: NewTensor<Recipe>,
  field: number = NODE_FIELD.function,
): Piece<Recipe>[] {
  const message = tensorMessage(tensor);
  const attribute = concatBytes([
    toBinary(
      AttributeProtoSchema,
      create(AttributeProtoSchema, { name: 'value', type: AttributeProto_AttributeType.TENSOR }),
    ),
    encodeHeader(ATTRIBUTE_TENSOR, message.length),
  ]);
  const length = attribute.length + message.length;
  const node = concatBytes([
    toBinary(
      NodeProtoSchema,
      create(NodeProtoSchema, { opType: 'Constant', name: tensor.name, output: [tensor.name] }),
    ),
    encodeHeader(NODE_ATTRIBUTE, length),
  ]);
  return [bytes(concatBytes([encodeHeader(field, node.length + length), node, attribute])), ...message.pieces];
}

function tensorMessage<Recipe>({ name, type, dims, data }: NewTensor<Recipe>): {
  length: number;
  pieces: Piece<Recipe>[];
} {
  const size = pieceLength(data);
  const head = concatBytes([
    toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt) })),
    encodeHeader(TENSOR_RAW_DATA, size),
  ]);
  return { length: head.length + size, pieces: [bytes(head), data] };
}

function bytes<Recipe>(of: Uint8Array): Piece<Recipe> {
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

/** A `metadata_props` field of a model. */
export function encodeMetadata(key: string, value: string): Uint8Array {
  const message = toBinary(StringStringEntryProtoSchema, create(StringStringEntryProtoSchema, { key, value }));
  return concatBytes([encodeHeader(MODEL_METADATA, message.length), message]);
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

/** An `input` field of a node, or another that holds a name. */
export function encodeInput(name: string, field: number = NODE_INPUT): Uint8Array {
  const text = new TextEncoder().encode(name);
  return concatBytes([encodeHeader(field, text.length), text]);
}

/** An `initializer` field that holds a list of int64, as shapes are given. */
export function encodeInt64Initializer(name: string, values: readonly number[]): Uint8Array {
  const rawData = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
  const message = toBinary(
    TensorProtoSchema,
    create(TensorProtoSchema, { name, dataType: INT64, dims: [BigInt(values.length)], rawData }),
  );
  return concatBytes([encodeHeader(GRAPH_INITIALIZER, message.length), message]);
}

/** The `ir_version` field of a model. */
export function encodeIrVersion(version: number): Uint8Array {
  return concatBytes([encodeVarint(MODEL_IR_VERSION * 8), encodeVarint(version)]);
}

/** An `opset_import` field of a model, or of a function. */
export function encodeOpset(domain: string, version: number, field: number = OPSET_FIELD.model): Uint8Array {
  const message = toBinary(
    OperatorSetIdProtoSchema,
    create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
  );
  return concatBytes([encodeHeader(field, message.length), message]);
}
