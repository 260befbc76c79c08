/**
 * The journal of a file under way: how far it is known to be written, in records appended one by one. Each holds a
 * position in the file, the checksum of the bytes since the record before it, and a checksum of its own that covers the
 * record before it too. So the journal can be cut or garbled anywhere: it is valid up to that place, and nothing that is
 * left over from an earlier life of the file fits behind it.
 *
 * A record, little-endian: position (uint64), checksum of the data (8 bytes), checksum of the record (8 bytes). The
 * first one is the head: the length the file will have, the checksum of its key.
 */
import { createXXHash64, type IHasher } from 'hash-wasm';

export const RECORD_BYTES = 24;

/** The fastest checksum at hand: several times as fast as a disk. It finds accidents, not forgeries. */
export type Checksum = IHasher;
export const createChecksum = (): Promise<Checksum> => createXXHash64();

export interface JournalEntry {
  /** Bytes of the file covered, from its start. */
  position: number;
  /** Checksum of the bytes since the entry before. */
  data: Uint8Array;
  /** Checksum of the record, which the next one continues. */
  own: Uint8Array;
}

export function encodeHead(checksum: Checksum, key: string, total: number): { bytes: Uint8Array; entry: JournalEntry } {
  return encodeRecord(checksum, new Uint8Array(8), total, checksum.init().update(key).digest('binary'));
}

/** @param previous `own` of the entry before. */
export function encodeRecord(
  checksum: Checksum,
  previous: Uint8Array,
  position: number,
  data: Uint8Array,
): { bytes: Uint8Array; entry: JournalEntry } {
  const bytes = new Uint8Array(RECORD_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(position), true);
  bytes.set(data, 8);
  const own = checksum.init().update(previous).update(bytes.subarray(0, 16)).digest('binary');
  bytes.set(own, 16);
  return { bytes, entry: { position, data, own } };
}

/**
 * The entries up to the first that is not whole, the head left out; null when the head is not that of this file.
 * Positions rise and none is beyond `total`.
 */
export function readJournal(checksum: Checksum, bytes: Uint8Array, key: string, total: number): JournalEntry[] | null {
  const head = encodeHead(checksum, key, total);
  if (!equal(bytes.subarray(0, RECORD_BYTES), head.bytes)) return null;
  const entries: JournalEntry[] = [];
  let last = { ...head.entry, position: 0 };
  for (let at = RECORD_BYTES; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    const stored = bytes.subarray(at, at + RECORD_BYTES);
    const position = Number(new DataView(stored.buffer, stored.byteOffset).getBigUint64(0, true));
    const record = encodeRecord(checksum, last.own, position, stored.slice(8, 16));
    if (!equal(record.bytes, stored) || position <= last.position || position > total) break;
    entries.push(record.entry);
    last = record.entry;
  }
  return entries;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
