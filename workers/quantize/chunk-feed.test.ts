import { expect, it } from 'vitest';
import type { OpenSequentialReader } from '../io/sequential-reader.ts';
import { createChunkFeed } from './chunk-feed.ts';
import { CHUNK_LIMITS, type WeightChunk } from './chunks.ts';

const source = new File([new Uint8Array(64)], 'model.onnx');
const external = new Map([['w.bin', new Blob([new Uint8Array(32)])]]);

function slab(data: WeightChunk['tensor']['data'], more: Partial<WeightChunk> = {}): WeightChunk {
  return { kind: 'to-float16', tensor: { name: 'w', type: 1, dims: [4], bytes: 16, data }, ...more } as WeightChunk;
}

const inline = (offset: number, length = 16): WeightChunk => slab({ kind: 'inline', offset, length });

/** Reads nothing, and notes what was asked for. */
function noting(): { open: OpenSequentialReader; reads: string[]; buffers: Set<ArrayBuffer> } {
  const reads: string[] = [];
  const buffers = new Set<ArrayBuffer>();
  return {
    reads,
    buffers,
    open: (name) => ({
      read(offset, length, buffer) {
        reads.push(`${name} ${offset} ${length}`);
        buffers.add(buffer);
        return Promise.resolve(new Uint8Array(buffer, 0, length));
      },
      close: () => undefined,
    }),
  };
}

it('reads what lies in one piece, in the file it lies in', async () => {
  const { open, reads } = noting();
  const feed = createChunkFeed(4, open);
  expect((await feed.read(inline(8), source, external)).bytes?.length).toBe(16);
  expect(
    (await feed.read(slab({ kind: 'external', location: 'w.bin', offset: 4, length: null }), source, external)).bytes
      ?.length,
  ).toBe(16);
  expect(reads).toEqual(['model.onnx 8 16', 'w.bin 4 16']);
});

it.each([
  ['not in one piece', slab({ kind: 'inline', offset: 0, length: 16 }, { lines: { count: 2, bytes: 8, pitch: 16 } })],
  ['in numbers of their own', slab({ kind: 'typed', body: 0, end: 16 })],
  ['longer than a buffer', inline(0, CHUNK_LIMITS.slab + 1)],
  ['beyond the end', inline(60)],
  ['in a file that is not there', slab({ kind: 'external', location: 'other.bin', offset: 0, length: 16 })],
])('leaves to others what lies %s', async (_, odd) => {
  const { open, reads } = noting();
  expect((await createChunkFeed(1, open).read(odd, source, external)).bytes).toBeNull();
  expect(reads).toEqual([]);
});

it('fills a few buffers again and again, and waits when all are out', async () => {
  const { open, reads, buffers } = noting();
  const feed = createChunkFeed(2, open);
  const first = await feed.read(inline(0), source, external);
  await feed.read(inline(16), source, external);
  const third = feed.read(inline(32), source, external);
  await Promise.resolve();
  expect(reads).toHaveLength(2);
  first.giveBack(first.bytes!.buffer);
  (await third).giveBack(null);
  await feed.read(inline(48), source, external);
  expect(reads.map((read) => Number(read.split(' ')[1]))).toEqual([0, 16, 32, 48]);
  // One was lost on the way.
  expect(buffers.size).toBe(3);
});

it('has the buffer free again when reading fails', async () => {
  let broken = true;
  const feed = createChunkFeed(1, () => ({
    read: (_, length, buffer) =>
      broken ? Promise.reject(new Error('gone')) : Promise.resolve(new Uint8Array(buffer, 0, length)),
    close: () => undefined,
  }));
  await expect(feed.read(inline(0), source, external)).rejects.toThrow('gone');
  broken = false;
  expect((await feed.read(inline(0), source, external)).bytes?.length).toBe(16);
});
