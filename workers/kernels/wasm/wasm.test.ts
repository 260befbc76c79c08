import { describe, expect, it } from 'vitest';
import type { BlockScheme, WeightMatrix } from '../kernel.ts';
import { createReferenceKernel } from '../reference.ts';
import { kernelSuite } from '../suite.ts';
import { random } from '../test-weights.ts';
import { createWasmKernel } from './kernel.ts';

kernelSuite('wasm', createWasmKernel);

describe('the short ways of the wasm kernel', () => {
  /** A normal number as float16, cut off. */
  const half = (value: number) => {
    const exponent = Math.floor(Math.log2(value));
    return ((exponent + 15) << 10) | Math.floor((value / 2 ** exponent - 1) * 1024);
  };
  /** The first row has each channel's largest weight, from half to twice `extreme`; below are mostly weights smaller than normal numbers. */
  const halves = (extreme: number, k: number, n: number): WeightMatrix => {
    const next = random(7);
    const bits = Uint16Array.from({ length: k * n }, (_, i) =>
      i < n
        ? half(extreme * (0.5 + (1.5 * i) / n))
        : (next() < 0.5 ? 0x8000 : 0) | Math.floor(next() * (next() < 0.8 ? 0x0400 : 0x0c00)),
    );
    return { data: new Uint8Array(bits.buffer), type: 'float16', layout: 'kn', k, n };
  };

  it('widen halves exactly where scales are so small that it shows', async () => {
    const kernel = await createWasmKernel();
    const reference = createReferenceKernel();
    for (const bits of [2, 4, 8] as const) {
      for (const symmetric of [true, false]) {
        const scheme: BlockScheme = { bits, block: 32, symmetric };
        const matrix = halves((symmetric ? 2 ** (bits - 1) : 2 ** bits - 1) / 8000, 32, 512);
        expect(await kernel.quantize(matrix, scheme)).toEqual(await reference.quantize(matrix, scheme));
      }
    }
    kernel.dispose();
  });
});
