/**
 * Zip archives of stored entries (PKWARE APPNOTE.TXT 6.3, with its 64-bit fields where something needs them). Weights
 * hardly compress; stored, an archive is made of the files themselves and takes no memory however large they are.
 */
import { createCRC32, type IHasher } from 'hash-wasm';
import { fail } from '../contract/errors.ts';
import { blobSource, readChunks } from './source.ts';

export interface ZipEntry {
  /** With `/` between folders. */
  path: string;
  blob: Blob;
}

const UTF8_NAMES = 0x0800;
/** 1 January 1980, the earliest there is: the same files make the same archive. */
const DATE = 0x0021;
const MAX_32 = 0xffffffff;
const MAX_16 = 0xffff;

/** Longer names do not fit the field their length is in. */
const LONGEST_NAME = MAX_16;

/** Two entries with the same key are one file where an archive is unpacked: some file systems take no notice of case or of how accents are composed. */
export const entryKey = (path: string): string => path.normalize('NFC').toLowerCase();

/**
 * Reads each file once for its checksum; the archive refers to them. Rejects with `AbortError` when the signal fires.
 * Errors: `write-failed` when two entries would be one file, or a name is too long.
 */
export async function zip(
  entries: readonly ZipEntry[],
  signal: AbortSignal,
  onProgress?: (progress: { done: number; total: number }) => void,
): Promise<Blob> {
  const total = entries.reduce((sum, { blob }) => sum + blob.size, 0);
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress?.({ done, total });
  };
  checkNames(entries);
  const parts: BlobPart[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  const crc32 = await createCRC32();
  for (const { path, blob } of entries) {
    const entry = {
      name: new TextEncoder().encode(path),
      crc: await checksum(crc32, path, blob, signal, onBytes),
      size: blob.size,
      offset,
    };
    const header = localHeader(entry);
    parts.push(header, blob);
    directory.push(centralHeader(entry));
    offset += header.length + blob.size;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  return new Blob([...parts, ...directory, ...endOfDirectory(entries.length, size, offset)], {
    type: 'application/zip',
  });
}

function checkNames(entries: readonly ZipEntry[]): void {
  const seen = new Set<string>();
  for (const { path } of entries) {
    if (new TextEncoder().encode(path).length > LONGEST_NAME)
      fail(
        'write-failed',
        `A name of ${path.length} characters is too long for a zip archive: ${path.slice(0, 40)}….`,
        'Rename the file.',
      );
    if (seen.has(entryKey(path)))
      fail('write-failed', `The archive would hold two files called ${path}.`, 'Leave one of them out, or rename it.');
    seen.add(entryKey(path));
  }
}

async function checksum(
  crc32: IHasher,
  path: string,
  blob: Blob,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const crc = crc32.init();
  for await (const bytes of readChunks(blobSource(path, blob), 0, blob.size)) {
    signal.throwIfAborted();
    crc.update(bytes);
    onBytes(bytes.length);
  }
  return parseInt(crc.digest('hex'), 16);
}

interface Entry {
  name: Uint8Array;
  crc: number;
  size: number;
  offset: number;
}

type Width = 2 | 4 | 8;

/** Little-endian numbers of given widths, one after the other. */
function fields(...numbers: readonly (readonly [value: number, width: Width])[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(numbers.reduce((sum, [, width]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, width] of numbers) {
    if (width === 2) view.setUint16(at, value, true);
    else if (width === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += width;
  }
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** 32 bits of a number, or the mark that it is in the 64-bit fields. */
const short = (value: number): readonly [number, 4] => [Math.min(value, MAX_32), 4];

/** Version needed to extract: 4.5 knows 64-bit fields. */
const versionFor = (extra: Uint8Array): readonly [number, 2] => [extra.length > 0 ? 45 : 20, 2];

/** The fields that both headers of a file have: version, flags, method, time, date, checksum, sizes and lengths. */
function entryFields(
  { name, crc, size }: Omit<Entry, 'offset'>,
  extra: Uint8Array,
): (readonly [value: number, width: Width])[] {
  return [
    versionFor(extra),
    [UTF8_NAMES, 2],
    [0, 2],
    [0, 2],
    [DATE, 2],
    [crc, 4],
    short(size),
    short(size),
    [name.length, 2],
    [extra.length, 2],
  ];
}

function localHeader({ name, crc, size }: Entry): Uint8Array<ArrayBuffer> {
  // A local header has both sizes in its 64-bit fields or neither.
  const extra = size >= MAX_32 ? fields([1, 2], [16, 2], [size, 8], [size, 8]) : new Uint8Array(0);
  return joined(fields([0x04034b50, 4], ...entryFields({ name, crc, size }, extra)), name, extra);
}

function centralHeader({ name, crc, size, offset }: Entry): Uint8Array<ArrayBuffer> {
  const long = [...(size >= MAX_32 ? [size, size] : []), ...(offset >= MAX_32 ? [offset] : [])];
  const extra =
    long.length > 0
      ? joined(fields([1, 2], [long.length * 8, 2]), ...long.map((value) => fields([value, 8])))
      : new Uint8Array(0);
  const fixed = fields(
    [0x02014b50, 4],
    versionFor(extra),
    ...entryFields({ name, crc, size }, extra),
    [0, 2],
    [0, 2],
    [0, 2],
    [0, 4],
    short(offset),
  );
  return joined(fixed, name, extra);
}

function endOfDirectory(count: number, size: number, offset: number): Uint8Array<ArrayBuffer>[] {
  const end = fields(
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [Math.min(count, MAX_16), 2],
    [Math.min(count, MAX_16), 2],
    short(size),
    short(offset),
    [0, 2],
  );
  if (count < MAX_16 && size < MAX_32 && offset < MAX_32) return [end];
  return [
    fields([0x06064b50, 4], [44, 8], [45, 2], [45, 2], [0, 4], [0, 4], [count, 8], [count, 8], [size, 8], [offset, 8]),
    fields([0x07064b50, 4], [0, 4], [offset + size, 8], [1, 4]),
    end,
  ];
}
