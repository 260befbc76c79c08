/** The evaluation text by pages of tokens, and the steps its colours come in. Pure. */
import type { DriftInWords, Passage, WorstToken } from '../../../workers/contract/report.ts';

/** Scored tokens on a page: what a screen holds, and what draws without delay. */
export const PAGE_TOKENS = 320;
/** Tokens of context before the first of a page. */
const CONTEXT_TOKENS = 24;

export interface ShownToken {
  /** Of the passage. */
  index: number;
  text: string;
  /** −ln p at the baseline, nats; null for context, which has no figures. */
  baseline: number | null;
  /** Change of −ln p against the baseline; null for context. */
  change: number | null;
}

export interface Page {
  passage: number;
  from: number;
  to: number;
}

/** Passages cut into pages of at most `size` scored tokens, about equally long. */
export function pagesOf(passages: readonly Passage[], size = PAGE_TOKENS): Page[] {
  return passages.flatMap(({ tokens, scoredFrom }, passage) => {
    const scored = Math.max(0, tokens.length - scoredFrom);
    const count = Math.ceil(scored / size);
    const each = Math.ceil(scored / Math.max(1, count));
    return Array.from({ length: count }, (_, page) => ({
      passage,
      from: scoredFrom + page * each,
      to: Math.min(tokens.length, scoredFrom + (page + 1) * each),
    }));
  });
}

/** Tokens of a page for one level, with a little of what comes before them. A level not in the passage has no changes. */
export function tokensOn(page: Page, passages: readonly Passage[], level: string): ShownToken[] {
  const passage = passages[page.passage];
  if (!passage) return [];
  const change = passage.levels.find((entry) => entry.level === level)?.change;
  const start = Math.max(0, page.from - CONTEXT_TOKENS);
  return passage.tokens.slice(start, page.to).map((text, offset) => {
    const index = start + offset;
    const scored = index - passage.scoredFrom;
    const counts = index >= page.from;
    return {
      index,
      text,
      baseline: counts ? (passage.baseline[scored] ?? null) : null,
      change: counts ? (change?.[scored] ?? null) : null,
    };
  });
}

/** From −3 (much better than the baseline) over 0 (hardly changed) to 3 (much worse). */
export type Step = -3 | -2 | -1 | 0 | 1 | 2 | 3;

/** Where the steps begin, nats: a tenth, about half again, and five times less probable. */
export const BOUNDS = [0.1, 0.4, 1.6] as const;

export function stepOf(change: number): Step {
  const size = Math.abs(change);
  const step = size < BOUNDS[0] ? 0 : size < BOUNDS[1] ? 1 : size < BOUNDS[2] ? 2 : 3;
  return (change < 0 && step > 0 ? -step : step) as Step;
}

/** A token to be looked at by itself: what would not be seen is shown by signs. */
export const visible = (token: string): string =>
  token === ''
    ? '∅'
    : token
        .replaceAll('\r', '␍')
        .replaceAll('\n', '↵')
        .replaceAll('\t', '⇥')
        .replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length));

/** The tokens a level loses most on, worst first. */
export function worstFor(words: DriftInWords, level: string, count: number): WorstToken[] {
  const changeOf = (token: WorstToken) => token.levels.find((entry) => entry.level === level)?.change ?? -Infinity;
  return words.worst
    .filter((token) => changeOf(token) > 0)
    .sort((a, b) => changeOf(b) - changeOf(a))
    .slice(0, count);
}
