/**
 * A piece of work in a worker of its own, ended with it: a WebAssembly heap never shrinks, and a run of the runtime
 * cannot be interrupted, so ending the worker is how memory is given back and how the work is cancelled.
 */
import type { Result } from '../contract/errors.ts';
import { connect, isCrash, type RemoteWorker } from '../rpc/remote.ts';
import { cancelled, failure, isOutOfMemory, outOfMemory, type Failure } from './errors.ts';

export interface OwnWorker<T, R> {
  start: () => Worker;
  work: (worker: RemoteWorker<T>) => Promise<Result<R>>;
  /** What is being done, as the start of a sentence. */
  subject: string;
  signal: AbortSignal | undefined;
}

/** Errors beside the work's own: `cancelled` once `signal` fires, `worker-crashed`, `out-of-memory` when the crash says so. */
export async function inOwnWorker<T, R>({ start, work, subject, signal }: OwnWorker<T, R>): Promise<Result<R>> {
  if (signal?.aborted) return cancelled();
  const worker = connect<T>(start());
  const stop = () => {
    worker.terminate();
  };
  signal?.addEventListener('abort', stop);
  try {
    const outcome = await work(worker);
    return signal?.aborted ? cancelled() : outcome;
  } catch (thrown) {
    return signal?.aborted ? cancelled() : crash(subject, thrown);
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

function crash(subject: string, thrown: unknown): Failure {
  if (isOutOfMemory(thrown)) return outOfMemory(subject, thrown);
  return isCrash(thrown)
    ? failure(
        'worker-crashed',
        `${subject} stopped unexpectedly; most often the tab is out of memory.`,
        'Try again with fewer levels or a smaller model; files and sizes are still here.',
        thrown,
      )
    : failure(
        'internal',
        `${subject} failed in a way it should not.`,
        'Try again, and report the details if it happens twice.',
        thrown,
      );
}
