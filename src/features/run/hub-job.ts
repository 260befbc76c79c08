/** A level as a folder for the Hugging Face Hub: what the engine needs to make it. Pure. */
import type { HubFolderJob } from '../../../workers/contract/engine.ts';
import type { Figure, Run } from '../../store/run.ts';

/** Null while there is no file or no report, which the card is written from. */
export function hubJob(
  { report, companions }: Pick<Run, 'report' | 'companions'>,
  { reported, file, blob, data }: Pick<Figure, 'reported' | 'file' | 'blob' | 'data'>,
): HubFolderJob | null {
  if (!report || reported === null || file === null || !blob) return null;
  return {
    files: [...companions],
    report,
    models: [{ level: reported, file, blob, ...(data ? { data: { file: data.file, blob: data.blob } } : {}) }],
  };
}

/** `model_q4-hub.zip` */
export const hubFolderName = (file: string): string => `${file.replace(/\.onnx$/i, '')}-hub.zip`;

/** What the folder has in it and what not, in words. */
export function hubFolderHolds({
  companions,
  storedAt,
  companionsStored,
}: Pick<Run, 'companions' | 'storedAt' | 'companionsStored'>): string {
  if (companions.length > 0)
    return 'As the Hugging Face Hub and transformers.js want it: the model under onnx/, its configuration and tokenizer files, and a card with the figures.';
  return `As the Hugging Face Hub wants it: the model under onnx/ and a card with the figures. ${
    storedAt === undefined || companionsStored
      ? 'No configuration or tokenizer files were dropped, so there are none in it.'
      : 'Configuration and tokenizer files were not stored with this result, so there are none in it: drop them with the model and compare again, which makes nothing anew and stores them.'
  }`;
}
