/** What the dropped files allow to be measured. Pure. */
import type { Opened } from '../../workers/contract/files.ts';

/** Whether there are a language model, a tokenizer and a text, which perplexity needs. */
export const canMeasure = (opened: Opened | null): boolean =>
  Boolean(opened?.model?.languageModel && opened.tokenizer && opened.text);

/** Tokens in the text; guessed at four bytes a token where they could not be counted. */
export function tokensInText(opened: Opened | null): { tokens: number; counted: boolean } | null {
  if (!opened?.text) return null;
  const { tokens, bytes } = opened.text;
  return tokens === null ? { tokens: Math.max(1, Math.round(bytes / 4)), counted: false } : { tokens, counted: true };
}
