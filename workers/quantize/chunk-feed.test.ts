import { expect, it } from 'vitest';
import type { OpenSequentialReader } from '../io/sequential-reader.ts';
import { nextTask } from '../kernels/yielder.ts';
import { createChunkFeed, type ChunkFeed, type UsedBuffer } from './chunk-feed.ts';
import { CHUNK_LIMITS, type WeightChunk } from './chunks.ts';

const source = new File([new Uint8Array(64)], 'model.onnx');
const external = new Map([['w.bin', new Blob([new Uint8Array(32)])]]);

function chunkOf(data: WeightChunk['tensor']['data'], more: Partial<WeightChunk> = {}): WeightChunk {
  return { kind: 'to-float16', tensor: { name: 'w', type: 1, dims: [4], bytes: 16, data }, ...more } as WeightChunk;
}

const inline = (offset: number, length = 16): WeightChunk => chunkOf({ kind: 'inline', offset, length });

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

/** Work that is done with a buffer when told to. */
function held(): {
  work: (bytes: Uint8Array<ArrayBuffer> | null) => Promise<UsedBuffer>;
  end(stored?: ArrayBuffer): void;
} {
  let end!: (used: UsedBuffer) => void;
  const ended = new Promise<UsedBuffer>((resolve) => {
    end = resolve;
  });
  return {
    work: () => ended,
    end: (stored) => {
      end(stored ? { stored } : {});
    },
  };
}

/** The bytes of a chunk, whose buffer is given back at once. */
async function bytesOf(feed: ChunkFeed, chunk: WeightChunk): Promise<Uint8Array | null> {
  let seen: Uint8Array | null = null;
  await feed.use(chunk, source, external, (bytes) => {
    seen = bytes;
    return Promise.resolve(bytes ? { stored: bytes.buffer } : {});
  });
  return seen;
}

it('reads what lies in one piece, in the file it lies in', async () => {
  const { open, reads } = noting();
  const feed = createChunkFeed(4, open);
  expect((await bytesOf(feed, inline(8)))?.length).toBe(16);
  expect((await bytesOf(feed, chunkOf({ kind: 'external', location: 'w.bin', offset: 4, length: null })))?.length).toBe(
    16,
  );
  expect(reads).toEqual(['model.onnx 8 16', 'w.bin 4 16']);
});

it.each([
  [
    'not in one piece',
    chunkOf({ kind: 'inline', offset: 0, length: 16 }, { lines: { count: 2, bytes: 8, pitch: 16 } }),
  ],
  ['in numbers of their own', chunkOf({ kind: 'typed', body: 0, end: 16 })],
  ['longer than a buffer', inline(0, CHUNK_LIMITS.slab + 1)],
  ['beyond the end', inline(60)],
  ['in a file that is not there', chunkOf({ kind: 'external', location: 'other.bin', offset: 0, length: 16 })],
])('does not read what lies %s', async (_, odd) => {
  const { open, reads } = noting();
  expect(await bytesOf(createChunkFeed(1, open), odd)).toBeNull();
  expect(reads).toEqual([]);
});

it('fills a few buffers again and again, and waits while all are in use', async () => {
  const { open, reads, buffers } = noting();
  const feed = createChunkFeed(2, open);
  const works = [held(), held(), held()];
  const uses = works.map(({ work }, index) => feed.use(inline(16 * index), source, external, work));
  await nextTask();
  expect(reads).toHaveLength(2);
  works[0]?.end([...buffers][0]);
  await uses[0];
  await nextTask();
  expect(reads).toHaveLength(3);
  // The second buffer is lost on the way.
  works[1]?.end();
  works[2]?.end([...buffers][0]);
  await Promise.all(uses);
  await bytesOf(feed, inline(48));
  expect(reads.map((read) => Number(read.split(' ')[1]))).toEqual([0, 16, 32, 48]);
  expect(buffers.size).toBe(2);
});

it('has the buffer free again when reading fails', async () => {
  let broken = true;
  const feed = createChunkFeed(1, () => ({
    read: (_, length, buffer) =>
      broken ? Promise.reject(new Error('gone')) : Promise.resolve(new Uint8Array(buffer, 0, length)),
    close: () => undefined,
  }));
  await expect(bytesOf(feed, inline(0))).rejects.toThrow('gone');
  broken = false;
  expect((await bytesOf(feed, inline(0)))?.length).toBe(16);
});

it('has the buffer free again when the work fails', async () => {
  const { open } = noting();
  const feed = createChunkFeed(1, open);
  await expect(feed.use(inline(0), source, external, () => Promise.reject(new Error('died')))).rejects.toThrow('died');
  expect((await bytesOf(feed, inline(0)))?.length).toBe(16);
});
