/** Which provider to measure on, by measurement: both run the baseline for a moment, and the faster one is taken. */
import type { ModelFiles } from '../../contract/files.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { GraphRuntime } from '../sessions/graph-session.ts';
import { languageModels } from '../text/language-model.ts';

/** Tokens of the run that is timed: enough to tell, and few enough not to wait for. */
const TOKENS = 128;

export interface Candidate {
  runtime: GraphRuntime;
  /** An adapter emulated on the CPU is right, but never fast: it is not worth the time to find out. */
  software?: boolean;
}

export interface Choice {
  runtime: GraphRuntime;
  /** Seconds of the timed run, by provider, of those that were timed. */
  seconds: Map<Provider, number>;
}

/**
 * @param model The baseline.
 * @param candidates The first is taken unless another is faster; one that cannot run the model is passed over.
 */
export async function fasterProvider(
  model: ModelFiles,
  candidates: readonly [Candidate, ...Candidate[]],
  now: () => number = () => performance.now(),
): Promise<Choice> {
  const [first, ...others] = candidates;
  const worthTrying = others.filter(({ software }) => !software);
  const choice: Choice = { runtime: first.runtime, seconds: new Map() };
  if (worthTrying.length === 0) return choice;
  let best = Infinity;
  for (const { runtime } of [first, ...worthTrying]) {
    const seconds = await timeOf(model, runtime, now);
    if (seconds === null) continue;
    choice.seconds.set(runtime.provider, seconds);
    if (seconds >= best) continue;
    best = seconds;
    choice.runtime = runtime;
  }
  return choice;
}

async function timeOf(model: ModelFiles, runtime: GraphRuntime, now: () => number): Promise<number | null> {
  const opened = await languageModels(runtime).open(model, { causal: true });
  if (!opened.ok) return null;
  try {
    const ids = new Int32Array(Math.min(TOKENS, opened.value.longest ?? TOKENS));
    // The first run of a shape compiles shaders and lays out memory; later windows do not pay for that.
    const warm = await opened.value.logits(ids, 0, ids.length);
    if (!warm.ok) return null;
    const began = now();
    const timed = await opened.value.logits(ids, 0, ids.length);
    return timed.ok ? (now() - began) / 1000 : null;
  } finally {
    await opened.value.release();
  }
}
