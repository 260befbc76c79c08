/** Decoders of a `tokenizer.json`: tokens to a text. As in the `tokenizers` crate (src/decoders). */
import { byteOf } from './byte-alphabet.ts';
import { regexOf, replacer } from './normalizers.ts';
import { prependScheme } from './pre-tokenizers.ts';
import type { Decoder } from './schema.ts';

type Decode = (tokens: string[]) => string[];

/** Without a decoder tokens are joined by spaces. Throws `UnknownPattern`. */
export function createDecoder(steps: readonly Decoder[]): (tokens: string[]) => string {
  if (steps.length === 0) return (tokens) => tokens.join(' ');
  const made = steps.map(stepOf);
  return (tokens) => made.reduce((decoded, step) => step(decoded), tokens).join('');
}

function stepOf(step: Decoder): Decode {
  switch (step.type) {
    case 'ByteLevel':
      return (tokens) => [
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(tokens.flatMap(bytesOf))),
      ];
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'WordPiece':
      return (tokens) =>
        tokens.map((token, index) => {
          const text =
            index === 0 ? token : token.startsWith(step.prefix) ? token.slice(step.prefix.length) : ` ${token}`;
          return step.cleanup ? cleanUp(text) : text;
        });
    case 'Metaspace': {
      const keepsFirst = prependScheme(step) === 'never';
      return (tokens) =>
        tokens.map((token, index) => token.replaceAll(step.replacement, index === 0 && !keepsFirst ? '' : ' '));
    }
    case 'BPEDecoder':
      return (tokens) =>
        tokens.map((token, index) => token.replaceAll(step.suffix, index === tokens.length - 1 ? '' : ' '));
    case 'Strip':
      return (tokens) => tokens.map((token) => strip(token, step));
    case 'Replace': {
      const replace = replacer(regexOf(step.pattern), step.content);
      return (tokens) => tokens.map(replace);
    }
    case 'CTC':
      return (tokens) =>
        tokens
          .filter((token, index) => token !== tokens[index - 1])
          .map((token) => {
            const text = token.replaceAll(step.pad_token, '');
            return step.cleanup ? cleanUp(text).replaceAll(step.word_delimiter_token, ' ') : text;
          })
          .filter((token) => token !== '');
  }
}

/** A token with a character that stands for no byte is text as it is. */
function bytesOf(token: string): number[] {
  const bytes = Array.from(token, byteOf);
  return bytes.every((byte) => byte !== undefined) ? bytes : [...new TextEncoder().encode(token)];
}

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Bytes side by side are text where they are UTF-8, else as many signs that something is missing. */
function byteFallback(tokens: string[]): string[] {
  const decoded: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      decoded.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes)));
    } catch {
      for (const _ of bytes) decoded.push('\ufffd');
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) bytes.push(parseInt(byte, 16));
    else {
      flush();
      decoded.push(token);
    }
  }
  flush();
  return decoded;
}

function strip(token: string, { content, start, stop }: Extract<Decoder, { type: 'Strip' }>): string {
  const characters = Array.from(token);
  let from = 0;
  while (from < Math.min(start, characters.length) && characters[from] === content) from++;
  let to = characters.length;
  while (to > from && characters.length - to < stop && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}

/** Spaces that a tokenizer of words puts where English has none. */
function cleanUp(text: string): string {
  return [' .', ' ?', ' !', ' ,', " ' ", " n't", " 'm", ' do not', " 's", " 've", " 're"].reduce(
    (cleaned, found) =>
      cleaned.replaceAll(found, found === " ' " ? "'" : found === ' do not' ? " don't" : found.slice(1)),
    text,
  );
}
