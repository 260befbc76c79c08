/** Text of tokens as they come, in whole characters. */
import type { Tokenizer } from './tokenizer.ts';

export interface TextStream {
  /** The text so far, without a character whose bytes are not all there yet. */
  add(id: number): string;
}

/** Tokens of the prompt that are decoded along: what a token says may depend on those before it, a leading space most of all. */
const CONTEXT = 6;

/**
 * The continuation of `prompt`. Only the tokens since the last whole character are decoded anew, with a few before
 * them, so that the work does not grow with the text.
 */
export function continueText(tokenizer: Pick<Tokenizer, 'decode'>, prompt: readonly number[]): TextStream {
  let told = prompt.slice(-CONTEXT);
  let waiting: number[] = [];
  let text = '';
  return {
    add(id) {
      waiting.push(id);
      const before = tokenizer.decode(told);
      const after = tokenizer.decode([...told, ...waiting]);
      if (after.endsWith('\uFFFD')) return text;
      text += after.slice(before.length);
      told = [...told, ...waiting].slice(-CONTEXT);
      waiting = [];
      return text;
    },
  };
}
