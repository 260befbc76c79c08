/** Two rounds of measuring the same model's speed as one. */
import type { Speed, Spread } from '../../contract/report.ts';

/**
 * What both rounds saw: the extremes of both, and the mean of their medians, weighted by runs. A second round that
 * failed, or ran other amounts of tokens, adds nothing; memory is the most that either took.
 */
export function mergeSpeeds(first: Speed, second: Speed): Speed {
  if (second.problem) return first;
  const { load, prefill, decode, run, memory } = first;
  return {
    ...first,
    load: mergeSpreads(load, second.load),
    prefill:
      prefill && second.prefill?.tokens === prefill.tokens
        ? { ...prefill, tokensPerSecond: mergeSpreads(prefill.tokensPerSecond, second.prefill.tokensPerSecond) }
        : prefill,
    decode:
      decode && second.decode?.tokens === decode.tokens && second.decode.cached === decode.cached
        ? { ...decode, tokensPerSecond: mergeSpreads(decode.tokensPerSecond, second.decode.tokensPerSecond) }
        : decode,
    run: mergeSpreads(run, second.run),
    memory:
      memory && second.memory && second.memory.heap > memory.heap
        ? { ...second.memory, gpu: memory.gpu ?? second.memory.gpu }
        : memory,
  };
}

function mergeSpreads<T extends Spread | null>(a: T, b: Spread | null): T;
function mergeSpreads(a: Spread | null, b: Spread | null): Spread | null {
  if (!a || !b) return a;
  const runs = a.runs + b.runs;
  return {
    median: (a.median * a.runs + b.median * b.runs) / runs,
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
    runs,
  };
}
