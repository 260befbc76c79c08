/** Constants that a planned file holds in more than one form, and the bytes that this costs. */
import { elementType } from '../../onnx/numbers/element-types.ts';
import { pieceLength } from '../../onnx/writing/splice.ts';
import type { StoredTwice } from '../../contract/level-plan.ts';
import type { Draft } from '../draft.ts';
import type { QuantizeTask } from '../quantize-task.ts';
import type { Constant } from '../../onnx/graph/scopes.ts';

/**
 * Parts that hold a weight's codes; the other parts are scales and zero points, which two layouts of the same codes
 * share.
 */
const CODES: ReadonlySet<string> = new Set(['codes', 'rows', 'nibbles']);

/** Finds constants that are stored in more than one form. Call it after `draft.finish()`. */
export function findStoredTwice(constants: readonly Constant[], draft: Draft): StoredTwice[] {
  return constants.flatMap((constant) => {
    if (!draft.isReplaced(constant) || draft.isDropped(constant)) return [];
    const { name, tensor, scope } = constant;
    const quantized = formsOf(draft, constant);
    const forms = draft.isDead(scope, name)
      ? quantized
      : [{ type: elementType(tensor.type).name, bytes: tensor.bytes }, ...quantized];
    if (forms.length < 2) return [];
    const least = forms.reduce((low, { bytes }) => Math.min(low, bytes), Infinity);
    const bytes =
      draft.replacementOf(constant).tensors.reduce((sum, { data }) => sum + pieceLength(data), 0) +
      (draft.isDead(scope, name) ? 0 : tensor.bytes);
    return [{ tensor: name, ...(scope.title !== '' && { where: scope.title }), forms, bytes, extra: bytes - least }];
  });
}

/** The bytes of each quantized form if it were the only one. */
function formsOf(draft: Draft, constant: Constant): StoredTwice['forms'] {
  const beside = new Map<QuantizeTask, number>();
  const codes: { task: QuantizeTask; bytes: number }[] = [];
  for (const { data } of draft.replacementOf(constant).tensors) {
    if (data.kind !== 'made') continue;
    if (CODES.has(data.part)) codes.push({ task: data.task, bytes: data.length });
    else beside.set(data.task, (beside.get(data.task) ?? 0) + data.length);
  }
  return codes.map(({ task, bytes }) => ({ type: typeOf(task), bytes: bytes + (beside.get(task) ?? 0) }));
}

function typeOf(task: QuantizeTask): string {
  switch (task.kind) {
    case 'quantize':
      return `int${task.scheme.bits}`;
    case 'linear':
      return task.scheme.type;
    case 'to-float16':
      return 'float16';
  }
}
