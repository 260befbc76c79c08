/** A scanned model: its structure, and where its weights lie. Plain values, which may cross to other workers. */
import type { AttributeProto, ValueInfoProto } from 'onnx-buf';
import type { ByteSource, ExternalFiles } from '../io/source.ts';

/** A length-delimited field in the file: tag at `start`, message at [body, end). */
export interface Span {
  start: number;
  body: number;
  end: number;
  number: number;
}

/** Where a tensor's elements are. */
export type TensorData =
  /** Little-endian elements in one piece of the file: raw_data, or a packed typed field of the element's own width. */
  | { kind: 'inline'; offset: number; length: number }
  /**
   * In typed fields that are not plain element bytes (varints, strings, unpacked or split fields) of the message [body,
   * end).
   */
  | { kind: 'typed'; body: number; end: number }
  /** In the numbers of an attribute, as `Constant` has them beside tensors. */
  | { kind: 'values'; bytes: Uint8Array }
  /** In another file, named relative to the model's folder. */
  | { kind: 'external'; location: string; offset: number; length: number | null };

/** A tensor of the model: its name, shape and type, and where its elements are. */
export interface Tensor {
  name: string;
  dims: number[];
  /** Code of the element type, see element-types.ts. */
  type: number;
  data: TensorData;
  /** Bytes of its elements as stored. In typed fields they may be fewer or more than the elements need. */
  bytes: number;
  /** The elements of a short int64 tensor, which may be a shape or axes. Null for all others. */
  ints: number[] | null;
  span: Span;
  /** Where its message is in the file. Absent for tensors that were not read from a file. */
  place?: TensorPlace;
}

/** The messages around a tensor, outermost first, and its fields that hold its elements or their location. */
export interface TensorPlace {
  within: readonly Span[];
  stored: readonly Span[];
}

/** A sparse tensor. It is copied unchanged. */
export interface SparseTensor {
  name: string;
  dims: number[];
  type: number;
  /** Bytes of values and indices. */
  bytes: number;
  span: Span;
}

/** An attribute of a node. `proto` lacks its tensors and graphs, which are in the other fields. */
export interface Attribute {
  proto: AttributeProto;
  tensors: Tensor[];
  sparse: SparseTensor[];
  graphs: Graph[];
}

/** A node of a graph, a body or a function. */
export interface Node {
  name: string;
  type: string;
  /** Empty for the default domain, `ai.onnx` included. */
  domain: string;
  inputs: string[];
  outputs: string[];
  attributes: Attribute[];
  span: Span;
  /** Where the name of each input, and of each output, is written. */
  inputSpans: Span[];
  outputSpans: Span[];
}

/** What a graph states about a value: its name, and its type and shape where known. */
export interface ValueInfo {
  proto: ValueInfoProto;
  span: Span;
}

/** The main graph, or a body of control flow. */
export interface Graph {
  name: string;
  nodes: Node[];
  initializers: Tensor[];
  sparseInitializers: SparseTensor[];
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  values: ValueInfo[];
  span: Span;
  /** Spans of the messages around this graph, outermost first, the model itself left out. */
  within: Span[];
}

/** An entry of `metadata_props`. */
export interface Metadata {
  key: string;
  value: string;
  span: Span;
}

/** An operator set that a model or function imports. */
export interface Opset {
  domain: string;
  version: number;
}

/** A local function; its weights are `Constant` nodes or come in through its inputs. */
export interface FunctionBody {
  name: string;
  domain: string;
  inputs: string[];
  outputs: string[];
  opsets: Opset[];
  nodes: Node[];
  span: Span;
}

/** A scanned ONNX file. No weight has been read. */
export interface Model {
  source: ByteSource;
  /** The files of external data that were found, by location. */
  external: ExternalFiles;
  /** 0 where the file does not state one. */
  irVersion: number;
  /** The field that states it; null where there is none. */
  irVersionAt: { start: number; end: number } | null;
  producer: string;
  opsets: Opset[];
  graph: Graph;
  functions: FunctionBody[];
  /** Names in the training information. Tensors with these names are not changed. */
  trainingNames: ReadonlySet<string>;
  /** All tensors whose elements are in another file, in graphs, bodies, attributes and functions. */
  externalTensors: ExternalTensor[];
  metadata: Metadata[];
}

/** A tensor whose elements are in another file. */
export type ExternalTensor = Tensor & { data: TensorData & { kind: 'external' }; place: TensorPlace };
