import { expect, it } from 'vitest';
import { bytesSource, readChunks, type ByteSource } from './source.ts';

const SLAB = 1 << 22;
const bytes = Uint8Array.from({ length: 2 * SLAB + 1000 }, (_, i) => i * 7);

/** Read in order into the memory it is given; what is released is noted. */
function inOrderSource() {
  const released: number[] = [];
  let closed = 0;
  const source: ByteSource = {
    ...bytesSource('model.onnx', bytes),
    inOrder: () => ({
      read: (offset, length, buffer) => {
        const into = new Uint8Array(buffer, 0, length);
        into.set(bytes.subarray(offset, offset + length));
        return Promise.resolve(into);
      },
      close: () => {
        closed++;
      },
    }),
    release: ({ byteLength }) => {
      released.push(byteLength);
    },
  };
  return { source, released, closed: () => closed };
}

async function gathered(source: ByteSource, start: number, end: number, most = Infinity): Promise<Uint8Array> {
  const all = new Uint8Array(end - start);
  let at = 0;
  for await (const slab of readChunks(source, start, end)) {
    all.set(slab, at);
    at += slab.length;
    if (at >= most) break;
  }
  return all.subarray(0, at);
}

it.each([
  [0, bytes.length],
  [3, SLAB + 4],
  [10, SLAB + 11],
  [5, 2 * SLAB + 5],
])('a range from %i to %i in slabs is the range, and its memory is given back', async (start, end) => {
  const { source, released, closed } = inOrderSource();
  expect(Buffer.compare(await gathered(source, start, end), bytes.subarray(start, end))).toBe(0);
  expect(released).toHaveLength(2);
  expect(released.reduce((sum, length) => sum + length, 0)).toBe(Math.min(2 * SLAB, end - start));
  expect(closed()).toBe(1);
});

it('a short range is read at once', async () => {
  const { source, released, closed } = inOrderSource();
  expect(await gathered(source, 7, 1007)).toEqual(bytes.subarray(7, 1007));
  expect([released, closed()]).toEqual([[1000], 0]);
});

it('who stops listening ends the reading', async () => {
  const { source, closed } = inOrderSource();
  expect(Buffer.compare(await gathered(source, 0, bytes.length, 1), bytes.subarray(0, SLAB))).toBe(0);
  expect(closed()).toBe(1);
});
