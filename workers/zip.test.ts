import AdmZip from 'adm-zip';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { zip } from './zip.ts';

const { signal } = new AbortController();

test('another reader finds the same files, names and checksums', async () => {
  const path = fc.array(fc.stringMatching(/^[a-zé漢0-9_.-]{1,8}$/), { minLength: 1, maxLength: 3 }).map((steps) => steps.join('/')).filter((name) => !/(^|\/)\.{1,2}(\/|$)/.test(name));
  await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.record({ path, bytes: fc.uint8Array({ maxLength: 200 }) }), { selector: (entry) => entry.path, maxLength: 8 }), async (entries) => {
    const archive = await zip(entries.map(({ path: name, bytes }) => ({ path: name, blob: new Blob([bytes as Uint8Array<ArrayBuffer>]) })), signal);
    const read = new AdmZip(Buffer.from(await archive.arrayBuffer()));
    expect(read.test()).toBe(true);
    expect(read.getEntries().map(({ entryName }) => entryName)).toEqual(entries.map((entry) => entry.path));
    expect(read.getEntries().map((entry) => new Uint8Array(entry.getData()))).toEqual(entries.map(({ bytes }) => new Uint8Array(bytes)));
  }), { numRuns: 50 });
});

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
  globalThis.Blob = class extends RealBlob { constructor(given: BlobPart[] = []) { super(); parts.push(...given); } };
  try {
    await zip([{ path: 'a', blob: large }, { path: 'b', blob: new RealBlob(['x']) }], signal);
  } finally {
    globalThis.Blob = RealBlob;
  }
  const bytes = parts.filter((part): part is Uint8Array<ArrayBuffer> => part instanceof Uint8Array);
  const [local, , central, second, end64, locator, end] = bytes;
  const view = (part: Uint8Array | undefined) => new DataView((part ?? new Uint8Array()).slice().buffer);
  const nameEnd = 30 + 1;
  expect([view(local).getUint32(18, true), view(local).getBigUint64(nameEnd + 4, true)]).toEqual([0xffffffff, 5n * 2n ** 30n]);
  expect(view(central).getBigUint64(46 + 1 + 4, true)).toBe(5n * 2n ** 30n);
  const secondAt = 5n * 2n ** 30n + BigInt(local?.length ?? 0);
  expect([view(second).getUint32(42, true), view(second).getBigUint64(46 + 1 + 4, true)]).toEqual([0xffffffff, secondAt]);
  expect([end64, locator, end].map((part) => view(part).getUint32(0, true))).toEqual([0x06064b50, 0x07064b50, 0x06054b50]);
  expect(view(end64).getBigUint64(48, true)).toBe(secondAt + BigInt(bytes[1]?.length ?? 0) + 1n);
});

test('stops when told to', async () => {
  const stop = new AbortController();
  stop.abort();
  await expect(zip([{ path: 'a', blob: new Blob(['x']) }], stop.signal)).rejects.toMatchObject({ name: 'AbortError' });
});
