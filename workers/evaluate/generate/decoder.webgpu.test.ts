import { expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import { openDecoder } from './decoder.ts';
import { watchGpuMemory } from '../sessions/gpu-memory.ts';
import type { GraphRuntime } from '../sessions/graph-session.ts';
import { openProvider } from '../sessions/providers.ts';
import { tinyDecoder } from '../test-models.ts';

/** The runtime, telling where the caches of its sessions are kept. */
function watched(runtime: GraphRuntime, onGpu: boolean[]): GraphRuntime {
  return {
    ...runtime,
    async open(model, options) {
      const session = await runtime.open(model, options);
      if (!session.ok) return session;
      const { runKeeping } = session.value;
      return {
        ok: true,
        value: {
          ...session.value,
          async runKeeping(...given) {
            const run = await runKeeping(...given);
            if (run.ok) onGpu.push(...Object.values(run.value.kept).map((tensor) => tensor.onGpu));
            return run;
          },
        },
      };
    },
  };
}

it('on WebGPU the cache stays on the GPU, and the same is said as on WASM', async () => {
  const memory = watchGpuMemory();
  const [webgpu, wasm] = [await openProvider('webgpu', 1), await openProvider('wasm', 1)];
  for (const build of [webgpu, wasm]) if (!build.ok) throw new Error(`${build.error.message} ${build.error.details}`);
  const model = tinyDecoder({ vocabulary: 40 });
  const said: number[][] = [];
  const live: number[] = [];
  for (const runtime of [wasm, webgpu].flatMap((build) => (build.ok ? [build.value] : []))) {
    const onGpu: boolean[] = [];
    const decoder = await openDecoder(watched(runtime, onGpu), inOneFile(model));
    if (!decoder.ok) throw new Error(`${decoder.error.message} ${decoder.error.details}`);
    expect(decoder.value.cached).toBe(true);
    const tokens: number[] = [];
    for (let ids = Int32Array.of(3, 1, 4); tokens.length < 24;) {
      const logits = await decoder.value.next(ids);
      if (!logits.ok) throw new Error(`${logits.error.message} ${logits.error.details}`);
      tokens.push(logits.value.indexOf(Math.max(...logits.value)));
      ids = Int32Array.from(tokens.slice(-1));
      if (runtime.provider === 'webgpu') live.push(memory.live());
    }
    said.push(tokens);
    expect(new Set(onGpu)).toEqual(new Set([runtime.provider === 'webgpu']));
    await decoder.value.release();
  }
  expect(said[1]).toEqual(said[0]);
  expect(new Set(said[0]).size).toBeGreaterThan(2);
  // Caches fed back are disposed of: the last ten tokens add less than ten caches of their size.
  expect(live.at(-1)! - live.at(-11)!).toBeLessThan(10 * 20 * 8 * 4);
});
