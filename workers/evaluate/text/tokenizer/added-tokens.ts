/** Added tokens, which are taken out of a text before anything else sees it. As in the `tokenizers` crate (src/tokenizer/added_vocabulary.rs). */
import { WORD } from './pattern.ts';
import type { AddedToken } from './schema.ts';

/** A segment of text, or a token. */
export type TextSegment = { text: string; first: boolean } | { id: number };

export interface AddedVocabulary {
  /** Ids by content; where the model has the token already it is the model's. */
  ids: ReadonlyMap<string, number>;
  special: ReadonlySet<number>;
  /** Content by id, in the form tokens are decoded from: normalized where the token is. */
  contents: ReadonlyMap<number, string>;
  split(text: string): TextSegment[];
}

interface Listed {
  token: AddedToken;
  id: number;
  content: string;
}

/** @param vocabulary Of the model. Ids of new tokens follow it in their order, whatever the file says, as in Python. */
export function createAddedVocabulary(
  tokens: readonly AddedToken[],
  vocabulary: ReadonlyMap<string, number>,
  normalize: (text: string) => string,
): AddedVocabulary {
  const ids = new Map<string, number>();
  const byId = new Map<number, Listed>();
  let next = vocabulary.size;
  for (const token of tokens) {
    if (token.content === '') continue;
    const id = ids.get(token.content) ?? vocabulary.get(token.content) ?? next++;
    ids.set(token.content, id);
    byId.set(id, { token, id, content: token.normalized ? normalize(token.content) : token.content });
  }
  const listed = [...byId.values()];
  const asWritten = finder(listed.filter(({ token }) => !token.normalized));
  const normalized = finder(listed.filter(({ token }) => token.normalized));
  return {
    ids,
    special: new Set(listed.filter(({ token }) => token.special).map(({ id }) => id)),
    contents: new Map(listed.map(({ id, content }) => [id, content])),
    split: (text) =>
      asWritten(text, true).flatMap((segment) =>
        'id' in segment ? [segment] : normalized(normalize(segment.text), segment.first),
      ),
  };
}

const ENDS_IN_WORD = new RegExp(`[${WORD}\\p{Join_Control}]$`, 'u');
const BEGINS_WITH_WORD = new RegExp(`^[${WORD}\\p{Join_Control}]`, 'u');
const LAST_CHARACTER = /[\ud800-\udbff]?[^]$/;

/** The leftmost tokens, of those at the same place the longest. */
function finder(tokens: readonly Listed[]): (text: string, first: boolean) => TextSegment[] {
  const byStart = new Map<string, Listed[]>();
  for (const token of tokens) {
    const start = token.content.slice(0, 1);
    if (start === '') continue;
    const group = byStart.get(start) ?? [];
    group.push(token);
    byStart.set(start, group);
  }
  for (const group of byStart.values()) group.sort((a, b) => b.content.length - a.content.length);
  return (text, first) => {
    const segments: TextSegment[] = [];
    let done = 0;
    const plain = (end: number) => {
      if (end > done) segments.push({ text: text.slice(done, end), first: first && done === 0 });
    };
    for (let at = 0; at < text.length;) {
      const found = byStart.get(text[at]!)?.find(({ content }) => text.startsWith(content, at));
      if (!found) {
        at++;
        continue;
      }
      const { token, id, content } = found;
      let [start, end] = [at, at + content.length];
      at = end;
      if (
        token.single_word &&
        (ENDS_IN_WORD.test(lastCharacter(text, start)) || BEGINS_WITH_WORD.test(text.slice(end, end + 2)))
      )
        continue;
      if (token.lstrip) {
        while (start > done && /\p{White_Space}/u.test(text[start - 1]!)) start--;
      }
      if (token.rstrip) {
        while (end < text.length && /\p{White_Space}/u.test(text[end]!)) end++;
      }
      plain(start);
      segments.push({ id });
      done = end;
    }
    plain(text.length);
    return segments;
  };
}

const lastCharacter = (text: string, end: number): string =>
  LAST_CHARACTER.exec(text.slice(Math.max(0, end - 2), end))?.[0] ?? '';
