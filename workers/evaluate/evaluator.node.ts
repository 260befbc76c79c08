/** Measures in place, for Node: scripts, continuous integration, tests. */
import * as ort from 'onnxruntime-web';
import { checkOverflow } from './runtimes/check-runtimes.ts';
import { compareOutputs } from './outputs/compare-outputs.ts';
import { evaluate, type Evaluator } from './text/evaluate.ts';
import { wasmRuntime, type GraphRuntime } from './sessions/graph-session.ts';
import { languageModels } from './text/language-model.ts';

/** onnxruntime-web in this process. */
export function nodeRuntime(threads: number): GraphRuntime {
  return wasmRuntime(ort, threads);
}

export function createNodeEvaluator(): Evaluator {
  return {
    evaluate: (job, onEvent, signal, finish) =>
      evaluate(languageModels(wasmRuntime(ort, job.threads)), job, onEvent, signal, finish),
    compareOutputs: (job, onEvent, signal, finish) =>
      compareOutputs(wasmRuntime(ort, job.threads), job, onEvent, signal, finish),
    checkOverflow: (job, signal) => checkOverflow(job, wasmRuntime(ort, job.threads), signal),
  };
}
