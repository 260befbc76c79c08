/** Makes one slab of a task: reads its range, runs the kernel, checks what came out. */
import { asFloat32 } from '../lib/bytes.ts';
import { rangesOf, withExtremes } from './channel-ranges.ts';
import type { Kernel, QuantizedMatrix, WeightMatrix } from '../kernels/kernel.ts';
import { elementType, FLOAT16 } from '../onnx/numbers/element-types.ts';
import { convert, gather, roundedToFloat16 } from '../onnx/numbers/elements.ts';
import { toFloat16Array } from '../onnx/numbers/float16.ts';
import { packNibbles, transposed, unpackRows } from '../onnx/numbers/nibbles.ts';
import { readStrided, readTensor } from '../onnx/tensor-data.ts';
import { isContiguous } from '../onnx/graph/constant-view.ts';
import { extentOf, refuseWeight } from './weight-problem.ts';
import type { QuantizeTask } from '../plan/quantize-task.ts';
import type { RangeTask, WeightChunk } from './chunks.ts';
import { NO_EXTERNAL_FILES, type ByteSource, type ExternalFiles } from '../io/source.ts';

export type Parts = ReadonlyMap<string, Uint8Array>;

/**
 * All parts of the slab by name, see `Task`.
 * Errors: `weights-not-finite`, `weights-too-large`, and those of `readTensor`.
 */
export async function quantizeChunk(
  slab: WeightChunk,
  source: ByteSource,
  kernel: Kernel,
  signal: AbortSignal,
  external: ExternalFiles = NO_EXTERNAL_FILES,
): Promise<Parts> {
  return quantizeBytes(slab, await readStored(slab, source, external), kernel, signal);
}

/** Reads a chunk's bytes as they are stored. Errors: those of `readTensor`. */
export function readStored(
  { tensor, lines }: WeightChunk,
  source: ByteSource,
  external: ExternalFiles,
): Promise<Uint8Array> {
  return lines ? readStrided(source, tensor, lines, external) : readTensor(source, tensor, external);
}

/** The same of the slab's bytes as they are stored. What is made has memory of its own, but for codes that go to `memory`. */
export async function quantizeBytes(
  slab: WeightChunk,
  stored: Uint8Array,
  kernel: Kernel,
  signal: AbortSignal,
  memory?: ArrayBuffer,
): Promise<Parts> {
  if (slab.kind === 'to-float16')
    return new Map([['values', new Uint8Array(toFloat16Array(limited(asFloat32(stored), slab.limit)).buffer)]]);
  const data = elements(slab, stored);
  const type = slab.type === FLOAT16 ? 'float16' : 'float32';
  switch (slab.kind) {
    case 'quantize':
      return inBlocks(slab, stored, data, type, kernel, signal, memory);
    case 'linear':
      return byChannel(slab, stored, data, type, kernel, signal);
    case 'range':
      return new Map([['ranges', new Uint8Array(rangesOf({ ...slab, data, type }).buffer)]]);
  }
}

function limited(values: Float32Array, limit: number | undefined): Float32Array {
  return limit === undefined ? values : values.map((value) => Math.max(-limit, Math.min(limit, value)));
}

/** The matrix a task for blocks quantizes, in memory of its own or the source's. Errors: those of `readTensor`. */
export async function weightMatrix(
  task: QuantizeTask & { kind: 'quantize' },
  source: ByteSource,
  external: ExternalFiles = NO_EXTERNAL_FILES,
): Promise<{ matrix: WeightMatrix; stored: Uint8Array }> {
  const stored = await readTensor(source, task.tensor, external);
  const { layout, k, n } = task;
  const type = task.type === FLOAT16 ? 'float16' : 'float32';
  return { matrix: { data: elements(task, stored), type, layout, k, n }, stored };
}

/** The weight as the arithmetic has it. */
function elements(
  { tensor, view, type, rounded }: Exclude<QuantizeTask, { kind: 'to-float16' }> | RangeTask,
  stored: Uint8Array,
): Uint8Array {
  const exact = rounded ? roundedToFloat16(stored) : stored;
  const ordered =
    view && !isContiguous(view) ? gather(exact, elementType(tensor.type).bits / 8, view.dims, view.strides) : exact;
  return convert(ordered, [tensor.type, ...(view?.casts ?? []), type]);
}

async function inBlocks(
  task: QuantizeTask & { kind: 'quantize' },
  stored: Uint8Array,
  data: Uint8Array,
  type: 'float16' | 'float32',
  kernel: Kernel,
  signal: AbortSignal,
  memory?: ArrayBuffer,
): Promise<Parts> {
  const { layout, k, n, scheme, meanSquares } = task;
  const matrix = { data, type, layout, k, n, ...(meanSquares && { meanSquares }) };
  const quantized = await kernel.quantize(matrix, scheme, signal, memory);
  if (!isFinite(quantized, type)) refuseWeight(task.tensor, task.type, extentOf(stored, task.tensor.type));
  return blockedParts(task, quantized);
}

/** Everything a task for blocks makes, from what the kernel does. */
export function blockedParts(
  { k, n, scheme, type, nibbles }: QuantizeTask & { kind: 'quantize' },
  { codes, scales, zeroPoints }: QuantizedMatrix,
): Parts {
  const blocks = Math.ceil(k / scheme.block);
  if (!nibbles) {
    const parts = new Map([
      ['codes', codes],
      ['rows', withoutPadding(codes, k, n, scheme.bits)],
      ['scales', scales],
    ]);
    return zeroPoints ? parts.set('zeroPoints', fillLastHalf(zeroPoints, n, blocks, scheme.bits)) : parts;
  }
  const columns = nibbles === 'columns';
  const numbers = unpackRows(codes, 4, n, k, codes.length / n);
  // The code of 0 is 8; as a signed number it is 0.
  const signed = scheme.symmetric ? numbers.map((code) => code ^ 8) : numbers;
  const parts = new Map([
    ['nibbles', packNibbles(columns ? transposed(signed, n, k) : signed)],
    ['nibbleScales', columns ? transposed(scales, n, blocks, type === FLOAT16 ? 2 : 4) : scales],
  ]);
  if (!zeroPoints) return parts;
  const points = unpackRows(zeroPoints, 4, n, blocks, zeroPoints.length / n);
  return parts.set('nibbleZeroPoints', packNibbles(columns ? transposed(points, n, blocks) : points));
}

async function byChannel(
  task: WeightChunk & { kind: 'linear' },
  stored: Uint8Array,
  data: Uint8Array,
  type: 'float16' | 'float32',
  kernel: Kernel,
  signal: AbortSignal,
): Promise<Parts> {
  const { outer, channels, inner, scheme, ranges } = task;
  const tensor = { data, type, outer, channels, inner } as const;
  const { tensor: whole, codesOf } = ranges
    ? withExtremes(tensor, ranges)
    : { tensor, codesOf: (codes: Uint8Array) => codes };
  const { codes, scales, zeroPoints } = await kernel.quantizePerChannel(whole, scheme, signal);
  if (asFloat32(scales).some((scale) => !Number.isFinite(scale)))
    refuseWeight(task.tensor, task.type, extentOf(stored, task.tensor.type));
  return new Map([
    ['codes', codesOf(codes)],
    ['scales', scales],
    ['zeroPoints', zeroPoints],
  ]);
}

/** Kernels give a block that holds NaN or infinity a scale of NaN. */
function isFinite({ scales }: QuantizedMatrix, type: 'float16' | 'float32'): boolean {
  const view = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  if (type === 'float16') {
    for (let i = 0; i < scales.byteLength; i += 2) if ((view.getUint16(i, true) & 0x7c00) === 0x7c00) return false;
  } else {
    for (let i = 0; i < scales.byteLength; i += 4)
      if ((view.getUint32(i, true) & 0x7f800000) === 0x7f800000) return false;
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
