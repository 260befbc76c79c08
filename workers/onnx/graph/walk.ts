/** Which values of a graph come of which: the main graph's nodes in order, bodies of control flow as parts of their node. */
import type { Graph, Node } from '../model.ts';

export interface ComputedValue {
  name: string;
  node: Node;
  /** Values and graph inputs the node reads, what bodies of control flow read included; no initializers. */
  inputs: readonly string[];
  /** Made of initializers alone, the same in every run. */
  constant: boolean;
}

/** All values that nodes of the main graph compute, by name, in the order of the nodes: what a value comes of is before it. */
export function computedValues(graph: Graph): ReadonlyMap<string, ComputedValue> {
  const fed = new Set(graph.inputs.map(({ proto }) => proto.name));
  for (const { name } of graph.initializers) fed.delete(name);
  const values = new Map<string, ComputedValue>();
  for (const node of graph.nodes) {
    const inputs = [...namesUsed(node)].filter((name) => fed.has(name) || values.has(name));
    const constant = inputs.every((name) => values.get(name)?.constant === true);
    for (const name of node.outputs) if (name !== '') values.set(name, { name, node, inputs, constant });
  }
  return values;
}

/** What `name` comes of, itself included. */
export function ancestors(values: ReadonlyMap<string, ComputedValue>, name: string): ReadonlySet<string> {
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

/** Names a node needs from its own scope: its inputs, and what its bodies use without defining it. */
export function namesUsed(node: Node): Set<string> {
  const names = new Set(node.inputs);
  /** What bodies define, from the outermost to the one that is visited. */
  const defined: Set<string>[] = [];
  const use = (name: string) => {
    if (!defined.some((here) => here.has(name))) names.add(name);
  };
  const visit = (graph: Graph) => {
    defined.push(
      new Set([
        ...graph.initializers.map(({ name }) => name),
        ...graph.inputs.map(({ proto }) => proto.name),
        ...graph.nodes.flatMap(({ outputs }) => outputs),
      ]),
    );
    for (const inner of graph.nodes) {
      inner.inputs.forEach(use);
      for (const attribute of inner.attributes) attribute.graphs.forEach(visit);
    }
    for (const { proto } of graph.outputs) use(proto.name);
    defined.pop();
  };
  for (const attribute of node.attributes) attribute.graphs.forEach(visit);
  return names;
}

/** The name a report gives a node. */
export function nodeName({ name, outputs }: Node): string {
  return name || (outputs.find((output) => output !== '') ?? '');
}
