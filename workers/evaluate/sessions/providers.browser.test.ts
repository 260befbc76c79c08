import { afterAll, describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import { matMulModel, randomValues } from '../../../models/build.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { connect } from '../../rpc/remote.ts';
import type { HostTensor } from './graph-session.ts';
import type { Observed, OpenedGraph, ProvidersFixture } from './test-providers.worker.ts';

const worker = connect<ProvidersFixture>(
  new Worker(new URL('./test-providers.worker.ts', import.meta.url), { type: 'module' }),
);
afterAll(() => {
  worker.terminate();
});

const model = new Blob([matMulModel(randomValues(1, 32), 8, 4)]);
const open = (on: Provider) => worker.call<Result<OpenedGraph>>((api) => api.open(on, inOneFile(model)));

describe('without a GPU adapter', () => {
  it('says why there is no WebGPU and what to do', async () => {
    expect(await open('webgpu')).toMatchObject({
      ok: false,
      error: {
        code: 'session-failed',
        message: expect.stringMatching(/^Models cannot be run on WebGPU here: .*(no WebGPU|no GPU adapter)/),
        action: expect.stringMatching(/\.$/),
      },
    });
    expect(await worker.call<Observed>((api) => api.observed())).toEqual({ gpu: { live: 0, peak: 0 }, heap: 0 });
  });

  it('runs models on WASM all the same, in a heap that is seen', async () => {
    const opened = await open('wasm');
    if (!opened.ok) throw new Error(opened.error.details);
    expect(opened.value).toMatchObject({ widened: false, placement: null, adapter: null, threads: 2 });
    const x: HostTensor = { type: 'float32', dims: [1, 8], data: new Float32Array(8) };
    const outcome = await worker.call<Result<Record<string, HostTensor>>>((api) =>
      api.run(opened.value.session, { x }),
    );
    expect(outcome).toMatchObject({ ok: true, value: { y: { type: 'float32', dims: [1, 4] } } });
    expect((await worker.call<Observed>((api) => api.observed())).heap).toBeGreaterThan(8 << 20);
  });
});
