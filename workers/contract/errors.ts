/** Errors as values: inside a stage they are thrown with `fail`, at its edge they become a `Result`. */
import { shownSentence, shownText } from '../lib/shown.ts';

/** Every way things can go wrong. */
export type EngineErrorCode =
  | 'file-empty'
  | 'file-lfs-pointer'
  | 'file-unreadable'
  | 'file-unknown'
  | 'onnx-invalid'
  | 'onnx-truncated'
  | 'onnx-external-data'
  | 'no-model'
  | 'several-models'
  | 'nothing-to-quantize'
  | 'already-quantized'
  | 'weights-not-finite'
  | 'weights-too-large'
  | 'level-unknown'
  | 'level-invalid'
  | 'usage'
  | 'no-tokenizer'
  | 'tokenizer-invalid'
  | 'tokenizer-mismatch'
  | 'no-text'
  | 'text-too-short'
  | 'not-a-language-model'
  | 'inputs-unknown'
  | 'input-invalid'
  | 'session-failed'
  | 'out-of-memory'
  | 'device-lost'
  | 'worker-crashed'
  | 'file-changed'
  | 'storage-full'
  | 'storage-unavailable'
  | 'not-stored'
  | 'write-failed'
  | 'cancelled'
  | 'busy'
  | 'internal';

/** An error as a value: survives the worker boundary and is written for a person. */
export interface EngineError {
  code: EngineErrorCode;
  /** One sentence: what is wrong. */
  message: string;
  /** One sentence: what to do. */
  action: string;
  /** Technical text to copy; may be empty. */
  details: string;
}

export type Result<T> = { ok: true; value: T } | { ok: false; error: EngineError };

const KEY = 'engineError';

/** An `Error` that carries an `EngineError`. */
export function failure(error: EngineError): Error {
  return Object.assign(new Error(error.message), { [KEY]: error });
}

/** Names in the sentences may be of any length and hold anything: they are made fit to be shown here. */
export function engineError(code: EngineErrorCode, message: string, action: string, details = ''): EngineError {
  return { code, message: shownSentence(message), action: shownSentence(action), details: shownText(details) };
}

export function fail(code: EngineErrorCode, message: string, action: string, details = ''): never {
  throw failure(engineError(code, message, action, details));
}

/** Errors that say that one level cannot be made of a model, now or later; the other levels can. */
const ABOUT_LEVEL: ReadonlySet<EngineErrorCode> = new Set([
  'nothing-to-quantize',
  'already-quantized',
  'weights-not-finite',
  'weights-too-large',
  'onnx-invalid',
]);

export function isAboutLevel(thrown: unknown): boolean {
  return ABOUT_LEVEL.has(toEngineError(thrown).code);
}

/** The value behind whatever was thrown; anything unforeseen is `internal`, with its stack to copy. */
export function toEngineError(thrown: unknown): EngineError {
  if (thrown instanceof Error) {
    const carried: unknown = Reflect.get(thrown, KEY);
    if (carried) return carried as EngineError;
    if (thrown.name === 'AbortError') return cancelled();
    if (thrown.name === 'NotReadableError' || thrown.name === 'NotFoundError') {
      return fileChanged('A file', thrown);
    }
    return engineError(
      'internal',
      'Something went wrong inside Nibble.',
      'Try again; if it happens again, copy the details into a bug report.',
      thrown.stack ?? thrown.message,
    );
  }
  return engineError(
    'internal',
    'Something went wrong inside Nibble.',
    'Try again; if it happens again, copy the details into a bug report.',
    String(thrown),
  );
}

/** For what reading a dropped file throws once it is not what was dropped: NotReadableError, NotFoundError. */
export function fileChanged(name: string, thrown: unknown): EngineError {
  return engineError(
    'file-changed',
    `${name} was changed, moved or deleted after it was opened.`,
    'Open it again; what was finished is kept, if it is still the same file.',
    String(thrown),
  );
}

export function cancelled(): EngineError {
  return engineError('cancelled', 'Stopped.', 'Start it again when you are ready.');
}

/** Runs `work`, turning what it throws into a `Result`. */
export async function settle<T>(work: () => Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (thrown) {
    return { ok: false, error: toEngineError(thrown) };
  }
}
