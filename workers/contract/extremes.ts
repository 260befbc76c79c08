/**
 * The least and the greatest of any number of numbers, for the engine and the page. `Math.min(...list)` puts all of them on
 * the stack, which has room for about 100,000.
 */

/** The greatest of the numbers and `start`. */
export function greatest(values: Iterable<number>, start = -Infinity): number {
  let found = start;
  for (const value of values) found = Math.max(found, value);
  return found;
}

/** The least of the numbers and `start`. */
export function least(values: Iterable<number>, start = Infinity): number {
  let found = start;
  for (const value of values) found = Math.min(found, value);
  return found;
}
