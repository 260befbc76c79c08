/** What a scope states of a name, found in constant time: its lists may have tens of thousands of entries. */
import type { SparseTensor, ValueInfo } from '../model.ts';

const sparseOf = new WeakMap<readonly SparseTensor[], ReadonlyMap<string, SparseTensor>>();
const statedOf = new WeakMap<readonly ValueInfo[], ReadonlyMap<string, ValueInfo>>();

/** The sparse initializer of a name. */
export function findSparse(sparse: readonly SparseTensor[], name: string): SparseTensor | undefined {
  if (sparse.length === 0) return undefined;
  return lookUp(sparseOf, sparse, (one) => one.name, name);
}

/** What is stated of a value's type and shape; the first of several statements. */
export function findStated(values: readonly ValueInfo[], name: string): ValueInfo | undefined {
  return lookUp(statedOf, values, ({ proto }) => proto.name, name);
}

/** @param known Made once for each list, which must not change afterwards. */
function lookUp<T>(
  known: WeakMap<readonly T[], ReadonlyMap<string, T>>,
  list: readonly T[],
  nameOf: (one: T) => string,
  name: string,
): T | undefined {
  let byName = known.get(list);
  if (!byName) {
    const made = new Map<string, T>();
    for (const one of list) if (!made.has(nameOf(one))) made.set(nameOf(one), one);
    known.set(list, made);
    byName = made;
  }
  return byName.get(name);
}
