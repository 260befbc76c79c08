/** Times of several runs as one figure, and how many runs there is time for. */
import type { EngineError, Result } from '../../contract/errors.ts';
import type { Spread } from '../../contract/report.ts';

/** Median and extremes; of an even number the mean of the middle two. Null of none. */
export function spreadOf(values: readonly number[]): Spread | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  const median = sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
  return { median, low: sorted[0]!, high: sorted.at(-1)!, runs: sorted.length };
}

export interface Repeats {
  least: number;
  most: number;
  /** Seconds after which there are no more than `least` runs, and after three times as many no more at all. */
  budget: number;
}

export interface Repeated {
  values: number[];
  /** What ended it before its time. */
  problem: EngineError | null;
}

/**
 * Does something again and again, once at least, until it fails or there is no more time.
 * @param now Seconds.
 */
export async function repeat(
  run: () => Promise<Result<number>>,
  { least, most, budget }: Repeats,
  now: () => number,
): Promise<Repeated> {
  const start = now();
  const values: number[] = [];
  while (values.length < most) {
    const result = await run();
    if (!result.ok) return { values, problem: result.error };
    values.push(result.value);
    const spent = now() - start;
    if (spent >= 3 * budget || (spent >= budget && values.length >= least)) break;
  }
  return { values, problem: null };
}
