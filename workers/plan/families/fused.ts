/**
 * onnxruntime's own operators that hold a product inside, as its graph optimizer and its model builder write them:
 * Attention, EmbedLayerNormalization, MoE, FusedGemm (ContribOperators.md). None takes blocks of 4 bits; at 8 bits their
 * weights stand behind a DequantizeLinear, and Attention becomes QAttention where activations are quantized, too.
 */
import type { Node } from '../../onnx/model.ts';
import type { ResolvedLevel } from '../../contract/levels/scheme.ts';
import { FLOAT32 } from '../../onnx/numbers/element-types.ts';
import { CONTRIB } from '../draft.ts';
import { hasReferences, intAttribute } from '../../onnx/graph/attributes.ts';
import { opsetOf, type Scope } from '../../onnx/graph/scopes.ts';
import { whyNotLinear } from '../store.ts';
import { viewConstant, type ConstantView } from '../../onnx/graph/constant-view.ts';
import { behindDequantize } from './behind-dequantize.ts';
import { skipped, type Candidate, type Family, type Skipped, type Rewrite } from './family.ts';

/** A weight of a fused operator: which input it is, how many dimensions it has, and which of them is its channels. */
interface Held {
  input: number;
  rank: number;
  channels: number;
  role: Candidate['role'];
}

const weight = (input: number, rank: number, channels: number): Held => ({ input, rank, channels, role: 'weight' });

const HELD: Readonly<Record<string, (node: Node) => readonly Held[]>> = {
  // [inputs, queries and keys and values]
  'com.microsoft:Attention': () => [weight(1, 2, 1)],
  'com.microsoft:FusedGemm': (node) => [weight(1, 2, intAttribute(node, 'transB', 0) !== 0 ? 0 : 1)],
  // Tables of words, positions and segments: a scale a row.
  'com.microsoft:EmbedLayerNormalization': () => [
    { ...weight(2, 2, 0), role: 'tokens' },
    { ...weight(3, 2, 0), role: 'table' },
    { ...weight(4, 2, 0), role: 'table' },
  ],
  // [experts, outputs, inputs]: a scale an output, which the experts share.
  'com.microsoft:MoE': () => [weight(2, 3, 1), weight(4, 3, 1), weight(6, 3, 1)],
};

export const fused: Family = {
  operators: Object.keys(HELD),
  find(node, scope) {
    return (HELD[`${node.domain}:${node.type}`]?.(node) ?? []).flatMap(
      ({ input, rank, channels, role }): (Candidate | Skipped)[] => {
        const seen = viewConstant(scope, node.inputs[input] ?? '');
        if (!seen) return [];
        if (seen.view.dims.length !== rank)
          return [skipped(seen.constant, `${node.type} takes it in other than ${rank} dimensions`)];
        const instead =
          node.type === 'Attention' ? (level: ResolvedLevel) => asQAttention(node, scope, seen, level) : undefined;
        return [{ ...behindDequantize(node, scope, input, seen, channels, instead), role }];
      },
    );
  },
};

const MOST_INPUTS = 5;
const TAKEN_OVER = new Set(['num_heads', 'unidirectional', 'mask_filter_value', 'scale']);

/**
 * As onnxruntime's quantize_dynamic has it (its operators/attention.py). QAttention knows neither an attention bias nor
 * queries of another width than keys and values, wants a bias, and computes in float32 only; null for nodes it cannot be.
 */
function asQAttention(
  node: Node,
  scope: Scope,
  seen: ConstantView,
  { form, linear }: ResolvedLevel,
): Rewrite | string | null {
  const [x = '', , bias = '', mask = '', past = ''] = node.inputs;
  const fits =
    bias !== '' &&
    node.inputs.slice(MOST_INPUTS).every((name) => name === '') &&
    node.attributes.every(({ proto }) => TAKEN_OVER.has(proto.name));
  if (form !== 'dynamic' || !linear || !fits || seen.type !== FLOAT32 || opsetOf(scope) < 11 || hasReferences(node))
    return null;
  const axis = linear.perChannel ? 1 : null;
  return (
    whyNotLinear(seen, axis) ?? {
      write({ draft, store, activations }) {
        const { codes, scales, zeroPoints } = store.linear(seen, axis, linear);
        const { activation, nodes } = activations.quantized(scope, x, seen.type);
        draft.replace(scope, node, [
          ...nodes,
          {
            type: 'QAttention',
            domain: CONTRIB,
            name: node.name,
            outputs: node.outputs,
            attributes: {},
            taken: node.attributes.map(({ proto }) => proto),
            inputs: [
              activation.value,
              codes,
              bias,
              activation.scale,
              scales,
              mask,
              activation.zeroPoint,
              zeroPoints,
              ...(past === '' ? [] : [past]),
            ],
          },
        ]);
        draft.markBypassed(seen.via);
      },
    }
  );
}
