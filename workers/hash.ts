/**
 * What identifies a file's content. The fingerprint, SHA-256 over the SHA-256 of every 4 MiB, is made on several threads
 * by the platform's own code, several times as fast as one SHA-256 over a stream can be; the plain SHA-256 of the whole is
 * given for files that fit in memory at once.
 */
import { createSHA256 } from 'hash-wasm';
import { concatBytes } from './onnx/wire.ts';
import type { ByteSource, ExternalFiles } from './source.ts';

export const FINGERPRINT_SLAB = 4 * 2 ** 20;
/** Files up to this size get a plain SHA-256, too. */
export const PLAIN_HASH_LIMIT = 64 * 2 ** 20;
/** Slabs read and digested at once. */
const SLABS_UNDER_WAY = 4;

export interface ContentHash {
  /** Hexadecimal. */
  fingerprint: string;
  /** Hexadecimal; null above `PLAIN_HASH_LIMIT`. */
  sha256: string | null;
}

/** `onBytes` hears of every slab when it is through. */
export async function hashContent(source: ByteSource, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ContentHash> {
  const slabs = subtle ? source.slabs?.(FINGERPRINT_SLAB) ?? null : null;
  const digests = slabs ? await digestStream(slabs, onBytes, signal) : await digestRanges(source, onBytes, signal);
  return {
    fingerprint: hex(await sha256(concatBytes(digests))),
    sha256: source.size <= PLAIN_HASH_LIMIT ? hex(await sha256(await source.read(0, source.size))) : null,
  };
}

/** Reads on while slabs are being digested: the platform takes a copy of each at once. */
async function digestStream(slabs: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<Uint8Array[]> {
  const digests: Promise<Uint8Array>[] = [];
  for await (const bytes of slabs) {
    signal.throwIfAborted();
    const { length } = bytes;
    const digest = sha256(bytes).then((done) => {
      onBytes(length);
      return done;
    });
    // Should another one fail first, nobody waits for this one.
    digest.catch(() => undefined);
    digests.push(digest);
    await digests.at(-SLABS_UNDER_WAY);
  }
  return Promise.all(digests);
}

async function digestRanges(source: ByteSource, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<Uint8Array[]> {
  const digests: Uint8Array[] = [];
  const slabs = Math.ceil(source.size / FINGERPRINT_SLAB);
  let next = 0;
  const digestSlabs = async () => {
    for (let slab = next++; slab < slabs; slab = next++) {
      signal.throwIfAborted();
      const at = slab * FINGERPRINT_SLAB;
      const bytes = await source.read(at, Math.min(FINGERPRINT_SLAB, source.size - at));
      digests[slab] = await sha256(bytes);
      onBytes(bytes.length);
      source.release?.(bytes);
    }
  };
  await Promise.all(Array.from({ length: SLABS_UNDER_WAY }, digestSlabs));
  return digests;
}

/**
 * Of a model with its external data: the fingerprints of its file and of each other file, in the order of their
 * locations, hashed. The names are in the model. Without external data it is the model's own.
 */
export async function hashModel(source: ByteSource, external: ExternalFiles, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ContentHash> {
  const hash = await hashContent(source, onBytes, signal);
  const fingerprints = [hash.fingerprint];
  for (const [, file] of [...external].sort(([a], [b]) => (a < b ? -1 : 1))) fingerprints.push((await hashContent(file, onBytes, signal)).fingerprint);
  if (fingerprints.length === 1) return hash;
  return { ...hash, fingerprint: hex(await sha256(new TextEncoder().encode(fingerprints.join('')))) };
}

/** Pages that are not served securely have no digests of their own. */
const { subtle } = globalThis.crypto as { subtle?: SubtleCrypto };

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  if (subtle) return new Uint8Array(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return (await createSHA256()).init().update(bytes).digest('binary');
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
