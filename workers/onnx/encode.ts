/** New messages for a graph: nodes, small constants, and tensors whose data is made while writing. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType, AttributeProtoSchema, NodeProtoSchema, OperatorSetIdProtoSchema, TensorProtoSchema,
} from 'onnx-buf';
import { INT64 } from './element-types.ts';
import type { Piece } from './splice.ts';
import { concatBytes, encodeHeader } from './wire.ts';

const GRAPH_NODE = 1;
const GRAPH_INITIALIZER = 5;
const MODEL_OPSET = 8;
const TENSOR_RAW_DATA = 9;

export interface NewNode {
  type: string;
  domain: string;
  name: string;
  inputs: string[];
  outputs: string[];
  /** Integer attributes; an array makes a list. */
  attributes: Record<string, number | number[]>;
}

/** A `node` field of a graph. */
export function encodeNode(node: NewNode): Uint8Array {
  const message = toBinary(NodeProtoSchema, create(NodeProtoSchema, {
    opType: node.type,
    name: node.name,
    domain: node.domain,
    input: node.inputs,
    output: node.outputs,
    attribute: Object.entries(node.attributes).map(([name, value]) => create(AttributeProtoSchema, Array.isArray(value)
      ? { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) }
      : { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) })),
  }));
  return concatBytes([encodeHeader(GRAPH_NODE, message.length), message]);
}

/** An `initializer` field whose raw data is `data`, to be made while writing. */
export function encodeInitializer<Recipe>(name: string, type: number, dims: readonly number[], data: Piece<Recipe> & { kind: 'made' }): Piece<Recipe>[] {
  const head = toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt) }));
  const dataHeader = encodeHeader(TENSOR_RAW_DATA, data.length);
  return [
    { kind: 'bytes', bytes: concatBytes([encodeHeader(GRAPH_INITIALIZER, head.length + dataHeader.length + data.length), head, dataHeader]) },
    data,
  ];
}

/** An `initializer` field that holds a list of int64, as shapes are given. */
export function encodeInt64Initializer(name: string, values: readonly number[]): Uint8Array {
  const rawData = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
  const message = toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: INT64, dims: [BigInt(values.length)], rawData }));
  return concatBytes([encodeHeader(GRAPH_INITIALIZER, message.length), message]);
}

/** An `opset_import` field of a model. */
export function encodeOpset(domain: string, version: number): Uint8Array {
  const message = toBinary(OperatorSetIdProtoSchema, create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }));
  return concatBytes([encodeHeader(MODEL_OPSET, message.length), message]);
}
