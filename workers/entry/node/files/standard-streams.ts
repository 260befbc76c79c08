/** Standard output and standard error, each write of which is waited for and may fail. */
import { engineError, failure } from '../../../contract/errors.ts';

/** What Unix tools end with when nobody reads their output any more: 128 and the number of SIGPIPE. */
export const PIPE_CLOSED = 141;

type Stream = Pick<NodeJS.WriteStream, 'write' | 'on'>;

/**
 * Writes text and waits until the system has it.
 * @returns False when nobody reads it any more. Errors: `write-failed`.
 */
export async function print(stream: Stream, text: string): Promise<boolean> {
  const error = await new Promise<unknown>((resolve) => {
    try {
      stream.write(text, (problem) => {
        resolve(problem ?? null);
      });
    } catch (thrown) {
      resolve(thrown);
    }
  });
  if (error === null) return true;
  if (isClosed(error)) return false;
  throw failure(
    engineError(
      'write-failed',
      'Standard output cannot be written to.',
      'Check where it goes, and whether there is room.',
      error instanceof Error ? error.message : '',
    ),
  );
}

/** Errors of streams come back from their writes: as events they would end the process. */
export function ignoreErrorEvents(...streams: Stream[]): void {
  for (const stream of streams) stream.on('error', () => undefined);
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED');
}
