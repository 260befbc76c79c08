/**
 * The normalizer of SentencePiece models, compiled into a table: a double array of prefixes (darts-clone) and what each
 * is replaced by. As in the `spm_precompiled` crate, by grapheme, and the shortest prefix counts.
 */

const LONGEST_GRAPHEME = 6;

/** @param base64 Four bytes with the size of the trie, the trie as 32-bit numbers, then replacements, each closed by a zero. */
export function openCharsmap(base64: string): (text: string) => string {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = view.getUint32(0, true);
  if (size % 4 !== 0 || 4 + size > bytes.length) throw new RangeError('a precompiled charsmap that has been cut off');
  const trie = Uint32Array.from({ length: size / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
  const replacements = bytes.subarray(4 + size);
  const known = new Map<string, string | null>();
  const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

  const replacement = (part: string): string | null => {
    const cached = known.get(part);
    if (cached !== undefined) return cached;
    const at = shortestPrefix(trie, new TextEncoder().encode(part));
    const found = at === null ? null : new TextDecoder().decode(replacements.subarray(at, replacements.indexOf(0, at)));
    known.set(part, found);
    return found;
  };
  return (text) => {
    let result = '';
    for (const { segment } of graphemes.segment(text)) {
      const whole = utf8Length(segment) < LONGEST_GRAPHEME ? replacement(segment) : null;
      if (whole !== null) result += whole;
      else for (const character of segment) result += replacement(character) ?? character;
    }
    return result;
  };
}

function utf8Length(text: string): number {
  let length = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return length;
}

/** Where the replacement of the shortest prefix begins; null where there is none. */
function shortestPrefix(trie: Uint32Array, key: Uint8Array): number | null {
  const offset = (unit: number) => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
  let node = offset(trie[0] ?? 0);
  for (const byte of key) {
    if (byte === 0) return null;
    node ^= byte;
    const unit = trie[node] ?? 0;
    if ((unit & 0x8000_00ff) >>> 0 !== byte) return null;
    node ^= offset(unit);
    if ((unit >>> 8) & 1) return (trie[node] ?? 0) & 0x7fff_ffff;
  }
  return null;
}
