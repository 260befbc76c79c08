/** Pre-tokenizers of a `tokenizer.json`: a text in pieces, none of which a token goes beyond. As in the `tokenizers` crate (src/pre_tokenizers). */
import { toByteAlphabet } from './byte-alphabet.ts';
import { regexOf } from './normalizers.ts';
import { WORD } from './pattern.ts';
import type { Behavior, PreTokenizer } from './schema.ts';

export interface Piece {
  text: string;
  /** Whether it is where the whole text begins. */
  first: boolean;
}

export type PreTokenize = (pieces: Piece[]) => Piece[];

/** Throws `UnknownPattern`. */
export function createPreTokenizer(steps: readonly PreTokenizer[]): PreTokenize {
  const made = steps.map(stepOf);
  return (pieces) => made.reduce((split, step) => step(split), pieces);
}

const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const NO_WORDS = new RegExp(`[${WORD}\\p{Join_Control}]+|[^${WORD}\\p{Join_Control}\\p{White_Space}]+`, 'gu');
const SPACE = /\p{White_Space}/gu;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/gu;

function stepOf(step: PreTokenizer): PreTokenize {
  switch (step.type) {
    case 'Whitespace':
      return eachPiece((text) => split(text, NO_WORDS, 'Removed', true));
    case 'WhitespaceSplit':
      return eachPiece((text) => split(text, SPACE, 'Removed'));
    case 'BertPreTokenizer': {
      const [words, marks] = [
        eachPiece((text) => split(text, SPACE, 'Removed')),
        eachPiece((text) => split(text, PUNCTUATION, 'Isolated')),
      ];
      return (pieces) => marks(words(pieces));
    }
    case 'Punctuation':
      return eachPiece((text) => split(text, PUNCTUATION, step.behavior));
    case 'Digits':
      return eachPiece((text) => split(text, /\p{N}/gu, step.individual_digits ? 'Isolated' : 'Contiguous'));
    case 'CharDelimiterSplit':
      return eachPiece((text) => split(text, regexOf({ String: step.delimiter }), 'Removed'));
    case 'Split': {
      const regex = regexOf(step.pattern);
      return eachPiece((text) => split(text, regex, step.behavior, step.invert));
    }
    case 'FixedLength':
      return eachPiece((text) => chunks(text, step.length));
    case 'ByteLevel':
      return eachPiece((text) => {
        const prefixed = step.add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text;
        return (step.use_regex ? split(prefixed, GPT2, 'Isolated') : [{ text: prefixed, start: 0 }]).map((part) => ({
          ...part,
          text: toByteAlphabet(part.text),
        }));
      });
    case 'Metaspace':
      return metaspace(step);
  }
}

interface Part {
  text: string;
  /** Where it begins in the piece. */ start: number;
}

function eachPiece(parts: (text: string, piece: Piece) => Part[]): PreTokenize {
  return (pieces) => {
    const result: Piece[] = [];
    for (const piece of pieces) {
      for (const { text, start } of parts(piece.text, piece))
        if (text !== '') result.push({ text, first: piece.first && start === 0 });
    }
    return result;
  };
}

function metaspace({
  replacement,
  prepend_scheme,
  add_prefix_space,
  split: splits,
}: Extract<PreTokenizer, { type: 'Metaspace' }>): PreTokenize {
  const scheme = prependScheme({ prepend_scheme, add_prefix_space });
  const delimiter = regexOf({ String: replacement });
  return eachPiece((text, { first }) => {
    const replaced = text.replaceAll(' ', replacement);
    const prepends = !replaced.startsWith(replacement) && (scheme === 'always' || (scheme === 'first' && first));
    const whole = prepends ? replacement + replaced : replaced;
    return splits ? split(whole, delimiter, 'MergedWithNext') : [{ text: whole, start: 0 }];
  });
}

/** Files of old versions have a switch in place of the scheme. */
export function prependScheme({
  prepend_scheme,
  add_prefix_space,
}: Pick<Extract<PreTokenizer, { type: 'Metaspace' }>, 'prepend_scheme' | 'add_prefix_space'>):
  'always' | 'first' | 'never' {
  return add_prefix_space === false ? 'never' : (prepend_scheme ?? 'always');
}

function chunks(text: string, length: number): Part[] {
  const characters = Array.from(text);
  const parts: Part[] = [];
  for (let start = 0; start < characters.length; start += length)
    parts.push({ text: characters.slice(start, start + length).join(''), start });
  return parts;
}

/** Segments of a text, those that match a pattern and those between them (`NormalizedString::split`). */
function split(text: string, regex: RegExp, behavior: Behavior, invert = false): Part[] {
  const found: { start: number; end: number; match: boolean }[] = [];
  let end = 0;
  for (const match of text.matchAll(regex)) {
    if (match.index > end) found.push({ start: end, end: match.index, match: invert });
    end = match.index + match[0].length;
    found.push({ start: match.index, end, match: !invert });
  }
  if (end < text.length) found.push({ start: end, end: text.length, match: invert });
  return joined(found, behavior).map(({ start, end: stop }) => ({ text: text.slice(start, stop), start }));
}

function joined(
  found: readonly { start: number; end: number; match: boolean }[],
  behavior: Behavior,
): { start: number; end: number }[] {
  if (behavior === 'Isolated') return [...found];
  if (behavior === 'Removed') return found.filter(({ match }) => !match);
  const result: { start: number; end: number }[] = [];
  let previous = false;
  for (const { start, end, match } of behavior === 'MergedWithNext' ? found.toReversed() : found) {
    const last = result.at(-1);
    if (last && (behavior === 'Contiguous' ? match === previous : match && !previous)) {
      if (behavior === 'MergedWithNext') last.start = start;
      else last.end = end;
    } else {
      result.push({ start, end });
    }
    previous = match;
  }
  return behavior === 'MergedWithNext' ? result.reverse() : result;
}
