/**
 * Graphs on onnxruntime-web's WebGPU provider; what it cannot run it leaves to the CPU provider by itself. Models are
 * widened where the adapter has no float16, and a lost device is an answer instead of a run that never ends.
 */
import { toEngineError } from '../errors.ts';
import type { AdapterFacts } from '../kernels/webgpu/adapter.ts';
import { createQueue } from '../kernels/pace.ts';
import { widenModel } from '../onnx/widen.ts';
import type { Result } from '../protocol.ts';
import { failure, type Failure } from './errors.ts';
import {
  openGraph, SESSION_OPTIONS, setThreads, threadsOf, wasmRuntime, type GraphRuntime, type GraphSession, type OnnxRuntime, type OpenOptions,
} from './graph-session.ts';
import { hear, readPlacement } from './placement.ts';

/** The providers of one WebGPU build of onnxruntime-web. */
export interface WebGpuBuild {
  webgpu: GraphRuntime;
  /** The same build's WASM provider, to run a file on both side by side; somewhat slower than the plain build's. */
  wasm: GraphRuntime;
}

/** A run in flight fails some time before the loss of its device is announced. */
const LOSS_ANNOUNCED_MS = 500;

/**
 * Both providers of `ort`, a build with WebGPU. Calls made at once are done one after the other, whichever provider they
 * are for: the build can have but one call suspended.
 */
export function webgpuBuild(ort: OnnxRuntime, threads: number, adapter: AdapterFacts): WebGpuBuild {
  setThreads(ort, threads);
  const inTurn = createQueue();
  const wasm = wasmRuntime(ort, threads);
  let announce!: (failure: Failure) => void;
  const loss = new Promise<Failure>((resolve) => { announce = resolve; });
  let device: GPUDevice | undefined;

  const orLost = async <T>(work: Promise<Result<T>>): Promise<Result<T>> => {
    const result = await Promise.race([work, loss]);
    return result.ok ? result : Promise.race([loss, new Promise<Result<T>>((resolve) => setTimeout(resolve, LOSS_ANNOUNCED_MS, result))]);
  };
  const watchDevice = async () => {
    if (device) return;
    device = await ort.env.webgpu.device as GPUDevice;
    void device.lost.then(({ message }) => { announce(deviceLost(message)); });
  };

  return {
    webgpu: {
      provider: 'webgpu',
      adapter,
      threads: () => threadsOf(ort),
      async open(model, { placement = false }: OpenOptions = {}) {
        let wide: Blob | null;
        try {
          wide = adapter.f16 ? null : await widenModel(model);
        } catch (thrown) {
          return { ok: false, error: toEngineError(thrown) };
        }
        const open = () => openGraph(ort, wide ?? model, {
          ...SESSION_OPTIONS, executionProviders: ['webgpu'], ...(placement ? { logSeverityLevel: 0 as const } : {}),
        });
        const { value: opened, lines } = await inTurn(() => hear(() => orLost(open())));
        if (!opened.ok) return opened;
        await watchDevice();
        const session = opened.value;
        return {
          ok: true,
          value: {
            inputs: session.inputs,
            outputs: session.outputs,
            widened: wide !== null,
            placement: placement ? readPlacement(lines, 'WebGpuExecutionProvider') : null,
            run: (feeds, fetch) => inTurn(() => orLost(session.run(feeds, fetch))),
            release: () => inTurn(() => Promise.race([session.release(), loss.then(() => undefined)])),
          },
        };
      },
    },
    wasm: {
      ...wasm,
      async open(model) {
        const opened = await inTurn(() => wasm.open(model));
        return opened.ok ? { ok: true, value: takingTurns(opened.value, inTurn) } : opened;
      },
    },
  };
}

function takingTurns(session: GraphSession, inTurn: ReturnType<typeof createQueue>): GraphSession {
  return {
    ...session,
    run: (feeds, fetch) => inTurn(() => session.run(feeds, fetch)),
    release: () => inTurn(() => session.release()),
  };
}

function deviceLost(message: string): Failure {
  return failure('device-lost', 'The GPU went away while a model was running on it.',
    'Start again; if it happens often, measure a smaller model or update the graphics driver.', message);
}
