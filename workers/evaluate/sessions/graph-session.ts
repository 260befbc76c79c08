/**
 * A graph opened in onnxruntime-web, language model or not: tensors in, tensors out. Sessions, the runtime's tensors and
 * what it throws end here.
 */
import type * as Ort from 'onnxruntime-web';
import type { AdapterFacts } from '../../kernels/webgpu/adapter.ts';
import type { ModelFiles } from '../../contract/files.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { failure, isOutOfMemory, outOfMemory, type Failure } from '../errors.ts';
import { withFreeDimensions, type ValueInfo } from '../inputs.ts';

/** The part of onnxruntime-web used here; which build it is, is the caller's business. */
export type OnnxRuntime = Pick<typeof Ort, 'InferenceSession' | 'Tensor' | 'env'>;

export type TensorValues =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A tensor in the page's memory. `type` is onnxruntime's name; fp16 is a Uint16Array of its bits, bool and 4 bits a Uint8Array. */
export interface HostTensor {
  type: string;
  dims: readonly number[];
  data: TensorValues;
}

/**
 * A tensor where the runtime keeps it: on the GPU, or outside the heap in the page's memory. It is fed back as it is,
 * and is its holder's to dispose of.
 */
export interface KeptTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly onGpu: boolean;
  dispose(): void;
}

export interface GraphSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** The model's float16 was widened to float32, because the adapter has none; inputs and outputs too. */
  readonly widened: boolean;
  /** Nodes of the optimized graph that another provider runs than was asked for; null where that was not asked for or cannot be told. */
  readonly placement: Placement | null;
  /**
   * @param fetch Outputs to compute; all when absent. What is not asked for is never copied out of the heap.
   * Errors: `session-failed`, `out-of-memory`.
   */
  run(
    feeds: Readonly<Record<string, HostTensor | KeptTensor>>,
    fetch?: readonly string[],
  ): Promise<Result<Record<string, HostTensor>>>;
  /**
   * @param fetch Outputs to bring into the page's memory.
   * @param keep Outputs to leave where they are; on the GPU those named when the model was opened stay there.
   * Errors: `session-failed`, `out-of-memory`.
   */
  runKeeping(
    feeds: Readonly<Record<string, HostTensor | KeptTensor>>,
    fetch: readonly string[],
    keep: readonly string[],
  ): Promise<Result<KeepingRun>>;
  release(): Promise<void>;
}

export interface KeepingRun {
  fetched: Record<string, HostTensor>;
  kept: Record<string, KeptTensor>;
}

/** Of all the nodes in a graph, those that fell back to another provider. */
export interface Placement {
  nodes: number;
  of: number;
}

export interface OpenOptions {
  /** Find out `placement`. The session then logs each step it takes, which makes its runs slow: not one to time. */
  placement?: boolean;
  /** Outputs that stay where they are computed, for `runKeeping`. */
  keep?: readonly string[];
  /** False runs the graph as it is written, each node by a kernel of its own; true when absent. */
  optimized?: boolean;
}

/** One execution provider. */
export interface GraphRuntime {
  provider: Provider;
  /** On WebGPU: what it runs on. */
  adapter?: AdapterFacts;
  /** Errors: `session-failed`, `out-of-memory`; on WebGPU also `device-lost`, after which nothing can be opened any more. */
  open(model: ModelFiles, options?: OpenOptions): Promise<Result<GraphSession>>;
  /** Threads in use, known once a model has been opened. */
  threads(): number;
  /** On WebGPU: gives back what released sessions left on the GPU, and the shaders with it. Does nothing while one is open. */
  reset?(): Promise<void>;
}

export const SESSION_OPTIONS: Ort.InferenceSession.SessionOptions = {
  // What onnxruntime does by default everywhere, so that figures compare with other runs of it.
  graphOptimizationLevel: 'all',
  // An arena would hold each session's peak between runs; sessions that take turns can share the heap. No slower.
  enableCpuMemArena: false,
  logSeverityLevel: 3,
};

export const UNOPTIMIZED: Ort.InferenceSession.SessionOptions = { graphOptimizationLevel: 'disabled' };

/** onnxruntime-web on its WASM provider, with `threads` threads where the page is isolated, else one. */
export function wasmRuntime(ort: OnnxRuntime, threads: number): GraphRuntime {
  setThreads(ort, threads);
  return {
    provider: 'wasm',
    open: (model, { optimized = true } = {}) =>
      openGraph(ort, model, { ...SESSION_OPTIONS, ...(optimized ? {} : UNOPTIMIZED), executionProviders: ['wasm'] }),
    threads: () => threadsOf(ort),
  };
}

export function setThreads(ort: OnnxRuntime, threads: number): void {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.proxy = false;
}

/** The runtime lowers the number when it finds that it cannot have threads. */
export function threadsOf(ort: OnnxRuntime): number {
  return ort.env.wasm.numThreads ?? 1;
}

/** Errors: `session-failed`, `out-of-memory`. */
export async function openGraph(
  ort: OnnxRuntime,
  { model, data }: ModelFiles,
  options: Ort.InferenceSession.SessionOptions,
): Promise<Result<GraphSession>> {
  let session: Ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(await readBytes(model), {
      ...options,
      ...(data && { externalData: [{ path: data.file, data: await readBytes(data.blob) }] }),
    });
  } catch (thrown) {
    return sessionFailure('open', thrown);
  }
  return {
    ok: true,
    value: {
      inputs: session.inputMetadata.map(withFreeDimensions),
      outputs: session.outputMetadata.map(withFreeDimensions),
      widened: false,
      placement: null,
      async run(feeds, fetch) {
        try {
          const outputs = await (fetch
            ? session.run(tensorsOf(ort, feeds), fetch)
            : session.run(tensorsOf(ort, feeds)));
          return {
            ok: true,
            value: Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, toHost(value)])),
          };
        } catch (thrown) {
          return sessionFailure('run', thrown);
        }
      },
      async runKeeping(feeds, fetch, keep) {
        try {
          const outputs = await session.run(tensorsOf(ort, feeds), [...fetch, ...keep]);
          const entries = Object.entries(outputs);
          return {
            ok: true,
            value: {
              fetched: Object.fromEntries(
                entries.filter(([name]) => fetch.includes(name)).map(([name, value]) => [name, toHost(value)]),
              ),
              kept: Object.fromEntries(
                entries.filter(([name]) => keep.includes(name)).map(([name, value]) => [name, toKept(value)]),
              ),
            },
          };
        } catch (thrown) {
          return sessionFailure('run', thrown);
        }
      },
      release: () => release(session),
    },
  };
}

/** Browsers do not read more than 2 GB of a blob at once. */
const SLAB = 2 ** 28;

async function readBytes(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  if (blob.size <= SLAB) return new Uint8Array(await blob.arrayBuffer());
  const bytes = new Uint8Array(blob.size);
  for (let at = 0; at < blob.size; at += SLAB)
    bytes.set(new Uint8Array(await blob.slice(at, at + SLAB).arrayBuffer()), at);
  return bytes;
}

/** onnxruntime-web insists on a Float16Array wherever the runtime has one; TypeScript's library has none yet. */
const { Float16Array: HalfArray } = globalThis as {
  Float16Array?: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => Uint16Array;
};

/** What stands behind kept tensors; theirs alone, so that nothing else can be fed as one. */
const keptTensors = new WeakMap<object, Ort.Tensor>();

function toKept(tensor: Ort.Tensor): KeptTensor {
  const kept: KeptTensor = {
    type: tensor.type,
    dims: tensor.dims,
    onGpu: tensor.location === 'gpu-buffer',
    dispose: () => {
      tensor.dispose();
    },
  };
  keptTensors.set(kept, tensor);
  return kept;
}

function tensorsOf(
  ort: OnnxRuntime,
  feeds: Readonly<Record<string, HostTensor | KeptTensor>>,
): Record<string, Ort.Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, value]) => [
      name,
      'data' in value ? toRuntime(ort, value) : keptTensor(name, value),
    ]),
  );
}

function keptTensor(name: string, value: KeptTensor): Ort.Tensor {
  const tensor = keptTensors.get(value);
  if (!tensor) throw new TypeError(`"${name}" is fed something that no run has kept`);
  return tensor;
}

function toRuntime(ort: OnnxRuntime, { type, dims, data }: HostTensor): Ort.Tensor {
  const values = type === 'float16' && HalfArray ? new HalfArray(data.buffer, data.byteOffset, data.length) : data;
  return new ort.Tensor(type as Ort.Tensor.Type, values as Ort.Tensor.DataType, dims);
}

function toHost({ type, dims, data }: Ort.Tensor): HostTensor {
  if (!ArrayBuffer.isView(data)) throw new TypeError(`an output of type ${type}`);
  // fp16 comes as a Uint16Array, or as a Float16Array where the runtime has one: the same bits.
  const values = type === 'float16' ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2) : data;
  return { type, dims, data: values };
}

function sessionFailure(doing: 'open' | 'run', thrown: unknown): Failure {
  if (isOutOfMemory(thrown)) return outOfMemory(doing === 'open' ? 'Opening the model' : 'Running the model', thrown);
  return doing === 'open'
    ? failure(
        'session-failed',
        'onnxruntime-web could not open the model.',
        'Check that the model runs elsewhere.',
        thrown,
      )
    : failure(
        'session-failed',
        'onnxruntime-web could not run the model.',
        'Check that the model runs elsewhere.',
        thrown,
      );
}

/** A session whose runtime has already failed may fail again here; there is nothing left to free then. */
async function release(session: Ort.InferenceSession): Promise<void> {
  try {
    await session.release();
  } catch {
    // Its memory goes with the worker.
  }
}
