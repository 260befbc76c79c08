/** The least and the greatest of any number of numbers. `Math.min(...list)` puts them all on the stack, which has room for some 100,000. */

/** @param start What is greatest when there is nothing greater. */
export function greatest(values: Iterable<number>, start = -Infinity): number {
  let found = start;
  for (const value of values) found = Math.max(found, value);
  return found;
}

/** @param start What is least when there is nothing less. */
export function least(values: Iterable<number>, start = Infinity): number {
  let found = start;
  for (const value of values) found = Math.min(found, value);
  return found;
}
