/** A model with the file that its external data lies in. */
import type { ModelFiles } from '../contract/files.ts';

/** A model all of whose weights are in its own file. */
export function inOneFile(model: Blob): ModelFiles {
  return { model, data: null };
}

/** Bytes of both files. */
export function filesSize({ model, data }: ModelFiles): number {
  return model.size + (data?.blob.size ?? 0);
}
