/** Names for new values and nodes of a model. */
import type { Scope } from './scopes.ts';

/** Hands out names no value of the model has. */
export function uniqueNames(scopes: readonly Scope[]): (wish: string) => string {
  return handOut(
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

/** Hands out names no node of the model has: onnxruntime takes each only once in a graph. No name stays none. */
export function uniqueNodeNames(scopes: readonly Scope[]): (wish: string) => string {
  const unique = handOut(new Set(scopes.flatMap(({ nodes }) => nodes.map(({ name }) => name))));
  return (wish) => (wish === '' ? '' : unique(wish));
}

function handOut(taken: Set<string>): (wish: string) => string {
  /** The first number that may be free, by wish. */
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
