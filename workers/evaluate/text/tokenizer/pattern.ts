/**
 * Regular expressions of Oniguruma, in which `tokenizer.json` files are written, as JavaScript has them. Character
 * classes are Unicode's: JavaScript's own \w and \d are ASCII only, and its \s includes U+FEFF and lacks U+0085.
 * (huggingface/transformers.js takes them as they stand, so that `é` is no letter to its pre-tokenizer Whitespace.)
 */

/** A construct that has no translation. */
export class UnknownPattern extends Error {}

/** Inside brackets. `\w` is that of the regex crate and of Oniguruma: alphabetic characters, marks, digits, connectors. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
const CLASSES: Readonly<Record<string, string>> = { d: '\\p{Nd}', s: '\\p{White_Space}', w: WORD, h: '0-9A-Fa-f' };
const POSIX: Readonly<Record<string, string>> = {
  alnum: '\\p{Alphabetic}\\p{Nd}',
  alpha: '\\p{Alphabetic}',
  ascii: '\\x00-\\x7f',
  blank: '\\p{Zs}\\t',
  cntrl: '\\p{Cc}',
  digit: '\\p{Nd}',
  lower: '\\p{Lowercase}',
  punct: '\\p{P}\\p{S}',
  space: '\\p{White_Space}',
  upper: '\\p{Uppercase}',
  xdigit: '0-9A-Fa-f',
  word: WORD,
};
const ESCAPED: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, a: 7, e: 27 };
const START = '(?<![^])';
const END = '(?![^])';
const LINE_BREAK = '(?:\\r\\n|[\\n-\\r\\x85\\u2028\\u2029])';

/** Flags of a group: case is ignored; a dot matches line breaks too (`m` in Oniguruma). */
interface Flags {
  ignoreCase: boolean;
  dotAll: boolean;
}

/** With flags `gv`. Throws `UnknownPattern`. */
export function fromOniguruma(source: string): RegExp {
  const reader: Reader = { source, at: 0, atomic: 0 };
  const pattern = alternatives(reader, { ignoreCase: false, dotAll: false });
  if (reader.at < source.length) throw new UnknownPattern('a bracket that closes nothing');
  return compiled(pattern);
}

/** A text for itself. */
export function literal(text: string): RegExp {
  return compiled(Array.from(text, (character) => codePoint(character.codePointAt(0)!)).join(''));
}

function compiled(pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'gv');
  } catch (thrown) {
    throw new UnknownPattern(String(thrown));
  }
}

interface Reader {
  source: string;
  at: number;
  /** Atomic groups so far. */ atomic: number;
}

const codePoint = (code: number): string => `\\u{${code.toString(16)}}`;

function alternatives(reader: Reader, given: Flags): string {
  const flags = { ...given };
  let result = '';
  let last = '';
  while (reader.at < reader.source.length && reader.source[reader.at] !== ')') {
    if (reader.source[reader.at] === '|') {
      reader.at++;
      result += `${last}|`;
      last = '';
      continue;
    }
    last += quantified(reader, atom(reader, flags));
  }
  return result + last;
}

function quantified(reader: Reader, single: string): string {
  let atomText = single;
  for (;;) {
    const found = /^(?:[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\})/.exec(reader.source.slice(reader.at, reader.at + 24))?.[0];
    if (found === undefined) return atomText;
    if (atomText === '') throw new UnknownPattern('a quantifier of nothing');
    reader.at += found.length;
    const next = reader.source[reader.at];
    const quantifier = found.startsWith('{,') ? `{0${found.slice(1)}` : found;
    if (next === '?') {
      reader.at++;
      atomText = `(?:${atomText}${quantifier}?)`;
    } else if (next === '+' && !found.startsWith('{')) {
      reader.at++;
      atomText = atomic(reader, `${atomText}${quantifier}`);
    } else {
      atomText = `(?:${atomText}${quantifier})`;
    }
  }
}

/** What was matched once is never given back: a lookahead is not entered again. */
function atomic(reader: Reader, inner: string): string {
  const name = `atomic${++reader.atomic}`;
  return `(?:(?=(?<${name}>${inner}))\\k<${name}>)`;
}

function atom(reader: Reader, flags: Flags): string {
  const { source } = reader;
  const character = String.fromCodePoint(source.codePointAt(reader.at)!);
  if (character === '(') return group(reader, flags);
  if (character === '[') return bracket(reader, flags);
  if (character === '\\') return escape(reader, flags);
  reader.at += character.length;
  switch (character) {
    case '.':
      return flags.dotAll ? '[^]' : '[^\\n]';
    case '^':
      return `(?:${START}|(?<=\\n))`;
    case '$':
      return `(?=\\n|${END})`;
    case '*':
    case '+':
    case '?':
      throw new UnknownPattern('a quantifier of nothing');
    default:
      return letter(character.codePointAt(0)!, flags);
  }
}

function letter(code: number, { ignoreCase }: Flags): string {
  if (!ignoreCase) return codePoint(code);
  const cases = casesOf(code);
  return cases.length === 1 ? codePoint(code) : `[${cases.map(codePoint).join('')}]`;
}

/** Characters that fold to the same one. */
function casesOf(code: number): number[] {
  const character = String.fromCodePoint(code);
  const single = (text: string) => (Array.from(text).length === 1 ? [text.codePointAt(0)!] : []);
  const found = new Set([code, ...single(character.toLowerCase()), ...single(character.toUpperCase())]);
  // Long s, the signs of kelvin and ångström fold to letters that do not turn into them.
  for (const [letters, other] of [
    ['sS', 0x17f],
    ['kK', 0x212a],
    ['åÅ', 0x212b],
  ] as const) {
    if (letters.includes(character) || code === other)
      for (const each of Array.from(letters + String.fromCodePoint(other))) found.add(each.codePointAt(0)!);
  }
  return [...found];
}

function group(reader: Reader, flags: Flags): string {
  const rest = reader.source.slice(reader.at);
  const inside = (skip: number, inner: Flags = flags): string => {
    reader.at += skip;
    const body = alternatives(reader, inner);
    if (reader.source[reader.at] !== ')') throw new UnknownPattern('a bracket that is not closed');
    reader.at++;
    return body;
  };
  const comment = /^\(\?#[^)]*\)/.exec(rest)?.[0];
  if (comment !== undefined) {
    reader.at += comment.length;
    return '';
  }
  const look = /^\(\?(?:=|!|<=|<!)/.exec(rest)?.[0];
  if (look !== undefined) return `${look}${inside(look.length)})`;
  if (rest.startsWith('(?>')) return atomic(reader, `(?:${inside(3)})`);
  const named = /^\(\?<[A-Za-z_]\w*>/.exec(rest)?.[0];
  if (named !== undefined) return `(?:${inside(named.length)})`;
  const modifiers = /^\(\?([im]*)(?:-([im]*))?([:)])/.exec(rest);
  if (modifiers) {
    const [whole, on = '', off = '', end] = modifiers;
    const set = (now: boolean, flag: string) => (on.includes(flag) ? true : off.includes(flag) ? false : now);
    const changed = { ignoreCase: set(flags.ignoreCase, 'i'), dotAll: set(flags.dotAll, 'm') };
    if (end === ':') return `(?:${inside(whole.length, changed)})`;
    // To the end of the group around it, alternatives included.
    reader.at += whole.length;
    return `(?:${alternatives(reader, changed)})`;
  }
  if (rest.startsWith('(?')) throw new UnknownPattern(`the group "${rest.slice(0, 4)}"`);
  return `(?:${inside(1)})`;
}

function escape(reader: Reader, flags: Flags): string {
  const rest = reader.source.slice(reader.at);
  const [, kind = ''] = rest;
  const lookarounds: Readonly<Record<string, string>> = {
    A: START,
    z: END,
    Z: `(?=\\n?${END})`,
    R: LINE_BREAK,
    N: '[^\\n]',
    O: '[^]',
    b: `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
    B: `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`,
  };
  const look = lookarounds[kind];
  if (look !== undefined) {
    reader.at += 2;
    return look;
  }
  const set = escapedSet(reader);
  if (set !== null) return `[${set}]`;
  return letter(escapedCode(reader), flags);
}

/** Content of a bracket for `\w`, `\P{L}` and the like; null for others. */
function escapedSet(reader: Reader): string | null {
  const rest = reader.source.slice(reader.at);
  const [, kind = ''] = rest;
  const plain = CLASSES[kind.toLowerCase()];
  if (plain !== undefined) {
    reader.at += 2;
    return kind === kind.toLowerCase() ? plain : `[^${plain}]`;
  }
  const property = /^\\([pP])\{(\^?)([\w =-]+)\}/.exec(rest);
  if (!property) return null;
  const [whole, letterP, not, name = ''] = property;
  reader.at += whole.length;
  const positive = propertySet(name);
  return (letterP === 'P') === (not === '^') ? positive : `[^${positive}]`;
}

function propertySet(name: string): string {
  const posix = POSIX[name.toLowerCase()];
  if (posix !== undefined) return posix;
  const bare = name.replace(/[ -]/g, '_');
  for (const spelling of [bare, `Script=${bare}`, `Script=${bare[0]?.toUpperCase()}${bare.slice(1).toLowerCase()}`]) {
    try {
      new RegExp(`\\p{${spelling}}`, 'v');
      return `\\p{${spelling}}`;
    } catch {
      // Another spelling, or none.
    }
  }
  throw new UnknownPattern(`the property "${name}"`);
}

function escapedCode(reader: Reader): number {
  const rest = reader.source.slice(reader.at);
  const hexadecimal = /^\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))/.exec(rest);
  if (hexadecimal) {
    reader.at += hexadecimal[0].length;
    return parseInt(hexadecimal[1] ?? hexadecimal[2] ?? hexadecimal[3] ?? '', 16);
  }
  const octal = /^\\0[0-7]{0,2}/.exec(rest)?.[0];
  if (octal !== undefined) {
    reader.at += octal.length;
    return parseInt(octal.slice(1), 8);
  }
  const code = rest.codePointAt(1);
  if (code === undefined) throw new UnknownPattern('a backslash at the end');
  const character = String.fromCodePoint(code);
  const known = ESCAPED[character];
  if (known === undefined && /[\p{L}\p{N}]/u.test(character)) throw new UnknownPattern(`"\\${character}"`);
  reader.at += 1 + character.length;
  return known ?? code;
}

/** A bracket with unions and intersections, as the flag `v` has them too. */
function bracket(reader: Reader, flags: Flags): string {
  reader.at++;
  const negated = reader.source[reader.at] === '^';
  if (negated) reader.at++;
  const operands: string[] = [];
  let parts: string[] = [];
  for (let first = true; ; first = false) {
    const rest = reader.source.slice(reader.at);
    if (rest === '') throw new UnknownPattern('a bracket that is not closed');
    if (rest[0] === ']' && !first) break;
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(rest);
    if (posix) {
      reader.at += posix[0].length;
      const inner = POSIX[posix[2] ?? ''];
      if (inner === undefined) throw new UnknownPattern(`"${posix[0]}"`);
      parts.push(posix[1] === '^' ? `[^${inner}]` : inner);
    } else if (rest[0] === '[') {
      parts.push(bracket(reader, flags));
    } else if (rest.startsWith('&&')) {
      reader.at += 2;
      operands.push(parts.join(''));
      parts = [];
    } else {
      parts.push(member(reader, flags));
    }
  }
  reader.at++;
  operands.push(parts.join(''));
  const content = operands.length === 1 ? operands[0]! : operands.map((operand) => `[${operand}]`).join('&&');
  return `[${negated ? '^' : ''}${content}]`;
}

/** A class, a character, or a range of them. */
function member(reader: Reader, { ignoreCase }: Flags): string {
  const set = reader.source[reader.at] === '\\' ? escapedSet(reader) : null;
  if (set !== null) return set;
  const from = memberCode(reader);
  const { source, at } = reader;
  if (
    source[at] !== '-' ||
    source[at + 1] === ']' ||
    source[at + 1] === undefined ||
    (source[at + 1] === '\\' && /[dswhpDSWHP]/.test(source[at + 2] ?? ''))
  ) {
    return (ignoreCase ? casesOf(from) : [from]).map(codePoint).join('');
  }
  reader.at++;
  const to = memberCode(reader);
  if (!ignoreCase) return `${codePoint(from)}-${codePoint(to)}`;
  if (to - from > 0x400) throw new UnknownPattern('a long range without regard to case');
  return Array.from({ length: to - from + 1 }, (_, index) => casesOf(from + index))
    .flat()
    .map(codePoint)
    .join('');
}

function memberCode(reader: Reader): number {
  if (reader.source[reader.at] === '\\') {
    if (reader.source[reader.at + 1] === 'b') {
      reader.at += 2;
      return 8;
    }
    return escapedCode(reader);
  }
  const code = reader.source.codePointAt(reader.at)!;
  reader.at += String.fromCodePoint(code).length;
  return code;
}
