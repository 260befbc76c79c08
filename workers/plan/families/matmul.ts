/** MatMul and onnxruntime's FusedMatMul, which was called TransposeMatMul before, with a constant on either side. */
import type { Node } from '../../onnx/model.ts';
import { floatAttribute, intAttribute } from '../../onnx/graph/attributes.ts';
import { statedRank, type Scope } from '../../onnx/graph/scopes.ts';
import { viewConstant, type ConstantView } from '../../onnx/graph/constant-view.ts';
import { behindDequantize } from './behind-dequantize.ts';
import { skipped, type Candidate, type Family, type Skipped } from './family.ts';
import { matrixOf, productCandidate } from './product.ts';

export const matMul: Family = {
  operators: ['MatMul', 'com.microsoft:FusedMatMul', 'com.microsoft:TransposeMatMul'],
  find(node, scope) {
    const [right, leftSide] = [viewConstant(scope, node.inputs[1] ?? ''), viewConstant(scope, node.inputs[0] ?? '')];
    if (right) return [onTheRight(node, scope, right)];
    return leftSide ? [onTheLeft(node, scope, leftSide)] : [];
  },
};

/** What FusedMatMul does beside multiplying; null when it is a MatMul after all, but for the turning of its second factor. */
function fused(node: Node): string | null {
  if (node.domain === '') return null;
  for (const name of ['transA', 'transBatchA', 'transBatchB'])
    if (intAttribute(node, name, 0) !== 0) return `FusedMatMul with ${name}, which has no quantized form`;
  return floatAttribute(node, 'alpha', 1) === 1 ? null : 'FusedMatMul scales its result, which has no quantized form';
}

function onTheRight(node: Node, scope: Scope, seen: ConstantView): Candidate | Skipped {
  const turned = node.domain !== '' && intAttribute(node, 'transB', 0) === 1;
  const matrix = matrixOf(seen, turned);
  if (!matrix) return stack(node, scope, 1, seen, turned);
  const [activation = '', ,] = node.inputs;
  const rank = seen.view.dims.length;
  const stays =
    fused(node) ??
    (rank === 2 || rankOf(scope, node, activation) >= rank
      ? null
      : `MatMul gives its result ${rank} dimensions, and how many the other factor has is not stated`);
  return productCandidate({
    node,
    scope,
    seen,
    input: 1,
    matrix,
    turned,
    activation,
    before: null,
    after: null,
    bias: null,
    stays,
  });
}

/** W·x is (xᵀ·Wᵀ)ᵀ, which takes knowing how many dimensions x has. */
function onTheLeft(node: Node, scope: Scope, seen: ConstantView): Candidate | Skipped {
  const matrix = seen.view.dims.length === 2 ? matrixOf(seen, true) : null;
  if (!matrix) return stack(node, scope, 0, seen, true);
  const [, activation = ''] = node.inputs;
  const rank = rankOf(scope, node, activation);
  const swap =
    rank >= 2 ? Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis)) : null;
  const stays =
    node.domain !== ''
      ? 'first factor of FusedMatMul, which has no quantized form'
      : rank === 0
        ? 'first factor of MatMul, and how many dimensions the other has is not stated'
        : null;
  return productCandidate({
    node,
    scope,
    seen,
    input: 0,
    matrix,
    turned: true,
    activation,
    before: swap,
    after: swap,
    bias: null,
    stays,
  });
}

/** Rank of the other factor: as stated, or that of the result where that tells; 0 when unknown. */
function rankOf(scope: Scope, node: Node, activation: string): number {
  return statedRank(scope, activation) ?? statedRank(scope, node.outputs[0] ?? '') ?? 0;
}

/** Several matrices, as mixtures of experts have them: no product in blocks takes those, but a scale an output can be shared by all. */
function stack(node: Node, scope: Scope, input: number, seen: ConstantView, turned: boolean): Candidate | Skipped {
  const { dims } = seen.view;
  if (dims.length < 2) return skipped(seen.constant, 'a vector or a number: small, and kept exact');
  const candidate = behindDequantize(node, scope, input, seen, dims.length - (turned ? 2 : 1));
  return {
    ...candidate,
    offer: (level) =>
      level.linear
        ? candidate.offer(level)
        : `a stack of matrices [${dims.join(', ')}], for which there is no product in blocks`,
  };
}
