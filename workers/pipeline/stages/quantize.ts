/** Stage `quantize`: gets ready what makes the weights of all levels. They are made while they are written, see quantize/quantizer.ts. */
import type { Backend } from '../../contract/capabilities.ts';
import { createQuantizer, type Quantizer } from '../../quantize/quantizer.ts';
import type { JobContext } from '../job-context.ts';
import type { OpenedJob } from './open.ts';

export interface JobQuantizer extends Quantizer {
  /** What the kernel runs on now: after its device is lost, another one than at first. */
  backend(): Backend;
  /** Ends the threads that quantize and read. */
  dispose(): void;
}

/** Rejects when no kernel can be made. */
export async function quantize(
  { kernel: choosing, platform: { pool, reader } }: JobContext,
  { file, external, input: { model } }: OpenedJob,
): Promise<JobQuantizer> {
  const kernel = await choosing;
  return {
    ...createQuantizer({ kernel, model, ...(pool && { workers: { pool, file, external } }) }),
    backend: () => kernel.backend,
    dispose() {
      pool?.dispose();
      reader?.dispose();
    },
  };
}
