/** Who makes and who uses each value of a graph, so that a weight can be followed to its uses. */
import type { Graph, Node, Tensor } from '../../onnx/model.ts';

export interface Use {
  node: Node;
  /** Position among the node's inputs. */ input: number;
}

export interface GraphIndex {
  graph: Graph;
  initializers: ReadonlyMap<string, Tensor>;
  producer: ReadonlyMap<string, Node>;
  uses: ReadonlyMap<string, readonly Use[]>;
  /** Values that bodies of control flow use from the outside. */
  usedInside: ReadonlySet<string>;
  inputs: ReadonlySet<string>;
  outputs: ReadonlySet<string>;
}

export function indexGraph(graph: Graph): GraphIndex {
  const producer = new Map<string, Node>();
  const uses = new Map<string, Use[]>();
  const usedInside = new Set<string>();
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output !== '') producer.set(output, node);
    node.inputs.forEach((name, input) => {
      if (name === '') return;
      const list = uses.get(name);
      if (list) list.push({ node, input });
      else uses.set(name, [{ node, input }]);
    });
    for (const attribute of node.attributes) for (const body of attribute.graphs) collectUses(body, usedInside);
  }
  return {
    graph,
    producer,
    uses,
    usedInside,
    initializers: new Map(graph.initializers.map((tensor) => [tensor.name, tensor])),
    inputs: new Set(graph.inputs.map(({ proto }) => proto.name)),
    outputs: new Set(graph.outputs.map(({ proto }) => proto.name)),
  };
}

/** Every name a body mentions as an input or gives out; taking in its own values as well only errs on the safe side. */
function collectUses(graph: Graph, names: Set<string>): void {
  for (const { proto } of graph.outputs) names.add(proto.name);
  for (const node of graph.nodes) {
    for (const name of node.inputs) names.add(name);
    for (const attribute of node.attributes) for (const body of attribute.graphs) collectUses(body, names);
  }
}

/** An integer attribute, or `fallback` when the node does not state it. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const found = node.attributes.find(({ proto }) => proto.name === name);
  return found ? Number(found.proto.i) : fallback;
}

/** A list-of-integers attribute, or null when the node does not state it. */
export function intsAttribute(node: Node, name: string): number[] | null {
  const found = node.attributes.find(({ proto }) => proto.name === name);
  return found ? found.proto.ints.map(Number) : null;
}
