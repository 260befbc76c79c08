/** Which products are output projections. */
import type { Node } from '../onnx/model.ts';
import type { Scope } from '../onnx/graph/scopes.ts';
import { viewConstant } from '../onnx/graph/constant-view.ts';

/** Between the output projection and the graph's output stand at most a few operators that act on single elements. */
const ELEMENTWISE = new Set(['Cast', 'Identity', 'Add', 'Mul', 'Div', 'Tanh', 'Reshape', 'Squeeze']);
const PRODUCTS = new Set(['MatMul', 'Gemm']);

/** The products with a constant that float outputs of rank 2 or 3 of the main graph come from. */
export function findOutputProjections(scope: Scope): Set<Node> {
  const heads = new Set<Node>();
  for (const { proto } of scope.values) {
    if (!scope.outputs.has(proto.name)) continue;
    const type = proto.type?.value;
    if (type?.case !== 'tensorType') continue;
    const rank = type.value.shape?.dim.length ?? 3;
    if (rank < 2 || rank > 3) continue;
    let value = proto.name;
    for (let steps = 0; steps < 8; steps++) {
      const node = scope.producer.get(value);
      if (node?.domain !== '') break;
      if (PRODUCTS.has(node.type)) {
        if (viewConstant(scope, node.inputs[1] ?? '')) heads.add(node);
        break;
      }
      if (!ELEMENTWISE.has(node.type)) break;
      // The other operand of a bias or a scale is a constant, which no node makes.
      value = node.inputs.find((name) => scope.producer.get(name) && !scope.constants.has(name)) ?? '';
    }
  }
  return heads;
}
