/**
 * How much text to measure on: what a number of tokens costs in time and buys in error.
 * Windows of 512 tokens score 255 each (llama.cpp's protocol).
 */
import type { Protocol } from '../../workers/protocol.ts';

export const WINDOW = 512;
const SCORED_PER_WINDOW = 255;

/** Where the slider stands at first: 32 windows. */
export const DEFAULT_TOKENS = 32 * WINDOW;

/**
 * Before the first run. Standard deviation of a token's log loss, in nats: language models on prose lie between 2.2
 * and 3.2. Throughput in parameters × tokens a second for one thread of a WASM runtime on a laptop.
 */
const ASSUMED_SPREAD = 3;
const ASSUMED_PARAMETER_TOKENS_PER_THREAD = 8e9;

/** What a finished run taught about this model on this machine. */
export interface Measurement {
  /** Seconds one token takes in one level. */
  secondsPerToken: number;
  /** Seconds each level takes whatever the text: reading, quantizing, starting the runtime. */
  secondsPerLevel: number;
  /** Standard deviation of a token's log loss, nats. */
  spread: number;
}

export interface Cost {
  seconds: number;
  /** One standard error of the perplexity, as a share of it. */
  relativeError: number;
  scored: number;
  basis: 'assumed' | 'measured';
}

/** Tokens that would be run when `requested` (null for all) of `available` are asked for: whole windows. */
export function tokensRun(requested: number | null, available: number): number {
  const wanted = Math.min(requested ?? available, available);
  return wanted < WINDOW ? wanted : Math.floor(wanted / WINDOW) * WINDOW;
}

export function costOf(
  tokens: number,
  machine: { levels: number; parameters: number; threads: number },
  measured: Measurement | null,
): Cost {
  const scored = tokens < WINDOW ? Math.max(1, Math.floor(tokens / 2)) : Math.floor(tokens / WINDOW) * SCORED_PER_WINDOW;
  const secondsPerToken = measured?.secondsPerToken
    ?? machine.parameters / (ASSUMED_PARAMETER_TOKENS_PER_THREAD * Math.max(1, machine.threads));
  return {
    seconds: machine.levels * (tokens * secondsPerToken + (measured?.secondsPerLevel ?? 0)),
    relativeError: (measured?.spread ?? ASSUMED_SPREAD) / Math.sqrt(scored),
    scored,
    basis: measured ? 'measured' : 'assumed',
  };
}

/** How long a run took: altogether, and for a stretch of the text (a share of it, 0…1). */
export interface Timing { seconds: number; stretch: { share: number; seconds: number } | null }

/** What to remember of a run that measured `levels` levels. A text too short to show a pace counts in full. */
export function learn(protocol: Protocol, baseline: { value: number; error: number }, levels: number, { seconds, stretch }: Timing): Measurement | null {
  const tokens = protocol.chunks * protocol.context;
  if (!(tokens > 0) || !(seconds > 0) || !(baseline.error > 0) || !(baseline.value > 0)) return null;
  const paced = stretch !== null && stretch.share > 0 && stretch.seconds > 0;
  const forText = paced ? Math.min(seconds, stretch.seconds / stretch.share) : seconds;
  return {
    secondsPerToken: forText / (tokens * levels),
    secondsPerLevel: (seconds - forText) / levels,
    spread: (baseline.error / baseline.value) * Math.sqrt(protocol.tokens),
  };
}

/** Amounts the slider stops at: windows doubling from two, and the whole text at the end. Ascending. */
export function stops(available: number): number[] {
  const whole = tokensRun(null, available);
  const list: number[] = [];
  for (let tokens = 2 * WINDOW; tokens < whole; tokens *= 2) {
    list.push(tokens);
    const between = (tokens * 3) / 2;
    if (between < whole && between % WINDOW === 0 && tokens >= 4 * WINDOW) list.push(between);
  }
  return [...list, whole];
}
