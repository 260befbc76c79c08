/** The alphabet byte-level vocabularies are written in: printable Latin-1 as itself, other bytes from U+0100 on (GPT-2's encoder.py). */

const CHARACTERS: readonly string[] = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

const BYTES: ReadonlyMap<string, number> = new Map(CHARACTERS.map((character, byte) => [character, byte]));

/** A text as its bytes of UTF-8, a character each. */
export function toByteAlphabet(text: string): string {
  let result = '';
  for (const byte of new TextEncoder().encode(text)) result += CHARACTERS[byte]!;
  return result;
}

/** The byte a character stands for. */
export const byteOf = (character: string): number | undefined => BYTES.get(character);
