/** How much of another file a tensor takes. */
import type { ExternalFiles } from '../io/source.ts';
import { elementCount, packedBytes } from './numbers/element-types.ts';
import type { ExternalTensor } from './model.ts';

/** Bytes; where neither the model nor the element type says, all that is left of the file. */
export function externalLength({ data, dims, type }: ExternalTensor, external: ExternalFiles): number {
  return (
    data.length ??
    packedBytes(type, elementCount(dims)) ??
    Math.max(0, (external.get(data.location)?.size ?? 0) - data.offset)
  );
}
