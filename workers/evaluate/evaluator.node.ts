/** Measures in place, for Node: scripts, continuous integration, tests. */
import * as ort from 'onnxruntime-web';
import { evaluate, type Evaluator } from './evaluate.ts';
import { wasmRuntime } from './session.ts';

export function createNodeEvaluator(): Evaluator {
  return { evaluate: (job, onEvent, signal, finish) => evaluate(wasmRuntime(ort, job.threads), job, onEvent, signal, finish) };
}
