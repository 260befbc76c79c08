import { expect, test, vi } from 'vitest';
import { zip } from './zip.ts';

// Range by range: what is pretended gives as little as it likes.
vi.mock('./sequential-reader.ts', () => ({ readSequentially: () => null }));

const { signal } = new AbortController();

/** A blob that says it is large and reads as zeros; only its first bytes are ever put into an archive. */
function pretend(size: number): Blob {
  const blob = new Blob([new Uint8Array(4)]);
  return new Proxy(blob, {
    get(target, key) {
      if (key === 'size') return size;
      if (key === 'slice') return () => target;
      return Reflect.get(target, key) as unknown;
    },
  });
}

test('sizes beyond 32 bits go to the 64-bit fields', async () => {
  const large = pretend(5 * 2 ** 30);
  const parts: BlobPart[] = [];
  const RealBlob = globalThis.Blob;
  // The archive would hold the pretended file; what it is made of is looked at instead.
  globalThis.Blob = class extends RealBlob {
    constructor(given: BlobPart[] = []) {
      super();
      parts.push(...given);
    }
  };
  try {
    await zip(
      [
        { path: 'a', blob: large },
        { path: 'b', blob: new RealBlob(['x']) },
      ],
      signal,
    );
  } finally {
    globalThis.Blob = RealBlob;
  }
  const bytes = parts.filter((part): part is Uint8Array<ArrayBuffer> => part instanceof Uint8Array);
  const [local, , central, second, end64, locator, end] = bytes;
  const view = (part: Uint8Array | undefined) => new DataView((part ?? new Uint8Array()).slice().buffer);
  const nameEnd = 30 + 1;
  expect([view(local).getUint32(18, true), view(local).getBigUint64(nameEnd + 4, true)]).toEqual([
    0xffffffff,
    5n * 2n ** 30n,
  ]);
  expect(view(central).getBigUint64(46 + 1 + 4, true)).toBe(5n * 2n ** 30n);
  const secondAt = 5n * 2n ** 30n + BigInt(local?.length ?? 0);
  expect([view(second).getUint32(42, true), view(second).getBigUint64(46 + 1 + 4, true)]).toEqual([
    0xffffffff,
    secondAt,
  ]);
  expect([end64, locator, end].map((part) => view(part).getUint32(0, true))).toEqual([
    0x06064b50, 0x07064b50, 0x06054b50,
  ]);
  expect(view(end64).getBigUint64(48, true)).toBe(secondAt + BigInt(bytes[1]?.length ?? 0) + 1n);
});
