/** A model that came with external data as one file, which is what runtimes in the browser take. */
import { splice } from '../onnx/writing/splice.ts';
import type { Model } from '../onnx/model.ts';
import { blobOf, type ExternalBlobs } from '../onnx/writing/write.ts';
import { modelBytes } from '../plan/plan.ts';
import { placeKept, SINGLE_FILE_LIMIT } from '../plan/data-file.ts';

/** Ranges of the files it came in, nothing is copied; null when it is more than one file can be. */
export function asSingleFile(model: Model, file: Blob, external: ExternalBlobs): Blob | null {
  if (model.externalTensors.length === 0) return file;
  if (modelBytes(model) > SINGLE_FILE_LIMIT) return null;
  return blobOf(splice(model.source.size, placeKept(model, [], null)), file, external);
}
