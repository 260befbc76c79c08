/** Room for all files of a job, looked at before the first of them is written. */
import { failure } from '../contract/errors.ts';
import type { EngineError } from '../contract/errors.ts';
import { levelKey } from './job-key.ts';
import type { ResultStore } from './result-store.ts';
import { bytesInWords } from '../lib/bytes-in-words.ts';
import { storageFull } from './room.ts';

export interface PlannedFile {
  name: string;
  /** Of the model it is made of, see hash.ts. */
  fingerprint: string;
  /** As `formatLevel` spells it. */
  level: string;
  bytes: number;
  /** Of these, bytes that are not ranges of the source. */
  madeBytes: number;
  /** Set where another file refers to it by its name. */
  fixedName?: true;
}

export interface FreeSpacePlatform {
  store: Pick<ResultStore, 'list'>;
  /** Bytes the browser would still take. */
  free(): Promise<number>;
  /** Bytes of one job that may be held in memory for want of storage. */
  memoryLimit: number;
}

/**
 * What to say when not all files fit beside what is stored; null when they do. Files that are finished or begun count
 * with what is missing of them, and each file that does not fit whole is held in memory instead.
 * Errors: `storage-full` when that would be more than memory is to hold; nothing has been written then.
 */
export async function checkFreeSpace(
  files: readonly PlannedFile[],
  { store, free, memoryLimit }: FreeSpacePlatform,
): Promise<EngineError | null> {
  // A level that is the model as it is, is not stored.
  const written = files.filter(({ madeBytes }) => madeBytes > 0);
  const [results, room] = [await store.list(), await free()];
  const stored = new Map(results.map((result) => [result.key, result]));
  const own = new Set<string>();
  let left = room;
  let needed = 0;
  let held = 0;
  for (const { fingerprint, level, bytes, madeBytes } of written) {
    const key = await levelKey(fingerprint, level);
    if (own.has(key)) continue;
    own.add(key);
    const there = stored.get(key)?.bytes ?? 0;
    const missing = Math.max(0, bytes - there);
    needed += missing;
    if (missing <= left) left -= missing;
    else held += there + madeBytes;
  }
  if (held === 0) return null;
  const all = written.length === 1 ? (written[0]?.name ?? '') : `the ${written.length} files of this job`;
  const say = (what: string) =>
    storageFull(
      `${all} (${bytesInWords(needed)})`,
      Math.max(1, needed - room),
      results.filter(({ key }) => !own.has(key)),
      what,
    );
  if (held > memoryLimit) throw failure(say('Nothing has been written.'));
  return say('What does not fit is held in memory, until this tab is closed.');
}
