import { afterEach, expect, it } from 'vitest';
import { createReadThread, type ReadThread } from './read-thread.ts';

const bytes = Uint8Array.from({ length: 3 << 20 }, (_, i) => (i * 7 + (i >> 13)) & 255);

let thread: ReadThread | null = null;
const start = (worker?: () => Worker, bytesAWorker?: number): ReadThread =>
  (thread = createReadThread(worker, bytesAWorker));
afterEach(() => {
  thread?.dispose();
  thread = null;
});

it('reads several files at once, each in order, into memory that comes back', async () => {
  const { inOrder } = start();
  const files = [new Blob([bytes]), new Blob([bytes.subarray(5)])];
  const readers = files.map((file, i) => inOrder(String(i), file)!);
  for (const offset of [0, 1 << 20, 7]) {
    const read = await Promise.all(readers.map((reader) => reader.read(offset, 1 << 16, new ArrayBuffer(1 << 17))));
    expect(read[0]!.every((byte, i) => byte === bytes[offset + i])).toBe(true);
    expect(read[1]!.every((byte, i) => byte === bytes[offset + 5 + i])).toBe(true);
    expect(read.map(({ buffer }) => buffer.byteLength)).toEqual([1 << 17, 1 << 17]);
  }
  for (const reader of readers) reader.close();
});

it('says what is wrong with a file, and goes on', async () => {
  const reader = start().inOrder('a', new Blob([bytes]))!;
  await expect(reader.read(bytes.length - 1, 2, new ArrayBuffer(2))).rejects.toMatchObject({
    engineError: { code: 'file-changed' },
  });
  expect(await reader.read(3, 4, new ArrayBuffer(4))).toEqual(bytes.subarray(3, 7));
});

const dying = () => new Worker(URL.createObjectURL(new Blob(['onmessage = () => { throw new Error("killed"); }'])));
const real = () => new Worker(new URL('../entry/read.worker.ts', import.meta.url), { type: 'module' });

it('asks another worker when one dies', async () => {
  let started = 0;
  const reader = start(() => (started++ === 0 ? dying() : real())).inOrder('a', new Blob([bytes]))!;
  const read = await reader.read(2, 4, new ArrayBuffer(8));
  expect([read, read.buffer.byteLength]).toEqual([bytes.subarray(2, 6), 8]);
  expect(started).toBe(2);
});

it('gives up when two die', async () => {
  let started = 0;
  const reader = start(() => (started++ < 2 ? dying() : real())).inOrder('a', new Blob([bytes]))!;
  await expect(reader.read(0, 4, new ArrayBuffer(4))).rejects.toMatchObject({
    engineError: { code: 'worker-crashed' },
  });
  expect(await reader.read(0, 4, new ArrayBuffer(4))).toEqual(bytes.subarray(0, 4));
});

it('takes another worker after so many bytes, and lets the one before finish', async () => {
  let started = 0;
  const reader = start(() => {
    started++;
    return real();
  }, 100).inOrder('a', new Blob([bytes]))!;
  const offsets = [0, 60, 120, 180];
  const read = (offset: number) => reader.read(offset, 60, new ArrayBuffer(60));
  expect(await Promise.all(offsets.map(read))).toEqual(offsets.map((offset) => bytes.subarray(offset, offset + 60)));
  expect(started).toBe(1);
  for (const offset of offsets) expect(await read(offset)).toEqual(bytes.subarray(offset, offset + 60));
  expect(started).toBe(3);
});
