import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FINGERPRINT_SLAB, hashContent, PLAIN_HASH_LIMIT } from './hash.ts';
import { blobSource, bytesSource, type ByteSource } from './source.ts';

const { signal } = new AbortController();
const sha256 = (...parts: Uint8Array[]) => parts.reduce((hash, part) => hash.update(part), createHash('sha256'));

describe('content hash', () => {
  it.each([0, 1, FINGERPRINT_SLAB, FINGERPRINT_SLAB * 17 + 3])(
    'of %i bytes is that of its slabs in order, beside the plain one',
    async (size) => {
      const bytes = new Uint8Array(size);
      for (let index = 0; index < size; index++) bytes[index] = index * 7 + (index >> 13);
      let seen = 0;
      const { fingerprint, sha256: plain } = await hashContent(
        bytesSource('file', bytes),
        (count) => {
          seen += count;
        },
        signal,
      );
      const slabs = Array.from({ length: Math.ceil(size / FINGERPRINT_SLAB) }, (_, index) =>
        sha256(bytes.subarray(index * FINGERPRINT_SLAB, (index + 1) * FINGERPRINT_SLAB)).digest(),
      );
      expect(fingerprint).toBe(sha256(...slabs).digest('hex'));
      expect(plain).toBe(sha256(bytes).digest('hex'));
      expect(seen).toBe(size);
      let streamed = 0;
      expect(
        await hashContent(
          blobSource('file', new Blob([bytes])),
          (count) => {
            streamed += count;
          },
          signal,
        ),
      ).toEqual({ fingerprint, sha256: plain });
      expect(streamed).toBe(size);
    },
  );

  it('has no plain one for files that are not held in memory', async () => {
    const zeros = new Uint8Array(2 ** 22);
    const large: ByteSource = {
      name: 'large',
      size: PLAIN_HASH_LIMIT + 1,
      read: (_, length) => Promise.resolve(zeros.subarray(0, length)),
    };
    expect((await hashContent(large, () => undefined, signal)).sha256).toBeNull();
  });

  it('is none of a file that ended early', async () => {
    const blob = new Blob([new Uint8Array(FINGERPRINT_SLAB * 9)]);
    const short = Object.assign(new Blob([blob, blob]), { slice: () => blob });
    await expect(hashContent(blobSource('short', short), () => undefined, signal)).rejects.toMatchObject({
      engineError: { code: 'file-changed' },
    });
  });

  it('stops when told to', async () => {
    const stop = new AbortController();
    stop.abort();
    await expect(hashContent(bytesSource('file', new Uint8Array(9)), () => undefined, stop.signal)).rejects.toThrow();
  });
});
