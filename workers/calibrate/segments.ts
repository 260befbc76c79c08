/**
 * Cuts a graph at the inputs of its quantized products, so that calibration runs each part once for the original model
 * and once for the quantized one, and keeps only the values that are live at a cut. The weights of the products are
 * inputs of a segment: one session serves every version of them.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { NodeProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import type { Graph, Model, Node, Tensor } from '../onnx/model.ts';
import { concatBytes, encodeHeader } from '../onnx/wire.ts';
import { encodeInitializer, encodeIrVersion, encodeOpset, NODE_FIELD } from '../onnx/writing/encode.ts';
import { encodeOutput } from '../onnx/graph/edit.ts';
import { readTensor } from '../onnx/tensor-data.ts';
import { blobSource } from '../io/source.ts';
import type { Constant } from '../onnx/graph/scopes.ts';
import { findScopes } from '../onnx/graph/scopes.ts';
import type { CalibratedProduct } from './products.ts';

export interface Segment {
  nodes: readonly Node[];
  /** Values it takes that earlier segments, or the caller, give. */
  inputs: readonly string[];
  /** Values it gives that later segments take; of the last one, the logits. */
  outputs: readonly string[];
  /** The products in it. */
  products: readonly CalibratedProduct[];
  /** The products whose input is complete where it begins, and which are quantized before it is run. */
  due: readonly CalibratedProduct[];
  /** Constants its nodes use. */
  constants: readonly Constant[];
  /** Values that are live where it begins. */
  live: readonly string[];
}

/** Name of the segment's input that a product's weight comes through. */
export function weightInput({ tensor }: CalibratedProduct): string {
  return `nibble.weight.${tensor}`;
}

/**
 * The part of the graph that `target` needs, cut before the first product of each activation.
 * Null when the nodes are not in the order they are computed in.
 */
export function cutIntoSegments(
  model: Model,
  products: readonly CalibratedProduct[],
  target: string,
): Segment[] | null {
  const [root] = findScopes(model);
  if (!root) return null;
  const productOf = new Map(products.map((product) => [product.node.span.start, product]));
  const inputsOf = (node: Node) => {
    const product = productOf.get(node.span.start);
    return usedNames(node).filter((name, i) => name !== '' && !(product && i === product.input));
  };

  const needed = new Set<Node>();
  const queue = [target];
  const seen = new Set(queue);
  while (queue.length > 0) {
    const node = root.producer.get(queue.pop()!);
    if (!node || needed.has(node)) continue;
    needed.add(node);
    for (const name of inputsOf(node)) {
      if (seen.has(name)) continue;
      seen.add(name);
      queue.push(name);
    }
  }
  const nodes = root.nodes.filter((node) => needed.has(node) && !isConstant(node, root.constants));

  const producedAt = new Map<string, number>();
  const lastUse = new Map<string, number>();
  for (const [at, node] of nodes.entries()) {
    for (const name of inputsOf(node)) {
      if (root.constants.has(name)) continue;
      if (!producedAt.has(name) && root.producer.has(name)) return null;
      if (!producedAt.has(name)) producedAt.set(name, -1);
      lastUse.set(name, at);
    }
    for (const name of node.outputs) if (name !== '') producedAt.set(name, at);
  }
  lastUse.set(target, nodes.length);

  const first = new Map<string, number>();
  for (const [at, node] of nodes.entries()) {
    const product = productOf.get(node.span.start);
    if (product && !first.has(product.activation)) first.set(product.activation, at);
  }
  const starts = [0, ...new Set([...first.values()].filter((at) => at > 0))];
  return starts.map((start, i): Segment => {
    const end = starts[i + 1] ?? nodes.length;
    const own = nodes.slice(start, end);
    const used = new Set(own.flatMap(inputsOf));
    const isLive = (name: string, at: number) => producedAt.get(name)! < at && (lastUse.get(name) ?? -1) >= at;
    const names = [...producedAt.keys()];
    return {
      nodes: own,
      inputs: names.filter((name) => used.has(name) && producedAt.get(name)! < start),
      outputs: names.filter((name) => producedAt.get(name)! >= start && isLive(name, end)),
      products: own.flatMap((node) => productOf.get(node.span.start) ?? []),
      due: products.filter((product) => needed.has(product.node) && first.get(product.activation) === start),
      constants: [...used].flatMap((name) => root.constants.get(name) ?? []),
      live: names.filter((name) => isLive(name, start)),
    };
  });
}

function isConstant(node: Node, constants: ReadonlyMap<string, Constant>): boolean {
  return node.outputs.some((name) => constants.get(name)?.node === node);
}

/** Names a node takes, those its bodies take from outside after its own inputs. */
function usedNames(node: Node): string[] {
  const outer = node.attributes.flatMap(({ graphs }) => graphs.flatMap(freeNames));
  return [...node.inputs, ...outer];
}

function freeNames({ nodes, initializers, sparseInitializers, inputs, outputs }: Graph): string[] {
  const own = new Set([
    ...initializers.map(({ name }) => name),
    ...sparseInitializers.map(({ name }) => name),
    ...inputs.map(({ proto }) => proto.name),
    ...nodes.flatMap((node) => node.outputs),
  ]);
  return [...nodes.flatMap(usedNames), ...outputs.map(({ proto }) => proto.name)].filter((name) => !own.has(name));
}

const GRAPH = 7;
const GRAPH_INPUT = 11;

/**
 * The segment as a model.
 * @param types Element types of its inputs, by name.
 */
export async function encodeSegment(
  file: Blob,
  model: Model,
  segment: Segment,
  types: ReadonlyMap<string, number>,
): Promise<Blob> {
  const weights = new Map(segment.products.map((product) => [product.node.span.start, product]));
  const parts: (Uint8Array | Blob)[] = [];
  for (const { node, tensor } of segment.constants)
    for (const part of node ? [file.slice(node.span.start, node.span.end)] : await initializer(file, model, tensor))
      parts.push(part);
  for (const node of segment.nodes) {
    const product = weights.get(node.span.start);
    if (!product) {
      parts.push(file.slice(node.span.start, node.span.end));
      continue;
    }
    const proto = fromBinary(
      NodeProtoSchema,
      new Uint8Array(await file.slice(node.span.body, node.span.end).arrayBuffer()),
    );
    proto.input[product.input] = weightInput(product);
    const message = toBinary(NodeProtoSchema, proto);
    parts.push(concatBytes([encodeHeader(NODE_FIELD.graph, message.length), message]));
  }
  for (const name of segment.inputs) parts.push(encodeGraphInput(name, types.get(name) ?? 1));
  for (const product of segment.products) parts.push(encodeGraphInput(weightInput(product), 1));
  for (const name of segment.outputs) parts.push(encodeOutput(name));
  const graph = new Blob(parts as BlobPart[]);
  return new Blob([
    encodeIrVersion(Math.max(model.irVersion, 4)),
    ...model.opsets.map(({ domain, version }) => encodeOpset(domain, version)),
    ...model.functions.map(({ span }) => file.slice(span.start, span.end)),
    encodeHeader(GRAPH, graph.size),
    graph,
  ] as BlobPart[]);
}

async function initializer(file: Blob, model: Model, tensor: Tensor): Promise<(Uint8Array | Blob)[]> {
  if (tensor.data.kind !== 'external') return [file.slice(tensor.span.start, tensor.span.end)];
  const bytes = await readTensor(blobSource('The model', file), tensor, model.external);
  const { name, type, dims } = tensor;
  return encodeInitializer<never>({ name, type, dims, data: { kind: 'bytes', bytes } }).flatMap((piece) =>
    piece.kind === 'bytes' ? [piece.bytes] : [],
  );
}

function encodeGraphInput(name: string, elemType: number): Uint8Array {
  const message = toBinary(
    ValueInfoProtoSchema,
    create(ValueInfoProtoSchema, { name, type: { value: { case: 'tensorType', value: { elemType } } } }),
  );
  return concatBytes([encodeHeader(GRAPH_INPUT, message.length), message]);
}
