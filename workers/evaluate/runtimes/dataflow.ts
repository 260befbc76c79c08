/** Which values of a graph come of which: the main graph's nodes in order, bodies of control flow as parts of their node. */
import type { Graph, Node } from '../../onnx/model.ts';

export interface Value {
  name: string;
  node: Node;
  /** Values and graph inputs the node reads, what bodies of control flow read included; no initializers. */
  inputs: readonly string[];
  /** Made of initializers alone, the same in every run. */
  constant: boolean;
}

/** All values that nodes of the main graph compute, by name, in the order of the nodes: what a value comes of is before it. */
export function dataflow(graph: Graph): ReadonlyMap<string, Value> {
  const fed = new Set(graph.inputs.map(({ proto }) => proto.name));
  for (const { name } of graph.initializers) fed.delete(name);
  const values = new Map<string, Value>();
  for (const node of graph.nodes) {
    const inputs = [...namesRead(node)].filter((name) => fed.has(name) || values.has(name));
    const constant = inputs.every((name) => values.get(name)?.constant === true);
    for (const name of node.outputs) if (name !== '') values.set(name, { name, node, inputs, constant });
  }
  return values;
}

/** What `name` comes of, itself included. */
export function ancestors(values: ReadonlyMap<string, Value>, name: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const value = values.get(next);
    if (!value || found.has(next)) continue;
    found.add(next);
    for (const input of value.inputs) open.push(input);
  }
  return found;
}

/** Names inside a body that its own nodes make may be among them; they are not values of the main graph. */
function namesRead({ inputs, attributes }: Node): Set<string> {
  const names = new Set(inputs.filter((name) => name !== ''));
  for (const { graphs } of attributes) {
    for (const body of graphs) {
      for (const { proto } of body.outputs) names.add(proto.name);
      for (const node of body.nodes) for (const name of namesRead(node)) names.add(name);
    }
  }
  return names;
}

/** The name a report gives a node. */
export function nodeName({ name, outputs }: Node): string {
  return name || (outputs.find((output) => output !== '') ?? '');
}
