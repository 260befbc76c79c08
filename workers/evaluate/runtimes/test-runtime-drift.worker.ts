/** For tests: a worker that measures runtime drift, with a fault planted in a kind of kernel or without. */
import type { ModelFiles } from '../../contract/files.ts';
import type { Result } from '../../contract/errors.ts';
import type { RuntimeDrift } from '../../contract/report.ts';
import { expose } from '../../rpc/remote.ts';
import { plantFault } from '../sessions/planted-fault.ts';
import { openProvider } from '../sessions/providers.ts';
import { runtimeDrift } from './runtime-drift.ts';

export interface RuntimeDriftFixture {
  /** @param kernel The kind of kernel that is wrong from the beginning. */
  drift(model: ModelFiles, ids: Int32Array, quantization: number, kernel: string | null): Promise<Result<RuntimeDrift>>;
}

const fixture: RuntimeDriftFixture = {
  async drift(model, ids, quantization, kernel) {
    if (kernel) plantFault(kernel);
    const runtime = await openProvider('webgpu', 2);
    if (!runtime.ok) return runtime;
    const against = await openProvider('wasm', 2);
    return against.ok
      ? runtimeDrift({
          model,
          runtime: runtime.value,
          against: against.value,
          windows: [{ ids }],
          quantization,
          seconds: 0,
        })
      : against;
  },
};

expose(fixture);
