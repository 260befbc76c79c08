/**
 * The IR version of a written model. New tensors need at least version 4: before it every initializer has to be listed
 * as an input, which those of a body cannot be, and onnxruntime does not find new ones that only bodies use. With the
 * version raised, what was listed because of that rule would become an input with a default, which callers may
 * override and runtimes no longer fold: those entries go, so that weights stay constants.
 */
import { encodeIrVersion, encodeOpset } from '../onnx/writing/encode.ts';
import { firstIrVersion } from '../onnx/numbers/element-types.ts';
import type { Model } from '../onnx/model.ts';
import type { Edit } from '../onnx/writing/splice.ts';
import { FREE_INITIALIZERS } from '../onnx/structure.ts';
import type { QuantizeTask } from './quantize-task.ts';
import type { Scope } from '../onnx/graph/scopes.ts';

/**
 * Edits that raise a model's IR version to what the new file needs; none where it is high enough.
 * @param edits All other edits: what they remove is not removed again.
 * @param types Element types of new tensors.
 */
export function raiseIrVersion(
  model: Model,
  scopes: readonly Scope[],
  edits: readonly Edit<QuantizeTask>[],
  types: Iterable<number>,
): Edit<QuantizeTask>[] {
  let needed = FREE_INITIALIZERS;
  for (const type of types) needed = Math.max(needed, firstIrVersion(type));
  if (model.irVersion >= needed) return [];
  const at = model.irVersionAt ?? { start: 0, end: 0 };
  const raised: Edit<QuantizeTask> = { ...at, within: [], pieces: [{ kind: 'bytes', bytes: encodeIrVersion(needed) }] };
  if (model.irVersion >= FREE_INITIALIZERS) return [raised];
  const { start } = model.graph.span;
  // Models of versions before 3 are of operator set 1 and do not say so.
  const opset: Edit<QuantizeTask>[] =
    model.opsets.length > 0
      ? []
      : [{ start, end: start, within: [], pieces: [{ kind: 'bytes', bytes: encodeOpset('', 1) }] }];
  return [raised, ...opset, ...unlistInitializers(scopes, edits)];
}

function unlistInitializers(scopes: readonly Scope[], edits: readonly Edit<QuantizeTask>[]): Edit<QuantizeTask>[] {
  const gone = new Set<number>();
  for (const { start, end } of edits) if (end > start) gone.add(start);
  const removed: Edit<QuantizeTask>[] = [];
  for (const { inputValues, constants, sparse, within } of scopes) {
    if (within.some(({ start }) => gone.has(start))) continue;
    const names = new Set(sparse.map(({ name }) => name));
    for (const { proto, span } of inputValues) {
      if ((constants.has(proto.name) || names.has(proto.name)) && !gone.has(span.start))
        removed.push({ start: span.start, end: span.end, within, pieces: [] });
    }
  }
  return removed;
}
