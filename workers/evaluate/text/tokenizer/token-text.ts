/** What tokens stand for: the bytes of each, and the text of several in a row. */

/** What of a `tokenizer.json` decides it. */
export interface TokenSpelling {
  /** Type of the model: BPE, Unigram, WordPiece, WordLevel. */
  model: string | null;
  /** Whether the vocabulary is written in the alphabet of bytes. */
  byteLevel: boolean;
  /** Whether `<0x41>` stands for a byte. */
  byteFallback: boolean;
  /** In front of a piece that goes on a word, as WordPiece's `##`; empty for none. */
  continuation: string;
  /** At the end of a piece that ends a word, as `</w>`; empty for none. */
  wordEnd: string;
  /** Added tokens, which stand for what they say. */
  added: ReadonlySet<string>;
}

const utf8 = new TextEncoder();
const BYTE = /^<0x([0-9A-F]{2})>$/i;

/**
 * The bytes of UTF-8 a piece of the vocabulary stands for. In a byte-level vocabulary each character stands for a byte;
 * elsewhere `▁` for a space, `<0x41>` for a byte where bytes are fallen back to, and everything else for itself.
 */
export function bytesOfPiece(piece: string, spelling: TokenSpelling): Uint8Array {
  const { model, byteLevel, byteFallback, continuation, wordEnd, added } = spelling;
  if (added.has(piece)) return utf8.encode(byteLevel ? piece : piece.replaceAll('▁', ' '));
  if (byteLevel)
    return Uint8Array.from(piece, (character) => byteOfCharacter.get(character) ?? character.codePointAt(0)! & 0xff);
  const byte = byteFallback ? BYTE.exec(piece)?.[1] : undefined;
  if (byte !== undefined) return Uint8Array.of(parseInt(byte, 16));
  // These keep no whitespace: a word is taken to have had one space before it.
  if (model === 'WordLevel') return utf8.encode(` ${piece}`);
  if (model === 'WordPiece')
    return utf8.encode(piece.startsWith(continuation) ? piece.slice(continuation.length) : ` ${piece}`);
  const bare =
    model === 'BPE' && continuation !== '' && piece.startsWith(continuation) ? piece.slice(continuation.length) : piece;
  const text = wordEnd !== '' && bare.endsWith(wordEnd) ? `${bare.slice(0, -wordEnd.length)} ` : bare;
  return utf8.encode(text.replaceAll('▁', ' '));
}

/**
 * The text of each token where they follow one another; joined, the text of all. A character whose bytes are several
 * tokens' is the last one's, the others are empty. Bytes that make no character come out as U+FFFD.
 */
export function textsOf(tokens: readonly Uint8Array[]): string[] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return tokens.map((bytes, index) => decoder.decode(bytes, { stream: index < tokens.length - 1 }));
}

/** A token by itself: its text, or the names of its bytes, `<0xE2>`, where they are no whole characters. */
export function nameOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`).join('');
  }
}

/** The alphabet byte-level BPE writes bytes in: printable Latin-1 as itself, the rest from U+0100 on (GPT-2's encoder.py). */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(printable(byte) ? byte : next++), byte] as const),
  );
})();
