/**
 * Files of levels on a disk, one folder a key: `about.json` says what it is, `data` is the file, `journal` how far it is
 * known to be written. A file is finished when its journal says so to the last byte. One user of a key at a time
 * (locks.ts); looking is always allowed.
 */
import { z } from 'zod';
import type { StoredResult } from '../contract/storage.ts';
import { readBytes, readText, writeAll, writeText, type Disk, type DiskFile } from './disk/disk.ts';
import { isKey } from './job-key.ts';
import {
  createChecksum,
  encodeHead,
  encodeRecord,
  equal,
  readJournal,
  RECORD_BYTES,
  type Checksum,
  type JournalEntry,
} from './disk/journal.ts';

export interface About {
  /** File name for downloads. */
  file: string;
  /** As `formatLevel` spells it. */
  level: string;
  model: { name: string; fingerprint: string };
  /** Bytes of the whole file. */
  total: number;
  engine: string;
  /** ISO 8601. */
  createdAt: string;
}

const aboutSchema: z.ZodType<About> = z.object({
  file: z.string(),
  level: z.string(),
  model: z.object({ name: z.string(), fingerprint: z.string() }),
  total: z.number().int().nonnegative(),
  engine: z.string(),
  createdAt: z.iso.datetime(),
});

/** A file under way. Rejections and throws are the disk's; after one of `append` nothing of that call counts as written. */
export interface Unfinished {
  /** Bytes of the file there are. */
  size(): number;
  append(bytes: Uint8Array): void;
  /** Of the first `size()` bytes. */
  read(start: number, end: number): Uint8Array<ArrayBuffer>;
  /** Records the last bytes and closes. */
  finish(): Promise<File>;
  /** Records what there is, as far as that works, and closes; the next `begin` goes on from there. */
  close(): void;
}

export interface ResultStore {
  /** The finished file, or null. Notes the time. */
  find(key: string): Promise<File | null>;
  /** The first bytes of a file that is not finished, as far as they can be relied on; null when there are none. */
  begun(key: string): Promise<Blob | null>;
  /** Opens what there is of the file, and drops what cannot be relied on. */
  begin(key: string, about: About): Promise<Unfinished>;
  /** Reads a finished file and compares it with its checksums. */
  verify(key: string): Promise<boolean>;
  /** Results whose `about.json` can be read, last used first. */
  list(): Promise<StoredResult[]>;
  /** Every folder there is, readable or not. */
  keys(): Promise<string[]>;
  remove(key: string): Promise<void>;
}

const RESULTS = 'results';
/** New bytes after which progress is made durable. Waiting for the disk each time a small tensor is done costs more than doing it again. */
const RECORD_EVERY = 1 << 23;
const SLAB = 1 << 22;

export async function openResultStore(
  disk: Disk,
  { recordEvery = RECORD_EVERY, now = () => new Date() }: { recordEvery?: number; now?: () => Date } = {},
): Promise<ResultStore> {
  /** Used from start to end without giving way in between. */
  const shared = await createChecksum();
  const path = (key: string, file: 'about.json' | 'data' | 'journal' | 'last-used'): string[] => {
    if (!isKey(key)) throw new RangeError(`not a key: ${key}`);
    return [RESULTS, key, file];
  };

  async function readAbout(key: string): Promise<About | null> {
    const text = await readText(disk, path(key, 'about.json'));
    return text === null ? null : parse(aboutSchema, text);
  }

  async function entriesOf(key: string, total: number): Promise<JournalEntry[]> {
    const journal = await readBytes(disk, path(key, 'journal'));
    return (journal && readJournal(shared, journal, key, total)) ?? [];
  }

  async function finished(key: string): Promise<{ about: About; data: File; entries: JournalEntry[] } | null> {
    const about = await readAbout(key);
    const data = await disk.file(path(key, 'data'));
    if (!about || data?.size !== about.total) return null;
    const entries = await entriesOf(key, about.total);
    return (entries.at(-1)?.position ?? 0) === about.total ? { about, data, entries } : null;
  }

  const named = (data: File, about: About) => new File([data], about.file, { type: 'application/octet-stream' });
  const noteUse = (key: string) => writeText(disk, path(key, 'last-used'), now().toISOString());

  async function begin(key: string, about: About): Promise<Unfinished> {
    const before = await readAbout(key);
    if (before?.total !== about.total) await writeText(disk, path(key, 'about.json'), JSON.stringify(about));
    const data = await disk.open(path(key, 'data'));
    let journal: DiskFile;
    try {
      journal = await disk.open(path(key, 'journal'));
    } catch (thrown) {
      data.close();
      throw thrown;
    }
    try {
      return await goOn(key, about, data, journal);
    } catch (thrown) {
      data.close();
      journal.close();
      throw thrown;
    }
  }

  async function goOn(key: string, about: About, data: DiskFile, journal: DiskFile): Promise<Unfinished> {
    const sinceRecord = await createChecksum();
    const head = encodeHead(shared, key, about.total);
    const stored = new Uint8Array(journal.getSize());
    journal.read(stored, { at: 0 });
    const entries = reliable(readJournal(shared, stored, key, about.total), data);
    let last = { ...head.entry, position: 0 };
    if (entries) {
      journal.truncate((entries.length + 1) * RECORD_BYTES);
      last = entries.at(-1) ?? last;
    } else {
      journal.truncate(0);
      writeAll(journal, head.bytes, 0);
    }
    data.truncate(last.position);
    let size = last.position;
    let journalSize = ((entries?.length ?? 0) + 1) * RECORD_BYTES;
    let closed = false;
    sinceRecord.init();

    const record = () => {
      if (size === last.position) return;
      data.flush();
      const { bytes, entry } = encodeRecord(shared, last.own, size, sinceRecord.digest('binary'));
      try {
        writeAll(journal, bytes, journalSize);
        journal.flush();
        last = entry;
        journalSize += bytes.length;
      } finally {
        sinceRecord.init();
        // Not recorded: the next record covers these bytes as well.
        if (last !== entry) update(sinceRecord, data, last.position, size);
      }
    };
    const close = () => {
      if (closed) return;
      closed = true;
      data.close();
      journal.close();
    };
    return {
      size: () => size,
      append(bytes) {
        writeAll(data, bytes, size);
        sinceRecord.update(bytes);
        size += bytes.length;
        if (size - last.position < recordEvery) return;
        try {
          record();
        } catch {
          // The bytes are written; what fails here is tried again with the next ones, and reported by `finish`.
        }
      },
      read(start, end) {
        const bytes = new Uint8Array(end - start);
        readAll(data, bytes, start);
        return bytes;
      },
      async finish() {
        if (size !== about.total) throw new Error(`${size} bytes of ${about.total}`);
        record();
        close();
        // The time is a nicety: a full disk must not hide the file.
        await noteUse(key).catch(() => undefined);
        const file = await disk.file(path(key, 'data'));
        if (file?.size !== about.total)
          throw new Error(`the file just written has ${file?.size ?? 'no'} bytes, and should have ${about.total}`);
        return named(file, about);
      },
      close() {
        if (closed) return;
        try {
          data.truncate(size);
          record();
        } catch {
          // A disk that is full or gone keeps what was recorded before.
        }
        close();
      },
    };
  }

  /**
   * The entries up to the last whose bytes are on the disk as it says. What comes before that one was flushed before
   * the record after it was written.
   */
  function reliable(entries: JournalEntry[] | null, data: DiskFile): JournalEntry[] | null {
    if (!entries) return null;
    const size = data.getSize();
    let count = entries.length;
    while (count > 0) {
      const { position, data: expected } = entries[count - 1]!;
      if (position <= size && equal(checksumOf(data, entries[count - 2]?.position ?? 0, position), expected)) break;
      count--;
    }
    return entries.slice(0, count);
  }

  function checksumOf(data: DiskFile, start: number, end: number): Uint8Array {
    update(shared.init(), data, start, end);
    return shared.digest('binary');
  }

  return {
    begin,
    async find(key) {
      const found = await finished(key);
      if (!found) return null;
      await noteUse(key).catch(() => undefined);
      return named(found.data, found.about);
    },
    async begun(key) {
      const about = await readAbout(key);
      const data = await disk.file(path(key, 'data'));
      if (!about || !data) return null;
      const entries = await entriesOf(key, about.total);
      const last = entries.at(-1);
      // What comes before the last record was flushed before that was written.
      return last && (await holds(data, entries.at(-2)?.position ?? 0, last)) ? data.slice(0, last.position) : null;
    },
    async verify(key) {
      const found = await finished(key);
      if (!found) return false;
      let start = 0;
      for (const entry of found.entries) {
        if (!(await holds(found.data, start, entry))) return false;
        start = entry.position;
      }
      return true;
    },
    async list() {
      const listed = await Promise.all(
        (await disk.list([RESULTS])).filter(isKey).map(async (key): Promise<StoredResult[]> => {
          const about = await readAbout(key);
          if (!about) return [];
          const { file, level, model, total, createdAt } = about;
          const size = (await disk.file(path(key, 'data')))?.size ?? 0;
          const lastUsed = z.iso.datetime().safeParse(await readText(disk, path(key, 'last-used')));
          return [
            {
              key,
              file,
              level,
              model,
              total,
              createdAt,
              bytes: size,
              finished: (await finished(key)) !== null,
              lastUsed: lastUsed.success ? lastUsed.data : createdAt,
            },
          ];
        }),
      );
      return listed.flat().sort((a, b) => b.lastUsed.localeCompare(a.lastUsed));
    },
    keys: async () => (await disk.list([RESULTS])).filter(isKey),
    remove: (key) => disk.remove(path(key, 'data').slice(0, -1)),
  };
}

/** Whether the bytes from `start` to an entry's position are those it was made of. */
async function holds(file: Blob, start: number, { position, data }: JournalEntry): Promise<boolean> {
  if (position > file.size) return false;
  const checksum = (await createChecksum()).init();
  for (let at = start; at < position; at += SLAB)
    checksum.update(new Uint8Array(await file.slice(at, Math.min(at + SLAB, position)).arrayBuffer()));
  return equal(checksum.digest('binary'), data);
}

/** Adds bytes [start, end) of a file to a checksum. */
function update(checksum: Checksum, data: DiskFile, start: number, end: number): void {
  const slab = new Uint8Array(Math.min(SLAB, end - start));
  for (let at = start; at < end; at += SLAB) {
    const bytes = slab.subarray(0, Math.min(SLAB, end - at));
    readAll(data, bytes, at);
    checksum.update(bytes);
  }
}

function readAll(file: DiskFile, into: Uint8Array<ArrayBuffer>, at: number): void {
  for (let done = 0; done < into.length;) {
    const read = file.read(into.subarray(done), { at: at + done });
    // A read that fails may give its error as an unsigned number, see `writeAll`.
    if (!(read > 0 && read <= into.length - done)) throw new Error('the file is shorter than it was');
    done += read;
  }
}

/** JSON that fits a schema, or null. */
export function parse<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
