/**
 * Recurrent weights cut into gates and put together in another order, as PyTorch exports LSTM and GRU: behind a
 * DequantizeLinear before they are cut.
 */
import { definingScope, type Scope } from '../../onnx/graph/scopes.ts';
import { viewConstant } from '../../onnx/graph/constant-view.ts';
import { behindDequantize } from './behind-dequantize.ts';
import type { Family } from './family.ts';

const MOVES = new Set(['Slice', 'Split', 'Concat', 'Unsqueeze', 'Squeeze', 'Identity']);
const RECURRENT = new Set(['LSTM', 'GRU', 'RNN']);
/** Cutting, putting together, a dimension for the direction: a weight makes about ten values, and some to spare. */
const MOST_VALUES = 100;

export const reordered: Family = {
  operators: ['Slice', 'Split'],
  find(node, scope) {
    const seen = viewConstant(scope, node.inputs[0] ?? '');
    if (seen?.view.dims.length !== 2 || !endInRecurrent(scope, node.outputs)) return [];
    // [gates·hidden, inputs]: the gates are what is cut.
    return [behindDequantize(node, scope, 0, seen, 0)];
  },
};

/** Whether values are used for recurrent weights alone, moved about on the way. */
function endInRecurrent(scope: Scope, values: readonly string[]): boolean {
  const waiting = values.map((value) => ({ scope, value }));
  const reached = new Set<string>();
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { value } = next;
    const owner = definingScope(next.scope, value);
    const uses = owner?.uses.get(value) ?? [];
    if (owner === null || owner.outputs.has(value) || uses.length === 0) return false;
    for (const { node, input, scope: where } of uses) {
      if (node.domain !== '') return false;
      if (RECURRENT.has(node.type) && (input === 1 || input === 2)) continue;
      if (!MOVES.has(node.type) || (input > 0 && node.type !== 'Concat')) return false;
      for (const output of node.outputs) {
        if (reached.has(output)) continue;
        if (reached.size > MOST_VALUES) return false;
        reached.add(output);
        waiting.push({ scope: where, value: output });
      }
    }
  }
  return true;
}
