/** Carries out one recipe of a plan: reads the tensor's range, runs the kernel, checks what came out. */
import { asFloat32, asUint16 } from './bytes.ts';
import { fail } from './errors.ts';
import type { Kernel, QuantizedMatrix } from './kernels/kernel.ts';
import { FLOAT16, FLOAT32 } from './onnx/element-types.ts';
import { fromFloat16Array, toFloat16Array } from './onnx/float16.ts';
import type { Tensor } from './onnx/model.ts';
import type { Recipe } from './plan/recipe.ts';
import type { ByteSource } from './source.ts';

/** Bytes of a tensor that lies in the model file. */
export function readTensor(source: ByteSource, { name, data }: Tensor): Promise<Uint8Array> {
  if (data.kind !== 'inline') throw new Error(`${name} does not lie in the file`);
  return source.read(data.offset, data.length);
}

/** All parts of the recipe by name, see `Recipe`. */
export async function make(recipe: Recipe, source: ByteSource, kernel: Kernel, signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>> {
  const stored = await readTensor(source, recipe.tensor);
  if (recipe.kind === 'to-float16') return new Map([['values', new Uint8Array(toFloat16Array(asFloat32(stored)).buffer)]]);
  const data = inArithmeticType(recipe, stored);
  const type = recipe.type === FLOAT16 ? 'float16' : 'float32';
  const { layout, k, n, scheme } = recipe;
  const quantized = await kernel.quantize({ data, type, layout, k, n }, scheme, signal);
  if (!isFinite(quantized, type)) {
    fail('weights-not-finite', `The weight ${recipe.tensor.name} holds NaN, infinity, or numbers too large to work with.`,
      'The model itself is broken there: export it again, or check the training run.');
  }
  const parts = new Map([['codes', quantized.codes], ['rows', withoutPadding(quantized.codes, k, n, scheme.bits)], ['scales', quantized.scales]]);
  if (quantized.zeroPoints) parts.set('zeroPoints', fillLastHalf(quantized.zeroPoints, n, Math.ceil(k / scheme.block), scheme.bits));
  return parts;
}

function inArithmeticType({ tensor, type, rounded }: Recipe & { kind: 'quantize' }, stored: Uint8Array): Uint8Array {
  if (rounded) return new Uint8Array(fromFloat16Array(toFloat16Array(asFloat32(stored))).buffer);
  if (tensor.type === FLOAT16 && type === FLOAT32) return new Uint8Array(fromFloat16Array(asUint16(stored)).buffer);
  return stored;
}

/** Kernels give a block that holds NaN or infinity a scale of NaN. */
function isFinite({ scales }: QuantizedMatrix, type: 'float16' | 'float32'): boolean {
  const view = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  if (type === 'float16') {
    for (let i = 0; i < scales.byteLength; i += 2) if ((view.getUint16(i, true) & 0x7c00) === 0x7c00) return false;
  } else {
    for (let i = 0; i < scales.byteLength; i += 4) if ((view.getUint32(i, true) & 0x7f800000) === 0x7f800000) return false;
  }
  return true;
}

/** An odd number of 4-bit zero points leaves half a byte in each row; onnxruntime fills it with the default, 8. */
function fillLastHalf(zeroPoints: Uint8Array, n: number, blocks: number, bits: number): Uint8Array {
  if (bits !== 4 || blocks % 2 === 0) return zeroPoints;
  const stride = zeroPoints.length / n;
  const filled = zeroPoints.slice();
  for (let last = stride - 1; last < filled.length; last += stride) filled[last] = (filled[last] ?? 0) | 0x80;
  return filled;
}

/** Rows of k codes without what fills up the last block. */
function withoutPadding(codes: Uint8Array, k: number, n: number, bits: number): Uint8Array {
  const stride = codes.length / n;
  const row = Math.ceil((k * bits) / 8);
  if (row === stride) return codes;
  const rows = new Uint8Array(n * row);
  for (let i = 0; i < n; i++) rows.set(codes.subarray(i * stride, i * stride + row), i * row);
  return rows;
}
