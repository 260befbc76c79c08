import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { settle } from '../contract/errors.ts';
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
  const path = fc
    .array(fc.stringMatching(/^[a-zé漢0-9_.-]{1,8}$/), { minLength: 1, maxLength: 3 })
    .map((steps) => steps.join('/'));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.record({ path, bytes: fc.uint8Array({ maxLength: 200 }) }), {
        selector: (entry) => entry.path,
        maxLength: 8,
      }),
      async (entries) => {
        const archive = await zip(
          entries.map(({ path: name, bytes }) => ({ path: name, blob: new Blob([bytes]) })),
          signal,
        );
        expect(unpack(Buffer.from(await archive.arrayBuffer()))).toEqual(
          entries.map(({ path: name, bytes }) => ({ path: name, bytes: new Uint8Array(bytes) })),
        );
      },
    ),
    { numRuns: 50 },
  );
});

test('stops when told to', async () => {
  const stop = new AbortController();
  stop.abort();
  await expect(zip([{ path: 'a', blob: new Blob(['x']) }], stop.signal)).rejects.toMatchObject({ name: 'AbortError' });
});

test('tells how many bytes it has read, up to all', async () => {
  const told: { done: number; total: number }[] = [];
  await zip(
    [
      { path: 'a', blob: new Blob(['12345']) },
      { path: 'b', blob: new Blob(['678']) },
    ],
    signal,
    (step) => {
      told.push({ ...step });
    },
  );
  expect(told).toEqual([
    { done: 5, total: 8 },
    { done: 8, total: 8 },
  ]);
});

test.each([
  ['a/b', 'a/b'],
  ['README.md', 'readme.MD'],
  ['é', 'e\u0301'],
])('refuses two entries that are one file where they are unpacked: %s, %s', async (first, second) => {
  const entries = [first, 'other', second].map((path) => ({ path, blob: new Blob(['x']) }));
  expect(await settle(() => zip(entries, signal))).toMatchObject({ ok: false, error: { code: 'write-failed' } });
});

test('refuses a name longer than an archive can say', async () => {
  expect(await settle(() => zip([{ path: 'é'.repeat(33_000), blob: new Blob(['x']) }], signal))).toMatchObject({
    ok: false,
    error: { code: 'write-failed' },
  });
});

test('thousands of entries are found again', async () => {
  const entries = Array.from({ length: 3000 }, (_, i) => ({ path: `onnx/${i}`, blob: new Blob([String(i)]) }));
  const unpacked = unpack(Buffer.from(await (await zip(entries, signal)).arrayBuffer()));
  expect(unpacked.map(({ path, bytes }) => [path, Buffer.from(bytes).toString()])).toEqual(
    entries.map(({ path }, i) => [path, String(i)]),
  );
});
