import { afterEach, describe, expect, it } from 'vitest';
import { encode, graph, matMulModel, model, node, randomValues, tensor, tinyLanguageModel, value, type TinyLanguageModel } from '../../models/build.ts';
import { fromFloat16Array } from '../onnx/float16.ts';
import type { Provider, Result } from '../protocol.ts';
import { connect, type RemoteWorker } from '../remote.ts';
import { quantize } from '../test-support.ts';
import type { HostTensor, OpenOptions } from './graph-session.ts';
import type { OpenedGraph, ProvidersFixture } from './test-providers.worker.ts';

const workers: RemoteWorker<ProvidersFixture>[] = [];
const start = (): RemoteWorker<ProvidersFixture> => {
  const worker = connect<ProvidersFixture>(new Worker(new URL('./test-providers.worker.ts', import.meta.url), { type: 'module' }));
  workers.push(worker);
  return worker;
};
afterEach(() => { for (const worker of workers.splice(0)) worker.terminate(); });

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
}

const blob = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>]);
const tryOpen = (worker: RemoteWorker<ProvidersFixture>, on: Provider | 'wasm-beside', bytes: Uint8Array, options?: OpenOptions) =>
  worker.call<Result<OpenedGraph>>((api) => api.open(on, blob(bytes), options));
const open = async (...call: Parameters<typeof tryOpen>) => must(await tryOpen(...call));
const tryRun = (worker: RemoteWorker<ProvidersFixture>, session: number, feeds: Record<string, HostTensor>) =>
  worker.call<Result<Record<string, HostTensor>>>((api) => api.run(session, feeds));
const run = async (worker: RemoteWorker<ProvidersFixture>, session: number, feeds: Record<string, HostTensor>, output: string): Promise<Float32Array> => {
  const { type, data } = must(await tryRun(worker, session, feeds))[output]!;
  return type === 'float16' ? fromFloat16Array(data as Uint16Array) : data as Float32Array;
};

const tiny = (type: TinyLanguageModel['type']) => tinyLanguageModel({ vocabulary: 64, width: 32, hidden: 64, type, tied: false });
const ids: Record<string, HostTensor> = { input_ids: { type: 'int64', dims: [1, 6], data: BigInt64Array.from([3n, 1n, 4n, 1n, 5n, 9n]) } };

/** Largest difference, as a share of the largest value. */
function difference(actual: Float32Array, expected: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  expect(actual.length).toBe(expected.length);
  return largest(actual.map((each, index) => each - expected[index]!)) / largest(expected);
}

describe('a model on WebGPU', () => {
  it.each(['float32', 'float16'] as const)('gives what it gives on WASM, in one worker: %s', async (type) => {
    const worker = start();
    const webgpu = await open(worker, 'webgpu', tiny(type));
    const wasm = await open(worker, 'wasm-beside', tiny(type));
    expect(webgpu).toMatchObject({ threads: 2, adapter: { name: expect.stringMatching(/swiftshader/i), f16: false, softwareAdapter: true } });
    expect([webgpu.widened, wasm.widened]).toEqual([type === 'float16', false]);
    const [onGpu, onWasm] = await Promise.all([run(worker, webgpu.session, ids, 'logits'), run(worker, wasm.session, ids, 'logits')]);
    expect(difference(onGpu, onWasm)).toBeLessThan(type === 'float16' ? 5e-3 : 1e-5);
    expect(difference(onGpu, onWasm)).toBeGreaterThanOrEqual(0);
  });

  it.each(['int4', 'int4:block=16,asymmetric,embedding', 'int8'])('may be quantized: %s', async (level) => {
    const { bytes } = await quantize(tiny('float16'), level);
    const worker = start();
    const webgpu = await open(worker, 'webgpu', bytes, { placement: true });
    expect(webgpu.placement?.of).toBeGreaterThan(0);
    const wasm = await open(worker, 'wasm', bytes);
    expect(difference(await run(worker, webgpu.session, ids, 'logits'), await run(worker, wasm.session, ids, 'logits'))).toBeLessThan(1e-2);
  });

  it('takes float32 where the file has float16 inputs', async () => {
    const worker = start();
    const opened = await open(worker, 'webgpu', matMulModel(randomValues(1, 32), 8, 4, 'float16'));
    expect(opened).toMatchObject({ inputs: { x: 'float32' }, widened: true });
    const x = { type: 'float32', dims: [1, 8], data: randomValues(2, 8) };
    expect(await run(worker, opened.session, { x }, 'y')).toHaveLength(4);
  });

  it('can be opened and run again and again, and after one that cannot', async () => {
    const worker = start();
    const unknown = encode(model(graph({ node: [node('NoSuchOperator', ['x'], ['y'])], input: [value('x', 'float32', [1])], output: [value('y', 'float32', [1])] })));
    const broken = await tryOpen(worker, 'webgpu', unknown);
    expect(broken).toMatchObject({ ok: false, error: { code: 'session-failed' } });
    for (let round = 0; round < 3; round++) {
      const { session } = await open(worker, 'webgpu', tiny('float32'));
      expect(await run(worker, session, ids, 'logits')).toHaveLength(6 * 64);
      await worker.call((api) => api.release(session));
    }
  });
});

describe('nodes that fall back', () => {
  /** y = Hardmax(x · w), and x · w once more through Abs. */
  const mixed = encode(model(graph({
    node: [node('MatMul', ['x', 'w'], ['h']), node('Hardmax', ['h'], ['y']), node('Abs', ['h'], ['z'])],
    initializer: [tensor('w', 'float32', [8, 4], randomValues(1, 32))],
    input: [value('x', 'float32', ['rows', 8])],
    output: [value('y', 'float32', ['rows', 4]), value('z', 'float32', ['rows', 4])],
  })));

  it('are counted, without the copies between providers', async () => {
    const worker = start();
    expect((await open(worker, 'webgpu', mixed, { placement: true })).placement).toEqual({ nodes: 1, of: 3 });
    expect((await open(worker, 'webgpu', matMulModel(randomValues(1, 32), 8, 4), { placement: true })).placement).toEqual({ nodes: 0, of: 1 });
    expect((await open(worker, 'webgpu', mixed)).placement).toBeNull();
  });
});

describe('memory', () => {
  /** 1 MiB of weights. */
  const large = matMulModel(randomValues(1, 512 * 512), 512, 512);

  it('of the GPU is what the buffers take, and falls when a session is released', async () => {
    const worker = start();
    const before = await worker.call((api) => api.observed());
    expect(before).toMatchObject({ gpu: { live: 0, peak: 0 }, heap: 0 });
    const { session } = await open(worker, 'webgpu', large);
    await run(worker, session, { x: { type: 'float32', dims: [4, 512], data: randomValues(2, 2048) } }, 'y');
    const running = await worker.call((api) => api.observed());
    expect(running.gpu.live).toBeGreaterThanOrEqual(1 << 20);
    expect(running.gpu.live).toBeLessThan(8 << 20);
    expect(running.gpu.peak).toBeGreaterThanOrEqual(running.gpu.live);
    expect(running.heap).toBeGreaterThan(8 << 20);
    await worker.call((api) => api.release(session));
    const after = await worker.call((api) => api.observed());
    expect(after.gpu.live).toBeLessThanOrEqual(running.gpu.live - (1 << 20));
    expect(after.heap).toBeGreaterThanOrEqual(running.heap);
    await worker.call((api) => api.resetPeak());
    expect((await worker.call((api) => api.observed())).gpu).toEqual({ live: after.gpu.live, peak: after.gpu.live });
  });
});

describe('a lost device', () => {
  it('is an answer, for runs and for opening', async () => {
    const worker = start();
    const { session } = await open(worker, 'webgpu', tiny('float32'));
    await worker.call((api) => api.loseDevice());
    expect(await tryRun(worker, session, ids)).toMatchObject({ ok: false, error: { code: 'device-lost' } });
    expect(await tryOpen(worker, 'webgpu', tiny('float32'))).toMatchObject({ ok: false, error: { code: 'device-lost' } });
    expect((await worker.call((api) => api.observed())).gpu.live).toBe(0);
  });

  it('is an answer to a run in flight', async () => {
    const worker = start();
    const { session } = await open(worker, 'webgpu', tiny('float32'));
    const inFlight = tryRun(worker, session, ids);
    await worker.call((api) => api.loseDevice());
    const outcome = await inFlight;
    // It may have been through before.
    if (!outcome.ok) expect(outcome.error.code).toBe('device-lost');
    expect(await tryRun(worker, session, ids)).toMatchObject({ ok: false, error: { code: 'device-lost' } });
    await worker.call((api) => api.release(session));
  });
});
