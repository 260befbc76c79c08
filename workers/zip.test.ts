import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { zip } from './zip.ts';

const { signal } = new AbortController();

/** Reads an archive as unpackers do: from its end to the directory, from there to each file; nothing is shared with the writer. */
function unpack(archive: Buffer): { path: string; bytes: Uint8Array }[] {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  expect(end).toBe(archive.length - 22);
  let at = archive.readUInt32LE(end + 16);
  expect(at + archive.readUInt32LE(end + 12)).toBe(end);
  return Array.from({ length: archive.readUInt16LE(end + 10) }, () => {
    expect(archive.toString('latin1', at, at + 4)).toBe('PK\x01\x02');
    const [crc, packed, size] = [16, 20, 24].map((field) => archive.readUInt32LE(at + field));
    const [name = 0, extra = 0, comment = 0] = [28, 30, 32].map((field) => archive.readUInt16LE(at + field));
    const path = archive.toString('utf8', at + 46, at + 46 + name);
    const local = archive.readUInt32LE(at + 42);
    at += 46 + name + extra + comment;
    expect(archive.toString('latin1', local, local + 4)).toBe('PK\x03\x04');
    expect([14, 18, 22].map((field) => archive.readUInt32LE(local + field))).toEqual([crc, packed, size]);
    const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    expect(archive.toString('utf8', local + 30, local + 30 + archive.readUInt16LE(local + 26))).toBe(path);
    const bytes = archive.subarray(start, start + (size ?? 0));
    expect([crc32(bytes), packed]).toEqual([crc, size]);
    return { path, bytes: new Uint8Array(bytes) };
  });
}

test('another reader finds the same files, names and checksums', async () => {
  const path = fc.array(fc.stringMatching(/^[a-zé漢0-9_.-]{1,8}$/), { minLength: 1, maxLength: 3 }).map((steps) => steps.join('/'));
  await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.record({ path, bytes: fc.uint8Array({ maxLength: 200 }) }), { selector: (entry) => entry.path, maxLength: 8 }), async (entries) => {
    const archive = await zip(entries.map(({ path: name, bytes }) => ({ path: name, blob: new Blob([bytes]) })), signal);
    expect(unpack(Buffer.from(await archive.arrayBuffer()))).toEqual(entries.map(({ path: name, bytes }) => ({ path: name, bytes: new Uint8Array(bytes) })));
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

test('tells how many bytes it has read, up to all', async () => {
  const told: { done: number; total: number }[] = [];
  await zip([{ path: 'a', blob: new Blob(['12345']) }, { path: 'b', blob: new Blob(['678']) }], signal, (step) => { told.push({ ...step }); });
  expect(told).toEqual([{ done: 5, total: 8 }, { done: 8, total: 8 }]);
});
