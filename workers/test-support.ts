/** What tests share: a level of a model held in memory, and weights back from their codes. */
import type { Model, Tensor } from './onnx/model.ts';
import { scanModel } from './onnx/scan.ts';
import { fromFloat16Array } from './onnx/numbers/float16.ts';
import { readTensor } from './onnx/tensor-data.ts';
import { blobSink } from './onnx/writing/write.ts';
import { findMisfits } from './plan/precision/fits.ts';
import { planAnyLevel } from './plan/half/plan-half.ts';
import { checkPlannedFile } from './plan/self-check.ts';
import { judgedTensors, preparePlan, type Plan, type PlanOptions } from './plan/plan.ts';
import { createReferenceKernel } from './kernels/reference.ts';
import type { Kernel } from './kernels/kernel.ts';
import { createQuantizer } from './quantize/quantizer.ts';
import { parseLevel } from './contract/levels/level.ts';
import { SCHEMES } from './contract/levels/registry.ts';
import { bytesSource } from './io/source.ts';

/** Plans and writes one level of a model. A file larger than `limit` gets a second one. */
export async function quantize(
  model: Uint8Array,
  spelling: string,
  kernel: Kernel = createReferenceKernel(),
  options: PlanOptions = {},
): Promise<{ bytes: Uint8Array; data: Uint8Array | null; plan: Plan }> {
  const source = bytesSource('model.onnx', model);
  const level = parseLevel(spelling);
  if (!level.ok) throw new Error(level.error.message);
  const input = preparePlan(await scanModel(source));
  const { signal } = new AbortController();
  const misfits = await findMisfits(source, judgedTensors(input), signal, () => undefined);
  const plan = await planAnyLevel(input, SCHEMES[level.value.id], level.value.settings, misfits, options);
  if (!plan.problem) await checkPlannedFile(input.model, plan);
  const quantizer = createQuantizer({ kernel, model: input.model });
  const write = async (file: Pick<Plan, 'pieces'>) => {
    const written = await quantizer.write(file, blobSink(new Blob([model as Uint8Array<ArrayBuffer>])), { signal });
    return new Uint8Array(await written.arrayBuffer());
  };
  return { bytes: await write(plan), data: plan.data && (await write(plan.data)), plan };
}

export function scanBytes(bytes: Uint8Array): Promise<Model> {
  return scanModel(bytesSource('model.onnx', bytes));
}

/** An initializer and its raw bytes. */
export async function initializer(bytes: Uint8Array, name: string): Promise<{ tensor: Tensor; data: Uint8Array }> {
  const model = await scanBytes(bytes);
  const tensor = model.graph.initializers.find((candidate) => candidate.name === name);
  if (!tensor) throw new Error(`no initializer ${name}`);
  return { tensor, data: (await readTensor(model.source, tensor)).slice() };
}

/** Weights [N, K] from blocked codes [N, kb, block·bits/8], in float64 but for the stored scales. */
export function dequantize(
  codes: Uint8Array,
  scales: Uint8Array,
  zeroPoints: Uint8Array | null,
  scaleType: 'float32' | 'float16',
  shape: { k: number; n: number; bits: number; block: number },
): Float32Array {
  const { k, n, bits, block } = shape;
  const blocks = Math.ceil(k / block);
  const scale =
    scaleType === 'float32'
      ? new Float32Array(scales.slice().buffer)
      : fromFloat16Array(new Uint16Array(scales.slice().buffer));
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const pick = (packed: Uint8Array, index: number) =>
    ((packed[Math.floor(index / perByte)] ?? 0) >> (bits * (index % perByte))) & mask;
  const zeroStride = Math.ceil((blocks * bits) / 8);
  const stride = codes.length / n;
  const values = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < k; i++) {
      const at = Math.floor(i / block);
      const zero = zeroPoints
        ? pick(zeroPoints.subarray(row * zeroStride, (row + 1) * zeroStride), at)
        : 2 ** (bits - 1);
      values[row * k + i] =
        (pick(codes.subarray(row * stride, (row + 1) * stride), i) - zero) * (scale[row * blocks + at] ?? 0);
    }
  }
  return values;
}

/** [rows, columns] turned round. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? 0,
  );
}
