/** How much text to measure on: what a number of tokens costs in time and buys in error, by the protocol's windows. */
import type { Capabilities, Extras, Protocol, ProtocolRequest } from '../../workers/protocol.ts';
import { formatCount } from '../format/numbers.ts';
import { DEFAULT_PROTOCOL, lengthsOf, PROTOCOLS } from '../protocols/protocols.ts';

export const WINDOW = 512;

/** Where the slider stands at first: 32 windows of llama.cpp's. */
export const DEFAULT_TOKENS = 32 * WINDOW;
/** Less says little; a window of the protocol's is taken where that is more. */
const FEWEST_TOKENS = 2 * WINDOW;

/**
 * Before the first run. Standard deviation of a token's log loss, in nats: language models on prose lie between 2.2
 * and 3.2. Throughput in parameters × tokens a second for one thread of a WASM runtime on a laptop.
 */
const ASSUMED_SPREAD = 3;
const ASSUMED_PARAMETER_TOKENS_PER_THREAD = 8e9;
/** Of English prose, the space included. */
const ASSUMED_BYTES_PER_WORD = 5.8;
const WORDS_PER_TOKEN = 0.75;

/**
 * What the checks take, roughly, from the engine's own bounds on them (workers/evaluate): windows of the noise floor
 * and of runtime drift, the latter's limit in seconds a level (less on an adapter played by the CPU), the time speed
 * takes of each level on each provider, and the tokens it runs at the least.
 */
const NOISE_FLOOR_WINDOWS = 16;
const DRIFT = { windows: 4, seconds: 10, softwareSeconds: 2 };
const SPEED = { seconds: 3, tokens: 4 * 256 + 3 * 32 };

/** What is measured besides the text's figures, and the graphics adapter it can be measured on. */
export interface Checks {
  noiseFloor: boolean;
  runtimeDrift: boolean;
  speed: boolean;
  gpu: 'none' | 'software' | 'hardware';
}

export function checksOf({ noiseFloor = false, runtimeDrift = false, speed = false }: Extras, capabilities: Capabilities | null): Checks {
  const gpu = capabilities?.webgpu.available ? (capabilities.webgpu.software ? 'software' : 'hardware') : 'none';
  return { noiseFloor, runtimeDrift, speed, gpu };
}

/** What a finished run taught about this model on this machine. */
export interface Measurement {
  /** Seconds one token takes in one level. */
  secondsPerToken: number;
  /** Seconds each level takes whatever the text: reading, quantizing, starting the runtime. */
  secondsPerLevel: number;
  /** Seconds the checks after the figures took, a level, and which they were; null where there were none. */
  checks: { secondsPerLevel: number; of: Checks } | null;
  /** Standard deviation of a token's log loss, nats. */
  spread: number;
}

export interface Machine {
  levels: number;
  parameters: number;
  threads: number;
  /** Bytes of UTF-8 a token stands for; matters where perplexity is by word. */
  bytesPerToken?: number;
  /** None when absent. */
  checks?: Checks;
}

export interface Cost {
  /** All in all. */
  seconds: number;
  /** Of these, what the checks take; rough. */
  checkSeconds: number;
  /** One standard error of the perplexity, as a share of it. */
  relativeError: number;
  scored: number;
  basis: 'assumed' | 'measured';
}

/** Tokens that would be run when `requested` (null for all) of `available` are asked for: as many as whole windows hold. */
export function tokensRun(requested: number | null, available: number, protocol: ProtocolRequest = DEFAULT_PROTOCOL): number {
  const { window, step, takesRest } = lengthsOf(protocol);
  const wanted = Math.min(requested ?? available, available);
  if (wanted < window) return Math.min(window, available);
  return takesRest && wanted === available ? available : Math.floor(wanted / step) * step;
}

export function costOf(
  tokens: number,
  machine: Machine,
  measured: Measurement | null,
  protocol: ProtocolRequest = DEFAULT_PROTOCOL,
): Cost {
  const { run, scored: scoredOf } = lengthsOf(protocol);
  const scored = scoredOf(tokens);
  const secondsPerToken = measured?.secondsPerToken
    ?? machine.parameters / (ASSUMED_PARAMETER_TOKENS_PER_THREAD * Math.max(1, machine.threads));
  // A word's log loss is the sum of its tokens', and so is the error.
  const tokensPerUnit = PROTOCOLS[protocol.name].unit === 'word' && machine.bytesPerToken ? Math.max(1, ASSUMED_BYTES_PER_WORD / machine.bytesPerToken) : 1;
  const checkSeconds = machine.checks ? secondsOfChecks(machine.checks, { tokens: run(tokens), window: lengthsOf(protocol).window, secondsPerToken, levels: machine.levels }, measured) : 0;
  return {
    seconds: machine.levels * (run(tokens) * secondsPerToken + (measured?.secondsPerLevel ?? 0)) + checkSeconds,
    checkSeconds,
    relativeError: ((measured?.spread ?? ASSUMED_SPREAD) * tokensPerUnit) / Math.sqrt(scored),
    scored,
    basis: measured ? 'measured' : 'assumed',
  };
}

interface Run { tokens: number; window: number; secondsPerToken: number; levels: number }

/** As the last run of the same checks took, else from their bounds. */
function secondsOfChecks(checks: Checks, { tokens, window, secondsPerToken, levels }: Run, measured: Measurement | null): number {
  const last = measured?.checks;
  // The noise floor is measured on the way, not after the figures: a finished run has it in its pace.
  if (last && last.of.runtimeDrift === checks.runtimeDrift && last.of.speed === checks.speed && last.of.gpu === checks.gpu) return last.secondsPerLevel * levels;
  const noiseFloor = checks.noiseFloor && !measured ? Math.min(tokens, NOISE_FLOOR_WINDOWS * window) * secondsPerToken : 0;
  const drift = checks.runtimeDrift && checks.gpu !== 'none'
    ? Math.min(checks.gpu === 'software' ? DRIFT.softwareSeconds : DRIFT.seconds, 2 * Math.min(tokens, DRIFT.windows * window) * secondsPerToken)
    : 0;
  const providers = checks.gpu === 'hardware' ? 2 : 1;
  const speed = checks.speed ? providers * Math.max(SPEED.seconds, SPEED.tokens * secondsPerToken) : 0;
  return noiseFloor + levels * (drift + speed);
}

/** How long a run took: altogether, and for a stretch of the text (a share of it, 0…1). */
export interface Timing {
  seconds: number;
  stretch: { share: number; seconds: number } | null;
  /** What of `seconds` went into checks after the figures. */
  checks?: { seconds: number; of: Checks };
}

/** What to remember of a run that measured `levels` levels. A text too short to show a pace counts in full. */
export function learn(protocol: Protocol, baseline: { value: number; error: number }, levels: number, { seconds: altogether, stretch, checks }: Timing): Measurement | null {
  const tokens = protocol.chunks * protocol.context;
  const seconds = altogether - Math.min(altogether, checks?.seconds ?? 0);
  if (!(tokens > 0) || !(seconds > 0) || !(baseline.error > 0) || !(baseline.value > 0)) return null;
  const paced = stretch !== null && stretch.share > 0 && stretch.seconds > 0;
  // Shares are of what was planned, of which a run that was stopped did a part.
  const ran = protocol.plannedChunks ? protocol.chunks / protocol.plannedChunks : 1;
  const forText = paced ? Math.min(seconds, (ran * stretch.seconds) / stretch.share) : seconds;
  return {
    secondsPerToken: forText / (tokens * levels),
    secondsPerLevel: (seconds - forText) / levels,
    checks: checks && checks.seconds > 0 ? { secondsPerLevel: checks.seconds / levels, of: checks.of } : null,
    spread: (baseline.error / baseline.value) * Math.sqrt(protocol.tokens) * (protocol.words ? protocol.words / protocol.tokens : 1),
  };
}

/** Fewer tokens than this are not measured at all: two of the engine's smallest windows. */
const FEWEST_MEASURED = 64;

/** What a text too short for the protocol's windows is short of; null for one that is long enough. */
export function shortSentence(available: number, window: number): string | null {
  if (available < FEWEST_MEASURED) {
    return `This text has ${formatCount(available)} tokens, and ${formatCount(FEWEST_MEASURED)} are the least that perplexity can be measured on: add some ${formatCount(Math.ceil((FEWEST_MEASURED - available) * WORDS_PER_TOKEN))} words, better some thousands.`;
  }
  if (available < window) {
    return `This text has ${formatCount(available)} tokens, fewer than one window of ${formatCount(window)}: smaller windows are used, and figures from other windows do not compare.`;
  }
  return null;
}

/** Amounts the slider stops at: doubling, with one between, and the whole text at the end. Ascending. */
export function stops(available: number, protocol: ProtocolRequest = DEFAULT_PROTOCOL): number[] {
  const { window, step } = lengthsOf(protocol);
  const whole = tokensRun(null, available, protocol);
  const list: number[] = [];
  for (let tokens = Math.max(window, FEWEST_TOKENS); tokens < whole; tokens *= 2) {
    list.push(tokens);
    const between = (tokens * 3) / 2;
    if (between < whole && between % step === 0 && tokens >= 2 * FEWEST_TOKENS) list.push(between);
  }
  return [...list, whole];
}
