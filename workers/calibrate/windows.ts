/** Calibration windows: token ids that activations are measured on. */
import type { Result } from '../contract/errors.ts';
import { failure } from '../evaluate/errors.ts';
import { tokenizeText } from '../evaluate/text/perplexity.ts';
import type { Tokenizer } from '../evaluate/text/tokenizer/tokenizer.ts';

/** How much text is calibrated on at most, in windows and tokens of each. */
export const CALIBRATION = { windows: 64, context: 512 } as const;

/** Fewer tokens are called too little: see quantize/methods/README.md. */
export const ENOUGH_TOKENS = 16_384;

/** Calibration and evaluation text are compared by runs of as many tokens. */
export const OVERLAP_TOKENS = 64;

/** Calibration windows, and what was left out of them. */
export interface CalibrationWindows {
  windows: Int32Array[];
  /** Tokens in all windows. */
  tokens: number;
  /** Windows left out because a part of them also occurs in the evaluation text. */
  refused: number;
}

/**
 * Cuts a text into windows, spread evenly over it. A window that shares 64 tokens in a row with the evaluation text is
 * left out.
 * @param evaluation Tokens of the evaluation text; null for none.
 * Errors: `text-too-short` when no window is left.
 */
export function windowsOfText(
  tokenizer: Tokenizer,
  text: string,
  evaluation: Int32Array | null,
  { windows: most, context }: { windows: number; context: number } = CALIBRATION,
): Result<CalibrationWindows> {
  const { tokens, bos } = tokenizeText(tokenizer, text);
  const length = Math.min(context, tokens.length);
  const available = length < OVERLAP_TOKENS ? 0 : Math.floor(tokens.length / length);
  const known = evaluation && runsOf(evaluation);
  const windows: Int32Array[] = [];
  let refused = 0;
  for (const at of evenly(available, available)) {
    const ids = tokens.slice(at * length, (at + 1) * length);
    if (known && sharesRun(ids, known, evaluation)) refused++;
    else windows.push(ids);
  }
  if (windows.length === 0)
    return failure(
      'text-too-short',
      refused > 0
        ? `All ${refused} windows of the calibration text also occur in the evaluation text.`
        : `The calibration text has ${tokens.length} tokens; calibration needs at least ${OVERLAP_TOKENS}.`,
      refused > 0 ? 'Calibrate on another text.' : 'Use a longer text.',
    );
  const chosen = evenly(windows.length, Math.min(most, windows.length)).map((at) => windows[at]!);
  if (bos !== null) for (const ids of chosen) ids[0] = bos;
  return { ok: true, value: { windows: chosen, tokens: chosen.length * length, refused } };
}

/** `count` of the numbers 0 … `available` − 1, the same distance apart. */
function evenly(available: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor((i * available) / count));
}

const BASE = 0x01000193;
/** BASE^(OVERLAP_TOKENS − 1) modulo 2³², to take the first token out of a rolling hash. */
const FIRST = Array.from({ length: OVERLAP_TOKENS - 1 }).reduce<number>((power) => Math.imul(power, BASE), 1);

/** Calls `visit` with the hash and the start of every run of 64 tokens, until it returns true. */
function visitRuns(ids: Int32Array, visit: (hash: number, start: number) => boolean): boolean {
  let hash = 0;
  for (let at = 0; at < ids.length; at++) {
    if (at >= OVERLAP_TOKENS) hash = (hash - Math.imul(ids[at - OVERLAP_TOKENS]! + 1, FIRST)) | 0;
    hash = (Math.imul(hash, BASE) + ids[at]! + 1) | 0;
    if (at >= OVERLAP_TOKENS - 1 && visit(hash, at - OVERLAP_TOKENS + 1)) return true;
  }
  return false;
}

/** Starts of every run of 64 tokens by its hash. */
function runsOf(ids: Int32Array): Map<number, number> {
  const runs = new Map<number, number>();
  visitRuns(ids, (hash, start) => {
    runs.set(hash, start);
    return false;
  });
  return runs;
}

function sharesRun(ids: Int32Array, known: ReadonlyMap<number, number>, evaluation: Int32Array): boolean {
  return visitRuns(ids, (hash, start) => {
    const other = known.get(hash);
    if (other === undefined) return false;
    for (let i = 0; i < OVERLAP_TOKENS; i++) if (ids[start + i] !== evaluation[other + i]) return false;
    return true;
  });
}
