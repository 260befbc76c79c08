/** Tables that Gather takes rows of: embeddings, positions, rotary angles. */
import type { Node } from '../../onnx/model.ts';
import type { BlockedWeights, LinearWeights, ResolvedLevel } from '../../contract/levels/scheme.ts';
import { CONTRIB } from '../draft.ts';
import { hasReferences, intAttribute } from '../../onnx/graph/attributes.ts';
import { definingScope, type Scope } from '../../onnx/graph/scopes.ts';
import { dequantizeNodes, whyNotBlocked, whyNotLinear, type Matrix } from '../store.ts';
import { isContiguous, viewConstant, type ConstantView } from '../../onnx/graph/constant-view.ts';
import { skipped, type Family, type Rewrite, type RewriteTarget } from './family.ts';

/** onnxruntime's quantizer gives tables the whole range of uint8 and one scale. */
const TABLE: LinearWeights = { type: 'uint8', symmetric: false, perChannel: false };

export const gather: Family = {
  operators: ['Gather'],
  find(node, scope) {
    const seen = viewConstant(scope, node.inputs[0] ?? '');
    if (!seen) return [];
    if (seen.view.dims.length < 2) return [skipped(seen.constant, 'a vector or a number: small, and kept exact')];
    return [
      {
        kind: 'candidate',
        node,
        scope,
        seen,
        role: isTokenLookup(scope, node) ? 'tokens' : 'table',
        outputs: 0,
        offer: (level) => offer(node, scope, seen, level),
      },
    ];
  },
};

function offer(node: Node, scope: Scope, seen: ConstantView, { weights, form }: ResolvedLevel): Rewrite | string {
  if (hasReferences(node)) return 'an attribute is given by the function around it';
  if (!weights || form === 'dequantize')
    return (
      whyNotLinear(seen, null) ?? {
        write: (to) => {
          writeLinear(node, scope, seen, to);
        },
      }
    );
  const [rows = 0, width = 0] = seen.view.dims;
  if (seen.view.dims.length !== 2 || intAttribute(node, 'axis', 0) !== 0 || !isContiguous(seen.view))
    return 'GatherBlockQuantized takes only rows of a table of two dimensions';
  // Each row is quantized along its width, as the weights of one output of a product are.
  const table: Matrix = { seen, layout: 'nk', k: width, n: rows, view: null };
  return (
    whyNotBlocked(table, weights) ??
    ((width * weights.bits) % 8 === 0
      ? null
      : `rows of ${width} values do not end on a byte at ${weights.bits} bits`) ?? {
      write: (to) => {
        writeBlocks(node, scope, table, weights, to);
      },
    }
  );
}

function writeBlocks(
  node: Node,
  scope: Scope,
  table: Matrix,
  weights: BlockedWeights,
  { draft, store }: RewriteTarget,
): void {
  const made = store.blocked(table, weights);
  const codes = made.rows ?? store.addCodes(made, 'rows', [table.n, (table.k * weights.bits) / 8]);
  draft.replace(scope, node, [
    {
      type: 'GatherBlockQuantized',
      domain: CONTRIB,
      name: node.name,
      inputs: [codes, node.inputs[1] ?? '', made.scales, ...(made.zeroPoints === null ? [] : [made.zeroPoints])],
      outputs: node.outputs,
      attributes: { bits: weights.bits, block_size: weights.block, gather_axis: 0, quantize_axis: 1 },
    },
  ]);
  draft.markBypassed(table.seen.via);
}

/** Rows of codes, dequantized after they were taken; who computes with integers takes them as they are. */
function writeLinear(node: Node, scope: Scope, seen: ConstantView, { draft, store, activations }: RewriteTarget): void {
  const linear = store.linear(seen, null, TABLE);
  const [output = ''] = node.outputs;
  const rows = draft.unique(`${output}_quantized`);
  activations.announce(scope, output, { value: rows, scale: linear.scales, zeroPoint: linear.zeroPoints });
  draft.later(() => {
    const needed = !draft.isDead(scope, output);
    draft.replace(scope, node, [
      {
        type: 'Gather',
        domain: '',
        name: node.name,
        inputs: [linear.codes, node.inputs[1] ?? ''],
        outputs: [rows],
        attributes: {},
        taken: node.attributes.map(({ proto }) => proto),
      },
      ...(needed
        ? dequantizeNodes(draft, scope, {
            codes: rows,
            scales: linear.scales,
            zeroPoints: linear.zeroPoints,
            axis: null,
            type: seen.type,
            output,
          })
        : []),
    ]);
    draft.markBypassed(seen.via);
  });
}

const SHAPE_ONLY = new Set(['Cast', 'Identity', 'Reshape', 'Unsqueeze', 'Squeeze', 'Flatten']);
const NOT_TOKENS = /position|mask|type|segment/i;

/** Whether a Gather's indices are an input of the model that holds token ids; position and segment tables are left alone. */
export function isTokenLookup(scope: Scope, node: Node): boolean {
  let value = node.inputs[1] ?? '';
  for (let steps = 0; steps < 8; steps++) {
    const owner = definingScope(scope, value);
    if (!owner || owner.constants.has(value)) return false;
    const maker = owner.producer.get(value);
    if (!maker) return owner.kind === 'graph' && !owner.parent && !NOT_TOKENS.test(value);
    if (!SHAPE_ONLY.has(maker.type)) return false;
    value = maker.inputs[0] ?? '';
  }
  return false;
}
