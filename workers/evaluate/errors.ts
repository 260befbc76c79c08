/** Failures as the stages of a measurement return them, and what onnxruntime-web throws told apart by its wording. */
import * as errors from '../contract/errors.ts';
import type { EngineError, EngineErrorCode } from '../contract/errors.ts';

export interface Failure {
  ok: false;
  error: EngineError;
}

/** @param details Whatever was thrown, or text. */
export function failure(code: EngineErrorCode, message: string, action: string, details: unknown = ''): Failure {
  return { ok: false, error: errors.engineError(code, message, action, detailsOf(details)) };
}

export function cancelled(): Failure {
  return { ok: false, error: errors.cancelled() };
}

/** Memory could not be had. `subject` is what was being done, as the start of a sentence. */
export function outOfMemory(subject: string, details: unknown): Failure {
  return failure(
    'out-of-memory',
    `${subject} needs more memory than there is.`,
    'Close what else takes memory, or measure a smaller model.',
    details,
  );
}

/**
 * Whether a thrown value says that memory ran out: the engine's own allocation failures (JavaScript and WebAssembly),
 * C++'s, and onnxruntime's refusal of a buffer whose size overflows 32 bits. After these the runtime goes on working.
 */
export function isOutOfMemory(thrown: unknown): boolean {
  return /out of memory|bad_alloc|memory\.grow|could not allocate|allocation failed|fail(ed|ure) to allocate|safeint.*overflow|\boom\b/i.test(
    detailsOf(thrown),
  );
}

function detailsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
