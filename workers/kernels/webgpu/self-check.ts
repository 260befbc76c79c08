/** Drivers miscompile shaders now and then: what a GPU makes of a few difficult blocks is checked before it is trusted. */
import { toFloat16Array } from '../../onnx/float16.ts';
import type { BlockScheme, Kernel, WeightMatrix } from '../kernel.ts';
import { createReferenceKernel } from '../reference.ts';

/** Whether the kernel makes the bytes the reference makes: both element types, widths, layouts and kinds of zero point. */
export async function computesRightly(kernel: Kernel): Promise<boolean> {
  const reference = createReferenceKernel();
  const cases: [WeightMatrix, BlockScheme][] = [
    [sample('float16', 'kn'), { bits: 4, block: 32, symmetric: true }],
    [sample('float32', 'nk'), { bits: 8, block: 32, symmetric: false }],
  ];
  for (const [matrix, scheme] of cases) {
    const [made, expected] = await Promise.all([kernel.quantize(matrix, scheme), reference.quantize(matrix, scheme)]);
    for (const part of ['codes', 'scales', 'zeroPoints'] as const) {
      if (expected[part]?.some((byte, i) => byte !== made[part]?.[i])) return false;
    }
  }
  return true;
}

/** Columns of ordinary weights, halves between two codes, subnormals, zeros, one outlier, and weights far from 0. */
function sample(type: 'float32' | 'float16', layout: 'kn' | 'nk'): WeightMatrix {
  const [k, n] = [77, 18];
  const smallest = type === 'float16' ? 2 ** -24 : 2 ** -149;
  const kinds: ((i: number) => number)[] = [
    (i) => Math.sin(i * 1.7) * 0.02,
    (i) => ((i * 7) % 33) / 4 - 4,
    (i) => ((i * 29) % 61 - 30) * smallest,
    () => -0,
    (i) => (i === 40 ? 50 : Math.cos(i * 2.3) * 0.01),
    (i) => -3 - Math.sin(i * 0.9),
  ];
  const values = new Float32Array(k * n);
  for (let row = 0; row < k; row++) {
    for (let column = 0; column < n; column++) {
      values[layout === 'kn' ? row * n + column : column * k + row] = kinds[column % kinds.length]!(row + column);
    }
  }
  const data = type === 'float16' ? toFloat16Array(values) : values;
  return { data: new Uint8Array(data.buffer), type, layout, k, n };
}
