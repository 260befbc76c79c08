/** The model in float32, which the fp16 baseline is held against. */
import type { ModelFiles, ModelSummary } from '../contract/files.ts';
import type { Reference } from '../evaluate/text/noise-floor.ts';
import type { ClassifiedFiles } from '../io/classify-files.ts';
import { asSingleFile } from '../io/single-file.ts';
import { inOneFile } from '../onnx/model-files.ts';
import { widenModel } from '../onnx/widen.ts';

/** The dropped file itself where its weights were rounded for the baseline, else the baseline widened to float32; null where it cannot be widened or does not fit in one file. */
export async function modelInFloat32(
  sorted: ClassifiedFiles,
  model: ModelSummary,
  baseline: ModelFiles,
): Promise<Reference | null> {
  if (model.baseline === 'rounded-to-fp16') {
    const original =
      sorted.model && sorted.scanned?.ok ? asSingleFile(sorted.scanned.value, sorted.model, sorted.data.files) : null;
    return original && { kind: 'original', model: inOneFile(original) };
  }
  const widened = await widenModel(baseline).catch(() => null);
  return widened && { kind: 'widened', model: widened };
}
