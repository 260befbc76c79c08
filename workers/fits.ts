/** Which written models can be run here at all: onnxruntime-web loads a model into a WebAssembly memory of 32-bit addresses. */
import { engineError } from './errors.ts';
import { bytesInWords } from './plan/ledger.ts';
import type { EngineError } from './protocol.ts';

/** A level's files, as far as they are written. */
export interface WrittenFiles { file: string; blob: Blob | null; data?: { bytes: number } }

const HEAP = 2 ** 32;
/** While it loads, the file and the weights read from it are in memory at once. */
const COPIES = 2;

/** The model to run; null when it was not written or does not fit. */
export function toRun(level: WrittenFiles): Blob | null {
  return whyTooLarge(level) ? null : level.blob;
}

/** Why it cannot be run; null when that is worth trying. One that needs a second file is too large already. */
export function whyTooLarge({ file, blob, data }: WrittenFiles): EngineError | null {
  const bytes = (blob?.size ?? 0) + (data?.bytes ?? 0);
  if (!data && bytes * COPIES <= HEAP) return null;
  return engineError('out-of-memory', `${file} is too large to be run here: loading its ${bytesInWords(bytes)} takes ${bytesInWords(bytes * COPIES)} and more, and a WebAssembly memory holds ${bytesInWords(HEAP)}.`,
    'The file itself is whole; measure it with onnxruntime on a computer with the memory for it.');
}
