/** Measures in place, for Node: scripts, continuous integration, tests. */
import * as ort from 'onnxruntime-web';
import { evaluate, type Evaluator } from './evaluate.ts';
import { wasmRuntime } from './graph-session.ts';
import { languageModels } from './language-model.ts';

export function createNodeEvaluator(): Evaluator {
  return { evaluate: (job, onEvent, signal, finish) => evaluate(languageModels(wasmRuntime(ort, job.threads)), job, onEvent, signal, finish) };
}
