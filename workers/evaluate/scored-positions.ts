/**
 * Makes a language model compute logits only for the positions that are scored. In the graph that is evaluated, never
 * in a file that is written, a Slice with two inputs of its own stands before the output projection:
 *
 *     hidden [batch, tokens, width] ─► Slice(first, end) ─► output projection ─► logits [batch, end − first, vocabulary]
 *
 * The output projection treats every position alike, so the rows that come out are those it would have made anyway.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  NodeProtoSchema, TensorShapeProto_DimensionSchema, TensorShapeProtoSchema, TypeProto_TensorSchema, TypeProtoSchema, ValueInfoProtoSchema,
  type NodeProto, type ValueInfoProto,
} from 'onnx-buf';
import { elementCount, INT64 } from '../onnx/element-types.ts';
import { encodeInt64Initializer, encodeNode } from '../onnx/encode.ts';
import type { Model, Node } from '../onnx/model.ts';
import { scanModel } from '../onnx/scan.ts';
import { splice, type Edit } from '../onnx/splice.ts';
import { concatBytes, encodeHeader } from '../onnx/wire.ts';
import { indexGraph, type GraphIndex } from '../plan/graph-index.ts';
import { blobSource } from '../source.ts';
import { recogniseSignature, signatureOf } from './inputs.ts';

export interface SlicedModel {
  /** Refers to the bytes of the model it was made of. */
  model: Blob;
  /** Names of the added inputs, both int64 [1]: the first position to give logits for, and the one after the last. */
  first: string;
  end: string;
}

const CONTRIB = 'com.microsoft';
/** Since this operator set Slice takes its range as inputs. */
const SLICE_WITH_INPUTS = 10;
const SEQUENCE_AXIS = 1;
const GRAPH = { node: 1, input: 11, output: 12 };
/** Longer chains between projection and output, or of Casts before it, are no export's. */
const MAX_STEPS = 8;

/**
 * Null unless it is certain from the graph alone that the logits of the positions left come out the same: logits of
 * rank 3, made by a MatMul or MatMulNBits with a constant matrix, and between it and the output nothing but operators
 * on single elements whose results nothing else sees.
 */
export async function sliceBeforeHead(model: Blob): Promise<SlicedModel | null> {
  try {
    const scanned = await scanModel(blobSource('model', model));
    return await slice(model, scanned, indexGraph(scanned.graph));
  } catch {
    // What is wrong with the file is for the runtime to say when it opens the model as it is.
    return null;
  }
}

async function slice(blob: Blob, model: Model, index: GraphIndex): Promise<SlicedModel | null> {
  const { graph } = model;
  if ((model.opsets.find(({ domain }) => domain === '')?.version ?? 0) < SLICE_WITH_INPUTS) return null;
  const inputs = graph.inputs.filter(({ proto }) => !index.initializers.has(proto.name)).map(({ proto }) => signatureOf(proto));
  const signature = recogniseSignature(inputs, graph.outputs.map(({ proto }) => signatureOf(proto)));
  if (!signature.ok) return null;
  const output = graph.outputs.find(({ proto }) => proto.name === signature.value.logits.name);
  const path = output && pathToHead(index, output.proto);
  if (!path) return null;

  // Casts before the projection come after the Slice: onnxruntime merges them with those it inserts around float16
  // arithmetic, and a Slice in between would keep it from that and so change roundings.
  const casts = castsBefore(index, path.head);
  const source = (casts.at(-1) ?? path.head).inputs[0] ?? '';
  const name = uniqueNames(index);
  const [first, end, axes] = [name('scored_first'), name('scored_end'), name('scored_axes')];
  let hidden = name('scored_hidden');
  const nodes = [encodeNode({ type: 'Slice', domain: '', name: hidden, inputs: [source, first, end, axes], outputs: [hidden], attributes: {} })];
  const edits: Edit<never>[] = [];
  const replace = (span: { start: number; end: number }, ...bytes: Uint8Array[]) => {
    edits.push({ start: span.start, end: span.end, within: [graph.span], pieces: bytes.map((part) => ({ kind: 'bytes', bytes: part })) });
  };

  const unseen = new Set(path.values.slice(0, -1));
  let seenByHeadOnly = true;
  for (const cast of casts) {
    // From the projection backwards; the first that others use too keeps all those before it in use.
    seenByHeadOnly &&= onlyUse(index, cast.outputs[0] ?? '');
    if (!seenByHeadOnly) break;
    replace(cast.span);
    unseen.add(cast.outputs[0] ?? '');
  }
  for (const cast of casts.toReversed()) {
    const output = name(`${cast.outputs[0] ?? ''}_scored`);
    nodes.push(encodeField(GRAPH.node, toBinary(NodeProtoSchema, { ...await readNode(model, cast), name: output, input: [hidden], output: [output] })));
    hidden = output;
  }
  const head = await readNode(model, path.head);
  replace(path.head.span, ...nodes, encodeField(GRAPH.node, toBinary(NodeProtoSchema, { ...head, input: [hidden, ...head.input.slice(1)] })));
  replace(output.span, encodeField(GRAPH.output, toBinary(ValueInfoProtoSchema, withFreeDimension(output.proto, name('scored_positions')))));
  // Shapes noted for values on the way are no longer theirs.
  for (const { proto, span } of graph.values) if (unseen.has(proto.name)) replace(span);
  replace({ start: graph.span.end, end: graph.span.end }, encodeInt64Initializer(axes, [SEQUENCE_AXIS]), int64Input(first), int64Input(end));

  const parts = splice(model.source.size, edits).map((piece) => (piece.kind === 'copy' ? blob.slice(piece.start, piece.end) : piece.kind === 'bytes' ? piece.bytes as Uint8Array<ArrayBuffer> : new Blob()));
  return { model: new Blob(parts), first, end };
}

interface PathToHead {
  head: Node;
  /** Values from the projection's output to the logits. */
  values: string[];
}

function pathToHead(index: GraphIndex, logits: ValueInfoProto): PathToHead | null {
  if (signatureOf(logits).shape?.length !== 3 || index.uses.has(logits.name) || index.usedInside.has(logits.name)) return null;
  const values = [logits.name];
  for (let value = logits.name; values.length <= MAX_STEPS;) {
    const node = index.producer.get(value);
    if (!node || node.outputs.filter((output) => output !== '').length !== 1) return null;
    if (isHead(index, node)) return { head: node, values: values.reverse() };
    const next = elementwiseInput(index, node);
    if (next === null || !onlyUse(index, next)) return null;
    values.push(next);
    value = next;
  }
  return null;
}

/** [.., K] times a constant [K, N]: as many dimensions come out as go in, and each position is multiplied by itself. */
function isHead(index: GraphIndex, { domain, type, inputs }: Node): boolean {
  if (type === 'MatMulNBits') return domain === CONTRIB;
  return type === 'MatMul' && domain === '' && constantDims(index, inputs[1] ?? '')?.length === 2;
}

const UNARY = new Set(['Cast', 'Identity', 'Tanh']);
const BINARY = new Set(['Add', 'Sub', 'Mul', 'Div']);

/** The input a node acts on element by element; a second operand must be a constant that is the same for every position. */
function elementwiseInput(index: GraphIndex, { domain, type, inputs }: Node): string | null {
  if (domain !== '') return null;
  if (UNARY.has(type)) return inputs[0] ?? null;
  if (!BINARY.has(type) || inputs.length !== 2) return null;
  const variable = inputs.filter((input) => !sameForEveryPosition(constantDims(index, input)));
  return variable.length === 1 ? variable[0] ?? null : null;
}

function sameForEveryPosition(dims: readonly number[] | null): boolean {
  return dims !== null && dims.length <= 3 && elementCount(dims.slice(0, -1)) === 1;
}

/** Operators that leave a constant's dimensions as they are, or turn a matrix round, and take it first. */
const KEEPS_RANK = new Set(['Transpose', 'Cast', 'Identity', 'DequantizeLinear']);

/** Dimensions of a constant, up to the order of a matrix's; null for what is computed from inputs. */
function constantDims(index: GraphIndex, value: string): readonly number[] | null {
  let name = value;
  for (let step = 0; step < MAX_STEPS; step++) {
    const tensor = index.initializers.get(name);
    if (tensor) return tensor.dims;
    const node = index.producer.get(name);
    if (node?.domain !== '') return null;
    if (node.type === 'Constant') {
      const held = node.attributes.find(({ proto }) => proto.name === 'value')?.tensors[0];
      if (held) return held.dims;
      return node.attributes.some(({ proto }) => proto.name === 'value_float' || proto.name === 'value_int') ? [] : null;
    }
    if (!KEEPS_RANK.has(node.type)) return null;
    name = node.inputs[0] ?? '';
  }
  return null;
}

/** Casts between the hidden states and the projection, nearest to the projection first. */
function castsBefore(index: GraphIndex, head: Node): Node[] {
  const casts: Node[] = [];
  let node = index.producer.get(head.inputs[0] ?? '');
  while (node?.type === 'Cast' && node.domain === '' && casts.length < MAX_STEPS) {
    casts.push(node);
    node = index.producer.get(node.inputs[0] ?? '');
  }
  return casts;
}

function onlyUse(index: GraphIndex, value: string): boolean {
  return index.uses.get(value)?.length === 1 && !index.outputs.has(value) && !index.usedInside.has(value);
}

async function readNode({ source }: Model, { span }: Node): Promise<NodeProto> {
  return fromBinary(NodeProtoSchema, await source.read(span.body, span.end - span.body));
}

/** The same output with a sequence axis of its own: it is no longer as long as the input. */
function withFreeDimension(output: ValueInfoProto, dimension: string): ValueInfoProto {
  const changed = fromBinary(ValueInfoProtoSchema, toBinary(ValueInfoProtoSchema, output));
  const dim = changed.type?.value.case === 'tensorType' ? changed.type.value.value.shape?.dim[SEQUENCE_AXIS] : undefined;
  if (dim) dim.value = { case: 'dimParam', value: dimension };
  return changed;
}

function int64Input(name: string): Uint8Array {
  const shape = create(TensorShapeProtoSchema, { dim: [create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: 1n } })] });
  const type = create(TypeProtoSchema, { value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType: INT64, shape }) } });
  return encodeField(GRAPH.input, toBinary(ValueInfoProtoSchema, create(ValueInfoProtoSchema, { name, type })));
}

function encodeField(number: number, message: Uint8Array): Uint8Array {
  return concatBytes([encodeHeader(number, message.length), message]);
}

/** Hands out names no value of the graph has. */
function uniqueNames({ initializers, producer, uses, inputs, usedInside }: GraphIndex): (wish: string) => string {
  const taken = new Set<string>();
  const known = [initializers, producer, uses, inputs, usedInside];
  return (wish) => {
    let name = wish;
    for (let count = 2; taken.has(name) || known.some((names) => names.has(name)); count++) name = `${wish}_${count}`;
    taken.add(name);
    return name;
  };
}
