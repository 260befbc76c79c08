/** What to say when there is no room. Nothing is deleted unasked. */
import { bytesInWords } from '../lib/bytes-in-words.ts';
import { engineError } from '../contract/errors.ts';
import type { EngineError } from '../contract/errors.ts';
import type { StoredResult } from '../contract/storage.ts';

/** The results used longest ago whose bytes make up `needed`, or all of them. */
export function whatWouldGo(results: readonly StoredResult[], needed: number): StoredResult[] {
  const chosen: StoredResult[] = [];
  let bytes = 0;
  for (const result of [...results].sort((a, b) => a.lastUsed.localeCompare(b.lastUsed))) {
    if (bytes >= needed) break;
    chosen.push(result);
    bytes += result.bytes;
  }
  return chosen;
}

/**
 * @param missing Bytes short.
 * @param held What happens instead, as a sentence.
 */
export function storageFull(
  file: string,
  missing: number,
  results: readonly StoredResult[],
  held: string,
): EngineError {
  const candidates = whatWouldGo(results, missing);
  const enough = candidates.reduce((sum, { bytes }) => sum + bytes, 0) >= missing;
  const names = candidates.slice(0, 3).map((result) => `${result.file} (${bytesInWords(result.bytes)})`);
  const more = candidates.length - names.length;
  const action =
    candidates.length === 0
      ? 'Free space on this disk and try again.'
      : `Delete stored results and try again: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''} ${enough ? 'would be enough' : 'would help, and so would space on this disk'}.`;
  return engineError(
    'storage-full',
    `This browser's storage has no room for ${file}: ${bytesInWords(missing)} are missing. ${held}`,
    action,
    candidates
      .map(({ key, file: name, bytes, lastUsed }) => `${key} ${name} ${bytes} bytes, last used ${lastUsed}`)
      .join('\n'),
  );
}
