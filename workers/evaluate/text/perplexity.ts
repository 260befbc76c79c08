/**
 * llama.cpp's protocol for perplexity: which tokens make a window and which of its positions are scored.
 * The text is tokenized once, BOS in front if the tokenizer adds one, and cut into windows that share nothing; where
 * there is a BOS it takes the place of every window's first token. The first half of a window is only context.
 */
import type { Result } from '../../contract/errors.ts';
import { failure } from '../errors.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

export const DEFAULT_CONTEXT = 512;
/** A window smaller than this leaves too little context for a perplexity to mean anything. */
export const SMALLEST_CONTEXT = 32;

export interface TokenizedText {
  /** The whole text, BOS in front where the tokenizer adds one. */
  tokens: Int32Array;
  /** Takes the place of each window's first token; null when the tokenizer adds none. */
  bos: number | null;
}

export interface Windows {
  /** Tokens in a window. */
  context: number;
  /** Windows run. */
  count: number;
  /** First position whose logits are scored; the last is context − 2. */
  firstScored: number;
  /** Positions scored in a window. */
  scored: number;
  /** Sentences on what is not as usual. */
  notes: string[];
}

export function tokenizeText(tokenizer: Tokenizer, text: string): TokenizedText {
  const ids = tokenizer.encode(text);
  if (!tokenizer.addsBos || tokenizer.bosId === null) return { tokens: ids, bos: null };
  const tokens = new Int32Array(ids.length + 1);
  tokens[0] = tokenizer.bosId;
  tokens.set(ids, 1);
  return { tokens, bos: tokenizer.bosId };
}

/**
 * @param textTokens Tokens in the whole text, BOS included.
 * @param maxTokens Tokens to run at most, at least one window in any case; null for all.
 * @param longest Tokens the model can take at once; null when it sets no limit.
 * @param wanted Tokens in a window, where text and model allow.
 * Errors: `text-too-short` below two of the smallest windows.
 */
export function planWindows(
  textTokens: number,
  maxTokens: number | null,
  longest: number | null,
  wanted: number = DEFAULT_CONTEXT,
): Result<Windows> {
  if (textTokens < 2 * SMALLEST_CONTEXT) {
    return failure(
      'text-too-short',
      `The text has ${textTokens} tokens; perplexity needs at least ${2 * SMALLEST_CONTEXT}, and some thousands to say much.`,
      'Use a longer text.',
    );
  }
  const notes: string[] = [];
  let context = wanted;
  if (longest !== null && longest < context) {
    context = longest;
    notes.push(
      `The model takes at most ${longest} tokens at once, so windows of ${longest} were used instead of ${wanted}; figures from other windows are not comparable.`,
    );
  }
  if (textTokens < 2 * context) {
    const smaller = 2 ** Math.floor(Math.log2(textTokens / 2));
    notes.push(
      `The text has ${textTokens} tokens, fewer than two windows of ${context}, so windows of ${smaller} were used; figures from other windows are not comparable.`,
    );
    context = smaller;
  }
  const available = Math.floor(textTokens / context);
  const most = maxTokens === null ? available : Math.max(1, Math.floor(maxTokens / context));
  const firstScored = Math.floor(context / 2);
  return {
    ok: true,
    value: { context, count: Math.min(available, most), firstScored, scored: context - 1 - firstScored, notes },
  };
}
