/** Normalizers of a `tokenizer.json`: what happens to a text before it is split. As in the `tokenizers` crate (src/normalizers). */
import { toByteAlphabet } from './byte-alphabet.ts';
import { fromOniguruma, literal } from './pattern.ts';
import { openCharsmap } from './charsmap.ts';
import type { Normalizer, PatternText } from './schema.ts';

export type Normalize = (text: string) => string;

/** Throws `UnknownPattern`, or an Error for a charsmap that is none. */
export function createNormalizer(steps: readonly Normalizer[]): Normalize {
  const made = steps.map(stepOf);
  return (text) => made.reduce((normalized, step) => step(normalized), text);
}

export const regexOf = (pattern: PatternText): RegExp =>
  'String' in pattern ? literal(pattern.String) : fromOniguruma(pattern.Regex);

function stepOf(step: Normalizer): Normalize {
  switch (step.type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(step.type);
    case 'Nmt':
      return nmt;
    case 'Lowercase':
      return lowercase;
    case 'StripAccents':
      return (text) => text.replace(/\p{M}+/gu, '');
    case 'ByteLevel':
      return toByteAlphabet;
    case 'Strip':
      return (text) =>
        (step.strip_right ? (left: string) => left.replace(/\p{White_Space}+$/u, '') : (left: string) => left)(
          step.strip_left ? text.replace(/^\p{White_Space}+/u, '') : text,
        );
    case 'Prepend':
      return (text) => (text === '' ? '' : step.prepend + text);
    case 'Replace':
      return replacer(regexOf(step.pattern), step.content);
    case 'Precompiled':
      return step.precompiled_charsmap ? openCharsmap(step.precompiled_charsmap) : (text) => text;
    case 'BertNormalizer':
      return bert(step);
  }
}

/** Every match, one of nothing right behind another left out. */
export function replacer(regex: RegExp, content: string): Normalize {
  return (text) => {
    let result = '';
    let end = 0;
    let last = -1;
    for (const match of text.matchAll(regex)) {
      if (match[0] === '' && match.index === last) continue;
      result += text.slice(end, match.index) + content;
      end = match.index + match[0].length;
      last = end;
    }
    return result + text.slice(end);
  };
}

/** Character by character: a sigma at the end of a word stays an ordinary one. */
function lowercase(text: string): string {
  const whole = text.toLowerCase();
  return text.includes('Σ') ? Array.from(text, (character) => character.toLowerCase()).join('') : whole;
}

function nmt(text: string): string {
  return text
    .replace(/[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g, '')
    .replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, ' ');
}

const CHINESE =
  /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gu;

function bert({
  clean_text,
  handle_chinese_chars,
  strip_accents,
  lowercase: lower,
}: Extract<Normalizer, { type: 'BertNormalizer' }>): Normalize {
  return (text) => {
    let result = text;
    if (clean_text)
      result = result.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu, '').replace(/\p{White_Space}/gu, ' ');
    if (handle_chinese_chars) result = result.replace(CHINESE, ' $& ');
    if (strip_accents ?? lower) result = result.normalize('NFD').replace(/\p{Mn}+/gu, '');
    return lower ? lowercase(result) : result;
  };
}
