/** Drivers miscompile shaders now and then: what a GPU makes of a few difficult blocks is checked before it is trusted. */
import { toFloat16Array } from '../../onnx/numbers/float16.ts';
import type {
  BlockScheme,
  Kernel,
  LinearScheme,
  LinearTensor,
  QuantizedMatrix,
  WeightMatrix,
  WeightTensor,
} from '../kernel.ts';
import { createReferenceKernel } from '../reference.ts';

/** Whether the kernel makes the bytes the reference makes: both element types, layouts and kinds of zero point, all widths, channels together and apart. */
export async function passesSelfCheck(kernel: Kernel): Promise<boolean> {
  const reference = createReferenceKernel();
  const blocks: [WeightMatrix, BlockScheme][] = [
    [sample('float16', 'kn'), { bits: 4, block: 32, symmetric: true }],
    [sample('float32', 'nk'), { bits: 8, block: 32, symmetric: false }],
    [sample('float32', 'kn'), { bits: 2, block: 16, symmetric: true }],
  ];
  for (const [matrix, scheme] of blocks) {
    if (!same(await kernel.quantize(matrix, scheme), await reference.quantize(matrix, scheme))) return false;
  }
  const channels: [WeightTensor, LinearScheme][] = [
    [byChannel(sample('float16', 'kn')), { type: 'uint8', symmetric: false }],
    [byChannel(sample('float32', 'nk')), { type: 'int8', symmetric: false }],
  ];
  for (const [tensor, scheme] of channels) {
    if (!same(await kernel.quantizePerChannel(tensor, scheme), await reference.quantizePerChannel(tensor, scheme)))
      return false;
  }
  return true;
}

function same(made: QuantizedMatrix | LinearTensor, expected: QuantizedMatrix | LinearTensor): boolean {
  return (['codes', 'scales', 'zeroPoints'] as const).every(
    (part) => expected[part]?.every((byte, i) => byte === made[part]?.[i]) ?? true,
  );
}

function byChannel({ data, type, layout, k, n }: WeightMatrix): WeightTensor {
  return layout === 'kn'
    ? { data, type, outer: k, channels: n, inner: 1 }
    : { data, type, outer: 1, channels: n, inner: k };
}

/** Columns of ordinary weights, halves between two codes of a block and of a channel, subnormals, zeros, one outlier, and weights far from 0. */
function sample(type: 'float32' | 'float16', layout: 'kn' | 'nk'): WeightMatrix {
  const [k, n] = [77, 18];
  const smallest = type === 'float16' ? 2 ** -24 : 2 ** -149;
  const kinds: ((i: number) => number)[] = [
    (i) => Math.sin(i * 1.7) * 0.02,
    (i) => ((i * 7) % 33) / 4 - 4,
    (i) => [127, -128][i % 5] ?? (((i * 37) % 253) - 126) / 2,
    (i) => (((i * 29) % 61) - 30) * smallest,
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
