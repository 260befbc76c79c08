/** Texts that perplexity is measured on, from files in any encoding that texts come in. */
import { failure, fileChanged } from '../contract/errors.ts';
import { shown } from '../lib/shown.ts';

/** Encodings that a text may have. */
export type TextEncoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';

/** A text and how it was decoded. */
export interface DecodedText {
  text: string;
  encoding: TextEncoding;
  /** A note about how it was read; null where there is none. */
  note: string | null;
}

/** Reads a text file in its encoding. Errors: `file-changed`. */
export async function readText(file: File): Promise<DecodedText> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch (thrown) {
    throw failure(fileChanged(file.name, thrown));
  }
  return decodeText(file.name, bytes);
}

/** Decodes a text by its byte order mark, or without one by its bytes. */
export function decodeText(name: string, bytes: Uint8Array): DecodedText {
  const marked = markedEncoding(bytes);
  const read = (encoding: TextEncoding, note: string | null): DecodedText => {
    const decoded = new TextDecoder(encoding).decode(bytes);
    const text =
      encoding === 'windows-1252'
        ? decoded.replace(/[\u0080-\u009f]/g, (character) => WINDOWS[character.charCodeAt(0) - 0x80] ?? character)
        : decoded;
    return {
      text,
      encoding,
      note:
        note ??
        (holdsJson(text)
          ? `${shown(name)} holds JSON; it was read as plain text, brackets and quotes included.`
          : null),
    };
  };
  if (marked) return read(marked, null);
  const unmarked = looksLikeUtf16(bytes);
  if (unmarked)
    return read(unmarked, `${shown(name)} looks like UTF-16 without a byte order mark, and was read as that.`);
  const lenient = new TextDecoder('utf-8').decode(bytes);
  const [broken, whole] = countBroken(lenient);
  if (broken === 0) return read('utf-8', null);
  if (whole > broken)
    return read(
      'utf-8',
      `${shown(name)} has ${broken.toLocaleString('en')} places that are not valid UTF-8; each was read as U+FFFD.`,
    );
  return read(
    'windows-1252',
    `${shown(name)} is not UTF-8; it was read as Windows-1252, of which Latin-1 is a part. Save it as UTF-8 if that is wrong.`,
  );
}

/**
 * Characters 0x80 to 0x9f of Windows-1252 (https://encoding.spec.whatwg.org/index-windows-1252.txt): some versions of
 * Node decode them as Latin-1.
 */
const WINDOWS = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** Whether a file's first bytes can be those of a text in one of these encodings. */
export function looksLikeText(head: Uint8Array): boolean {
  if (markedEncoding(head) || looksLikeUtf16(head)) return true;
  return !head.some((byte) => (byte < 32 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13) || byte === 127);
}

function markedEncoding([first, second, third]: Uint8Array): TextEncoding | null {
  if (first === 0xef && second === 0xbb && third === 0xbf) return 'utf-8';
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  return first === 0xfe && second === 0xff ? 'utf-16be' : null;
}

const SAMPLE = 4096;
/** Of a text in a European language nearly every other byte is 0; of others at least spaces and line ends have one. */
const SHARE_OF_ZEROS = 0.1;

/** A text has no byte 0 in UTF-8; in UTF-16 it has, and always in the same half of its units. */
function looksLikeUtf16(bytes: Uint8Array): 'utf-16le' | 'utf-16be' | null {
  if (bytes.length % 2 !== 0 && bytes.length < SAMPLE) return null;
  const units = Math.floor(Math.min(bytes.length, SAMPLE) / 2);
  const zeros = [0, 0];
  for (let at = 0; at < units * 2; at++) if (bytes[at] === 0) zeros[at % 2]!++;
  const [high = 0, low = 0] = zeros;
  if (Math.max(high, low) < units * SHARE_OF_ZEROS || Math.min(high, low) > 0) return null;
  return high > low ? 'utf-16be' : 'utf-16le';
}

/** How many characters stand for broken bytes, and how many are whole and not ASCII. */
function countBroken(text: string): [broken: number, whole: number] {
  let broken = 0;
  let whole = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0xfffd) broken++;
    else if (code > 127) whole++;
  }
  return [broken, whole];
}

/** Of lines of JSON the first tells. */
function holdsJson(text: string): boolean {
  if (!/^\s*[{[]/.test(text)) return false;
  return isJson(text) || isJson(text.trimStart().split('\n', 1)[0] ?? '');
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
