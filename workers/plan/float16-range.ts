/** Which float32 weights fp16 cannot hold: rounding would turn them into infinity. */
import { asFloat32 } from '../bytes.ts';
import type { Tensor } from '../onnx/model.ts';
import { readTensor } from '../onnx/tensor-data.ts';
import { inSlabs, NO_EXTERNAL_FILES, type ByteSource, type ExternalFiles } from '../source.ts';

/** The smallest float32 that rounds to infinity in fp16: halfway between 65,504 and 65,536. */
const OVERFLOW = 65_520;

/** Names of the tensors that hold a value beyond fp16's range. Reads each tensor once, in slabs. */
export async function findBeyondFloat16(source: ByteSource, tensors: readonly Tensor[], signal: AbortSignal, onBytes: (bytes: number) => void, external: ExternalFiles = NO_EXTERNAL_FILES): Promise<Set<string>> {
  const beyond = new Set<string>();
  for (const tensor of tensors) {
    const { name, data, bytes: size } = tensor;
    const file = data.kind === 'inline' ? source : data.kind === 'external' ? external.get(data.location) : undefined;
    if (!file || (data.kind !== 'inline' && data.kind !== 'external')) {
      signal.throwIfAborted();
      if (holdsBeyond(await readTensor(source, tensor, external))) beyond.add(name);
      onBytes(size);
      continue;
    }
    const length = data.length ?? size;
    for await (const slab of inSlabs(file, data.offset, data.offset + length)) {
      signal.throwIfAborted();
      onBytes(slab.length);
      if (!holdsBeyond(slab)) continue;
      beyond.add(name);
      break;
    }
  }
  return beyond;
}

function holdsBeyond(bytes: Uint8Array): boolean {
  for (const value of asFloat32(bytes)) if (Math.abs(value) >= OVERFLOW && Number.isFinite(value)) return true;
  return false;
}
