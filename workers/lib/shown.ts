/**
 * Names from files as they may be shown: in sentences, on a terminal, on a page. Whoever made a model chose the names of
 * its tensors, nodes and files, and they may be of any length and hold control sequences.
 */

/** Characters of a name in a sentence. */
const LONGEST = 120;
/** Characters of a whole sentence, and of text to copy. */
const LONGEST_SENTENCE = 1000;
const LONGEST_TEXT = 8000;
const LONG_NAME = /\S{121,}/gu;

/** Control and format characters (marks of direction and joining are), line and paragraph separators, halves of surrogate pairs. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const SHORT_ESCAPES = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return (
    SHORT_ESCAPES.get(character) ??
    (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`)
  );
}

/** A name without anything that acts on a terminal or reorders text, its middle left out where it is long. */
export function shown(name: string, longest = LONGEST): string {
  // Escapes are longer than what they stand for: nothing is gained by escaping megabytes.
  return shortened(shortened(name, longest * 2).replace(UNSAFE, escape), longest);
}

/** A sentence with names in it, wherever they came from: each that is long is shortened, and so is what is beyond reading. */
export function shownSentence(text: string): string {
  return shownText(
    text.replace(LONG_NAME, (name) => shortened(name, LONGEST)),
    LONGEST_SENTENCE,
  );
}

/** Lines of text to copy, as a runtime or a system answered. */
export function shownText(text: string, longest = LONGEST_TEXT): string {
  return shortened(
    shortened(text, longest * 2).replace(UNSAFE, (character) => (character === '\n' ? character : escape(character))),
    longest,
  );
}

function shortened(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const end = Math.floor(longest / 3);
  // Half of a character is none.
  return `${text.slice(0, longest - end - 1).replace(/[\ud800-\udbff]$/, '')}…${text.slice(text.length - end).replace(/^[\udc00-\udfff]/, '')}`;
}
