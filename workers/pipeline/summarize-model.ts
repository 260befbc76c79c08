/** Describes a scanned model for a person: what it holds, of which types, where the bytes are. */
import type { ElementTypeCount, LayerBytes, ModelSummary, OperatorCount } from '../contract/files.ts';
import { hasKnownWidth, recogniseSignature, signatureOf } from '../evaluate/inputs.ts';
import { elementCount, elementType } from '../onnx/numbers/element-types.ts';
import type { Graph, Model, Node, Tensor } from '../onnx/model.ts';
import { isHalfPrecision, modelBytes, type PlanInput } from '../plan/plan.ts';

export function summarizeModel(input: PlanInput): ModelSummary {
  const { model } = input;
  const tensors = input.constants.map(({ tensor }) => tensor);
  return {
    name: model.source.name,
    bytes: modelBytes(model),
    producer: model.producer,
    irVersion: model.irVersion,
    opsets: model.opsets,
    parameters: countParameters(tensors),
    weightBytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
    elementTypes: elementTypes(tensors),
    operators: operators(model),
    layers: layers(tensors),
    ...describeLanguageModel(input),
    baseline: isHalfPrecision(input) ? 'as-is' : 'rounded-to-fp16',
  };
}

/** Tables of sines and cosines are computed, not learned. */
const ROTARY = /(^|[./_])(rope|rotary|cos|sin|inv_freq)([./_]|$|_cached)/i;

/** Learned numbers: floating-point tensors but for single constants and rotary tables. */
export function countParameters(tensors: readonly Tensor[]): number {
  return tensors
    .filter(
      ({ name, type, dims }) => /float/.test(elementType(type).name) && elementCount(dims) > 1 && !ROTARY.test(name),
    )
    .reduce((sum, { dims }) => sum + elementCount(dims), 0);
}

function elementTypes(initializers: readonly Tensor[]): ElementTypeCount[] {
  const counts = new Map<string, ElementTypeCount>();
  for (const { type, dims, bytes } of initializers) {
    const { name } = elementType(type);
    const entry = counts.get(name) ?? { type: name, tensors: 0, parameters: 0, bytes: 0 };
    entry.tensors++;
    entry.parameters += elementCount(dims);
    entry.bytes += bytes;
    counts.set(name, entry);
  }
  return [...counts.values()].sort((a, b) => b.bytes - a.bytes);
}

function operators(model: Model): OperatorCount[] {
  const counts = new Map<string, OperatorCount>();
  const visit = (nodes: readonly Node[]) => {
    for (const node of nodes) {
      const key = `${node.domain}:${node.type}`;
      const entry = counts.get(key) ?? { domain: node.domain, type: node.type, count: 0 };
      entry.count++;
      counts.set(key, entry);
      for (const attribute of node.attributes)
        attribute.graphs.forEach((body: Graph) => {
          visit(body.nodes);
        });
    }
  };
  visit(model.graph.nodes);
  for (const body of model.functions) visit(body.nodes);
  return [...counts.values()].sort((a, b) => b.count - a.count || a.type.localeCompare(b.type));
}

/** Names up to and including their first number make a layer: `model.layers.3.mlp…` belongs to `model.layers.3`. */
function layers(initializers: readonly Tensor[]): LayerBytes[] {
  const found = new Map<string, LayerBytes>();
  for (const { name, type, dims, bytes } of initializers) {
    const layer = /^(.*?[./_]\d+)(?=[./_]|$)/.exec(name)?.[1] ?? (/[./]/.test(name) ? name : 'other');
    const entry = found.get(layer) ?? { layer, parameters: 0, bytes: 0 };
    if (/float/.test(elementType(type).name)) entry.parameters += elementCount(dims);
    entry.bytes += bytes;
    found.set(layer, entry);
  }
  return [...found.values()];
}

function describeLanguageModel({
  model,
  scopes: [root],
  candidates,
  heads,
}: PlanInput): Pick<ModelSummary, 'languageModel' | 'languageModelProblem' | 'cacheBytesPerToken'> {
  const inputs = model.graph.inputs
    .filter(({ proto }) => !root?.constants.has(proto.name))
    .map(({ proto }) => signatureOf(proto));
  const signature = recogniseSignature(
    inputs,
    model.graph.outputs.map(({ proto }) => signatureOf(proto)),
  );
  if (!signature.ok) return { languageModel: null, languageModelProblem: signature.error, cacheBytesPerToken: null };
  const head = candidates.find(({ node }) => heads.has(node));
  // An empty cache has one dimension of 0, which grows by one with every token.
  const caches = signature.value.feeds.filter(({ dims }) => dims.includes(0));
  const known = inputs.filter(({ name }) => caches.some((cache) => cache.name === name)).every(hasKnownWidth);
  const bytes = caches.reduce(
    (sum, { type, dims }) =>
      sum + elementCount(dims.map((dim) => (dim === 0 || dim === 'window' ? 1 : dim))) * (type === 'float16' ? 2 : 4),
    0,
  );
  return {
    languageModel: { vocabulary: signature.value.logits.vocabulary ?? head?.outputs ?? null },
    cacheBytesPerToken: caches.length > 0 && known ? bytes : null,
  };
}
