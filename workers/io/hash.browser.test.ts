import { expect, it } from 'vitest';
import { FINGERPRINT_SLAB, hashContent } from './hash.ts';
import { blobSource, bytesSource } from './source.ts';

const { signal } = new AbortController();

it.each([0, 9, FINGERPRINT_SLAB * 8, FINGERPRINT_SLAB * 17 + 3])(
  'streams %i bytes of a file to the same hash that reading ranges gives',
  async (size) => {
    const bytes = new Uint8Array(size);
    for (let index = 0; index < size; index++) bytes[index] = index * 7 + (index >> 13);
    const source = blobSource('file', new File([bytes], 'file'));
    expect(source.inOrder?.()).toBeTruthy();
    let seen = 0;
    const streamed = await hashContent(
      source,
      (count) => {
        seen += count;
      },
      signal,
    );
    expect(seen).toBe(size);
    expect(streamed).toEqual(await hashContent(bytesSource('file', bytes), () => undefined, signal));
  },
);
