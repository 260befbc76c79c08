/** What the engine holds does not grow with the model: a gigabyte made up while it is read, written to nowhere. */
import { expect, test } from 'vitest';
import { GPT2_SHAPE, largeModelBytes, largeModelExternal, type LargeModelShape } from '../../models/large.ts';
import pLimit from 'p-limit';
import { executeTasks } from '../quantize/execute-tasks.ts';
import { createWasmKernel } from '../kernels/wasm/kernel.ts';
import { quantizeChunk } from '../quantize/quantize-chunk.ts';
import { prefetch } from '../quantize/prefetch.ts';
import { scanModel } from '../onnx/scan.ts';
import { writePieces, type Sink } from '../onnx/writing/write.ts';
import { planLevel, preparePlan } from '../plan/plan.ts';
import { parseLevel } from '../contract/levels/level.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { outputBytes, CHUNK_LIMITS } from '../quantize/chunks.ts';
import { bytesSource, type ByteSource } from '../io/source.ts';

const { signal } = new AbortController();
const LANES = 2;

/** A file of as many bytes as wanted, float16 between −2 and 2 that depend on the place, and what is asked of it. */
function endless(name: string, size: number): { source: ByteSource; reads: { offset: number; length: number }[] } {
  const pattern = Uint16Array.from(
    { length: 1 << 22 },
    (_, i) => 0x2000 + ((Math.imul(i, 0x9e3779b1) >>> 19) & 0x9fff),
  );
  const bytes = new Uint8Array(pattern.buffer);
  const reads: { offset: number; length: number }[] = [];
  return {
    reads,
    source: {
      name,
      size,
      read(offset, length) {
        reads.push({ offset, length });
        const read = new Uint8Array(length);
        for (let at = 0; at < length;) {
          const from = (offset + at) % bytes.length;
          const piece = bytes.subarray(from, from + Math.min(length - at, bytes.length - from));
          read.set(piece, at);
          at += piece.length;
        }
        return Promise.resolve(read);
      },
    },
  };
}

/** Quantizes a model of a shape; `made` bytes are those made and not written yet, at most. */
async function quantizeNowhere(
  shape: LargeModelShape,
  level: string,
): Promise<{
  read: number;
  longestRead: number;
  written: number;
  planned: number;
  made: number;
  slabs: number;
  outside: number;
}> {
  const { model, dataBytes } = largeModelExternal(shape, 'w.bin');
  const { source: data, reads } = endless('w.bin', dataBytes);
  const source = bytesSource('model.onnx', model);
  const scanned = await scanModel(source, new Map([['w.bin', data]]));
  const parsed = parseLevel(level);
  if (!parsed.ok) throw new Error(parsed.error.message);
  const plan = planLevel(preparePlan(scanned), SCHEMES[parsed.value.id], parsed.value.settings, new Map());
  const kernel = await createWasmKernel();
  const lane = pLimit(LANES);
  let written = 0;
  let slabsNow = 0;
  let slabs = 0;
  let outside = 0;
  const carrying = executeTasks((slab, stop) =>
    lane(async () => {
      slabs = Math.max(slabs, (slabsNow += slab.tensor.bytes));
      outside = Math.max(outside, process.memoryUsage().arrayBuffers);
      try {
        return await quantizeChunk(slab, source, kernel, stop, scanned.external);
      } finally {
        slabsNow -= slab.tensor.bytes;
      }
    }),
  );
  let madeNow = 0;
  let made = 0;
  const tasks = new Set(plan.pieces.flatMap((piece) => (piece.kind === 'made' ? [piece.task] : [])));
  const ahead = prefetch(
    [...tasks].flatMap(carrying.chunksOf),
    outputBytes,
    async (chunk, stop) => {
      made = Math.max(made, (madeNow += outputBytes(chunk)));
      return { chunk, parts: await carrying.make(chunk, stop) };
    },
    { count: 3 * LANES, bytes: CHUNK_LIMITS.joined },
  );
  const sink: Sink = {
    write(bytes) {
      written += bytes.length;
      return Promise.resolve();
    },
    copy(start, end) {
      written += end - start;
      return Promise.resolve();
    },
    finish: () => Promise.resolve(new Blob()),
    discard: () => Promise.resolve(),
  };
  await writePieces({
    pieces: plan.pieces,
    chunksOf: carrying.chunksOf,
    sink,
    nameOf: ({ tensor }) => tensor.name,
    onProgress: () => undefined,
    signal,
    async make(chunk, stop) {
      const { parts } = await ahead.make(chunk, stop);
      madeNow -= outputBytes(chunk);
      return parts;
    },
  });
  kernel.dispose();
  return {
    read: reads.reduce((sum, { length }) => sum + length, 0),
    longestRead: Math.max(...reads.map(({ length }) => length)),
    written,
    planned: plan.bytes,
    made,
    slabs,
    outside,
  };
}

test('a gigabyte takes as much as a quarter of one', async () => {
  // Matrices from a few slabs to dozens, of both layouts; more layers make the larger model.
  const shape: LargeModelShape = { ...GPT2_SHAPE, width: 1024, inner: [3072, 4096], layers: 2 };
  const small = await quantizeNowhere(shape, 'int4:embedding');
  const layers = Math.round(
    (1e9 - largeModelBytes({ ...shape, layers: 0 })) /
      (largeModelBytes({ ...shape, layers: 1 }) - largeModelBytes({ ...shape, layers: 0 })),
  );
  const large = { ...shape, layers };
  expect(largeModelBytes(large)).toBeGreaterThan(0.99e9);
  const held = await quantizeNowhere(large, 'int4:embedding');

  expect(held.written).toBe(held.planned);
  expect(held.read).toBe(largeModelBytes(large));
  expect(held.longestRead).toBeLessThanOrEqual(CHUNK_LIMITS.slab);
  expect(held.slabs).toBeLessThanOrEqual(LANES * CHUNK_LIMITS.slab);
  expect(held.made).toBeLessThanOrEqual(2 * CHUNK_LIMITS.joined);
  expect([held.slabs, held.made]).toEqual([small.slabs, small.made]);
  // With garbage that is not collected yet.
  expect(held.outside).toBeLessThan(256 * 2 ** 20 + CHUNK_LIMITS.slab);
});
