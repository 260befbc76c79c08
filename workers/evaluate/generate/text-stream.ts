/** Text of tokens as they come, in whole characters. */
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';

export interface TextStream {
  /** The text so far, without a character whose bytes are not all there yet. */
  add(id: number): string;
}

/** Earlier tokens that are decoded along: what a token says may depend on those before it, a leading space most of all. */
const CONTEXT = 6;
/** A character has four bytes of UTF-8 at most, and each may be a token. */
const MORE_BYTES = 3;

/**
 * The continuation of `prompt`. Only the tokens since the last whole character are decoded anew, with a few before
 * them, so that the work does not grow with the text.
 */
export function continueText(tokenizer: Pick<Tokenizer, 'decode'>, prompt: readonly number[]): TextStream {
  let told = lastTokens(tokenizer, prompt);
  let waiting: number[] = [];
  let text = '';
  return {
    add(id) {
      waiting.push(id);
      const before = tokenizer.decode(told.context);
      const after = tokenizer.decode([...told.context, ...waiting]);
      if (after.endsWith('\uFFFD')) return text;
      // Byte tokens side by side that are not all UTF-8 are U+FFFD each, those that were whole characters before, too.
      text += after.startsWith(before) ? after.slice(before.length) : tokenizer.decode(waiting);
      told = lastTokens(tokenizer, [...told.tokens, ...waiting]);
      waiting = [];
      return text;
    },
  };
}

/**
 * The last tokens of `ids`, and those of them that are decoded along. These begin with a whole character where there is
 * one: half a character would spoil all byte tokens behind it.
 */
function lastTokens(
  tokenizer: Pick<Tokenizer, 'decode'>,
  ids: readonly number[],
): { tokens: readonly number[]; context: readonly number[] } {
  const tokens = ids.slice(-(CONTEXT + MORE_BYTES));
  for (let count = CONTEXT; count <= CONTEXT + MORE_BYTES; count++) {
    const context = tokens.slice(-count);
    if (!tokenizer.decode(context).startsWith('\uFFFD')) return { tokens, context };
  }
  return { tokens, context: tokens.slice(-CONTEXT) };
}
