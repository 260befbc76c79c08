/** The products of a model whose weights can be calibrated: those of the main graph that multiply activations from the right. */
import type { Node } from '../onnx/model.ts';
import type { PlanInput } from '../plan/plan.ts';
import { floatAttribute, intAttribute } from '../onnx/graph/attributes.ts';
import { matrixOf } from '../plan/families/product.ts';

export interface CalibratedProduct {
  node: Node;
  /** Name of the constant that holds the weight. */
  tensor: string;
  /** Position of the weight among the node's inputs. */
  input: number;
  /** The value it is multiplied with, [..., K]. */
  activation: string;
  k: number;
  n: number;
  /** Shape of the weight as the node sees it. */
  dims: readonly number[];
  /** Whether the node sees [N, K]. */
  turned: boolean;
}

/**
 * Every product of the main graph with a weight of its own. A weight that several nodes multiply with is left out: it has
 * no single input.
 */
export function findProducts({ candidates, scopes }: PlanInput): CalibratedProduct[] {
  const root = scopes[0];
  const found = candidates.flatMap((candidate): CalibratedProduct[] => {
    const { node, scope, seen, role } = candidate;
    if (role !== 'weight' || !root || scope !== root || node.domain !== '') return [];
    const gemm = node.type === 'Gemm';
    if (!gemm && node.type !== 'MatMul') return [];
    const turned = gemm && intAttribute(node, 'transB', 0) === 1;
    if (gemm && (intAttribute(node, 'transA', 0) === 1 || floatAttribute(node, 'alpha', 1) !== 1)) return [];
    const activation = node.inputs[0] ?? '';
    const matrix = matrixOf(seen, turned);
    if (!matrix || activation === '' || root.constants.has(activation)) return [];
    const { k, n } = matrix;
    return [{ node, tensor: seen.constant.name, input: 1, activation, k, n, dims: seen.view.dims, turned }];
  });
  const uses = new Map<string, number>();
  for (const { tensor } of found) uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  return found.filter(({ tensor }) => uses.get(tensor) === 1);
}
