/** Which float32 weights fp16 cannot hold: rounding would turn them into infinity. */
import { asFloat32 } from '../bytes.ts';
import type { Tensor } from '../onnx/model.ts';
import type { ByteSource } from '../source.ts';

/** The smallest float32 that rounds to infinity in fp16: halfway between 65,504 and 65,536. */
const OVERFLOW = 65_520;
const SLAB = 1 << 22;

/** Names of the tensors that hold a value beyond fp16's range. Reads each tensor once, in slabs. */
export async function findBeyondFloat16(source: ByteSource, tensors: readonly Tensor[], signal: AbortSignal, onBytes: (bytes: number) => void): Promise<Set<string>> {
  const beyond = new Set<string>();
  for (const { name, data } of tensors) {
    if (data.kind !== 'inline') continue;
    for (let at = 0; at < data.length; at += SLAB) {
      signal.throwIfAborted();
      const bytes = await source.read(data.offset + at, Math.min(SLAB, data.length - at));
      onBytes(bytes.length);
      if (holdsBeyond(bytes)) {
        beyond.add(name);
        break;
      }
    }
  }
  return beyond;
}

function holdsBeyond(bytes: Uint8Array): boolean {
  for (const value of asFloat32(bytes)) if (Math.abs(value) >= OVERFLOW && Number.isFinite(value)) return true;
  return false;
}
