/** For tests: a worker that opens models on the providers and tells what it observed. */
import type { ModelFiles } from '../../contract/files.ts';
import type { AdapterFacts } from '../../kernels/webgpu/adapter.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { expose } from '../../rpc/remote.ts';
import { watchGpuMemory } from './gpu-memory.ts';
import type { GraphSession, HostTensor, OpenOptions, Placement } from './graph-session.ts';
import { watchHeap } from './heap.ts';
import { openProvider } from './providers.ts';

export interface Observed {
  gpu: { live: number; peak: number };
  heap: number;
}

export interface OpenedGraph {
  /** Its number, to be run by. */
  session: number;
  /** Element types of the inputs. */
  inputs: Record<string, string>;
  widened: boolean;
  placement: Placement | null;
  adapter: AdapterFacts | null;
  threads: number;
}

export interface ProvidersFixture {
  /** Opens a model beside those already open. */
  open(on: Provider, model: ModelFiles, options?: OpenOptions): Promise<Result<OpenedGraph>>;
  run(session: number, feeds: Record<string, HostTensor>): Promise<Result<Record<string, HostTensor>>>;
  release(session: number): Promise<void>;
  /** Of the WebGPU provider. */
  reset(): Promise<void>;
  observed(): Promise<Observed>;
  resetPeak(): Promise<void>;
  /** Takes the device away from onnxruntime. */
  loseDevice(): Promise<void>;
}

const heap = watchHeap();
const gpu = watchGpuMemory();
const sessions: GraphSession[] = [];

const fixture: ProvidersFixture = {
  async open(on, model, options) {
    const runtime = await openProvider(on, 2);
    if (!runtime.ok) return runtime;
    const opened = await runtime.value.open(model, options);
    if (!opened.ok) return opened;
    const { inputs, widened, placement } = opened.value;
    return {
      ok: true,
      value: {
        session: sessions.push(opened.value) - 1,
        inputs: Object.fromEntries(inputs.map((input) => [input.name, input.type ?? ''])),
        widened,
        placement,
        adapter: runtime.value.adapter ?? null,
        threads: runtime.value.threads(),
      },
    };
  },
  run: (session, feeds) => sessions[session]!.run(feeds),
  release: (session) => sessions[session]!.release(),
  async reset() {
    const webgpu = await openProvider('webgpu', 2);
    if (webgpu.ok) await webgpu.value.reset?.();
  },
  observed: async () => ({ gpu: { live: gpu.live(), peak: gpu.peak() }, heap: heap.bytes() }),
  async resetPeak() {
    gpu.resetPeak();
  },
  async loseDevice() {
    const { ort } = await import('./runtime-webgpu.ts');
    (await ort.env.webgpu.device).destroy();
  },
};

expose(fixture);
