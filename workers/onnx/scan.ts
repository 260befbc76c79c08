/**
 * Reads an ONNX file's structure without its weights: every message is walked where it lies, small leaves are decoded
 * with onnx-buf, and of each tensor only the place of its data is kept. Field numbers are those of onnx.proto.
 */
import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema, NodeProtoSchema, OperatorSetIdProtoSchema, TensorProtoSchema, ValueInfoProtoSchema,
  type AttributeProto, type ValueInfoProto,
} from 'onnx-buf';
import { fail } from '../errors.ts';
import type { ByteSource } from '../source.ts';
import { elementType, packedBytes } from './element-types.ts';
import { concatBytes, createReader, type Field, type Reader } from './wire.ts';

/** A length-delimited field in the file: tag at `start`, message at [body, end). */
export interface Span { start: number; body: number; end: number; number: number }

/** Where a tensor's elements are. */
export type TensorData =
  /** Little-endian elements in one piece of the file: raw_data, or a packed typed field of the element's own width. */
  | { kind: 'inline'; offset: number; length: number }
  /** In typed fields that are not plain element bytes (varints, strings, unpacked or split fields). */
  | { kind: 'typed' }
  | { kind: 'external'; location: string; offset: number; length: number | null };

export interface Tensor {
  name: string;
  dims: number[];
  /** Code of the element type, see element-types.ts. */
  type: number;
  data: TensorData;
  /** Bytes of its elements as stored. */
  bytes: number;
  span: Span;
}

export interface Attribute { proto: AttributeProto; tensors: Tensor[]; graphs: Graph[] }

export interface Node {
  name: string;
  type: string;
  /** Empty for the default domain, `ai.onnx` included. */
  domain: string;
  inputs: string[];
  outputs: string[];
  attributes: Attribute[];
  span: Span;
}

export interface ValueInfo { proto: ValueInfoProto; span: Span }

export interface Graph {
  name: string;
  nodes: Node[];
  initializers: Tensor[];
  /** Names of sparse initializers; their data is left alone. */
  sparseInitializers: string[];
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  values: ValueInfo[];
  span: Span;
  /** Spans of the messages around this graph, outermost first, the model itself left out. */
  within: Span[];
}

export interface FunctionBody { nodes: Node[]; span: Span }

export interface Model {
  source: ByteSource;
  irVersion: number;
  producer: string;
  opsets: { domain: string; version: number }[];
  graph: Graph;
  functions: FunctionBody[];
}

const MODEL = { irVersion: 1, producerName: 2, graph: 7, opset: 8, function: 25 };
const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12, value: 13, sparseInitializer: 15 };
const NODE = { attribute: 5 };
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 };
const TENSOR = { floatData: 4, int32Data: 5, stringData: 6, int64Data: 7, rawData: 9, doubleData: 10, uint64Data: 11 };
const SPARSE = { values: 1 };
const FUNCTION = { node: 7 };

/** Deeper control flow than this is not a model anybody exported. */
const MAX_DEPTH = 32;

/** Scans a whole model. Fails with `onnx-invalid` or `onnx-truncated`. */
export async function scanModel(source: ByteSource): Promise<Model> {
  const reader = createReader(source);
  const model: Partial<Model> & { opsets: Model['opsets']; functions: FunctionBody[] } = { opsets: [], functions: [] };
  let irVersion: number | null = null;
  let producer = '';
  for await (const field of reader.fields(0, source.size)) {
    if (field.number === MODEL.irVersion && field.wireType === 0) irVersion = Number(field.value);
    else if (field.wireType !== 2) continue;
    else if (field.number === MODEL.producerName) producer = utf8(await reader.bytes(field.body, field.end));
    else if (field.number === MODEL.opset) {
      const { domain, version } = decode(source, OperatorSetIdProtoSchema, await reader.bytes(field.body, field.end));
      model.opsets.push({ domain: defaultDomain(domain), version: Number(version) });
    } else if (field.number === MODEL.graph) {
      if (model.graph) invalid(source, 'it holds two graphs');
      model.graph = await scanGraph(reader, span(field), []);
    } else if (field.number === MODEL.function) {
      model.functions.push(await scanFunction(reader, span(field)));
    }
  }
  if (!model.graph) return invalid(source, 'it holds no graph');
  // Operator sets came with IR version 3; a newer file without any was most likely cut off.
  if (model.opsets.length === 0 && (irVersion === null || irVersion >= 3)) return invalid(source, 'it states no operator set, so it may have been cut off');
  return { source, irVersion: irVersion ?? 0, producer, opsets: model.opsets, graph: model.graph, functions: model.functions };
}

async function scanGraph(reader: Reader, graphSpan: Span, within: Span[]): Promise<Graph> {
  if (within.length > MAX_DEPTH * 3) invalid(reader.source, 'graphs are nested too deeply');
  const graph: Graph = {
    name: '', nodes: [], initializers: [], sparseInitializers: [], inputs: [], outputs: [], values: [], span: graphSpan, within,
  };
  for await (const field of reader.fields(graphSpan.body, graphSpan.end)) {
    if (field.wireType !== 2) continue;
    const at = span(field);
    switch (field.number) {
      case GRAPH.node: graph.nodes.push(await scanNode(reader, at, [...within, graphSpan])); break;
      case GRAPH.initializer: graph.initializers.push(await scanTensor(reader, at)); break;
      case GRAPH.sparseInitializer: graph.sparseInitializers.push(await scanSparseName(reader, at)); break;
      case GRAPH.name: graph.name = utf8(await reader.bytes(field.body, field.end)); break;
      case GRAPH.input: graph.inputs.push(await scanValue(reader, at)); break;
      case GRAPH.output: graph.outputs.push(await scanValue(reader, at)); break;
      case GRAPH.value: graph.values.push(await scanValue(reader, at)); break;
    }
  }
  return graph;
}

async function scanNode(reader: Reader, nodeSpan: Span, within: Span[]): Promise<Node> {
  const { head, parts } = await split(reader, nodeSpan, (number) => number === NODE.attribute);
  const proto = decode(reader.source, NodeProtoSchema, head);
  const attributes: Attribute[] = [];
  for (const part of parts) attributes.push(await scanAttribute(reader, part, [...within, nodeSpan]));
  return {
    name: proto.name, type: proto.opType, domain: defaultDomain(proto.domain), inputs: proto.input, outputs: proto.output, attributes, span: nodeSpan,
  };
}

async function scanAttribute(reader: Reader, attributeSpan: Span, within: Span[]): Promise<Attribute> {
  const nested = new Set(Object.values(ATTRIBUTE));
  const { head, parts } = await split(reader, attributeSpan, (number) => nested.has(number));
  const attribute: Attribute = { proto: decode(reader.source, AttributeProtoSchema, head), tensors: [], graphs: [] };
  for (const part of parts) {
    if (part.number === ATTRIBUTE.tensor || part.number === ATTRIBUTE.tensors) attribute.tensors.push(await scanTensor(reader, part));
    if (part.number === ATTRIBUTE.graph || part.number === ATTRIBUTE.graphs) {
      attribute.graphs.push(await scanGraph(reader, part, [...within, attributeSpan]));
    }
  }
  return attribute;
}

async function scanFunction(reader: Reader, functionSpan: Span): Promise<FunctionBody> {
  const body: FunctionBody = { nodes: [], span: functionSpan };
  for await (const field of reader.fields(functionSpan.body, functionSpan.end)) {
    if (field.number === FUNCTION.node && field.wireType === 2) body.nodes.push(await scanNode(reader, span(field), [functionSpan]));
  }
  return body;
}

async function scanTensor(reader: Reader, tensorSpan: Span): Promise<Tensor> {
  const payloads = new Set(Object.values(TENSOR));
  const { head, parts } = await split(reader, tensorSpan, (number) => payloads.has(number));
  const proto = decode(reader.source, TensorProtoSchema, head);
  const dims = proto.dims.map((dim) => {
    if (dim < 0n || dim > BigInt(Number.MAX_SAFE_INTEGER)) invalid(reader.source, `tensor ${proto.name} has a dimension of ${dim}`);
    return Number(dim);
  });
  const tensor = { name: proto.name, dims, type: proto.dataType, span: tensorSpan };
  const expected = packedBytes(proto.dataType, elementCount(dims));

  if (proto.externalData.length > 0 && proto.dataLocation === 1) {
    const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
    const length = entries.get('length');
    return {
      ...tensor, bytes: expected ?? Number(length ?? 0),
      data: { kind: 'external', location: entries.get('location') ?? '', offset: Number(entries.get('offset') ?? 0), length: length === undefined ? null : Number(length) },
    };
  }
  const unpacked = proto.floatData.length + proto.int32Data.length + proto.int64Data.length + proto.doubleData.length + proto.uint64Data.length;
  const [only] = parts;
  if (only && parts.length === 1 && unpacked === 0 && holdsElements(only.number, proto.dataType)) {
    const length = only.end - only.body;
    if (expected !== null && length !== expected) {
      invalid(reader.source, `tensor ${proto.name} of shape [${dims.join(', ')}] and type ${elementType(proto.dataType).name} needs ${expected} bytes and holds ${length}`);
    }
    return { ...tensor, bytes: length, data: { kind: 'inline', offset: only.body, length } };
  }
  if (!only && unpacked === 0) {
    if (expected !== null && expected > 0) invalid(reader.source, `tensor ${proto.name} of shape [${dims.join(', ')}] holds no data`);
    return { ...tensor, bytes: 0, data: { kind: 'typed' } };
  }
  return { ...tensor, bytes: expected ?? parts.reduce((sum, part) => sum + part.end - part.body, 0), data: { kind: 'typed' } };
}

/** Whether a packed payload field holds the element's own little-endian bytes. */
function holdsElements(field: number, type: number): boolean {
  return field === TENSOR.rawData
    || (field === TENSOR.floatData && elementType(type).name === 'float32')
    || (field === TENSOR.doubleData && elementType(type).name === 'float64');
}

async function scanSparseName(reader: Reader, sparseSpan: Span): Promise<string> {
  for await (const field of reader.fields(sparseSpan.body, sparseSpan.end)) {
    if (field.number === SPARSE.values && field.wireType === 2) return (await scanTensor(reader, span(field))).name;
  }
  return '';
}

async function scanValue(reader: Reader, valueSpan: Span): Promise<ValueInfo> {
  return { proto: decode(reader.source, ValueInfoProtoSchema, await reader.bytes(valueSpan.body, valueSpan.end)), span: valueSpan };
}

/** A message without its `nested` length-delimited fields, and where those are. */
async function split(reader: Reader, message: Span, nested: (fieldNumber: number) => boolean): Promise<{ head: Uint8Array; parts: Span[] }> {
  const parts: Span[] = [];
  const kept: Uint8Array[] = [];
  for await (const field of reader.fields(message.body, message.end)) {
    if (field.wireType === 2 && nested(field.number)) parts.push(span(field));
    else kept.push(await reader.bytes(field.start, field.end));
  }
  return { head: concatBytes(kept), parts };
}

function decode<Desc extends DescMessage>(source: ByteSource, schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch (thrown) {
    return invalid(source, `${schema.name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

function invalid(source: ByteSource, why: string): never {
  fail('onnx-invalid', `${source.name} is not a valid ONNX model: ${why}.`, 'Check that the export finished, or export the model again.');
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

function span({ start, body, end, number }: Field): Span {
  return { start, body, end, number };
}

function defaultDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
