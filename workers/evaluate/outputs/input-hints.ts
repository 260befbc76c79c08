/** What a graph tells about its inputs beyond their declared shapes: from the operators that take them first. */
import { elementCount } from '../../onnx/numbers/element-types.ts';
import type { Node } from '../../onnx/model.ts';
import { constantDims } from '../../onnx/graph/constant-view.ts';
import { mainScope, type Scope } from '../../onnx/graph/scopes.ts';
import { scanModel } from '../../onnx/scan.ts';
import { intAttribute } from '../../onnx/graph/attributes.ts';
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
    const scope = mainScope(await scanModel(blobSource('model', model)));
    const names = [...scope.inputs].filter((name) => !scope.constants.has(name));
    return new Map(names.map((name) => [name, hintFor(scope, name)]));
  } catch {
    return new Map();
  }
}

function hintFor(scope: Scope, input: string): InputHint {
  const hint: InputHint = { below: null, sizes: [], convolved: false };
  follow(scope, input, true, 0, hint, new Map());
  return hint;
}

/** @param reached In how few steps values were reached, so that branches that meet again are followed once. */
function follow(
  scope: Scope,
  value: string,
  sameShape: boolean,
  steps: number,
  hint: InputHint,
  reached: Map<string, number>,
): void {
  const place = `${String(sameShape)} ${value}`;
  if (steps > MAX_STEPS || (reached.get(place) ?? Infinity) <= steps) return;
  reached.set(place, steps);
  for (const { node, input } of scope.uses.get(value) ?? []) {
    const rows = tableRows(scope, node, input);
    if (rows !== null) hint.below = Math.min(hint.below ?? Infinity, rows);
    if (sameShape && input === 0) {
      for (const size of weightSizes(scope, node)) hint.sizes.push(size);
      hint.convolved ||= node.type === 'Conv' && constantDims(scope, node.inputs[1] ?? '')?.length === 4;
    }
    if (node.domain === '' && input === 0 && (SAME_SHAPE.has(node.type) || OTHER_SHAPE.has(node.type))) {
      for (const output of node.outputs)
        follow(scope, output, sameShape && SAME_SHAPE.has(node.type), steps + 1, hint, reached);
    }
  }
}

/** Rows of the constant table a node looks `input` up in. */
function tableRows(scope: Scope, node: Node, input: number): number | null {
  // Words, segments and positions, by their tables.
  if (node.type === 'EmbedLayerNormalization')
    return constantDims(scope, node.inputs[EMBED_TABLES[input] ?? -1] ?? '')?.[0] ?? null;
  if (input !== 1 || !/^Gather(BlockQuantized|Elements)?$/.test(node.type)) return null;
  const table = constantDims(scope, node.inputs[0] ?? '');
  const axis = intAttribute(node, node.type === 'GatherBlockQuantized' ? 'gather_axis' : 'axis', 0);
  return table && elementCount(table) > 0 ? (table.at(axis) ?? null) : null;
}

function weightSizes(scope: Scope, node: Node): InputHint['sizes'] {
  if (node.type === 'MatMulNBits')
    return [{ axis: -1, size: intAttribute(node, 'K', 0) }].filter(({ size }) => size > 0);
  if (node.domain !== '') return [];
  const dims = constantDims(scope, node.inputs[1] ?? '');
  if (!dims) return [];
  if (node.type === 'MatMul' && dims.length === 2) return [{ axis: -1, size: dims[0]! }];
  if (node.type === 'Gemm' && dims.length === 2 && intAttribute(node, 'transA', 0) === 0) {
    return [{ axis: -1, size: intAttribute(node, 'transB', 0) === 1 ? dims[1]! : dims[0]! }];
  }
  if (node.type === 'Conv' && dims.length >= 3) return [{ axis: 1, size: dims[1]! * intAttribute(node, 'group', 1) }];
  return [];
}
