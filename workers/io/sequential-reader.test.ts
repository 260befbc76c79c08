import { describe, expect, it } from 'vitest';
import { readSequentially, type SequentialReader } from './sequential-reader.ts';

const bytes = Uint8Array.from({ length: 5 << 20 }, (_, i) => (i * 7 + (i >> 13)) & 255);

function open(blob: Blob = new Blob([bytes])): SequentialReader {
  const reader = readSequentially('model.onnx', blob);
  if (!reader) throw new Error('there are byte streams in Node');
  return reader;
}

describe('reading in order', () => {
  it('gives the bytes of ranges one after the other, with gaps, far ahead and going back', async () => {
    const reader = open();
    const places = [
      [0, 10],
      [10, 5],
      [100, 1000],
      [1 << 20, 1 << 16],
      [(4 << 20) + 1, 77],
      [3, 4],
      [3, 4],
      [bytes.length - 9, 9],
      [bytes.length, 0],
    ] as const;
    for (const [offset, length] of places) {
      const read = await reader.read(offset, length, new ArrayBuffer(1 << 16));
      expect(Buffer.compare(read, bytes.subarray(offset, offset + length))).toBe(0);
    }
    reader.close();
  });

  it('fills the memory it is given, again and again', async () => {
    const reader = open();
    let buffer = new ArrayBuffer(1 << 18);
    for (let at = 0; at < 1 << 20; at += 1 << 18) {
      const given = buffer;
      const read = await reader.read(at, 1 << 18, buffer);
      expect([given.byteLength, read.buffer.byteLength]).toEqual([0, 1 << 18]);
      expect(Buffer.compare(read, bytes.subarray(at, at + (1 << 18)))).toBe(0);
      ({ buffer } = read);
    }
    reader.close();
  });

  it('does what is asked for at once one after the other', async () => {
    const reader = open();
    const places = Array.from({ length: 20 }, (_, i) => i * 1000);
    const read = await Promise.all(places.map((offset) => reader.read(offset, 500, new ArrayBuffer(500))));
    for (const [i, offset] of places.entries())
      expect(Buffer.compare(read[i]!, bytes.subarray(offset, offset + 500))).toBe(0);
    reader.close();
  });

  it('says that a file is another one when it ends early, and reads on', async () => {
    const blob = new Blob([bytes]);
    let length = 100;
    const shrunk = Object.assign(new Blob([bytes]), { slice: (start: number) => blob.slice(start, length) });
    const reader = open(shrunk);
    await expect(reader.read(50, 100, new ArrayBuffer(100))).rejects.toMatchObject({
      engineError: { code: 'file-changed' },
    });
    length = 1000;
    expect(Buffer.compare(await reader.read(50, 100, new ArrayBuffer(100)), bytes.subarray(50, 150))).toBe(0);
    reader.close();
  });
});
