/** How the next token is chosen from logits. */
import type { GenerationJob } from '../../contract/generation.ts';
import type { Result } from '../../contract/errors.ts';
import { failure } from '../errors.ts';

/** Chooses from [vocabulary] logits; null where they are not all numbers. */
export type Choose = (logits: Float32Array) => number | null;

/**
 * A fresh chooser: the same sampling, seed included, chooses the same from the same logits.
 * Errors: `usage`.
 */
export function chooser(sampling: GenerationJob['sampling']): Result<Choose> {
  if (sampling.kind === 'greedy') return { ok: true, value: mostLikely };
  const { seed, temperature, topK } = sampling;
  if (!(temperature > 0) || !Number.isFinite(temperature))
    return failure(
      'usage',
      'The temperature must be a number above 0.',
      "Use 1 for the model's own probabilities, or choose greedily.",
    );
  if (!Number.isInteger(topK) || topK < 1)
    return failure(
      'usage',
      'Tokens are drawn from a whole number of the most likely, 1 at least.',
      'Use 40, for example.',
    );
  if (!Number.isSafeInteger(seed) || seed < 0)
    return failure('usage', 'The seed must be a whole number, 0 or above.', 'Use 0, for example.');
  const random = pcg32(BigInt(seed));
  return { ok: true, value: (logits) => draw(logits, temperature, topK, random() / 2 ** 32) };
}

/** Of equals, the first. */
function mostLikely(logits: Float32Array): number | null {
  let best = 0;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    sum += logits[id]!;
    if (logits[id]! > logits[best]!) best = id;
  }
  return isUsable(sum, logits[best]!) ? best : null;
}

/** Tokens may be ruled out by −∞; NaN anywhere shows in the sum, and nothing may be +∞. */
function isUsable(sum: number, largest: number): boolean {
  return !Number.isNaN(sum) && Number.isFinite(largest);
}

/** The token at `share` of the total probability of the `count` most likely, in order of probability. */
function draw(logits: Float32Array, temperature: number, count: number, share: number): number | null {
  const best = mostLikely(logits);
  if (best === null) return null;
  const ids = largest(logits, Math.min(count, logits.length));
  const top = logits[best]!;
  const weights = ids.map((id) => Math.exp((logits[id]! - top) / temperature));
  let left = share * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return ids[index]!;
  }
  return ids.at(-1) ?? best;
}

/** Ids of the largest values, largest first, of equals the lower id first: a heap of `count` with the least on top. */
function largest(values: Float32Array, count: number): number[] {
  const comesBefore = (a: number, b: number): boolean => values[a]! > values[b]! || (values[a] === values[b] && a < b);
  const heap: number[] = [];
  const down = (from: number) => {
    for (let at = from; ;) {
      let last = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && comesBefore(heap[last]!, heap[child]!)) last = child;
      if (last === at) return;
      [heap[at], heap[last]] = [heap[last]!, heap[at]!];
      at = last;
    }
  };
  for (let id = 0; id < count; id++) heap.push(id);
  for (let at = count >> 1; at >= 0; at--) down(at);
  for (let id = count; id < values.length; id++) {
    if (!comesBefore(id, heap[0]!)) continue;
    heap[0] = id;
    down(0);
  }
  return heap.sort((a, b) => (comesBefore(a, b) ? -1 : 1));
}

const MASK_64 = (1n << 64n) - 1n;

/**
 * PCG-XSH-RR 64/32 of Melissa O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
 * Random Number Generation" (2014), seeded as her `pcg32_srandom_r`.
 * @returns Whole numbers from 0 to 2³² − 1.
 */
export function pcg32(seed: bigint, stream = 54n): () => number {
  const increment = ((stream << 1n) | 1n) & MASK_64;
  let state = 0n;
  const step = () => {
    state = (state * 6364136223846793005n + increment) & MASK_64;
  };
  step();
  state = (state + seed) & MASK_64;
  step();
  return () => {
    const old = state;
    step();
    const shifted = Number((((old >> 18n) ^ old) >> 27n) & 0xffffffffn);
    const turn = Number(old >> 59n);
    return ((shifted >>> turn) | (shifted << (-turn & 31))) >>> 0;
  };
}
