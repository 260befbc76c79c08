import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { executeTasks } from './execute-tasks.ts';
import { createWasmKernel } from '../kernels/wasm/kernel.ts';
import { quantizeChunk, type Parts } from './quantize-chunk.ts';
import { BFLOAT16, elementType, FLOAT16, FLOAT32, FLOAT64 } from '../onnx/numbers/element-types.ts';
import { toFloat16Array } from '../onnx/numbers/float16.ts';
import type { Tensor } from '../onnx/model.ts';
import { concatBytes } from '../onnx/wire.ts';
import { partBytes, type QuantizeTask } from '../plan/quantize-task.ts';
import { CHUNK_LIMITS, outputChunksOf } from './chunks.ts';
import { bytesSource, type ByteSource } from '../io/source.ts';

const { signal } = new AbortController();
const kernel = await createWasmKernel();
afterAll(() => {
  kernel.dispose();
});

const BEFORE = 6;

/** A tensor of seeded weights somewhere in a file; some are zeros, ties or far larger than others. */
function stored(dims: number[], type: number, seed: number, outside: boolean): { tensor: Tensor; file: Uint8Array } {
  const count = dims.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, (_, i) => {
    const x = Math.imul(i + seed, 0x9e3779b1) >>> 0;
    return x % 23 === 0 ? 0 : ((x % 2001) - 1000) * (x % 97 === 0 ? 0.5 : 0.001);
  });
  const data =
    type === FLOAT32
      ? new Uint8Array(values.buffer)
      : type === FLOAT64
        ? new Uint8Array(Float64Array.from(values).buffer)
        : type === FLOAT16
          ? new Uint8Array(toFloat16Array(values).buffer)
          : new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer);
  const place = outside
    ? { kind: 'external' as const, location: 'w.bin', offset: BEFORE, length: null }
    : { kind: 'inline' as const, offset: BEFORE, length: data.length };
  const tensor: Tensor = {
    name: 'w',
    dims,
    type,
    data: place,
    bytes: data.length,
    ints: null,
    span: { start: 0, body: 0, end: 0, number: 5 },
  };
  return { tensor, file: concatBytes([new Uint8Array(BEFORE), data, new Uint8Array(9)]) };
}

/** Counts what is read at once. */
function watched(file: Uint8Array): { source: ByteSource; longest: () => number } {
  const source = bytesSource('w.bin', file);
  let longest = 0;
  return {
    longest: () => longest,
    source: {
      ...source,
      read(offset, length) {
        longest = Math.max(longest, length);
        return source.read(offset, length);
      },
    },
  };
}

async function inChunks(
  task: QuantizeTask,
  file: Uint8Array,
  limits: { slab: number; joined: number },
): Promise<{ parts: Parts; chunks: number; longest: number }> {
  const { source, longest } = watched(file);
  const carrying = executeTasks(
    (slab) => quantizeChunk(structuredClone(slab), source, kernel, signal, new Map([['w.bin', source]])),
    {
      limits,
      // Whatever is looked at after this is wrong.
      release: (bytes) => {
        bytes.fill(201);
      },
    },
  );
  const chunks = carrying.chunksOf(task);
  const made = await Promise.all(chunks.map((chunk) => carrying.make(chunk, signal)));
  for (const [i, chunk] of chunks.entries()) {
    for (const [part, bytes] of chunk.bytes) expect(made[i]!.get(part)?.length ?? 0).toBe(bytes);
  }
  const parts = new Map(
    [...partBytes(task).keys()].map((part) => [
      part,
      concatBytes(made.map((one) => one.get(part) ?? new Uint8Array(0))),
    ]),
  );
  return { parts, chunks: chunks.length, longest: longest() };
}

async function whole(task: QuantizeTask, file: Uint8Array): Promise<Parts> {
  const source = bytesSource('w.bin', file);
  return quantizeChunk(task, source, kernel, signal, new Map([['w.bin', source]]));
}

const limits = fc.record({
  slab: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 64, max: 20_000 })),
  joined: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 64, max: 8000 })),
});
const types = fc.constantFrom(FLOAT32, FLOAT16, BFLOAT16, FLOAT64);
const arithmetic = fc.constantFrom(FLOAT32, FLOAT16);

/** Casts on the way, which a task says with a view that leaves the elements in their order. */
const castsTo = (type: number) => fc.constantFrom<number[][]>([], [FLOAT16, type], [BFLOAT16, FLOAT32, type]);

const weights = (dims: number[]) =>
  fc
    .record({ type: types, seed: fc.nat(1000), to: arithmetic, outside: fc.boolean() })
    .chain(({ type, seed, to, outside }) =>
      fc
        .record({ casts: castsTo(to), rounded: type === FLOAT32 ? fc.boolean() : fc.constant(false) })
        .map(({ casts, rounded }) => {
          const { tensor, file } = stored(dims, type, seed, outside);
          const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, 1));
          return {
            file,
            weight: { tensor, type: to, rounded, ...(casts.length > 0 && { view: { dims, strides, casts } }) },
          };
        }),
    );

const blocked = fc
  .record({
    layout: fc.constantFrom('kn' as const, 'nk' as const),
    bits: fc.constantFrom(2 as const, 4 as const, 8 as const),
    block: fc.constantFrom(16 as const, 32 as const, 64 as const),
    symmetric: fc.boolean(),
    k: fc.integer({ min: 1, max: 300 }),
    n: fc.integer({ min: 1, max: 70 }),
    nibbles: fc.constantFrom(undefined, 'rows' as const, 'columns' as const),
  })
  .chain(({ layout, bits, block, symmetric, k, n, nibbles }) => {
    const packed = nibbles !== undefined && bits === 4;
    const steps = packed ? Math.ceil(k / block) * block : k;
    return weights(layout === 'kn' ? [steps, n] : [n, steps]).map(
      ({ file, weight }): { task: QuantizeTask; file: Uint8Array } => ({
        file,
        task: {
          kind: 'quantize',
          ...weight,
          layout,
          k: steps,
          n,
          scheme: { bits, block, symmetric },
          ...(packed && { nibbles }),
        },
      }),
    );
  });

const linear = fc
  .record({
    outer: fc.integer({ min: 1, max: 12 }),
    channels: fc.integer({ min: 1, max: 30 }),
    inner: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 20 })),
    type: fc.constantFrom('int8' as const, 'uint8' as const),
    symmetric: fc.boolean(),
  })
  .chain(({ outer, channels, inner, type, symmetric }) =>
    weights([outer, channels, inner]).map(({ file, weight }): { task: QuantizeTask; file: Uint8Array } => ({
      file,
      task: { kind: 'linear', ...weight, outer, channels, inner, scheme: { type, symmetric } },
    })),
  );

const rounded = fc
  .record({
    dims: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 }),
    seed: fc.nat(1000),
    outside: fc.boolean(),
  })
  .map(({ dims, seed, outside }): { task: QuantizeTask; file: Uint8Array } => {
    const { tensor, file } = stored(dims, FLOAT32, seed, outside);
    return { file, task: { kind: 'to-float16', tensor } };
  });

describe('a weight made in slabs is the weight made whole', () => {
  test.each([
    ['in blocks', blocked, 150],
    ['by channel', linear, 60],
    ['as float16', rounded, 30],
  ] as const)('%s', async (_, tasks, numRuns) => {
    let cut = 0;
    await fc.assert(
      fc.asyncProperty(tasks, limits, async ({ task, file }, limit) => {
        const expected = await whole(task, file);
        const { parts, chunks } = await inChunks(task, file, limit);
        for (const [part, bytes] of expected) expect(Buffer.compare(parts.get(part)!, bytes), part).toBe(0);
        expect([...parts.keys()]).toEqual([...expected.keys()]);
        if (chunks > 1) cut++;
      }),
      { numRuns },
    );
    expect(cut).toBeGreaterThan(numRuns / 4);
  });
});

const scheme = { bits: 4, block: 32, symmetric: true } as const;
const half = (dims: number[]) => stored(dims, FLOAT16, 1, false);

describe('what is held at once', () => {
  test('no more of a table than a slab', async () => {
    const { tensor, file } = half([400, 64]);
    const task: QuantizeTask = {
      kind: 'quantize',
      tensor,
      type: FLOAT16,
      rounded: false,
      layout: 'nk',
      k: 64,
      n: 400,
      scheme,
    };
    const { longest, chunks } = await inChunks(task, file, { slab: 4096, joined: 4096 });
    expect(longest).toBe(4096);
    expect(chunks).toBe(13);
  });

  test('a matrix to multiply by is read in order, once, where its codes may be held', async () => {
    const { tensor, file } = half([256, 96]);
    const task: QuantizeTask = {
      kind: 'quantize',
      tensor,
      type: FLOAT16,
      rounded: false,
      layout: 'kn',
      k: 256,
      n: 96,
      scheme,
    };
    const [chunk, ...others] = outputChunksOf(task, { slab: 64 * 96 * 2, joined: 1 << 20 });
    expect(others).toEqual([]);
    const slabs = chunk?.kind === 'joined' ? chunk.slabs : [];
    expect(
      slabs.map(
        ({
          slab: {
            lines,
            tensor: { data },
          },
        }) => [lines, data],
      ),
    ).toEqual([0, 1, 2, 3].map((i) => [undefined, { kind: 'inline', offset: BEFORE + i * 12_288, length: 12_288 }]));
    expect(file.length).toBeGreaterThan(BEFORE + 4 * 12_288);
  });

  test('and in columns where they may not', () => {
    const { tensor } = half([256, 96]);
    const task: QuantizeTask = {
      kind: 'quantize',
      tensor,
      type: FLOAT16,
      rounded: false,
      layout: 'kn',
      k: 256,
      n: 96,
      scheme,
    };
    const chunks = outputChunksOf(task, { slab: 8192, joined: 5000 });
    expect(chunks.map(({ bytes }) => bytes.get('codes'))).toEqual([32, 32, 32].map((columns) => (columns * 256) / 2));
  });

  test('a weight of one slab is its own task', () => {
    const { tensor } = half([256, 96]);
    const task: QuantizeTask = {
      kind: 'quantize',
      tensor,
      type: FLOAT16,
      rounded: false,
      layout: 'kn',
      k: 256,
      n: 96,
      scheme,
    };
    expect(outputChunksOf(task, CHUNK_LIMITS)).toEqual([{ kind: 'one', task, slab: task, bytes: partBytes(task) }]);
  });

  test('no slab of the largest weights there are takes more than a few of its size', () => {
    const element = elementType(FLOAT16).bits / 8;
    for (const [k, n, layout] of [
      [4096, 151_936, 'kn'],
      [4096, 151_936, 'nk'],
      [768, 151_936, 'kn'],
      [53_248, 16_384, 'kn'],
      [16_384, 53_248, 'nk'],
    ] as const) {
      for (const block of [16, 32, 128, 256] as const) {
        for (const symmetric of [true, false]) {
          const tensor: Tensor = {
            ...half([1]).tensor,
            dims: layout === 'kn' ? [k, n] : [n, k],
            bytes: k * n * element,
          };
          const chunks = outputChunksOf({
            kind: 'quantize',
            tensor,
            type: FLOAT16,
            rounded: false,
            layout,
            k,
            n,
            scheme: { bits: 4, block, symmetric },
          });
          for (const chunk of chunks) {
            const slabs =
              chunk.kind === 'joined' ? chunk.slabs.map(({ slab }) => slab) : chunk.kind === 'one' ? [chunk.slab] : [];
            expect(Math.max(...slabs.map((slab) => slab.tensor.bytes))).toBeLessThanOrEqual(4 * CHUNK_LIMITS.slab);
            expect(chunk.bytes.get('codes')).toBeLessThanOrEqual(CHUNK_LIMITS.joined);
          }
        }
      }
    }
  });
});

test('a weight that is not finite is refused, wherever in it that is', async () => {
  for (const at of [0, 1500, 2999]) {
    const { tensor, file } = stored([30, 100], FLOAT32, 1, false);
    new DataView(file.buffer, file.byteOffset).setFloat32(BEFORE + at * 4, at === 1500 ? Infinity : NaN, true);
    const weight = { tensor, type: FLOAT32, rounded: false };
    const small = { slab: 1000, joined: 1000 };
    await expect(
      inChunks(
        { kind: 'linear', ...weight, outer: 30, channels: 100, inner: 1, scheme: { type: 'int8', symmetric: true } },
        file,
        small,
      ),
    ).rejects.toMatchObject({ engineError: { code: 'weights-not-finite' } });
    await expect(
      inChunks({ kind: 'quantize', ...weight, layout: 'kn', k: 30, n: 100, scheme }, file, small),
    ).rejects.toMatchObject({ engineError: { code: 'weights-not-finite' } });
  }
});
