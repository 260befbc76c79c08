/** Operators that only a runtime with an extension has: a model with one is written like any other, and cannot be run here. */
import { engineError } from '../contract/errors.ts';
import type { Graph, Model, Node } from '../onnx/model.ts';
import type { EngineError } from '../contract/errors.ts';
import { shown } from '../lib/shown.ts';

/** Domains that onnxruntime knows itself (onnxruntime/core/graph/constants.h). */
const KNOWN_DOMAINS: ReadonlySet<string> = new Set([
  '',
  'ai.onnx',
  'ai.onnx.ml',
  'ai.onnx.training',
  'ai.onnx.preview',
  'ai.onnx.preview.training',
  'com.microsoft',
  'com.microsoft.experimental',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
  'org.pytorch.aten',
]);

const MOST_NAMED = 3;

/** The operators of other domains that the model does not define as local functions, with their domain in front. */
export function customOperators(model: Model): string[] {
  const defined = new Set(model.functions.map(({ domain, name }) => `${domain}.${name}`));
  const found = new Set<string>();
  const visit = (nodes: readonly Node[]) => {
    for (const { domain, type, attributes } of nodes) {
      if (!KNOWN_DOMAINS.has(domain) && !defined.has(`${domain}.${type}`)) found.add(`${domain}.${type}`);
      for (const { graphs } of attributes)
        graphs.forEach((graph: Graph) => {
          visit(graph.nodes);
        });
    }
  };
  visit(model.graph.nodes);
  for (const { nodes } of model.functions) visit(nodes);
  return [...found];
}

/** Why the model cannot be run here, or null when that is worth trying. */
export function whyNotRunnable(model: Model): EngineError | null {
  const operators = customOperators(model);
  if (operators.length === 0) return null;
  const named = operators
    .slice(0, MOST_NAMED)
    .map((operator) => shown(operator))
    .join(', ');
  return engineError(
    'session-failed',
    `${shown(model.source.name)} uses ${named}${operators.length > MOST_NAMED ? ` and ${operators.length - MOST_NAMED} more` : ''}, ${operators.length === 1 ? 'a custom operator' : 'custom operators'} that onnxruntime-web does not have, so it cannot be run here.`,
    'The files are whole; measure them with a runtime that has the operator.',
  );
}
