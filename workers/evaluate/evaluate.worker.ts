/** Entry of the evaluation worker. It holds the sessions and their heap, and is ended to give them back. */
import type { Progress, Result } from '../protocol.ts';
import { expose, reporting } from '../remote.ts';
import { compareOutputs, type OutputsJob, type OutputsOutcome } from './compare-outputs.ts';
import { evaluate, type EvaluationEvent, type EvaluationJob, type EvaluationOutcome } from './evaluate.ts';
import { languageModels } from './language-model.ts';
import { openProvider } from './providers.ts';

/** What the worker answers to. */
export interface EvaluationWorker {
  /** Sends `EvaluationEvent`s through `port`. */
  evaluate(job: EvaluationJob, port: MessagePort): Promise<Result<EvaluationOutcome>>;
  /** Sends `Progress` through `port`. */
  compareOutputs(job: OutputsJob, port: MessagePort): Promise<Result<OutputsOutcome>>;
  /** Ends the measurement early; a worker makes but one. */
  finish(): void;
}

const finish = new AbortController();

const worker: EvaluationWorker = {
  evaluate: (job, port) => reporting<EvaluationEvent, Result<EvaluationOutcome>>(port, async (report) => {
    const runtime = await openProvider('wasm', job.threads);
    return runtime.ok ? evaluate(languageModels(runtime.value), job, report, undefined, finish.signal) : runtime;
  }),
  compareOutputs: (job, port) => reporting<Progress, Result<OutputsOutcome>>(port, async (report) => {
    const runtime = await openProvider('wasm', job.threads);
    return runtime.ok ? compareOutputs(runtime.value, job, report, undefined, finish.signal) : runtime;
  }),
  finish() { finish.abort(); },
};

expose(worker);
