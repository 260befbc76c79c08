/** For operators that take their weight only as it is: int8 or uint8 in the file, dequantized in front of the node. */
import type { Node } from '../../onnx/model.ts';
import type { ResolvedLevel } from '../../contract/levels/scheme.ts';
import type { Scope } from '../../onnx/graph/scopes.ts';
import { whyNotLinear } from '../store.ts';
import type { ConstantView } from '../../onnx/graph/constant-view.ts';
import type { Candidate, Rewrite } from './family.ts';

/** @param channels Axis of the constant's channels. */
export function behindDequantize(
  node: Node,
  scope: Scope,
  input: number,
  seen: ConstantView,
  channels: number,
  instead?: (level: ResolvedLevel) => Rewrite | string | null,
): Candidate {
  return {
    kind: 'candidate',
    node,
    scope,
    seen,
    role: 'weight',
    outputs: 0,
    offer(level) {
      const { linear } = level;
      if (!linear) return `used by ${node.type}, which ${level.id} does not cover here`;
      const axis = linear.perChannel ? channels : null;
      return (
        instead?.(level) ??
        whyNotLinear(seen, axis) ?? {
          write({ draft, store }) {
            draft.rename(scope, node, input, store.dequantized(seen, axis, linear));
            draft.markBypassed(seen.via);
          },
        }
      );
    },
  };
}
