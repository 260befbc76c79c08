/** Which written models can be run here at all: onnxruntime-web loads a model into a WebAssembly memory of 32-bit addresses. */
import type { ModelFiles } from '../contract/files.ts';
import { engineError } from '../contract/errors.ts';
import { bytesInWords } from '../lib/bytes-in-words.ts';
import type { EngineError } from '../contract/errors.ts';

/** A level's files, as far as they are written. */
export interface WrittenFiles {
  file: string;
  blob: Blob | null;
  data?: { file: string; bytes: number; blob: Blob };
}

const HEAP = 2 ** 32;
/** While it loads, a model and the weights read from it are in memory at once; weights of a second file are read from outside. */
const COPIES = 2;

/** The files of a level that can be run; null when they were not written or do not fit. */
export function runnableModel(level: WrittenFiles): ModelFiles | null {
  const { blob, data } = level;
  if (!blob || whyTooLarge(level)) return null;
  return { model: blob, data: data ? { file: data.file, blob: data.blob } : null };
}

/** Why it cannot be run; null when that is worth trying. */
export function whyTooLarge({ file, blob, data }: WrittenFiles): EngineError | null {
  const model = blob?.size ?? 0;
  const needed = model * COPIES + (data?.bytes ?? 0);
  if (needed <= HEAP) return null;
  return engineError(
    'out-of-memory',
    `${file} is too large to be run here: loading its ${bytesInWords(model + (data?.bytes ?? 0))} takes ${bytesInWords(needed)} and more, and a WebAssembly memory holds ${bytesInWords(HEAP)}.`,
    'The file itself is whole; measure it with onnxruntime on a computer with the memory for it.',
  );
}
