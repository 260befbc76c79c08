/** Names for new values and nodes of a model. */
import type { Scope } from './scopes.ts';

/** Creates a function that returns a new name for a value, as close to the wanted name as possible. */
export function uniqueNames(scopes: readonly Scope[]): (wish: string) => string {
  return nameGenerator(
    new Set(
      scopes.flatMap((scope) => [
        ...scope.constants.keys(),
        ...scope.sparse.map(({ name }) => name),
        ...scope.producer.keys(),
        ...scope.inputs,
        ...scope.outputs,
        ...scope.nodes.flatMap(({ inputs }) => inputs),
      ]),
    ),
  );
}

/** The same for names of nodes, which onnxruntime accepts only once in a graph. An empty name stays empty. */
export function uniqueNodeNames(scopes: readonly Scope[]): (wish: string) => string {
  const unique = nameGenerator(new Set(scopes.flatMap(({ nodes }) => nodes.map(({ name }) => name))));
  return (wish) => (wish === '' ? '' : unique(wish));
}

function nameGenerator(taken: Set<string>): (wish: string) => string {
  /** The first suffix that may be free, by wanted name. */
  const next = new Map<string, number>();
  return (wish) => {
    let name = wish;
    let number = next.get(wish) ?? 2;
    while (taken.has(name)) name = `${wish}_${number++}`;
    next.set(wish, number);
    taken.add(name);
    return name;
  };
}
