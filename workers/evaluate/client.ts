/** Runs measurements, each in a worker of its own. */
import type { ModelFiles } from '../contract/files.ts';
import type { Progress, Timing } from '../contract/events.ts';
import type { Result } from '../contract/errors.ts';
import { notify, type RemoteWorker } from '../rpc/remote.ts';
import type { OverflowOutcome, RuntimesOutcome } from './runtimes/check-runtimes.ts';
import type { OutputsOutcome } from './outputs/compare-outputs.ts';
import type { EvaluationEvent, EvaluationOutcome, Evaluator } from './text/evaluate.ts';
import type { EvaluationWorker } from '../entry/evaluate.worker.ts';
import { inOwnWorker } from './own-worker.ts';

const startWorker = (): Worker =>
  new Worker(new URL('../entry/evaluate.worker.ts', import.meta.url), { type: 'module', name: 'evaluate' });

/**
 * @param start Makes the worker; another one in tests.
 * Errors beside those of `evaluate`: `worker-crashed`, `out-of-memory` when the crash says so.
 */
export function createEvaluator(start: () => Worker = startWorker): Evaluator {
  return {
    evaluate: (job, onEvent, signal, finish) =>
      inWorker(start, signal, finish, (worker) =>
        worker.callWithEvents<EvaluationEvent, Result<EvaluationOutcome>>(onEvent, (api, port) =>
          api.evaluate(job, port),
        ),
      ),
    compareOutputs: (job, onEvent, signal, finish) =>
      inWorker(start, signal, finish, (worker) =>
        worker.callWithEvents<Progress, Result<OutputsOutcome>>(onEvent, (api, port) => api.compareOutputs(job, port)),
      ),
    checkOverflow: (job, signal) =>
      inWorker(start, signal, undefined, (worker) =>
        worker.call<Result<OverflowOutcome>>((api) => api.checkOverflow(job)),
      ),
    checkRuntimes: (job, onEvent, signal, finish) =>
      inWorker(start, signal, finish, (worker) =>
        worker.callWithEvents<Progress | Timing, Result<RuntimesOutcome>>(onEvent, (api, port) =>
          api.checkRuntimes(job, port),
        ),
      ),
  };
}

/** What loading and running a model for a moment takes on WASM. Errors as of `calibrate`, and those of a worker. */
export function calibrateInWorker(
  model: ModelFiles,
  threads: number,
  signal: AbortSignal,
  start: () => Worker = startWorker,
): Promise<Result<Timing[]>> {
  return inWorker(start, signal, undefined, (worker) =>
    worker.call<Result<Timing[]>>((api) => api.calibrate(model, threads)),
  );
}

/** One measurement; `finish` asks it to come to an end with what it has. */
function inWorker<T>(
  start: () => Worker,
  signal: AbortSignal | undefined,
  finish: AbortSignal | undefined,
  measure: (worker: RemoteWorker<EvaluationWorker>) => Promise<Result<T>>,
): Promise<Result<T>> {
  return inOwnWorker<EvaluationWorker, T>({
    start,
    signal,
    subject: 'Measuring this model',
    async work(worker) {
      const finishEarly = () => {
        notify(worker, (api) => api.finish());
      };
      finish?.addEventListener('abort', finishEarly);
      if (finish?.aborted) finishEarly();
      try {
        return await measure(worker);
      } finally {
        finish?.removeEventListener('abort', finishEarly);
      }
    },
  });
}
