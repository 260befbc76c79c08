/** Where values go: through nodes, into bodies of control flow and local functions, and out of them again. */
import type { Graph, Model, Node } from '../../onnx/model.ts';
import { functionKey } from '../families/call.ts';
import { definingScope, type Scope, type Use } from '../../onnx/graph/scopes.ts';

/** A value by the scope it is named in. */
export interface ScopedValue {
  scope: Scope;
  name: string;
}

export interface Flow {
  uses(value: ScopedValue): readonly Use[];
  /** What a value handed to a node is called inside of it, where the node has bodies or calls a function. */
  inside(use: Use): ScopedValue[];
  /** What a result of a body or a function is called outside. */
  outside(value: ScopedValue): ScopedValue[];
  /** The scopes of a node's bodies, in the order of its attributes. */
  bodiesOf(node: Node): readonly Scope[];
}

interface Body {
  graph: Graph;
  node: Node;
  parent: Scope;
}

export function traceFlow(model: Model, scopes: readonly Scope[]): Flow {
  const scopeAt = new Map(scopes.map((scope) => [scope.within.at(-1), scope]));
  const bodies = new Map<Scope, Body>();
  const scopesOf = new Map<Node, Scope[]>();
  const graphOf = new Map<Scope, Graph>();
  const functions = new Map(model.functions.map((body) => [functionKey(body.domain, body.name), body]));
  const calls = new Map<string, { node: Node; scope: Scope }[]>();
  const functionOf = new Map(
    model.functions.flatMap((body) => {
      const scope = scopeAt.get(body.span);
      return scope ? [[scope, body] as const] : [];
    }),
  );
  for (const parent of scopes) {
    for (const node of parent.nodes) {
      const graphs = node.attributes.flatMap((attribute) => attribute.graphs);
      for (const graph of graphs) {
        const scope = scopeAt.get(graph.span);
        if (!scope) continue;
        bodies.set(scope, { graph, node, parent });
        graphOf.set(scope, graph);
        const known = scopesOf.get(node);
        if (known) known.push(scope);
        else scopesOf.set(node, [scope]);
      }
      const key = functionKey(node.domain, node.type);
      if (!functions.has(key)) continue;
      const known = calls.get(key);
      if (known) known.push({ node, scope: parent });
      else calls.set(key, [{ node, scope: parent }]);
    }
  }
  return {
    uses: ({ scope, name }) => definingScope(scope, name)?.uses.get(name) ?? [],
    inside({ node, input }) {
      const called = functions.get(functionKey(node.domain, node.type));
      if (called) {
        const scope = scopeAt.get(called.span);
        const name = called.inputs[input];
        return scope && name !== undefined ? [{ scope, name }] : [];
      }
      // Loop and Scan have the inputs of their body, in that order; If has none.
      if (node.type !== 'Loop' && node.type !== 'Scan') return [];
      return (scopesOf.get(node) ?? []).flatMap((scope) => {
        const name = graphOf.get(scope)?.inputs[input]?.proto.name;
        return name === undefined ? [] : [{ scope, name }];
      });
    },
    outside({ scope, name }) {
      const called = functionOf.get(scope);
      if (called) {
        return called.outputs.flatMap((output, index) =>
          output !== name
            ? []
            : (calls.get(functionKey(called.domain, called.name)) ?? []).flatMap(({ node, scope: where }) => {
                const result = node.outputs[index] ?? '';
                return result === '' ? [] : [{ scope: where, name: result }];
              }),
        );
      }
      const body = bodies.get(scope);
      if (!body) return [];
      const { graph, node, parent } = body;
      return graph.outputs.flatMap(({ proto }, index) => {
        if (proto.name !== name) return [];
        // A Loop's body says first whether to go on.
        const at = node.type === 'Loop' ? index - 1 : index;
        const result = node.outputs[at] ?? '';
        const carried =
          node.type === 'Loop'
            ? graph.inputs[index + 1]?.proto.name
            : node.type === 'Scan'
              ? graph.inputs[index]?.proto.name
              : undefined;
        return [
          ...(at < 0 || result === '' ? [] : [{ scope: parent, name: result }]),
          ...(carried === undefined ? [] : [{ scope, name: carried }]),
        ];
      });
    },
    bodiesOf: (node) => scopesOf.get(node) ?? [],
  };
}
