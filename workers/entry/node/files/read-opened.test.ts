import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openFile } from './open-file.ts';
import { readOpened } from './read-opened.ts';

const folder = mkdtempSync(join(tmpdir(), 'nibble-read-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function opened(name: string) {
  const path = join(folder, name);
  writeFileSync(
    path,
    Uint8Array.from({ length: 100 }, (_, i) => i),
  );
  const file = await openFile(path);
  return { path, file, reader: readOpened(name, file)! };
}

test('reads ranges in any order, several at once, into the memory given', async () => {
  const { reader } = await opened('a.bin');
  const buffer = new ArrayBuffer(8);
  const [first, second] = await Promise.all([reader.read(90, 3, buffer), reader.read(5, 2, new ArrayBuffer(2))]);
  expect([...first, ...second]).toEqual([90, 91, 92, 5, 6]);
  expect(first.buffer).toBe(buffer);
  reader.close();
});

test('a file that was written to, or is too short, has changed', async () => {
  const { path, reader } = await opened('b.bin');
  await expect(reader.read(90, 20, new ArrayBuffer(20))).rejects.toMatchObject({
    engineError: { code: 'file-changed' },
  });
  utimesSync(path, 1, 1);
  await expect(reader.read(0, 4, new ArrayBuffer(4))).rejects.toMatchObject({ engineError: { code: 'file-changed' } });
  reader.close();
});

test('nothing is read after closing, nor of blobs that are no files', async () => {
  const { reader } = await opened('c.bin');
  reader.close();
  await expect(reader.read(0, 1, new ArrayBuffer(1))).rejects.toThrow();
  expect(readOpened('d', new Blob(['d']))).toBeNull();
});
