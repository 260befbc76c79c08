/** Stores a report with what makes it useful without the dropped files: configuration, tokenizer, and a baseline that is the dropped model itself. */
import { companionFiles, COPIED_NAMES } from '../pipeline/hub-folder.ts';
import { COMPANIONS_LIMIT, type Companion, type CompanionStore } from './companions.ts';
import { ENGINE_VERSION, levelKey } from './job-key.ts';
import type { Locks } from './disk/locks.ts';
import type { Beside, Original } from './measure-once.ts';
import type { KeptReport, ReportStore } from './report-store.ts';
import type { ResultStore } from './result-store.ts';

/** A larger baseline that is the dropped model itself is not copied into storage. */
export const ORIGINAL_LIMIT = 256 << 20;
/** Times its size that must be free before a copy of the original is stored: other results need room too. */
const ROOM_FACTOR = 2;
const SLAB = 1 << 22;
/** Held while companions and the reports that name them are written or deleted. */
const COMPANIONS_LOCK = 'companions';

export interface BesideSurroundings {
  reports: ReportStore;
  companions: CompanionStore;
  store: ResultStore;
  locks: Locks;
  /** Bytes the browser would still take. */
  free(): Promise<number>;
}

/** Rejects when the report cannot be stored; it is stored alone where there is no room for the rest. */
export async function keepWithFiles(
  kept: KeptReport,
  beside: Beside | undefined,
  surroundings: BesideSurroundings,
): Promise<void> {
  const { reports, companions, locks } = surroundings;
  const release = await locks.hold(COMPANIONS_LOCK, new AbortController().signal);
  try {
    const added = beside && (await storeCompanions(beside.files, companions).catch(() => null));
    const all = merged(kept.companions, added ?? undefined);
    await reports.keep({ ...kept, ...(all && { companions: all }) });
  } finally {
    release();
  }
  if (beside?.original) await storeOriginal(beside.original, surroundings).catch(() => undefined);
}

/** Deletes companions that no stored report names any more. */
export async function removeUnusedCompanions({
  reports,
  companions,
  locks,
}: Pick<BesideSurroundings, 'reports' | 'companions' | 'locks'>): Promise<void> {
  const release = await locks.hold(COMPANIONS_LOCK, new AbortController().signal);
  try {
    const kept = await Promise.all((await reports.keys()).map((key) => reports.read(key)));
    await companions.removeUnused(kept.flatMap((report) => report?.companions ?? []));
  } finally {
    release();
  }
}

/** All of them or null: some alone would pass for all. What is larger than the limit is told by its name alone. */
async function storeCompanions(files: readonly File[], companions: CompanionStore): Promise<Companion[] | null> {
  if (files.some(({ name, size }) => size > COMPANIONS_LIMIT && COPIED_NAMES.includes(name.split('/').at(-1) ?? '')))
    return null;
  return companions.keep(
    await companionFiles(files.filter(({ name, size }) => size <= COMPANIONS_LIMIT && !/\.onnx$/i.test(name))),
  );
}

/** Files of one name: the later one. Undefined when neither is known. */
function merged(
  before: readonly Companion[] | undefined,
  added: readonly Companion[] | undefined,
): Companion[] | undefined {
  if (!before && !added) return undefined;
  return [...new Map([...(before ?? []), ...(added ?? [])].map((companion) => [companion.path, companion])).values()];
}

async function storeOriginal(
  { file, name, level, fingerprint }: Original,
  { store, locks, free }: BesideSurroundings,
): Promise<void> {
  if (file.size > ORIGINAL_LIMIT) return;
  const key = await levelKey(fingerprint, level);
  if (await store.find(key)) return;
  if ((await free()) < ROOM_FACTOR * file.size) return;
  // The holder of the lock is storing the same file.
  const release = await locks.tryHold(key);
  if (!release) return;
  try {
    const unfinished = await store.begin(key, {
      file: name,
      level,
      model: { name: file.name, fingerprint },
      total: file.size,
      engine: ENGINE_VERSION,
      createdAt: new Date().toISOString(),
    });
    try {
      for (let at = unfinished.size(); at < file.size; at += SLAB)
        unfinished.append(new Uint8Array(await file.slice(at, at + SLAB).arrayBuffer()));
      await unfinished.finish();
    } catch (thrown) {
      unfinished.close();
      await store.remove(key);
      throw thrown;
    }
  } finally {
    release();
  }
}
