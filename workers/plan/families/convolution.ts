/** Conv and ConvTranspose: weights for each output channel behind a DequantizeLinear, or ConvInteger for dynamic uint8. */
import { int64Tensor, type NewNode } from '../../onnx/writing/encode.ts';
import type { Node } from '../../onnx/model.ts';
import type { LinearWeights, ResolvedLevel } from '../../contract/levels/scheme.ts';
import { hasReferences } from '../../onnx/graph/attributes.ts';
import { opsetOf, type Scope } from '../../onnx/graph/scopes.ts';
import { whyNotLinear } from '../store.ts';
import { viewConstant, type ConstantView } from '../../onnx/graph/constant-view.ts';
import { behindDequantize } from './behind-dequantize.ts';
import { skipped, type Family, type Rewrite, type RewriteTarget } from './family.ts';
import { integerProduct } from './product.ts';

export const convolution: Family = {
  operators: ['Conv', 'ConvTranspose', 'com.microsoft:FusedConv'],
  find(node, scope) {
    const seen = viewConstant(scope, node.inputs[1] ?? '');
    if (!seen) return [];
    if (seen.view.dims.length < 3)
      return [skipped(seen.constant, `${node.type} takes it in fewer dimensions than a convolution has`)];
    // [outputs, inputs/group, …], and the other way round when transposed.
    const channels = node.type === 'ConvTranspose' ? 1 : 0;
    return [behindDequantize(node, scope, 1, seen, channels, (level) => asIntegers(node, scope, seen, level))];
  },
};

/** onnxruntime's ConvInteger runs with uint8 weights and one scale only; null where the weight goes behind a DequantizeLinear. */
function asIntegers(
  node: Node,
  scope: Scope,
  seen: ConstantView,
  { form, linear }: ResolvedLevel,
): Rewrite | string | null {
  if (
    form !== 'dynamic' ||
    linear?.type !== 'uint8' ||
    node.type !== 'Conv' ||
    opsetOf(scope) < 11 ||
    hasReferences(node)
  )
    return null;
  return (
    whyNotLinear(seen, null) ?? {
      write: (to) => {
        writeIntegers(node, scope, seen, linear, to);
      },
    }
  );
}

function writeIntegers(
  node: Node,
  scope: Scope,
  seen: ConstantView,
  weights: LinearWeights,
  { draft, store, activations }: RewriteTarget,
): void {
  const [x = '', , bias = ''] = node.inputs;
  const [output = ''] = node.outputs;
  const { activation, nodes } = activations.quantized(scope, x, seen.type);
  const product = bias === '' ? output : draft.unique(`${output}_product`);
  draft.replace(scope, node, [
    ...nodes,
    ...integerProduct(
      'ConvInteger',
      {
        activation,
        linear: store.linear(seen, null, weights),
        type: seen.type,
        output: product,
        name: node.name,
        taken: node.attributes.map(({ proto }) => proto),
      },
      draft,
    ),
    ...(bias === '' ? [] : biasNodes()),
  ]);
  draft.markBypassed(seen.via);

  /** [outputs] along the second dimension, as Conv adds it. */
  function biasNodes(): NewNode[] {
    const shaped = draft.unique(`${bias}_reshaped`);
    const target = draft.unique(`${bias}_shape`);
    const dims = [1, -1, ...seen.view.dims.slice(2).map(() => 1)];
    draft.add(scope, { tensor: int64Tensor(target, dims), why: `shape of the bias of ${node.name || node.type}` });
    return [
      { type: 'Reshape', domain: '', name: shaped, inputs: [bias, target], outputs: [shaped], attributes: {} },
      {
        type: 'Add',
        domain: '',
        name: draft.unique(`${output}_add`),
        inputs: [product, shaped],
        outputs: [output],
        attributes: {},
      },
    ];
  }
}
