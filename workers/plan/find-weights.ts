/**
 * Finds the weights a level can quantize: second inputs of MatMul that are 2-D constants, directly or seen through a
 * Transpose (as exports tie the output projection to the embedding), and embedding tables that Gather looks tokens up in.
 */
import type { Node, Tensor } from '../onnx/scan.ts';
import { intAttribute, intsAttribute, type GraphIndex } from './graph-index.ts';

/** A constant matrix [K, N] that MatMul nodes multiply by. */
export interface MatMulWeight {
  tensor: Tensor;
  /** How the tensor lies: `kn` is [K, N]; `nk` is [N, K], turned round by `transposes`. */
  layout: 'kn' | 'nk';
  k: number;
  n: number;
  nodes: { node: Node; /** The Transpose between tensor and node, for `nk`. */ transpose: Node | null; head: boolean }[];
}

/** A table [V, D] that Gather nodes take rows of by token id. */
export interface EmbeddingTable { tensor: Tensor; rows: number; width: number; nodes: Node[] }

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
      const key = `${weight.layout} ${weight.tensor.name}`;
      const [rows = 0, columns = 0] = weight.tensor.dims;
      const known = matMuls.get(key) ?? {
        tensor: weight.tensor, layout: weight.layout,
        k: weight.layout === 'kn' ? rows : columns, n: weight.layout === 'kn' ? columns : rows, nodes: [],
      };
      known.nodes.push({ node, transpose: weight.transpose, head: heads.has(node) });
      matMuls.set(key, known);
    } else if (node.type === 'Gather' && isTokenLookup(index, node)) {
      const tensor = index.initializers.get(node.inputs[0] ?? '');
      const [rows = 0, width = 0] = tensor?.dims ?? [];
      if (!tensor || tensor.dims.length !== 2) continue;
      const known = embeddings.get(tensor.name) ?? { tensor, rows, width, nodes: [] };
      known.nodes.push(node);
      embeddings.set(tensor.name, known);
    }
  }
  return { matMuls: [...matMuls.values()], embeddings: [...embeddings.values()] };
}

function constantMatrix(index: GraphIndex, value: string): { tensor: Tensor; layout: 'kn' | 'nk'; transpose: Node | null } | null {
  const direct = index.initializers.get(value);
  if (direct) return direct.dims.length === 2 ? { tensor: direct, layout: 'kn', transpose: null } : null;
  const transpose = index.producer.get(value);
  if (transpose?.type !== 'Transpose' || transpose.domain !== '') return null;
  const tensor = index.initializers.get(transpose.inputs[0] ?? '');
  const permutation = intsAttribute(transpose, 'perm') ?? [1, 0];
  if (tensor?.dims.length !== 2 || permutation[0] !== 1) return null;
  return { tensor, layout: 'nk', transpose };
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
  if (intAttribute(gather, 'axis', 0) !== 0) return false;
  let value = gather.inputs[1] ?? '';
  for (let steps = 0; steps < 8; steps++) {
    if (index.inputs.has(value) && !index.initializers.has(value)) return !NOT_TOKENS.test(value);
    const node = index.producer.get(value);
    if (!node || !SHAPE_ONLY.has(node.type)) return false;
    value = node.inputs[0] ?? '';
  }
  return false;
}
