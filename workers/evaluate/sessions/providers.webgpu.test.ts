import { afterAll, describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import {
  encode,
  graph,
  matMulModel,
  model,
  node,
  randomValues,
  splitModel,
  tensor,
  tinyLanguageModel,
  value,
  type TinyLanguageModel,
} from '../../../models/build.ts';
import { fromFloat16Array, toFloat16Array } from '../../onnx/numbers/float16.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { connect, type RemoteWorker } from '../../rpc/remote.ts';
import { quantize } from '../../test-support.ts';
import type { HostTensor, OpenOptions } from './graph-session.ts';
import type { Observed, OpenedGraph, ProvidersFixture } from './test-providers.worker.ts';

const start = (): RemoteWorker<ProvidersFixture> =>
  connect(new Worker(new URL('./test-providers.worker.ts', import.meta.url), { type: 'module' }));

/** One for all, but for what cannot be undone: each has its own onnxruntime to load. */
const worker = start();
afterAll(() => {
  worker.terminate();
});

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
}

const blob = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>]);
const tryOpen = (on: Provider, bytes: Uint8Array, options?: OpenOptions, at = worker) =>
  at.call<Result<OpenedGraph>>((api) => api.open(on, inOneFile(blob(bytes)), options));
const open = async (...call: Parameters<typeof tryOpen>) => must(await tryOpen(...call));
const tryRun = (session: number, feeds: Record<string, HostTensor>, at = worker) =>
  at.call<Result<Record<string, HostTensor>>>((api) => api.run(session, feeds));
const run = async (session: number, feeds: Record<string, HostTensor>, output: string): Promise<Float32Array> => {
  const { type, data } = must(await tryRun(session, feeds))[output]!;
  return type === 'float16' ? fromFloat16Array(data as Uint16Array) : (data as Float32Array);
};

const tiny = (type: TinyLanguageModel['type']) =>
  tinyLanguageModel({ vocabulary: 64, width: 32, hidden: 64, type, tied: false });
const ids: Record<string, HostTensor> = {
  input_ids: { type: 'int64', dims: [1, 6], data: BigInt64Array.from([3n, 1n, 4n, 1n, 5n, 9n]) },
};

const hasF16 = async () => (await navigator.gpu.requestAdapter())?.features.has('shader-f16') === true;

/** Largest difference, as a share of the largest value. */
function difference(actual: Float32Array, expected: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  expect(actual.length).toBe(expected.length);
  return largest(actual.map((each, index) => each - expected[index]!)) / largest(expected);
}

describe('a model on WebGPU', () => {
  it.each(['float32', 'float16'] as const)('gives what it gives on WASM, in one worker: %s', async (type) => {
    const webgpu = await open('webgpu', tiny(type));
    const wasm = await open('wasm', tiny(type));
    const f16 = await hasF16();
    expect(webgpu).toMatchObject({
      threads: 2,
      adapter: { name: expect.stringMatching(/swiftshader/i), f16, softwareAdapter: true },
    });
    expect([webgpu.widened, wasm.widened]).toEqual([type === 'float16' && !f16, false]);
    const [onGpu, onWasm] = await Promise.all([run(webgpu.session, ids, 'logits'), run(wasm.session, ids, 'logits')]);
    expect(difference(onGpu, onWasm)).toBeLessThan(type === 'float16' ? 5e-3 : 1e-5);
  });

  it.each<Provider>(['webgpu', 'wasm'])('may be in two files, on %s', async (on) => {
    const one = await open(on, tiny('float16'));
    const { model: graphOnly, files } = splitModel(tiny('float16'), () => 'm.onnx_data');
    const data = { file: 'm.onnx_data', blob: blob(files.get('m.onnx_data')!) };
    const both = { model: blob(graphOnly), data };
    const two = must(await worker.call<Result<OpenedGraph>>((api) => api.open(on, both)));
    expect(await run(two.session, ids, 'logits')).toEqual(await run(one.session, ids, 'logits'));
  });

  it.each(['int4', 'int4:block=16,asymmetric,embedding', 'q4f16', 'int8'])('may be quantized: %s', async (level) => {
    const { bytes } = await quantize(tiny('float16'), level);
    const webgpu = await open('webgpu', bytes, { placement: true });
    expect(webgpu.placement?.of).toBeGreaterThan(0);
    const wasm = await open('wasm', bytes);
    expect(difference(await run(webgpu.session, ids, 'logits'), await run(wasm.session, ids, 'logits'))).toBeLessThan(
      1e-2,
    );
  });

  it('takes float32 where the file has float16 inputs and the adapter no f16', async () => {
    const opened = await open('webgpu', matMulModel(randomValues(1, 32), 8, 4, 'float16'));
    const f16 = await hasF16();
    expect(opened).toMatchObject({ inputs: { x: f16 ? 'float16' : 'float32' }, widened: !f16 });
    const x = f16
      ? { type: 'float16', dims: [1, 8], data: toFloat16Array(randomValues(2, 8)) }
      : { type: 'float32', dims: [1, 8], data: randomValues(2, 8) };
    expect(await run(opened.session, { x }, 'y')).toHaveLength(4);
  });

  it('can be opened and run again and again, and after one that cannot', async () => {
    const unknown = encode(
      model(
        graph({
          node: [node('NoSuchOperator', ['x'], ['y'])],
          input: [value('x', 'float32', [1])],
          output: [value('y', 'float32', [1])],
        }),
      ),
    );
    const broken = await tryOpen('webgpu', unknown);
    expect(broken).toMatchObject({ ok: false, error: { code: 'session-failed' } });
    for (let round = 0; round < 3; round++) {
      const { session } = await open('webgpu', tiny('float32'));
      expect(await run(session, ids, 'logits')).toHaveLength(6 * 64);
      await worker.call((api) => api.release(session));
    }
  });
});

describe('nodes that fall back', () => {
  /** y = Hardmax(x · w), and x · w once more through Abs. */
  const mixed = encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['h']), node('Hardmax', ['h'], ['y']), node('Abs', ['h'], ['z'])],
        initializer: [tensor('w', 'float32', [8, 4], randomValues(1, 32))],
        input: [value('x', 'float32', ['rows', 8])],
        output: [value('y', 'float32', ['rows', 4]), value('z', 'float32', ['rows', 4])],
      }),
    ),
  );

  it('are counted, without the copies between providers', async () => {
    expect((await open('webgpu', mixed, { placement: true })).placement).toEqual({ nodes: 1, of: 3 });
    expect((await open('webgpu', matMulModel(randomValues(1, 32), 8, 4), { placement: true })).placement).toEqual({
      nodes: 0,
      of: 1,
    });
    expect((await open('webgpu', mixed)).placement).toBeNull();
  });
});

describe('memory of the GPU', () => {
  /** 1 MiB of weights. */
  const large = matMulModel(randomValues(1, 512 * 512), 512, 512);

  it('is what the buffers take', async () => {
    const other = start();
    const observed = () => other.call<Observed>((api) => api.observed());
    try {
      expect(await observed()).toEqual({ gpu: { live: 0, peak: 0 }, heap: 0 });
      const { session } = await open('webgpu', large, {}, other);
      must(await tryRun(session, { x: { type: 'float32', dims: [4, 512], data: randomValues(2, 2048) } }, other));
      const running = await observed();
      expect(running.gpu.live).toBeGreaterThanOrEqual(1 << 20);
      expect(running.gpu.live).toBeLessThan(4 << 20);
      expect(running.gpu.peak).toBeGreaterThanOrEqual(running.gpu.live);
      expect(running.heap).toBeGreaterThan(8 << 20);
      await other.call((api) => api.release(session));
      await other.call((api) => api.resetPeak());
      const released = await observed();
      expect(released.gpu.peak).toBe(released.gpu.live);
      expect(released.gpu.live).toBeLessThanOrEqual(running.gpu.live);
    } finally {
      other.terminate();
    }
  });
});

describe('a reset', () => {
  it('gives back what released sessions left, unless one is open, and what comes after runs', async () => {
    const other = start();
    const live = async () => (await other.call<Observed>((api) => api.observed())).gpu.live;
    try {
      const first = await open('webgpu', tiny('float32'), {}, other);
      await other.call((api) => api.reset());
      must(await tryRun(first.session, ids, other));
      await other.call((api) => api.release(first.session));
      await other.call((api) => api.reset());
      expect(await live()).toBe(0);
      const second = await open('webgpu', tiny('float32'), {}, other);
      must(await tryRun(second.session, ids, other));
      expect(await live()).toBeGreaterThan(0);
      await other.call((api) => api.loseDevice());
      expect(await tryRun(second.session, ids, other)).toMatchObject({ ok: false, error: { code: 'device-lost' } });
    } finally {
      other.terminate();
    }
  });
});

describe('a lost device', () => {
  it('is an answer, to a run in flight and to whatever is asked next', async () => {
    const other = start();
    try {
      const { session } = await open('webgpu', tiny('float32'), {}, other);
      const inFlight = tryRun(session, ids, other);
      await other.call((api) => api.loseDevice());
      const outcome = await inFlight;
      // It may have been through before.
      if (!outcome.ok) expect(outcome.error.code).toBe('device-lost');
      const lost = { ok: false, error: { code: 'device-lost' } };
      expect(await tryRun(session, ids, other)).toMatchObject(lost);
      expect(await tryOpen('webgpu', tiny('float32'), {}, other)).toMatchObject(lost);
      expect(await tryOpen('wasm', tiny('float32'), {}, other)).toMatchObject({ ok: true });
      await other.call((api) => api.release(session));
      expect((await other.call<Observed>((api) => api.observed())).gpu.live).toBe(0);
    } finally {
      other.terminate();
    }
  });
});
