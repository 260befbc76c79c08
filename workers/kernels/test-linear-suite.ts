/** One scale a channel, the tests every backend passes: the same bytes as onnxruntime, and as the readable reference. Part of `kernelSuite`. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toFloat16Array } from '../onnx/numbers/float16.ts';
import { linearVectors } from './golden-vectors.ts';
import type { Kernel, LinearScheme, LinearTensor, WeightTensor } from './kernel.ts';
import { createReferenceKernel } from './reference.ts';
import { NO_ROOM, random, type TestLimits } from './test-weights.ts';

export function linearSuite(name: string, makeKernel: (limits?: TestLimits) => Promise<Kernel>): void {
  const reference = createReferenceKernel({ sliceMs: Infinity });
  let kernel: Kernel;
  let small: Kernel;

  beforeAll(async () => {
    kernel = await makeKernel();
    small = await makeKernel(NO_ROOM);
  });
  afterAll(() => {
    kernel.dispose();
    small.dispose();
  });

  const expectAsReference = async (tensor: WeightTensor, scheme: LinearScheme, by = kernel) => {
    const what = `${scheme.type} ${scheme.symmetric ? 'symmetric' : 'asymmetric'} ${tensor.type} ${tensor.outer}×${tensor.channels}×${tensor.inner}`;
    expectSame(await by.quantizePerChannel(tensor, scheme), await reference.quantizePerChannel(tensor, scheme), what);
  };

  describe(`${name} kernel, one scale a channel`, () => {
    it('has all vectors of onnxruntime 1.30', () => {
      expect(linearVectors).toHaveLength(72);
    });

    describe('gives the bytes of onnxruntime 1.30', () => {
      for (const { name: vector, type, symmetric, weights, outer, channels, inner, ...expected } of linearVectors) {
        it(vector, async () => {
          const tensor: WeightTensor = { data: weights, type: 'float32', outer, channels, inner };
          expectSame(await kernel.quantizePerChannel(tensor, { type, symmetric }), expected, vector);
        });
      }
    });

    describe('gives the bytes of the reference', () => {
      for (const type of ['float32', 'float16'] as const) {
        for (const scheme of SCHEMES) {
          it(`for every kind of weights and shape: ${type} ${scheme.type} ${scheme.symmetric ? 'symmetric' : 'asymmetric'}`, async () => {
            let seed = 1;
            for (const kind of KINDS) {
              for (let i = 0; i < 4; i++) {
                const shape = SHAPES[seed % SHAPES.length]!;
                await expectAsReference(tensorOf(kind, type, shape, scheme, seed++), scheme);
              }
            }
          });
        }
      }

      it('for every shape', async () => {
        let seed = 1;
        for (const shape of SHAPES) {
          for (const type of ['float32', 'float16'] as const) {
            const scheme = SCHEMES[seed % 4]!;
            await expectAsReference(tensorOf('normal', type, shape, scheme, seed++), scheme);
          }
        }
      });

      it('for weights that begin anywhere in a file', async () => {
        for (const type of ['float32', 'float16'] as const) {
          for (const offset of [1, 2, 3, 5]) {
            const tensor = tensorOf('normal', type, [3, 7, 11], SCHEMES[1]!, offset);
            const file = new Uint8Array(tensor.data.length + offset).fill(0xff);
            file.set(tensor.data, offset);
            await expectAsReference({ ...tensor, data: file.subarray(offset) }, SCHEMES[1]!);
            expect(file.subarray(offset)).toEqual(tensor.data);
          }
        }
      });

      it('for any bits of any shape', async () => {
        await fc.assert(
          fc.asyncProperty(anyCase, ({ tensor, scheme }) => expectAsReference(tensor, scheme)),
          { numRuns: 200, seed: 1 },
        );
      });

      it('for weights on and beside the edge between two codes', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.constantFrom(...SCHEMES),
            fc.constantFrom('float32', 'float16'),
            fc.constantFrom(...EDGE_SHAPES),
            fc.integer({ min: 1, max: 2 ** 31 - 1 }),
            (scheme, type, shape, seed) => expectAsReference(tensorOf('edges', type, shape, scheme, seed), scheme),
          ),
          { numRuns: 80, seed: 1 },
        );
      });

      it('from the smallest tiles as from one', async () => {
        let seed = 1;
        for (const shape of [
          [1, 1, 45],
          [1, 3, 17],
          [19, 2, 1],
          [3, 2, 9],
          [2, 3, 37],
          [5, 4, 3],
          [1, 1, 1],
        ] as const) {
          for (const type of ['float32', 'float16'] as const) {
            const scheme = SCHEMES[seed % 4]!;
            await expectAsReference(tensorOf('normal', type, shape, scheme, seed++), scheme, small);
          }
        }
      });

      it('from several tiles, and from parts of the channels', async () => {
        const medium = await makeKernel({ tileBytes: 9_000, outputBytes: 8_000 });
        let seed = 1;
        for (const shape of [
          [1, 1, 50_001],
          [1, 700, 33],
          [300, 150, 1],
          [7, 600, 5],
          [1, 900, 3],
          [11, 40, 64],
          [9001, 2, 1],
          [3, 299, 40],
        ] as const) {
          for (const type of ['float32', 'float16'] as const) {
            const scheme = SCHEMES[seed % 4]!;
            await expectAsReference(tensorOf('normal', type, shape, scheme, seed++), scheme, medium);
          }
        }
        medium.dispose();
      });
    });

    it('marks a channel with a NaN or an infinity, and only that channel', async () => {
      for (const type of ['float32', 'float16'] as const) {
        for (const scheme of SCHEMES) {
          for (const inner of [1, 40]) {
            for (const [value, sign] of [
              [NaN, 0],
              [NaN, 0x80],
              [Infinity, 0],
              [Infinity, 0x80],
            ] as const) {
              const [outer, channels, hit] = [9, 5, 3];
              const tensor = tensorOf('normal', type, [outer, channels, inner], scheme, 5);
              const clean = await kernel.quantizePerChannel(tensor, scheme);
              const index = (4 * channels + hit) * inner + Math.floor(inner / 2);
              const bytes = bytesOf([value], type);
              bytes[bytes.length - 1]! |= sign;
              tensor.data.set(bytes, index * bytes.length);
              const marked = await kernel.quantizePerChannel(tensor, scheme);
              expectSame(
                marked,
                await reference.quantizePerChannel(tensor, scheme),
                `${type} ${scheme.type} ${sign ? '−' : ''}${value}`,
              );

              expect([...new Float32Array(marked.scales.slice().buffer)].map(Number.isNaN)).toEqual([
                false,
                false,
                false,
                true,
                false,
              ]);
              clean.zeroPoints[hit] = 0;
              expect(marked.zeroPoints).toEqual(clean.zeroPoints);
              clean.codes.forEach((_, i) => {
                if (Math.floor(i / inner) % channels === hit) clean.codes[i] = 0;
              });
              expect(marked.codes).toEqual(clean.codes);
            }
          }
        }
      }
    });

    it('gives an infinite scale, and the zero point as every code, where max − min overflows', async () => {
      const values = [3e38, -3e38, 1];
      const tensor: WeightTensor = {
        data: bytesOf(values, 'float32'),
        type: 'float32',
        outer: 1,
        channels: 1,
        inner: 3,
      };
      for (const [scheme, zeroPoint] of [
        [SCHEMES[0]!, 0],
        [SCHEMES[1]!, 0x80],
        [SCHEMES[2]!, 0x80],
        [SCHEMES[3]!, 0],
      ] as const) {
        const { codes, scales, zeroPoints } = await kernel.quantizePerChannel(tensor, scheme);
        expect([new Float32Array(scales.buffer)[0], zeroPoints[0], ...codes]).toEqual([
          Infinity,
          zeroPoint,
          zeroPoint,
          zeroPoint,
          zeroPoint,
        ]);
      }
    });

    it('gives a channel without elements the scale 1', async () => {
      for (const [outer, channels, inner] of [
        [0, 3, 2],
        [2, 3, 0],
        [0, 3, 50],
      ] as const) {
        const made = await kernel.quantizePerChannel(
          { data: new Uint8Array(0), type: 'float32', outer, channels, inner },
          SCHEMES[1]!,
        );
        expect([made.codes.length, [...new Float32Array(made.scales.buffer)], [...made.zeroPoints]]).toEqual([
          0,
          [1, 1, 1],
          [0, 0, 0],
        ]);
      }
      const none = await kernel.quantizePerChannel(
        { data: new Uint8Array(0), type: 'float32', outer: 2, channels: 0, inner: 4 },
        SCHEMES[1]!,
      );
      expect([none.codes.length, none.scales.length, none.zeroPoints.length]).toEqual([0, 0, 0]);
    });

    it('works beside blocks', async () => {
      const tensor = tensorOf('normal', 'float32', [7, 5, 3], SCHEMES[0]!, 1);
      const matrix = { data: tensor.data, type: 'float32', layout: 'kn', k: 21, n: 5 } as const;
      const scheme = { bits: 4, block: 16, symmetric: false } as const;
      const [first, blocks, second] = await Promise.all([
        small.quantizePerChannel(tensor, SCHEMES[1]!),
        small.quantize(matrix, scheme),
        small.quantizePerChannel(tensor, SCHEMES[2]!),
      ]);
      expect(blocks).toEqual(await reference.quantize(matrix, scheme));
      expectSame(first, await reference.quantizePerChannel(tensor, SCHEMES[1]!), 'first');
      expectSame(second, await reference.quantizePerChannel(tensor, SCHEMES[2]!), 'second');
    });

    it('stops between tiles when told to, and works on', async () => {
      const scheme = SCHEMES[1]!;
      for (const shape of [
        [1, 1, 100_000],
        [50_000, 2, 1],
      ] as const) {
        const tensor = tensorOf('normal', 'float32', shape, scheme, 1);
        await small.quantizePerChannel(tensorOf('normal', 'float32', [1, 1, 8], scheme, 1), scheme);
        await expect(
          small.quantizePerChannel(tensor, scheme, AbortSignal.abort(new Error('a reason of the caller'))),
        ).rejects.toMatchObject({ name: 'AbortError' });

        const controller = new AbortController();
        const aborted = small.quantizePerChannel(tensor, scheme, controller.signal);
        setTimeout(() => controller.abort(), 0);
        await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
        await expectAsReference(tensorOf('normal', 'float32', [2, 3, 5], scheme, 2), scheme, small);
      }
    });

    it('refuses data of the wrong length', async () => {
      const tensor: WeightTensor = { data: new Uint8Array(30), type: 'float32', outer: 2, channels: 2, inner: 2 };
      await expect(kernel.quantizePerChannel(tensor, SCHEMES[0]!)).rejects.toThrow(RangeError);
    });

    it('refuses to work once disposed', async () => {
      const gone = await makeKernel();
      gone.dispose();
      await expect(
        gone.quantizePerChannel(tensorOf('normal', 'float32', [1, 1, 4], SCHEMES[0]!, 1), SCHEMES[0]!),
      ).rejects.toThrow('disposed');
    });
  });
}

type Shape = readonly [outer: number, channels: number, inner: number];

const SCHEMES: LinearScheme[] = [
  { type: 'int8', symmetric: true },
  { type: 'int8', symmetric: false },
  { type: 'uint8', symmetric: true },
  { type: 'uint8', symmetric: false },
];

/** [outer, channels, inner]: per tensor, the axis first, last and in the middle; one element; odd sizes, and around vector and workgroup widths. */
const SHAPES: Shape[] = [
  [1, 1, 1],
  [1, 1, 5],
  [1, 1, 64],
  [1, 1, 1000],
  [1, 7, 1],
  [1, 5, 31],
  [1, 5, 32],
  [1, 9, 33],
  [1, 3, 300],
  [1, 100, 9],
  [13, 7, 1],
  [64, 64, 1],
  [33, 1, 1],
  [200, 3, 1],
  [130, 65, 1],
  [3, 4, 5],
  [2, 6, 9],
  [70, 3, 4],
  [5, 3, 47],
  [4, 16, 16],
  [66, 2, 64],
];

/** The first two of a channel's elements set its range. */
const EDGE_SHAPES: Shape[] = [
  [1, 1, 500],
  [1, 6, 100],
  [90, 5, 1],
  [30, 4, 3],
];

const KINDS = [
  'normal',
  'ties',
  'edges',
  'zeros',
  'constant',
  'subnormal',
  'tiny',
  'smallest normal',
  'huge',
  'outlier',
  'positive',
  'negative',
  'any',
] as const;
type Kind = (typeof KINDS)[number];

const anyCase = fc
  .record({
    scheme: fc.constantFrom(...SCHEMES),
    type: fc.constantFrom('float32' as const, 'float16' as const),
    outer: fc.integer({ min: 1, max: 20 }),
    channels: fc.integer({ min: 1, max: 12 }),
    inner: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 70 })),
    offset: fc.integer({ min: 0, max: 3 }),
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    // One exponent in common makes weights of similar magnitudes; without one they are wildly different, and some not finite.
    exponent: fc.option(fc.integer({ min: 0, max: 254 })),
  })
  .map(({ scheme, type, outer, channels, inner, offset, seed, exponent }) => {
    const next = random(seed);
    const size = type === 'float16' ? 2 : 4;
    const bytes = Uint8Array.from({ length: outer * channels * inner * size + offset }, () => Math.floor(next() * 256));
    if (exponent !== null) {
      for (let i = offset + size - 1; i < bytes.length; i += size) bytes[i] = (bytes[i]! & 0x80) | (exponent >> 1);
    }
    return { tensor: { data: bytes.subarray(offset), type, outer, channels, inner } satisfies WeightTensor, scheme };
  });

function tensorOf(
  kind: Kind,
  type: 'float32' | 'float16',
  [outer, channels, inner]: Shape,
  { type: code, symmetric }: LinearScheme,
  seed: number,
): WeightTensor {
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const pick = <T>(...choices: T[]) => choices[Math.floor(next() * choices.length)]!;
  const smallest = type === 'float16' ? 2 ** -24 : 2 ** -149;
  // Of float16 few bits, so that halves of a step can be told.
  const step = type === 'float16' ? 2 ** -7 : 2 ** -6 * (1 + Math.floor(next() * 2 ** 20) / 2 ** 20);
  const [lowest, highest] = symmetric
    ? code === 'int8'
      ? [-127, 127]
      : [-127.5, 127.5]
    : edgesFrom(-Math.floor(next() * 256));

  const value = (index: number): number => {
    const channel = Math.floor(index / inner) % channels;
    switch (kind) {
      case 'normal':
        return normal() * 0.02 * (channel + 1);
      case 'ties':
        return Math.floor(next() * 511 - 255) / 2;
      // A channel's range spans the whole grid; the rest lies on it, halfway, or some units in the last place away.
      case 'edges': {
        const ordinal = Math.floor(index / (channels * inner)) * inner + (index % inner);
        if (ordinal < 2) return (ordinal === 0 ? lowest : highest) * step;
        const edge = Math.max(lowest, Math.min(Math.floor(lowest + next() * 256) + pick(0, 0.5, 0.5), highest)) * step;
        return edge * (1 + Math.floor(next() * 9 - 4) * 2 ** (type === 'float16' ? -11 : -24));
      }
      case 'zeros':
        return channel % 2 ? pick(0, -0) : pick(0, -0, 0, 0.5);
      case 'constant':
        return channel - 3;
      case 'subnormal':
        return Math.floor(normal() * 30) * smallest;
      case 'tiny':
        return normal() * smallest * 2 ** Math.floor(next() * 28);
      // Where a scale begins to be one.
      case 'smallest normal':
        return (
          pick(-1, 1) *
          pick(2 ** -126, 2 ** -127) *
          (Math.floor(next() * 4) + 126) *
          (type === 'float16' ? 2 ** 108 : 1)
        );
      case 'huge':
        return (
          pick(-1, 1) *
          (type === 'float16' ? 65504 : 3.4028234663852886e38) *
          (next() < 0.3 ? 1 : next() / (channel % 2 ? 2 : 1))
        );
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
  const values = Array.from({ length: outer * channels * inner }, (_, index) => value(index));
  return { data: bytesOf(values, type), type, outer, channels, inner };
}

function edgesFrom(lowest: number): [number, number] {
  return [lowest, lowest + 255];
}

function bytesOf(values: number[], type: 'float32' | 'float16'): Uint8Array {
  const array = Float32Array.from(values);
  return new Uint8Array((type === 'float16' ? toFloat16Array(array) : array).buffer);
}

function expectSame(actual: LinearTensor, expected: LinearTensor, what: string): void {
  for (const part of ['scales', 'zeroPoints', 'codes'] as const) {
    const [is, should] = [actual[part], expected[part]];
    if (is.length !== should.length)
      throw new Error(`${what}: ${is.length} bytes of ${part} instead of ${should.length}`);
    const at = should.findIndex((byte, i) => byte !== is[i]);
    if (at >= 0) throw new Error(`${what}: ${part}[${at}] of ${should.length} is ${is[at]} instead of ${should[at]}`);
  }
}
