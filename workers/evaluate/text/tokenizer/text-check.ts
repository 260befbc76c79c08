/** Whether a tokenizer knows a text: how many of its tokens are unknown, what is left out, and whether tokens give the text back. */
import type { Result } from '../../../contract/errors.ts';
import { failure } from '../../errors.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Beyond this share of the text perplexity says how often something is unknown, and little else. */
const MOST_UNKNOWN = 0.2;
/** A share smaller than this changes no figure that is shown. */
const WORTH_A_NOTE = 1e-4;
/** How much of the text is looked at for what tokens give back: so many parts of so many characters, from all of it. */
const SAMPLES = 8;
const SAMPLE_LENGTH = 1000;

/**
 * Sentences on what the reader of a perplexity must know of its text.
 * @param tokens Of the whole text.
 * Errors: `tokenizer-mismatch` where most of the text is unknown.
 */
export function checkText(tokenizer: Tokenizer, text: string, tokens: Int32Array): Result<string[]> {
  const { unknownId } = tokenizer;
  const unknown =
    unknownId === null
      ? 0
      : tokens.reduce((count, id) => count + Number(id === unknownId), 0) / Math.max(1, tokens.length);
  const leftOut = tokenizer.charactersLeftOut(text);
  const leftOutShare = leftOut / Math.max(1, text.length);
  if (unknown > MOST_UNKNOWN) {
    return failure(
      'tokenizer-mismatch',
      `The tokenizer does not know the text: ${percent(unknown)} of its tokens are the unknown token, so its perplexity would say little.`,
      'Use a text in a language of the model, or the tokenizer.json that was published with it.',
    );
  }
  if (leftOutShare > MOST_UNKNOWN) {
    return failure(
      'tokenizer-mismatch',
      `The tokenizer does not know the text: ${percent(leftOutShare)} of its characters are in no token.`,
      'Use a text in a language of the model, or the tokenizer.json that was published with it.',
    );
  }
  const notes: string[] = [];
  if (unknown > WORTH_A_NOTE)
    notes.push(
      `${percent(unknown)} of the text's tokens are the tokenizer's unknown token; the figures count how well that is predicted.`,
    );
  if (leftOut > 0)
    notes.push(
      `The tokenizer leaves out ${leftOut.toLocaleString('en')} of the text's ${text.length.toLocaleString('en')} characters, which it has no token for.`,
    );
  // What is unknown does not come back, which has been said.
  const changed = unknown > 0 || leftOut > 0 ? null : firstChange(tokenizer, text);
  if (changed)
    notes.push(
      `The tokenizer rewrites the text: of ${JSON.stringify(changed.before)} it makes ${JSON.stringify(changed.after)}. The figures are those of the text it makes.`,
    );
  return { ok: true, value: notes };
}

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.001 ? 2 : 1)} %`;

/** Whitespace is left away on both sides: tokenizers of words keep none. Null where samples come back as they were. */
function firstChange(tokenizer: Tokenizer, text: string): { before: string; after: string } | null {
  const step = Math.max(SAMPLE_LENGTH, Math.floor(text.length / SAMPLES));
  for (let start = 0; start < text.length; start += step) {
    const sample = text.slice(start, start + SAMPLE_LENGTH);
    const before = withoutSpace(sample);
    const after = withoutSpace(tokenizer.pieces(tokenizer.encode(sample)).join(''));
    if (before === after) continue;
    let same = 0;
    while (before[same] === after[same]) same++;
    return { before: before.slice(same, same + EXCERPT), after: after.slice(same, same + EXCERPT) };
  }
  return null;
}

const EXCERPT = 12;
const withoutSpace = (text: string): string => text.replace(/[\p{White_Space}\p{Surrogate}\ufffd]/gu, '');
