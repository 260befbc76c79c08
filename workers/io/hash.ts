/**
 * What identifies a file's content. The fingerprint, SHA-256 over the SHA-256 of every 512 KiB, is made by the
 * platform's own code, several times as fast as one SHA-256 over a stream can be; the plain SHA-256 of the whole is given
 * for files that fit in memory at once.
 */
import { createSHA256 } from 'hash-wasm';
import { concatBytes } from '../onnx/wire.ts';
import { readChunks, type ByteSource, type ExternalFiles } from './source.ts';

/** Digesting takes a copy, and up to this size Chromium finds room for it without asking the system for new memory: twice as fast. */
export const FINGERPRINT_SLAB = 2 ** 19;
/** Files up to this size get a plain SHA-256, too. */
export const PLAIN_HASH_LIMIT = 64 * 2 ** 20;

export interface ContentHash {
  /** Hexadecimal. */
  fingerprint: string;
  /** Hexadecimal; null above `PLAIN_HASH_LIMIT`. */
  sha256: string | null;
}

/** `onBytes` hears of what is through. */
export async function hashContent(
  source: ByteSource,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<ContentHash> {
  const digests: Uint8Array[] = [];
  for await (const bytes of readChunks(source, 0, source.size)) {
    signal.throwIfAborted();
    for (const digest of await digestSlabs(bytes)) digests.push(digest);
    onBytes(bytes.length);
  }
  return {
    fingerprint: hex(await sha256(concatBytes(digests))),
    sha256: source.size <= PLAIN_HASH_LIMIT ? hex(await sha256(await source.read(0, source.size))) : null,
  };
}

/** What is read at once is a whole number of slabs, but for the last. */
function digestSlabs(bytes: Uint8Array): Promise<Uint8Array[]> {
  return Promise.all(
    Array.from({ length: Math.ceil(bytes.length / FINGERPRINT_SLAB) }, (_, i) =>
      sha256(bytes.subarray(i * FINGERPRINT_SLAB, (i + 1) * FINGERPRINT_SLAB)),
    ),
  );
}

/**
 * Of a model with its external data: the fingerprints of its file and of each other file, in the order of their
 * locations, hashed. The names are in the model. Without external data it is the model's own.
 */
export async function hashModel(
  source: ByteSource,
  external: ExternalFiles,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<ContentHash> {
  const hash = await hashContent(source, onBytes, signal);
  const fingerprints = [hash.fingerprint];
  for (const [, file] of [...external].sort(([a], [b]) => (a < b ? -1 : 1)))
    fingerprints.push((await hashContent(file, onBytes, signal)).fingerprint);
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
