/**
 * Reads an ONNX file's structure without its weights: every message is walked where it lies, small leaves are decoded
 * with onnx-buf, and of each tensor only the place of its data is kept.
 */
import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TrainingInfoProtoSchema,
  ValueInfoProtoSchema,
  type TensorProto,
} from 'onnx-buf';
import { fail } from '../contract/errors.ts';
import { NO_EXTERNAL_FILES, type ByteSource, type ExternalFiles } from '../io/source.ts';
import { elementCount, elementType, INT64, packedBytes } from './numbers/element-types.ts';
import type {
  Attribute,
  FunctionBody,
  Graph,
  Metadata,
  Model,
  Node,
  Opset,
  ExternalTensor,
  TensorPlace,
  Span,
  SparseTensor,
  Tensor,
  TensorData,
  ValueInfo,
} from './model.ts';
import { fieldNumbers, isMistyped, withoutMistyped } from './fields.ts';
import { whyLocationInvalid } from './location.ts';
import { shown } from '../lib/shown.ts';
import { readInts, typedEntries, TYPED_FIELD } from './tensor-data.ts';
import { concatBytes, createReader, type Field, type Reader } from './wire.ts';

const MODEL = fieldNumbers(ModelProtoSchema);
const GRAPH = fieldNumbers(GraphProtoSchema);
const NODE = fieldNumbers(NodeProtoSchema);
const ATTRIBUTE = fieldNumbers(AttributeProtoSchema);
const TENSOR = fieldNumbers(TensorProtoSchema);
const SPARSE = fieldNumbers(SparseTensorProtoSchema);
const FUNCTION = fieldNumbers(FunctionProtoSchema);
const TRAINING = fieldNumbers(TrainingInfoProtoSchema);
/** Fields of an attribute that hold tensors and graphs. */
const ATTRIBUTE_PARTS: ReadonlySet<number> = new Set([
  ATTRIBUTE.t,
  ATTRIBUTE.g,
  ATTRIBUTE.tensors,
  ATTRIBUTE.graphs,
  ATTRIBUTE.sparseTensor,
  ATTRIBUTE.sparseTensors,
]);
/** Fields of a tensor that hold its elements. */
const TENSOR_ELEMENTS: ReadonlySet<number> = new Set([TENSOR.rawData, ...Object.values(TYPED_FIELD)]);

/** A reader that notes which tensors lie elsewhere. */
interface Scanner extends Reader {
  outside: ExternalTensor[];
}
/** Deeper control flow than this is not a model anybody exported. */
const MAX_DEPTH = 32;
/** Shapes and axes are no longer than this. */
const MAX_INTS = 64;

/**
 * Scans a whole model.
 * @param external Files that its external data may lie in; those missing are no error here.
 * Errors: `onnx-invalid`, `onnx-truncated`, and `onnx-external-data` for places outside the model's folder.
 */
export async function scanModel(source: ByteSource, external: ExternalFiles = NO_EXTERNAL_FILES): Promise<Model> {
  const reader: Scanner = { ...createReader(source), outside: [] };
  const metadata: Metadata[] = [];
  const model: Partial<Model> & { opsets: Model['opsets']; functions: FunctionBody[] } = { opsets: [], functions: [] };
  let irVersion: number | null = null;
  let irVersionAt: Model['irVersionAt'] = null;
  let producer = '';
  const trainingNames = new Set<string>();
  for await (const field of reader.fields(0, source.size)) {
    if (field.number === MODEL.irVersion && field.wireType === 0) {
      irVersion = Number(field.value);
      irVersionAt = { start: field.start, end: field.end };
    } else if (field.wireType !== 2) continue;
    else if (field.number === MODEL.producerName) producer = utf8(await reader.bytes(field.body, field.end));
    else if (field.number === MODEL.opsetImport) {
      stateOpset(model.opsets, await scanOpset(reader, span(field)));
    } else if (field.number === MODEL.graph) {
      if (model.graph) invalid(source, 'it holds two graphs');
      model.graph = await scanGraph(reader, span(field), []);
    } else if (field.number === MODEL.functions) {
      model.functions.push(await scanFunction(reader, span(field)));
    } else if (field.number === MODEL.trainingInfo) {
      await collectTrainingNames(reader, span(field), trainingNames);
    } else if (field.number === MODEL.metadataProps) {
      const { key, value } = decode(source, StringStringEntryProtoSchema, await reader.bytes(field.body, field.end));
      metadata.push({ key, value, span: span(field) });
    }
  }
  if (!model.graph) return invalid(source, 'it holds no graph');
  // Operator sets came with IR version 3; a newer file without any was most likely cut off.
  if (model.opsets.length === 0 && (irVersion === null || irVersion >= 3))
    return invalid(source, 'it states no operator set, so it may have been cut off');
  return {
    source,
    external,
    irVersion: irVersion ?? 0,
    irVersionAt,
    producer,
    opsets: model.opsets,
    graph: model.graph,
    functions: model.functions,
    trainingNames,
    externalTensors: reader.outside,
    metadata,
  };
}

async function scanOpset(reader: Reader, at: Span): Promise<Opset> {
  const { domain, version } = decode(reader.source, OperatorSetIdProtoSchema, await reader.bytes(at.body, at.end));
  return { domain: defaultDomain(domain), version: Number(version) };
}

/** A domain that is imported twice has the version of its last entry, as in onnxruntime. */
function stateOpset(opsets: Opset[], opset: Opset): void {
  const known = opsets.find(({ domain }) => domain === opset.domain);
  if (known) known.version = opset.version;
  else opsets.push(opset);
}

async function scanGraph(reader: Scanner, graphSpan: Span, within: Span[]): Promise<Graph> {
  if (within.length > MAX_DEPTH * 3) invalid(reader.source, 'graphs are nested too deeply');
  const graph: Graph = {
    name: '',
    nodes: [],
    initializers: [],
    sparseInitializers: [],
    inputs: [],
    outputs: [],
    values: [],
    span: graphSpan,
    within,
  };
  for await (const field of reader.fields(graphSpan.body, graphSpan.end)) {
    if (field.wireType !== 2) continue;
    const at = span(field);
    switch (field.number) {
      case GRAPH.node:
        graph.nodes.push(await scanNode(reader, at, [...within, graphSpan]));
        break;
      case GRAPH.initializer:
        graph.initializers.push(await scanTensor(reader, at, [...within, graphSpan]));
        break;
      case GRAPH.sparseInitializer:
        graph.sparseInitializers.push(await scanSparse(reader, at, [...within, graphSpan]));
        break;
      case GRAPH.name:
        graph.name = utf8(await reader.bytes(field.body, field.end));
        break;
      case GRAPH.input:
        graph.inputs.push(await scanValue(reader, at));
        break;
      case GRAPH.output:
        graph.outputs.push(await scanValue(reader, at));
        break;
      case GRAPH.valueInfo:
        graph.values.push(await scanValue(reader, at));
        break;
    }
  }
  return graph;
}

async function scanNode(reader: Scanner, nodeSpan: Span, within: Span[]): Promise<Node> {
  const { head, parts, kept } = await split(reader, NodeProtoSchema, nodeSpan, (number) => number === NODE.attribute);
  const proto = decode(reader.source, NodeProtoSchema, head);
  const attributes: Attribute[] = [];
  for (const part of parts) attributes.push(await scanAttribute(reader, part, [...within, nodeSpan]));
  return {
    name: proto.name,
    type: proto.opType,
    domain: defaultDomain(proto.domain),
    inputs: proto.input,
    outputs: proto.output,
    attributes,
    span: nodeSpan,
    inputSpans: kept.filter(({ number }) => number === NODE.input),
    outputSpans: kept.filter(({ number }) => number === NODE.output),
  };
}

async function scanAttribute(reader: Scanner, attributeSpan: Span, within: Span[]): Promise<Attribute> {
  const { head, parts } = await split(reader, AttributeProtoSchema, attributeSpan, (number) =>
    ATTRIBUTE_PARTS.has(number),
  );
  const attribute: Attribute = {
    proto: decode(reader.source, AttributeProtoSchema, head),
    tensors: [],
    sparse: [],
    graphs: [],
  };
  for (const part of parts) {
    if (part.number === ATTRIBUTE.t || part.number === ATTRIBUTE.tensors)
      attribute.tensors.push(await scanTensor(reader, part, [...within, attributeSpan]));
    if (part.number === ATTRIBUTE.sparseTensor || part.number === ATTRIBUTE.sparseTensors)
      attribute.sparse.push(await scanSparse(reader, part, [...within, attributeSpan]));
    if (part.number === ATTRIBUTE.g || part.number === ATTRIBUTE.graphs) {
      attribute.graphs.push(await scanGraph(reader, part, [...within, attributeSpan]));
    }
  }
  return attribute;
}

async function scanFunction(reader: Scanner, functionSpan: Span): Promise<FunctionBody> {
  const body: FunctionBody = {
    name: '',
    domain: '',
    inputs: [],
    outputs: [],
    opsets: [],
    nodes: [],
    span: functionSpan,
  };
  for await (const field of reader.fields(functionSpan.body, functionSpan.end)) {
    if (field.wireType !== 2) continue;
    switch (field.number) {
      case FUNCTION.node:
        body.nodes.push(await scanNode(reader, span(field), [functionSpan]));
        break;
      case FUNCTION.name:
        body.name = utf8(await reader.bytes(field.body, field.end));
        break;
      case FUNCTION.domain:
        body.domain = defaultDomain(utf8(await reader.bytes(field.body, field.end)));
        break;
      case FUNCTION.input:
        body.inputs.push(utf8(await reader.bytes(field.body, field.end)));
        break;
      case FUNCTION.output:
        body.outputs.push(utf8(await reader.bytes(field.body, field.end)));
        break;
      case FUNCTION.opsetImport:
        stateOpset(body.opsets, await scanOpset(reader, span(field)));
        break;
    }
  }
  return body;
}

/** Training refers to initializers by name: in its graphs, and in pairs of what is updated and what by. */
async function collectTrainingNames(reader: Scanner, at: Span, names: Set<string>): Promise<void> {
  const collect = (graph: Graph) => {
    for (const { proto } of [...graph.inputs, ...graph.outputs]) names.add(proto.name);
    for (const node of graph.nodes) {
      for (const name of node.inputs) names.add(name);
      for (const attribute of node.attributes) attribute.graphs.forEach(collect);
    }
  };
  for await (const field of reader.fields(at.body, at.end)) {
    if (field.wireType !== 2) continue;
    if (field.number === TRAINING.initialization || field.number === TRAINING.algorithm)
      collect(await scanGraph(reader, span(field), [at]));
    else if (field.number === TRAINING.initializationBinding || field.number === TRAINING.updateBinding) {
      const { key, value } = decode(
        reader.source,
        StringStringEntryProtoSchema,
        await reader.bytes(field.body, field.end),
      );
      names.add(key).add(value);
    }
  }
}

async function scanTensor(reader: Scanner, tensorSpan: Span, within: Span[]): Promise<Tensor> {
  const { head, parts, kept } = await split(reader, TensorProtoSchema, tensorSpan, (number) =>
    TENSOR_ELEMENTS.has(number),
  );
  const proto = decode(reader.source, TensorProtoSchema, head);
  const dims = checkDims(reader.source, proto.name, proto.dims);
  const count = elementCount(dims);
  const place: TensorPlace = { within, stored: parts };
  const tensor = { name: proto.name, dims, type: proto.dataType, ints: null, span: tensorSpan, place };
  const expected = packedBytes(proto.dataType, count);
  const describe = () =>
    `tensor ${proto.name} of shape [${dims.join(', ')}] and type ${elementType(proto.dataType).name}`;
  const lies = (what: string): never => invalid(reader.source, `${describe()} ${what}`);

  if (proto.dataLocation === 1) {
    if (elementType(proto.dataType).name === 'string')
      lies('keeps its strings in another file, which ONNX does not have');
    const stored = [
      ...kept.filter(({ number }) => number === TENSOR.externalData || number === TENSOR.dataLocation),
      ...parts,
    ].sort((a, b) => a.start - b.start);
    const outside: ExternalTensor = {
      ...tensor,
      ...externalData(reader.source, proto, expected),
      place: { within, stored },
    };
    reader.outside.push(outside);
    return outside;
  }

  const raw = parts.findLast(({ number }) => number === TENSOR.rawData);
  if (raw) {
    const length = raw.end - raw.body;
    if (expected !== null && length !== expected) lies(`needs ${expected} bytes and holds ${length}`);
    if (elementType(proto.dataType).name === 'string') lies('holds raw data');
    const data = { kind: 'inline', offset: raw.body, length } as const;
    return withInts(reader, { ...tensor, bytes: length, data });
  }
  const stored = parts.reduce((sum, { body, end }) => sum + end - body, 0);
  const entries = typedEntries(proto.dataType, count);
  if (entries !== null) {
    const wrong = parts.find(({ number }) => number !== entries.field);
    if (wrong) lies(`keeps its elements in field ${wrong.number}, where that type has none`);
    // A varint has one to ten bytes; strings may be empty, and there is a field for each.
    const fits =
      entries.field === TYPED_FIELD.string
        ? parts.length === entries.count
        : entries.width === null
          ? stored >= entries.count && stored <= entries.count * 10
          : stored === entries.count * entries.width;
    if (!fits) lies(parts.length === 0 ? 'holds no data' : `cannot be the ${stored} bytes it holds`);
  }
  const [only] = parts;
  if (only?.wireType === 2 && parts.length === 1 && holdsElements(only.number, proto.dataType)) {
    return { ...tensor, bytes: stored, data: { kind: 'inline', offset: only.body, length: stored } };
  }
  return withInts(reader, {
    ...tensor,
    bytes: stored,
    data: { kind: 'typed', body: tensorSpan.body, end: tensorSpan.end },
  });
}

function checkDims(source: ByteSource, name: string, given: readonly bigint[]): number[] {
  const dims = given.map((dim) => {
    if (dim < 0n || dim > BigInt(Number.MAX_SAFE_INTEGER)) invalid(source, `tensor ${name} has a dimension of ${dim}`);
    return Number(dim);
  });
  // Eight bits an element and more must still be a number of bytes.
  if (!dims.includes(0) && elementCount(dims) > Number.MAX_SAFE_INTEGER / 128)
    invalid(source, `tensor ${name} of shape [${dims.join(', ')}] has more elements than can be counted`);
  return dims;
}

/** Shapes and axes are needed to plan, and are short: their elements are read at once. */
async function withInts(reader: Reader, tensor: Tensor): Promise<Tensor> {
  const wanted = tensor.type === INT64 && elementCount(tensor.dims) <= MAX_INTS;
  return wanted ? { ...tensor, ints: await readInts(reader, tensor) } : tensor;
}

/** The entries of `external_data` (onnx/docs/ExternalData.md). Locations outside the model's folder are refused. */
function externalData(
  source: ByteSource,
  { name, externalData }: TensorProto,
  expected: number | null,
): { data: TensorData & { kind: 'external' }; bytes: number } {
  const entries = new Map(externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const number = (key: string): number | null => {
    const text = entries.get(key);
    if (text === undefined) return null;
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    return Number.isSafeInteger(value)
      ? value
      : invalid(source, `tensor ${name} has the ${key} "${text}" in another file`);
  };
  const why = whyLocationInvalid(location);
  if (why !== null) {
    fail(
      'onnx-external-data',
      `${shown(source.name)} keeps the weight ${shown(name)} at "${shown(location)}", ${why}.`,
      'Save the model again with its external data in the same folder.',
    );
  }
  const length = number('length');
  if (expected !== null && length !== null && length !== expected)
    invalid(source, `tensor ${name} needs ${expected} bytes and says ${length} in another file`);
  const bytes = expected ?? length ?? 0;
  return { bytes, data: { kind: 'external', location, offset: number('offset') ?? 0, length: length ?? expected } };
}

/** Whether a packed payload field holds the element's own little-endian bytes. */
function holdsElements(field: number, type: number): boolean {
  return (
    (field === TENSOR.floatData && elementType(type).name === 'float32') ||
    (field === TENSOR.doubleData && elementType(type).name === 'float64')
  );
}

async function scanSparse(reader: Scanner, sparseSpan: Span, within: Span[]): Promise<SparseTensor> {
  const sparse: SparseTensor = { name: '', dims: [], type: 0, bytes: 0, span: sparseSpan };
  const { head, parts } = await split(
    reader,
    SparseTensorProtoSchema,
    sparseSpan,
    (number) => number === SPARSE.values || number === SPARSE.indices,
  );
  const proto = decode(reader.source, SparseTensorProtoSchema, head);
  for (const part of parts) {
    const tensor = await scanTensor(reader, part, [...within, sparseSpan]);
    sparse.bytes += tensor.bytes;
    if (part.number === SPARSE.values) Object.assign(sparse, { name: tensor.name, type: tensor.type });
  }
  return { ...sparse, dims: checkDims(reader.source, sparse.name, proto.dims) };
}

async function scanValue(reader: Reader, valueSpan: Span): Promise<ValueInfo> {
  return {
    proto: decode(reader.source, ValueInfoProtoSchema, await reader.bytes(valueSpan.body, valueSpan.end)),
    span: valueSpan,
  };
}

/** A message without its `nested` fields, where those are, and where the others are. Mistyped fields are left out. */
async function split(
  reader: Reader,
  schema: DescMessage,
  message: Span,
  nested: (fieldNumber: number) => boolean,
): Promise<{ head: Uint8Array; parts: (Span & { wireType: number })[]; kept: Span[] }> {
  const parts: (Span & { wireType: number })[] = [];
  const kept: Span[] = [];
  const bytes: Uint8Array[] = [];
  for await (const field of reader.fields(message.body, message.end)) {
    if (isMistyped(schema, field)) continue;
    if (nested(field.number)) parts.push({ ...span(field), wireType: field.wireType });
    else {
      kept.push(span(field));
      bytes.push(await reader.bytes(field.start, field.end));
    }
  }
  return { head: concatBytes(bytes), parts, kept };
}

function decode<Desc extends DescMessage>(source: ByteSource, schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, withoutMistyped(schema, bytes));
  } catch (thrown) {
    return invalid(source, `${schema.name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

function invalid(source: ByteSource, why: string): never {
  fail(
    'onnx-invalid',
    `${source.name} is not a valid ONNX model: ${why}.`,
    'Check that the export finished, or export the model again.',
  );
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
