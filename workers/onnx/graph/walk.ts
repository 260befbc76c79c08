/**
 * Dataflow of the main graph: which values each value is computed from. A body of control flow counts as part of its
 * node.
 */
import type { Graph, Node } from '../model.ts';

/** A value that a node of the main graph computes. */
export interface ComputedValue {
  name: string;
  node: Node;
  /** Values and graph inputs that the node and its bodies read, without initializers. */
  inputs: readonly string[];
  /** Whether it is computed from initializers alone and so is the same in every run. */
  constant: boolean;
}

/** All values that nodes of the main graph compute, by name, in the order of the nodes. */
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

/** The values that `name` is computed from, including itself. */
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

/** The names a node needs from its own scope: its inputs, and the names that its bodies use and do not define. */
export function namesUsed(node: Node): Set<string> {
  const names = new Set(node.inputs);
  /** Names that the bodies define, from the outermost body to the visited one. */
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

/** The name of a node in reports: its own, or that of its first output. */
export function nodeName({ name, outputs }: Node): string {
  return name || (outputs.find((output) => output !== '') ?? '');
}
