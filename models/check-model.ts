/**
 * Whether a model holds together, as far as its own bytes tell (onnx/docs/IR.md): read with onnx-buf alone, so that
 * what Nibble reads and writes is judged by something else than itself.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type GraphProto, type ModelProto, type NodeProto, type TensorProto } from 'onnx-buf';
import { elementCount, elementType, packedBytes } from '../workers/onnx/numbers/element-types.ts';

/** A sentence for everything wrong with a model; none when nothing is. */
export function checkModel(bytes: Uint8Array): string[] {
  const model = fromBinary(ModelProtoSchema, bytes);
  const problems: string[] = [];
  if (!model.graph) return ['there is no graph'];
  const domains = importedDomains(model.opsetImport, 'the model', problems);
  checkGraph(model.graph, {
    where: 'the graph',
    visible: new Set(),
    domains,
    irVersion: Number(model.irVersion),
    problems,
  });
  for (const body of model.functions) {
    const where = `function ${body.domain}.${body.name}`;
    if (!domains.has(defaultDomain(body.domain))) problems.push(`${where}: the model does not import its domain`);
    const visible = new Set(body.input);
    checkNodes(body.node, visible, {
      where,
      visible,
      domains: importedDomains(body.opsetImport, where, problems),
      irVersion: Number(model.irVersion),
      problems,
    });
    for (const output of body.output)
      if (!visible.has(output)) problems.push(`${where}: nothing makes its output "${output}"`);
  }
  return problems;
}

interface Place {
  where: string;
  /** Names of the graphs around it that a node may use. */
  visible: ReadonlySet<string>;
  domains: ReadonlySet<string>;
  irVersion: number;
  problems: string[];
}

function checkGraph(graph: GraphProto, place: Place): void {
  const { where, problems } = place;
  const own = new Set<string>();
  const define = (name: string, what: string) => {
    if (own.has(name)) problems.push(`${where}: ${what} "${name}" has the name of another value`);
    own.add(name);
  };
  for (const { name } of graph.input) define(name, 'the input');
  const inputs = new Set(own);
  const used = usedNames(graph);
  const tensors = [
    ...graph.initializer.map((tensor) => ({ tensor, name: tensor.name })),
    ...graph.sparseInitializer.map(({ values }) => ({ tensor: null, name: values?.name ?? '' })),
  ];
  const seen = new Set<string>();
  for (const { tensor, name } of tensors) {
    if (seen.has(name)) problems.push(`${where}: there are two initializers "${name}"`);
    seen.add(name);
    // Older models list their initializers as inputs, too: before IR version 4 they must.
    if (place.irVersion < 4 && !inputs.has(name))
      problems.push(`${where}: the initializer "${name}" is not an input, in IR version ${place.irVersion}`);
    if (tensor && place.irVersion < 10 && [21, 22].includes(tensor.dataType))
      problems.push(`${where}: the initializer "${name}" has a 4-bit type, in IR version ${place.irVersion}`);
    if (!inputs.has(name)) define(name, 'the initializer');
    if (!used.has(name)) problems.push(`${where}: nobody uses the initializer "${name}"`);
    const wrong = tensor && whyUnreadable(tensor);
    if (wrong) problems.push(`${where}: the initializer "${name}" ${wrong}`);
  }
  const visible = new Set([...place.visible, ...own]);
  checkNodes(graph.node, visible, place, define);
  for (const { name } of graph.output)
    if (!visible.has(name)) problems.push(`${where}: nothing makes its output "${name}"`);
  const described = new Set<string>();
  for (const { name } of graph.valueInfo) {
    if (!own.has(name)) problems.push(`${where}: a type is stated for "${name}", which is not there`);
    if (described.has(name)) problems.push(`${where}: two types are stated for "${name}"`);
    described.add(name);
  }
}

/** In order, so that what a node uses was made before it. Adds what they make to `visible`. */
function checkNodes(
  nodes: readonly NodeProto[],
  visible: Set<string>,
  place: Place,
  define?: (name: string, what: string) => void,
): void {
  const { where, problems, domains } = place;
  const names = new Set<string>();
  for (const node of nodes) {
    const called = node.name || `${node.opType} for "${node.output[0] ?? ''}"`;
    // onnxruntime makes initializers of constants: their names are nobody's.
    if (node.name !== '' && node.opType !== 'Constant') {
      if (names.has(node.name)) problems.push(`${where}: two nodes are called "${node.name}"`);
      names.add(node.name);
    }
    if (!domains.has(defaultDomain(node.domain)))
      problems.push(`${where}: ${called} is of "${node.domain}", which is not imported`);
    for (const input of node.input)
      if (input !== '' && !visible.has(input))
        problems.push(`${where}: ${called} uses "${input}", which nothing makes before it`);
    for (const { name, g, graphs, t } of node.attribute) {
      for (const body of [...(g ? [g] : []), ...graphs])
        checkGraph(body, { ...place, where: `${name} of ${called}`, visible });
      const wrong = t && whyUnreadable(t);
      if (wrong) problems.push(`${where}: ${name} of ${called} ${wrong}`);
    }
    for (const output of node.output) {
      if (output === '') continue;
      if (define) define(output, 'the result');
      else if (visible.has(output)) problems.push(`${where}: the result "${output}" has the name of another value`);
      visible.add(output);
    }
  }
}

function importedDomains(opsets: ModelProto['opsetImport'], where: string, problems: string[]): Set<string> {
  const domains = new Set<string>();
  for (const { domain } of opsets) {
    const name = defaultDomain(domain);
    if (domains.has(name)) problems.push(`${where} imports "${domain}" twice`);
    domains.add(name);
  }
  return domains;
}

/** Names used inside a graph, its bodies included. */
function usedNames(graph: GraphProto): Set<string> {
  const names = new Set(graph.output.map(({ name }) => name));
  for (const node of graph.node) {
    for (const input of node.input) names.add(input);
    for (const { g, graphs } of node.attribute)
      for (const body of [...(g ? [g] : []), ...graphs]) for (const name of usedNames(body)) names.add(name);
  }
  return names;
}

function whyUnreadable(tensor: TensorProto): string | null {
  const dims = tensor.dims.map(Number);
  if (dims.some((size) => size < 0)) return `has the shape [${dims.join(', ')}]`;
  const type = elementType(tensor.dataType);
  if (type.name.startsWith('type ')) return `has no known type (${tensor.dataType})`;
  if (tensor.dataLocation === 1)
    return tensor.externalData.some(({ key, value }) => key === 'location' && value !== '')
      ? null
      : 'lies in a file without a name';
  const expected = packedBytes(tensor.dataType, elementCount(dims));
  if (tensor.rawData.length > 0)
    return expected === tensor.rawData.length ? null : `holds ${tensor.rawData.length} bytes of ${expected ?? 'no'}`;
  const held =
    tensor.floatData.length +
    tensor.doubleData.length +
    tensor.int32Data.length +
    tensor.int64Data.length +
    tensor.uint64Data.length +
    tensor.stringData.length;
  const each = type.name.startsWith('complex') ? 2 : type.bits > 0 && type.bits < 8 ? type.bits / 8 : 1;
  const wanted = Math.ceil(elementCount(dims) * each);
  return held === wanted ? null : `holds ${held} numbers of ${wanted}`;
}

function defaultDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}
