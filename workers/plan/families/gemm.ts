/** Gemm with a constant second factor: alpha·A·B + beta·C. */
import { viewConstant, type ConstantView } from '../../onnx/graph/constant-view.ts';
import { floatAttribute, intAttribute } from '../../onnx/graph/attributes.ts';
import { opsetOf, statedRank, type Scope } from '../../onnx/graph/scopes.ts';
import type { Node } from '../../onnx/model.ts';
import { skipped, type Family } from './family.ts';
import { matrixOf, productCandidate, type Product } from './product.ts';

export const gemm: Family = {
  operators: ['Gemm'],
  find(node, scope) {
    const seen = viewConstant(scope, node.inputs[1] ?? '');
    const first = viewConstant(scope, node.inputs[0] ?? '');
    if (!seen) return first ? [skipped(first.constant, 'first factor of Gemm, which has no quantized form')] : [];
    const turned = intAttribute(node, 'transB', 0) !== 0;
    const matrix = seen.view.dims.length === 2 ? matrixOf(seen, turned) : null;
    if (!matrix) return [skipped(seen.constant, 'Gemm takes it as something else than a matrix')];
    const before = intAttribute(node, 'transA', 0) !== 0 ? [1, 0] : null;
    return [
      productCandidate({
        node,
        scope,
        seen,
        input: 1,
        matrix,
        turned,
        activation: node.inputs[0] ?? '',
        before,
        after: null,
        bias: biasOf(node, scope, seen, matrix.n),
        stays: whyItStays(node, scope),
      }),
    ];
  },
};

function whyItStays(node: Node, scope: Scope): string | null {
  if (opsetOf(scope) < 7) return `Gemm of operator set ${opsetOf(scope)} adds its bias by older rules`;
  const rank = statedRank(scope, node.inputs[0] ?? '');
  if (rank !== null && rank !== 2)
    return `Gemm takes matrices, and its first factor is stated to have ${rank} dimensions`;
  if (floatAttribute(node, 'alpha', 1) !== 1) return 'Gemm scales the product (alpha), which MatMulNBits does not';
  return (node.inputs[2] ?? '') !== '' && floatAttribute(node, 'beta', 1) !== 1
    ? 'Gemm scales its bias (beta), which MatMulNBits does not'
    : null;
}

function biasOf(node: Node, scope: Scope, { type }: ConstantView, n: number): Product['bias'] {
  const name = node.inputs[2] ?? '';
  if (name === '') return null;
  const constant = viewConstant(scope, name);
  return { name, fits: constant?.type === type && constant.view.dims.length === 1 && constant.view.dims[0] === n };
}
