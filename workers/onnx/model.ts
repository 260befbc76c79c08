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
  /** In typed fields that are not plain element bytes (varints, strings, unpacked or split fields) of the message [body, end). */
  | { kind: 'typed'; body: number; end: number }
  /** In the numbers of an attribute, as `Constant` has them beside tensors. */
  | { kind: 'values'; bytes: Uint8Array }
  /** In another file, named relative to the model's folder. */
  | { kind: 'external'; location: string; offset: number; length: number | null };

export interface Tensor {
  name: string;
  dims: number[];
  /** Code of the element type, see element-types.ts. */
  type: number;
  data: TensorData;
  /** Bytes of its elements as stored, which in typed fields are fewer or more than the elements take. */
  bytes: number;
  /** Its elements, of the short lists of int64 that shapes and axes are given in; null for all others. */
  ints: number[] | null;
  span: Span;
  /** Where its message is, for what was read from a file. */
  place?: TensorPlace;
}

/** The messages around a tensor's own, outermost first, and the fields in it that hold its elements or say where they are. */
export interface TensorPlace {
  within: readonly Span[];
  stored: readonly Span[];
}

/** A tensor of which only some elements are stored; it is passed on as it is. */
export interface SparseTensor {
  name: string;
  dims: number[];
  type: number;
  /** Of values and indices. */ bytes: number;
  span: Span;
}

export interface Attribute {
  proto: AttributeProto;
  tensors: Tensor[];
  sparse: SparseTensor[];
  graphs: Graph[];
}

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

export interface ValueInfo {
  proto: ValueInfoProto;
  span: Span;
}

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

export interface Model {
  source: ByteSource;
  /** Files of external data that are there. */
  external: ExternalFiles;
  /** 0 where the file does not state one. */
  irVersion: number;
  /** The field that states it; null where there is none. */
  irVersionAt: { start: number; end: number } | null;
  producer: string;
  opsets: Opset[];
  graph: Graph;
  functions: FunctionBody[];
  /** Names that training information mentions; what has them stays. */
  trainingNames: ReadonlySet<string>;
  /** Every tensor that lies in another file, wherever in the model it is. */
  externalTensors: ExternalTensor[];
  metadata: Metadata[];
}

export type ExternalTensor = Tensor & { data: TensorData & { kind: 'external' }; place: TensorPlace };
