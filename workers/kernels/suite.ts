/** The tests every backend passes: the same bytes as onnxruntime, and as the readable reference, for any input. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromFloat16Array, toFloat16Array } from '../onnx/numbers/float16.ts';
import type { BlockSize } from '../contract/levels/scheme.ts';
import { goldenVectors } from './golden-vectors.ts';
import type { BlockScheme, Kernel, QuantizedMatrix, WeightMatrix } from './kernel.ts';
import { createReferenceKernel } from './reference.ts';
import { linearSuite } from './test-linear-suite.ts';
import { NO_ROOM, random, type TestLimits } from './test-weights.ts';

const BITS = [2, 4, 8] as const;
const BLOCKS: BlockSize[] = [16, 32, 64, 128, 256];
/** So that every block of eight channels becomes a tile of its own, a few of them a group. */
const smallest = NO_ROOM;

export function kernelSuite(name: string, makeKernel: (limits?: TestLimits) => Promise<Kernel>): void {
  const reference = createReferenceKernel({ sliceMs: Infinity });
  let kernel: Kernel;

  beforeAll(async () => {
    kernel = await makeKernel();
  });
  afterAll(() => kernel.dispose());

  const expectAsReference = async (matrix: WeightMatrix, scheme: BlockScheme, by = kernel) => {
    const what = `${describeScheme(scheme)} ${matrix.type} ${matrix.layout} K ${matrix.k} N ${matrix.n}`;
    const expected = await reference.quantize(matrix, scheme);
    // Whatever memory holds that is used again.
    const memory = new Uint8Array(expected.codes.length + 3).fill(0xa5).buffer;
    expectSame(await by.quantize(matrix, scheme, undefined, memory), expected, what);
  };

  describe(`${name} kernel`, () => {
    describe('gives the bytes of onnxruntime 1.30', () => {
      for (const vector of goldenVectors) {
        it(vector.name, async () => {
          const { type, k, n, bits, block, symmetric } = vector;
          const scheme = { bits, block, symmetric };
          const expected = {
            codes: withoutPadding(vector.codes, n, Math.ceil(k / block) * block, k, bits),
            scales: vector.scales,
            zeroPoints: symmetric
              ? null
              : withoutPadding(
                  vector.zeroPoints,
                  n,
                  (Math.ceil((Math.ceil(k / block) * bits) / 8) * 8) / bits,
                  Math.ceil(k / block),
                  bits,
                ),
          };
          const matrix: WeightMatrix = { data: vector.weights, type, layout: 'kn', k, n };
          expectSame(await kernel.quantize(matrix, scheme), expected, 'kn');
          expectSame(await kernel.quantize(transpose(matrix), scheme), expected, 'nk');
        });
      }
    });

    describe('gives the bytes of the reference', () => {
      for (const type of ['float32', 'float16'] as const) {
        for (const bits of BITS) {
          for (const symmetric of [true, false]) {
            it(`for every kind of weights and block: ${type} int${bits} ${symmetric ? 'symmetric' : 'asymmetric'}`, async () => {
              let seed = 1;
              for (const block of BLOCKS) {
                for (const kind of KINDS) {
                  const [k, n] = SHAPES[seed % (SHAPES.length - 2)]!;
                  const matrix = matrixOf(kind, type, k, n, { bits, block, symmetric }, seed++);
                  await expectAsReference(matrix, { bits, block, symmetric });
                  await expectAsReference(transpose(matrix), { bits, block, symmetric });
                }
              }
            });
          }
        }
      }

      it('for every shape', async () => {
        let seed = 1;
        for (const [k, n] of SHAPES) {
          for (const layout of ['kn', 'nk'] as const) {
            const scheme: BlockScheme = { bits: BITS[seed % 3]!, block: BLOCKS[seed % 5]!, symmetric: seed % 7 < 3 };
            const matrix = matrixOf('normal', seed % 4 < 2 ? 'float32' : 'float16', k, n, scheme, seed++);
            await expectAsReference(layout === 'kn' ? matrix : transpose(matrix), scheme);
          }
        }
      });

      it('for weights that end or begin anywhere in a file', async () => {
        for (const type of ['float32', 'float16'] as const) {
          for (const offset of [1, 2, 3, 5]) {
            const scheme: BlockScheme = { bits: 4, block: 32, symmetric: false };
            const matrix = matrixOf('normal', type, 70, 13, scheme, offset);
            const file = new Uint8Array(matrix.data.length + offset).fill(0xff);
            file.set(matrix.data, offset);
            await expectAsReference({ ...matrix, data: file.subarray(offset) }, scheme);
            expect(file.subarray(offset)).toEqual(matrix.data);
          }
        }
      });

      it('for any bits of any shape', async () => {
        await fc.assert(
          fc.asyncProperty(anyCase, ({ matrix, scheme }) => expectAsReference(matrix, scheme)),
          { numRuns: 150, seed: 1 },
        );
      });

      it('for weights on and beside the edge between two codes', async () => {
        await fc.assert(
          fc.asyncProperty(
            anyScheme,
            fc.constantFrom('float32', 'float16'),
            fc.integer({ min: 1, max: 2 ** 31 - 1 }),
            (scheme, type, seed) => expectAsReference(matrixOf('edges', type, 256, 24, scheme, seed), scheme),
          ),
          { numRuns: 60, seed: 1 },
        );
      });
    });

    describe('searches as the reference does', () => {
      for (const type of ['float32', 'float16'] as const) {
        for (const bits of BITS) {
          for (const symmetric of [true, false]) {
            it(`${type} int${bits} ${symmetric ? 'symmetric' : 'asymmetric'}`, async () => {
              let seed = 1;
              for (const block of BLOCKS) {
                const scheme: BlockScheme = { bits, block, symmetric, method: 'search' };
                for (const kind of KINDS) {
                  const [k, n] = SHAPES[seed % (SHAPES.length - 2)]!;
                  const next = random(seed);
                  const meanSquares = Float32Array.from({ length: k }, () => next() ** 8 * 100);
                  const matrix = matrixOf(kind, type, k, n, scheme, seed++);
                  await expectAsReference(matrix, scheme);
                  await expectAsReference({ ...transpose(matrix), meanSquares }, scheme);
                }
              }
            });
          }
        }
      }

      it('from tiles of one block', async () => {
        const small = await makeKernel(smallest);
        for (const type of ['float32', 'float16'] as const) {
          const scheme: BlockScheme = { bits: 4, block: 32, symmetric: false, method: 'search' };
          const next = random(3);
          const meanSquares = Float32Array.from({ length: 130 }, () => next() ** 4);
          const matrix = { ...matrixOf('normal', type, 130, 17, scheme, 5), meanSquares };
          await expectAsReference(matrix, scheme, small);
          await expectAsReference(transpose(matrix), scheme, small);
        }
        small.dispose();
      });
    });

    it('rounds a product halfway between two numbers to the even one before it adds the zero point', async () => {
      await expectAsReference(productTies(), { bits: 4, block: 16, symmetric: true });
    });

    it('marks a block with a NaN or an infinity, and only that block', async () => {
      for (const type of ['float32', 'float16'] as const) {
        for (const bits of BITS) {
          for (const symmetric of [true, false]) {
            for (const value of [NaN, Infinity, -Infinity]) {
              const scheme: BlockScheme = { bits, block: 16, symmetric };
              const matrix = matrixOf('normal', type, 40, 9, scheme, 5);
              const clean = await kernel.quantize(matrix, scheme);
              write(matrix, 17 * 9 + 4, value);
              const marked = await kernel.quantize(matrix, scheme);
              expectSame(
                marked,
                await reference.quantize(matrix, scheme),
                `${type} ${describeScheme(scheme)} ${value}`,
              );
              const hit = 4 * 3 + 1;
              expect(scalesOf(marked, type).map(Number.isNaN)).toEqual(Array.from({ length: 27 }, (_, i) => i === hit));
              expect(marked.codes.subarray(hit * 2 * bits, (hit + 1) * 2 * bits).every((byte) => byte === 0)).toBe(
                true,
              );
              clean.codes.fill(0, hit * 2 * bits, (hit + 1) * 2 * bits);
              expect(marked.codes).toEqual(clean.codes);
            }
          }
        }
      }
    });

    it('gives the same bytes from tiles of one block as from one tile', async () => {
      const small = await makeKernel(smallest);
      let seed = 1;
      for (const [k, n] of [
        [130, 17],
        [33, 8],
      ] as const) {
        for (const type of ['float32', 'float16'] as const) {
          for (const bits of BITS) {
            for (const symmetric of [true, false]) {
              const scheme: BlockScheme = { bits, block: BLOCKS[seed % 3]!, symmetric };
              const matrix = matrixOf('normal', type, k, n, scheme, seed++);
              await expectAsReference(matrix, scheme, small);
              await expectAsReference(transpose(matrix), scheme, small);
            }
          }
        }
      }
      small.dispose();
    });

    it('quantizes a matrix of several tiles', async () => {
      const medium = await makeKernel({ tileBytes: 40_000, outputBytes: 30_000 });
      for (const [type, bits, block, symmetric] of [
        ['float32', 4, 32, true],
        ['float16', 8, 64, false],
        ['float16', 4, 128, false],
        ['float32', 2, 64, false],
      ] as const) {
        const matrix = matrixOf('normal', type, 700, 301, { bits, block, symmetric }, bits);
        await expectAsReference(matrix, { bits, block, symmetric }, medium);
        await expectAsReference(transpose(matrix), { bits, block, symmetric }, medium);
      }
      medium.dispose();
    });

    it('keeps calls made at once apart', async () => {
      const schemes: BlockScheme[] = [
        { bits: 4, block: 32, symmetric: true },
        { bits: 8, block: 16, symmetric: false },
        { bits: 2, block: 64, symmetric: false },
      ];
      const small = await makeKernel(smallest);
      await Promise.all(
        schemes.map((scheme, i) =>
          expectAsReference(matrixOf('normal', 'float32', 96, 30 + i, scheme, i + 1), scheme, small),
        ),
      );
      small.dispose();
    });

    it('stops between tiles when told to, and works on', async () => {
      const small = await makeKernel(smallest);
      const scheme: BlockScheme = { bits: 4, block: 16, symmetric: true };
      const matrix = matrixOf('normal', 'float32', 4096, 64, scheme, 1);
      await small.quantize(matrixOf('normal', 'float32', 16, 8, scheme, 1), scheme);

      const before = AbortSignal.abort(new Error('a reason of the caller'));
      await expect(small.quantize(matrix, scheme, before)).rejects.toMatchObject({ name: 'AbortError' });

      const controller = new AbortController();
      const aborted = small.quantize(matrix, scheme, controller.signal);
      setTimeout(() => controller.abort(), 0);
      await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });

      await expectAsReference(matrixOf('normal', 'float32', 100, 20, scheme, 2), scheme, small);
      small.dispose();
    });

    it('refuses data of the wrong length', async () => {
      const data = new Uint8Array(30);
      await expect(
        kernel.quantize({ data, type: 'float32', layout: 'kn', k: 4, n: 2 }, { bits: 4, block: 16, symmetric: true }),
      ).rejects.toThrow(RangeError);
    });

    it('refuses to work once disposed', async () => {
      const gone = await makeKernel();
      gone.dispose();
      gone.dispose();
      const scheme: BlockScheme = { bits: 4, block: 16, symmetric: true };
      await expect(gone.quantize(matrixOf('normal', 'float32', 16, 1, scheme, 1), scheme)).rejects.toThrow('disposed');
    });
  });

  linearSuite(name, makeKernel);
}

/** [K, N]: nothing at all (last), ragged and whole blocks, less than one block, odd and even, one, and around vector and workgroup widths. */
const SHAPES = [
  [64, 8],
  [100, 3],
  [33, 17],
  [1, 1],
  [5, 1],
  [256, 1],
  [300, 7],
  [16, 64],
  [17, 65],
  [31, 9],
  [96, 15],
  [40, 31],
  [513, 33],
  [2, 130],
  [250, 16],
  [0, 3],
  [3, 0],
] as const;

const KINDS = [
  'normal',
  'ties',
  'edges',
  'zeros',
  'constant',
  'subnormal',
  'tiny',
  'huge',
  'outlier',
  'positive',
  'negative',
  'any',
] as const;
type Kind = (typeof KINDS)[number];

const anyScheme: fc.Arbitrary<BlockScheme> = fc.record({
  bits: fc.constantFrom(...BITS),
  block: fc.constantFrom(...BLOCKS),
  symmetric: fc.boolean(),
});

const anyCase = fc
  .record({
    scheme: anyScheme,
    type: fc.constantFrom('float32' as const, 'float16' as const),
    layout: fc.constantFrom('kn' as const, 'nk' as const),
    k: fc.integer({ min: 1, max: 70 }),
    n: fc.integer({ min: 1, max: 20 }),
    offset: fc.integer({ min: 0, max: 3 }),
  })
  .chain((shape) => {
    const { scheme, type, layout, k, n, offset } = shape;
    const size = k * n * (type === 'float16' ? 2 : 4);
    // Whole bytes at random are mostly of wildly different magnitudes; a common exponent makes blocks of similar ones.
    return fc
      .record({
        bytes: fc.uint8Array({ minLength: size + offset, maxLength: size + offset }),
        exponent: fc.option(fc.integer({ min: 0, max: 255 })),
      })
      .map(({ bytes, exponent }) => {
        if (exponent !== null) {
          const top = type === 'float16' ? 1 : 3;
          for (let i = top; i < size; i += top + 1) bytes[offset + i] = (bytes[offset + i]! & 0x80) | (exponent >> 1);
        }
        return { matrix: { data: bytes.subarray(offset), type, layout, k, n } satisfies WeightMatrix, scheme };
      });
  });

/** A [K, N] matrix of a kind of weights. */
function matrixOf(
  kind: Kind,
  type: 'float32' | 'float16',
  k: number,
  n: number,
  { bits, symmetric }: BlockScheme,
  seed: number,
): WeightMatrix {
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const pick = <T>(...choices: T[]) => choices[Math.floor(next() * choices.length)]!;
  const levels = 2 ** bits;
  const step = type === 'float16' ? 2 ** -7 : 2 ** -6 * (1 + Math.floor(next() * 1000) / 1024);
  const smallest = type === 'float16' ? 2 ** -24 : 2 ** -149;
  const middle = symmetric ? levels / 2 : Math.floor(next() * levels);

  const value = (index: number): number => {
    switch (kind) {
      case 'normal':
        return normal() * 0.02;
      case 'ties':
        return (Math.floor(next() * 2 * levels) - levels) * 2 ** -4;
      // Every channel's range spans the whole grid; the rest lies on it, halfway, or some units in the last place away.
      case 'edges': {
        const row = Math.floor(index / n) % 16;
        if (row === 0) return -middle * step;
        if (row === 1) return (symmetric ? levels / 2 - 1 : levels - 1 - middle) * step;
        const edge = (Math.floor(next() * levels) - middle + pick(0, 0.5, 0.5)) * step;
        return edge * (1 + Math.floor(next() * 9 - 4) * 2 ** (type === 'float16' ? -11 : -24));
      }
      case 'zeros':
        return index % n < n / 2 ? pick(0, -0) : pick(0, -0, 0, 0.5);
      case 'constant':
        return (index % n) - 3;
      case 'subnormal':
        return Math.floor(normal() * 30) * smallest;
      case 'tiny':
        return normal() * smallest * 2 ** Math.floor(next() * 28);
      case 'huge':
        return pick(-1, 1) * (type === 'float16' ? 65504 : 3.4028234663852886e38) * (next() < 0.3 ? 1 : next());
      case 'outlier':
        return next() < 0.03 ? normal() * 50 : normal() * 0.01;
      case 'positive':
        return Math.abs(normal()) + 0.1;
      case 'negative':
        return -Math.abs(normal()) - 0.1;
      case 'any':
        return pick(-1, 1) * 2 ** (type === 'float16' ? -26 + next() * 41 : -150 + next() * 277);
    }
  };
  const values = Float32Array.from({ length: k * n }, (_, index) => value(index));
  const data = type === 'float16' ? new Uint8Array(toFloat16Array(values).buffer) : new Uint8Array(values.buffer);
  return { data, type, layout: 'kn', k, n };
}

/**
 * Weights of few bits, c and −c, over scales near c / (m + ½): many of their products with the reciprocal lie halfway
 * between two float32 numbers beside the edge of a code, where rounding them the wrong way shows.
 */
function productTies(): WeightMatrix {
  const columns: number[][] = [];
  for (let c = 3; c < 64; c += 2) {
    for (let m = 0; m < 8; m++) {
      const scale = Float32Array.of(c / (m + 0.5));
      const bits = new Int32Array(scale.buffer);
      bits[0]! -= 4;
      for (let i = 0; i < 9; i++, bits[0]!++) columns.push([-8 * scale[0]!, c, -c]);
    }
  }
  const [k, n] = [3, columns.length];
  const values = Float32Array.from({ length: k * n }, (_, i) => columns[i % n]![Math.floor(i / n)]!);
  return { data: new Uint8Array(values.buffer), type: 'float32', layout: 'kn', k, n };
}

/** The same weights as [N, K]. */
function transpose(matrix: WeightMatrix): WeightMatrix {
  const { data, type, k, n } = matrix;
  const size = type === 'float16' ? 2 : 4;
  const turned = new Uint8Array(data.length);
  for (let row = 0; row < k; row++) {
    for (let column = 0; column < n; column++) {
      const from = (row * n + column) * size;
      turned.set(data.subarray(from, from + size), (column * k + row) * size);
    }
  }
  return { ...matrix, data: turned, layout: 'nk' };
}

function write({ data, type }: WeightMatrix, index: number, value: number): void {
  const bytes = type === 'float16' ? toFloat16Array(Float32Array.of(value)) : Float32Array.of(value);
  data.set(new Uint8Array(bytes.buffer), index * bytes.BYTES_PER_ELEMENT);
}

function scalesOf({ scales }: QuantizedMatrix, type: 'float32' | 'float16'): number[] {
  const { buffer } = scales.slice();
  return [...(type === 'float16' ? fromFloat16Array(new Uint16Array(buffer)) : new Float32Array(buffer))];
}

/** Rows of `slots` codes of which the first `used` count: the others set to 0. */
function withoutPadding(bytes: Uint8Array, rows: number, slots: number, used: number, bits: number): Uint8Array {
  const kept = bytes.slice();
  for (let row = 0; row < rows; row++) {
    for (let slot = used; slot < slots; slot++) {
      const bit = (row * slots + slot) * bits;
      kept[bit >> 3]! &= ~((2 ** bits - 1) << (bit & 7));
    }
  }
  return kept;
}

function expectSame(actual: QuantizedMatrix, expected: QuantizedMatrix, what: string): void {
  for (const part of ['scales', 'zeroPoints', 'codes'] as const) {
    const [is, should] = [actual[part], expected[part]];
    if (is?.length !== should?.length)
      throw new Error(`${what}: ${is?.length} bytes of ${part} instead of ${should?.length}`);
    const at = should?.findIndex((byte, i) => byte !== is?.[i]) ?? -1;
    if (at >= 0)
      throw new Error(`${what}: ${part}[${at}] of ${should?.length} is ${is?.[at]} instead of ${should?.[at]}`);
  }
}

function describeScheme({ bits, block, symmetric }: BlockScheme): string {
  return `int${bits} block ${block} ${symmetric ? 'symmetric' : 'asymmetric'}`;
}
