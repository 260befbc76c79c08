/** The SHA-256 of a file, read in slabs: the identity of a model wherever it is mentioned. */
import { createSHA256 } from 'hash-wasm';
import type { ByteSource } from './source.ts';

const SLAB = 1 << 22;

/** Hexadecimal digest. `onBytes` hears of every slab read. */
export async function sha256(source: ByteSource, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  const hasher = await createSHA256();
  for (let at = 0; at < source.size; at += SLAB) {
    signal.throwIfAborted();
    const bytes = await source.read(at, Math.min(SLAB, source.size - at));
    hasher.update(bytes);
    onBytes(bytes.length);
  }
  return hasher.digest('hex');
}
