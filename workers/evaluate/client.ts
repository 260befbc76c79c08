/**
 * Runs measurements in a worker of their own. Each measurement starts one and ends it: a WebAssembly heap never
 * shrinks, and a run of the runtime cannot be interrupted, so ending the worker is how memory is given back and how
 * a measurement is cancelled.
 */
import type { Progress, Result } from '../protocol.ts';
import { connect, WORKER_CRASHED, type RemoteWorker } from '../remote.ts';
import type { OverflowOutcome, RuntimesOutcome } from './check-runtimes.ts';
import type { OutputsOutcome } from './compare-outputs.ts';
import { cancelled, failure, isOutOfMemory, outOfMemory, type Failure } from './errors.ts';
import type { EvaluationEvent, EvaluationOutcome, Evaluator } from './evaluate.ts';
import type { EvaluationWorker } from './evaluate.worker.ts';

const startWorker = (): Worker => new Worker(new URL('./evaluate.worker.ts', import.meta.url), { type: 'module', name: 'evaluate' });

/**
 * @param start Makes the worker; another one in tests.
 * Errors beside those of `evaluate`: `worker-crashed`, `out-of-memory` when the crash says so.
 */
export function createEvaluator(start: () => Worker = startWorker): Evaluator {
  return {
    evaluate: (job, onEvent, signal, finish) => inWorker(start, signal, finish, (worker) =>
      worker.callWithEvents<EvaluationEvent, Result<EvaluationOutcome>>(onEvent, (api, port) => api.evaluate(job, port))),
    compareOutputs: (job, onEvent, signal, finish) => inWorker(start, signal, finish, (worker) =>
      worker.callWithEvents<Progress, Result<OutputsOutcome>>(onEvent, (api, port) => api.compareOutputs(job, port))),
    checkOverflow: (job, signal) => inWorker(start, signal, undefined, (worker) =>
      worker.call<Result<OverflowOutcome>>((api) => api.checkOverflow(job))),
    checkRuntimes: (job, onEvent, signal, finish) => inWorker(start, signal, finish, (worker) =>
      worker.callWithEvents<Progress, Result<RuntimesOutcome>>(onEvent, (api, port) => api.checkRuntimes(job, port))),
  };
}

/** One measurement in a worker that is ended with it. */
async function inWorker<T>(
  start: () => Worker, signal: AbortSignal | undefined, finish: AbortSignal | undefined, measure: (worker: RemoteWorker<EvaluationWorker>) => Promise<Result<T>>,
): Promise<Result<T>> {
  if (signal?.aborted) return cancelled();
  const worker = connect<EvaluationWorker>(start());
  const stop = () => { worker.terminate(); };
  // Asked for, not waited for: the measurement's own answer says how it ended.
  const finishEarly = () => { void worker.call((api) => api.finish()).catch(() => undefined); };
  signal?.addEventListener('abort', stop);
  finish?.addEventListener('abort', finishEarly);
  if (finish?.aborted) finishEarly();
  try {
    const outcome = await measure(worker);
    return signal?.aborted ? cancelled() : outcome;
  } catch (thrown) {
    return signal?.aborted ? cancelled() : crash(thrown);
  } finally {
    signal?.removeEventListener('abort', stop);
    finish?.removeEventListener('abort', finishEarly);
    stop();
  }
}

function crash(thrown: unknown): Failure {
  if (isOutOfMemory(thrown)) return outOfMemory('Measuring this model', thrown);
  return thrown instanceof Error && thrown.name === WORKER_CRASHED
    ? failure('worker-crashed', 'The measurement stopped unexpectedly; most often the tab is out of memory.',
        'Try again with fewer levels or a smaller model; files and sizes are still here.', thrown)
    : failure('internal', 'The measurement failed in a way it should not.', 'Try again, and report the details if it happens twice.', thrown);
}
