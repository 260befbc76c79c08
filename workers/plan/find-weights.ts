/**
 * Finds the weights a level can quantize: second inputs of MatMul that are 2-D constants, and embedding tables that
 * Gather looks tokens up in. A constant may be seen through Transpose (as exports tie the output projection to the
 * embedding), through a Cast that widens fp16 to float32 (as files with fp16 weights and float32 arithmetic have it),
 * and through Identity.
 */
import { FLOAT16, FLOAT32 } from '../onnx/element-types.ts';
import type { Node, Tensor } from '../onnx/model.ts';
import { intAttribute, intsAttribute, type GraphIndex } from './graph-index.ts';

/** Nodes between an initializer and its use, nearest to the use first. */
export type Via = readonly Node[];

/** A constant matrix [K, N] that MatMul nodes multiply by. */
export interface MatMulWeight {
  tensor: Tensor;
  /** How the tensor lies: `kn` is [K, N]; `nk` is [N, K], turned round on the way. */
  layout: 'kn' | 'nk';
  k: number;
  n: number;
  /** Element type the MatMul computes in: the tensor's own, or what a Cast makes of it. */
  type: number;
  nodes: { node: Node; via: Via; head: boolean }[];
}

/** A table [V, D] that Gather nodes take rows of by token id. */
export interface EmbeddingTable {
  tensor: Tensor; rows: number; width: number; type: number;
  /** Whether its rows are looked up by token ids; position and rotary tables are not. */
  tokens: boolean;
  nodes: { node: Node; via: Via }[];
}

export interface Weights { matMuls: MatMulWeight[]; embeddings: EmbeddingTable[] }

export function findWeights(index: GraphIndex): Weights {
  const heads = findHeads(index);
  const matMuls = new Map<string, MatMulWeight>();
  const embeddings = new Map<string, EmbeddingTable>();
  for (const node of index.graph.nodes) {
    if (node.domain !== '') continue;
    if (node.type === 'MatMul') {
      const weight = constantMatrix(index, node.inputs[1] ?? '');
      if (!weight) continue;
      const key = `${weight.layout} ${weight.type} ${weight.tensor.name}`;
      const [rows = 0, columns = 0] = weight.tensor.dims;
      const known = matMuls.get(key) ?? {
        tensor: weight.tensor, layout: weight.layout, type: weight.type,
        k: weight.layout === 'kn' ? rows : columns, n: weight.layout === 'kn' ? columns : rows, nodes: [],
      };
      known.nodes.push({ node, via: weight.via, head: heads.has(node) });
      matMuls.set(key, known);
    } else if (node.type === 'Gather' && intAttribute(node, 'axis', 0) === 0) {
      const table = constantMatrix(index, node.inputs[0] ?? '');
      if (table?.layout !== 'kn' || !isFloat(table.tensor)) continue;
      const { tensor, type, via } = table;
      const [rows = 0, width = 0] = tensor.dims;
      const known = embeddings.get(tensor.name) ?? { tensor, rows, width, type, tokens: false, nodes: [] };
      known.tokens ||= isTokenLookup(index, node);
      known.nodes.push({ node, via });
      embeddings.set(tensor.name, known);
    }
  }
  return { matMuls: [...matMuls.values()], embeddings: [...embeddings.values()] };
}

function constantMatrix(index: GraphIndex, value: string): { tensor: Tensor; layout: 'kn' | 'nk'; type: number; via: Via } | null {
  const via: Node[] = [];
  let turned = false;
  let type: number | null = null;
  let name = value;
  for (let steps = 0; steps < 6; steps++) {
    const tensor = index.initializers.get(name);
    if (tensor) return tensor.dims.length === 2 && (type === null || tensor.type === FLOAT16) ? { tensor, layout: turned ? 'nk' : 'kn', type: type ?? tensor.type, via } : null;
    const node = index.producer.get(name);
    if (node?.domain !== '') return null;
    if (node.type === 'Transpose') {
      if ((intsAttribute(node, 'perm') ?? [1, 0])[0] === 1) turned = !turned;
    } else if (node.type === 'Cast' && type === null && intAttribute(node, 'to', 0) === FLOAT32) {
      type = FLOAT32;
    } else if (node.type !== 'Identity') {
      return null;
    }
    via.push(node);
    name = node.inputs[0] ?? '';
  }
  return null;
}

function isFloat({ type }: Tensor): boolean {
  return type === FLOAT32 || type === FLOAT16;
}

/** Between the output projection and the graph's output stand at most a few operators that act on single elements. */
const ELEMENTWISE = new Set(['Cast', 'Identity', 'Add', 'Mul', 'Div', 'Tanh', 'Reshape', 'Squeeze']);

/** The MatMul that a float output of rank 2 or 3 comes from: the output projection, when its N is that output's width. */
function findHeads(index: GraphIndex): Set<Node> {
  const heads = new Set<Node>();
  for (const { proto } of index.graph.outputs) {
    const type = proto.type?.value;
    if (type?.case !== 'tensorType') continue;
    const rank = type.value.shape?.dim.length ?? 3;
    if (rank < 2 || rank > 3) continue;
    let value = proto.name;
    for (let steps = 0; steps < 8; steps++) {
      const node = index.producer.get(value);
      if (node?.domain !== '') break;
      if (node.type === 'MatMul') {
        if (constantMatrix(index, node.inputs[1] ?? '')) heads.add(node);
        break;
      }
      if (!ELEMENTWISE.has(node.type)) break;
      // The other operand of a bias or a scale is a constant, which no node makes.
      value = node.inputs.find((name) => index.producer.has(name)) ?? '';
    }
  }
  return heads;
}

const SHAPE_ONLY = new Set(['Cast', 'Identity', 'Reshape', 'Unsqueeze', 'Squeeze', 'Flatten']);
const NOT_TOKENS = /position|mask|type|segment/i;

/** Whether a Gather's indices are a graph input that holds token ids; position and segment tables are left alone. */
function isTokenLookup(index: GraphIndex, gather: Node): boolean {
  let value = gather.inputs[1] ?? '';
  for (let steps = 0; steps < 8; steps++) {
    if (index.inputs.has(value) && !index.initializers.has(value)) return !NOT_TOKENS.test(value);
    const node = index.producer.get(value);
    if (!node || !SHAPE_ONLY.has(node.type)) return false;
    value = node.inputs[0] ?? '';
  }
  return false;
}
