/** What a graph tells about its inputs beyond their declared shapes: from the operators that take them first. */
import { elementCount } from '../../onnx/numbers/element-types.ts';
import type { Node, Tensor } from '../../onnx/model.ts';
import { scanModel } from '../../onnx/scan.ts';
import { indexGraph, intAttribute, type GraphIndex } from '../../plan/graph/graph-index.ts';
import { blobSource } from '../../io/source.ts';

export interface InputHint {
  /** Whole numbers must be below this: the rows of the smallest table they look up. */
  below: number | null;
  /** Sizes of axes that a weight fixes, by axis; negative axes count from the end. */
  sizes: { axis: number; size: number }[];
  /** Whether the first operator that does something with it is a convolution over two dimensions. */
  convolved: boolean;
}

export type InputHints = ReadonlyMap<string, InputHint>;

/** Passes values on as they are; Reshape and its kin in another shape. */
const SAME_SHAPE = new Set(['Cast', 'Identity', 'Clip']);
const OTHER_SHAPE = new Set(['Reshape', 'Unsqueeze', 'Squeeze', 'Flatten', 'Transpose']);
const MAX_STEPS = 8;
/** EmbedLayerNormalization's tables, by the input that holds the indices. */
const EMBED_TABLES: Readonly<Record<number, number>> = { 0: 2, 1: 4, 8: 3 };

/** Reads the graph of a model; empty for one that cannot be read, which is for the runtime to say. */
export async function readInputHints(model: Blob): Promise<InputHints> {
  try {
    const { graph } = await scanModel(blobSource('model', model));
    const index = indexGraph(graph);
    const names = graph.inputs.map(({ proto }) => proto.name).filter((name) => !index.initializers.has(name));
    return new Map(names.map((name) => [name, hintFor(index, name)]));
  } catch {
    return new Map();
  }
}

function hintFor(index: GraphIndex, input: string): InputHint {
  const hint: InputHint = { below: null, sizes: [], convolved: false };
  follow(index, input, true, 0, hint, new Map());
  return hint;
}

/** @param reached In how few steps values were reached, so that branches that meet again are followed once. */
function follow(
  index: GraphIndex,
  value: string,
  sameShape: boolean,
  steps: number,
  hint: InputHint,
  reached: Map<string, number>,
): void {
  const place = `${String(sameShape)} ${value}`;
  if (steps > MAX_STEPS || (reached.get(place) ?? Infinity) <= steps) return;
  reached.set(place, steps);
  for (const { node, input } of index.uses.get(value) ?? []) {
    const rows = tableRows(index, node, input);
    if (rows !== null) hint.below = Math.min(hint.below ?? Infinity, rows);
    if (sameShape && input === 0) {
      for (const size of weightSizes(index, node)) hint.sizes.push(size);
      hint.convolved ||= node.type === 'Conv' && constant(index, node.inputs[1])?.dims.length === 4;
    }
    if (node.domain === '' && input === 0 && (SAME_SHAPE.has(node.type) || OTHER_SHAPE.has(node.type))) {
      for (const output of node.outputs)
        follow(index, output, sameShape && SAME_SHAPE.has(node.type), steps + 1, hint, reached);
    }
  }
}

/** Rows of the constant table a node looks `input` up in. */
function tableRows(index: GraphIndex, node: Node, input: number): number | null {
  // Words, segments and positions, by their tables.
  if (node.type === 'EmbedLayerNormalization')
    return constant(index, node.inputs[EMBED_TABLES[input] ?? -1])?.dims[0] ?? null;
  if (input !== 1 || !/^Gather(BlockQuantized|Elements)?$/.test(node.type)) return null;
  const table = constant(index, node.inputs[0]);
  const axis = intAttribute(node, node.type === 'GatherBlockQuantized' ? 'gather_axis' : 'axis', 0);
  return table && elementCount(table.dims) > 0 ? (table.dims.at(axis) ?? null) : null;
}

function weightSizes(index: GraphIndex, node: Node): InputHint['sizes'] {
  if (node.type === 'MatMulNBits')
    return [{ axis: -1, size: intAttribute(node, 'K', 0) }].filter(({ size }) => size > 0);
  if (node.domain !== '') return [];
  const dims = constant(index, node.inputs[1])?.dims;
  if (!dims) return [];
  if (node.type === 'MatMul' && dims.length === 2) return [{ axis: -1, size: dims[0]! }];
  if (node.type === 'Gemm' && dims.length === 2 && intAttribute(node, 'transA', 0) === 0) {
    return [{ axis: -1, size: intAttribute(node, 'transB', 0) === 1 ? dims[1]! : dims[0]! }];
  }
  if (node.type === 'Conv' && dims.length >= 3) return [{ axis: 1, size: dims[1]! * intAttribute(node, 'group', 1) }];
  return [];
}

/** An initializer, seen through operators that keep it as it is or turn a matrix round. */
function constant(index: GraphIndex, name: string | undefined): Pick<Tensor, 'dims'> | null {
  let value = name ?? '';
  let turned = false;
  for (let step = 0; step < MAX_STEPS; step++) {
    const tensor = index.initializers.get(value);
    if (tensor) return turned ? { dims: tensor.dims.toReversed() } : tensor;
    const node = index.producer.get(value);
    if (!node || !['Cast', 'Identity', 'DequantizeLinear', 'Transpose'].includes(node.type)) return null;
    turned = turned !== (node.type === 'Transpose');
    value = node.inputs[0] ?? '';
  }
  return null;
}
