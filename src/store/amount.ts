/** How much text to measure on: which amounts there are, and what error a number of tokens gives, by the protocol's windows. */
import type { Protocol } from '../../workers/contract/report.ts';
import type { ProtocolRequest } from '../../workers/contract/job.ts';
import { formatCount } from '../lib/format/numbers.ts';
import { DEFAULT_PROTOCOL, lengthsOf, PROTOCOLS } from '../features/protocols/protocols.ts';

export const WINDOW = 512;

/** Where the slider stands at first: 32 windows of llama.cpp's. */
export const DEFAULT_TOKENS = 32 * WINDOW;
/** Less says little; a window of the protocol's is taken where that is more. */
const FEWEST_TOKENS = 2 * WINDOW;

/** Before the first run, in nats: language models on prose lie between 2.2 and 3.2. */
const ASSUMED_SPREAD = 3;
/** Of English prose, the space included. */
const ASSUMED_BYTES_PER_WORD = 5.8;
const WORDS_PER_TOKEN = 0.75;

/** What costs and errors depend on besides the amount of text. */
export interface Subject {
  /** Bytes of UTF-8 a token stands for; matters where perplexity is by word. */
  bytesPerToken?: number;
  /** Standard deviation of a token's log loss in nats, as measured; null before anything was. */
  spread: number | null;
}

export interface Precision {
  /** One standard error of the perplexity, as a share of it. */
  relativeError: number;
  scored: number;
  basis: 'assumed' | 'measured';
}

/** Tokens that would be run when `requested` (null for all) of `available` are asked for: as many as whole windows hold. */
export function tokensRun(
  requested: number | null,
  available: number,
  protocol: ProtocolRequest = DEFAULT_PROTOCOL,
): number {
  const { window, step, takesRest } = lengthsOf(protocol);
  const wanted = Math.min(requested ?? available, available);
  if (wanted < window) return Math.min(window, available);
  return takesRest && wanted === available ? available : Math.floor(wanted / step) * step;
}

/** Tokens that each model runs for so much of the text: where windows overlap, more than it has. */
export const tokensInWindows = (tokens: number, protocol: ProtocolRequest = DEFAULT_PROTOCOL): number =>
  lengthsOf(protocol).run(tokens);

/** How well perplexity will be known from so many tokens of the text. */
export function precisionOf(
  tokens: number,
  { bytesPerToken, spread }: Subject,
  protocol: ProtocolRequest = DEFAULT_PROTOCOL,
): Precision {
  const scored = lengthsOf(protocol).scored(tokens);
  // A word's log loss is the sum of its tokens', and so is the error.
  const tokensPerUnit =
    PROTOCOLS[protocol.name].unit === 'word' && bytesPerToken ? Math.max(1, ASSUMED_BYTES_PER_WORD / bytesPerToken) : 1;
  return {
    relativeError: ((spread ?? ASSUMED_SPREAD) * tokensPerUnit) / Math.sqrt(scored),
    scored,
    basis: spread === null ? 'assumed' : 'measured',
  };
}

/** Standard deviation of a token's log loss, from a run's baseline; null where it shows none. */
export function spreadOf(
  { tokens, words }: Pick<Protocol, 'tokens' | 'words'>,
  { value, error }: { value: number; error: number },
): number | null {
  if (!(tokens > 0) || !(error > 0) || !(value > 0)) return null;
  return (error / value) * Math.sqrt(tokens) * (words ? words / tokens : 1);
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
