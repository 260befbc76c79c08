/** How much text scored tokens are, in bytes and words, for figures that do not depend on the tokenizer. */

/** Whitespace as Python's `re` has it, by which lm-evaluation-harness parts words. */
const WHITESPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** Words in the first `bytes` bytes of a text: runs of whitespace in it, and one. */
export function wordCounter(text: string): (bytes: number) => number {
  const starts: number[] = [];
  let bytes = 0;
  let at = 0;
  const utf8 = new TextEncoder();
  for (const { index } of text.matchAll(WHITESPACE)) {
    bytes += utf8.encode(text.slice(at, index)).length;
    at = index;
    starts.push(bytes);
  }
  return (limit) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle]! < limit) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
}

/** Tokens whose bytes do not add up to the text's within this share do not stand for it: the tokenizer rewrites or drops. */
const TOLERANCE = 0.01;

/**
 * Whether bytes of tokens are bytes of text.
 * @param tokens All tokens of the text, none around it.
 */
export function addsUp(lengths: Uint16Array, tokens: Int32Array, textBytes: number): boolean {
  return Math.abs(bytesOf(lengths, tokens) - textBytes) <= Math.max(1, TOLERANCE * textBytes);
}

export function bytesOf(lengths: Uint16Array, tokens: Int32Array): number {
  let sum = 0;
  for (const token of tokens) sum += lengths[token] ?? 0;
  return sum;
}
