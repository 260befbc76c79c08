/**
 * Graphs on onnxruntime-web's WebGPU provider; what it cannot run it leaves to the CPU provider by itself. Models are
 * widened where the adapter has no float16, and a lost device is an answer instead of a run that never ends.
 */
import { inOneFile } from '../../onnx/model-files.ts';
import type { ModelFiles } from '../../contract/files.ts';
import { toEngineError } from '../../contract/errors.ts';
import type { AdapterFacts } from '../../kernels/webgpu/adapter.ts';
import pLimit from 'p-limit';
import { widenModel } from '../../onnx/widen.ts';
import type { Result } from '../../contract/errors.ts';
import { failure, type Failure } from '../errors.ts';
import {
  openGraph,
  SESSION_OPTIONS,
  setThreads,
  threadsOf,
  UNOPTIMIZED,
  type GraphRuntime,
  type GraphSession,
  type OnnxRuntime,
  type OpenOptions,
} from './graph-session.ts';
import { hear, readPlacement } from './placement.ts';
import { smallestModel } from './smallest-model.ts';

/** A run in flight fails some time before the loss of its device is announced. */
const LOSS_ANNOUNCED_MS = 500;
const VERBOSE = 0 as const;
/** As onnxruntime calls it in its log. */
const PROVIDER = 'WebGpuExecutionProvider';

/**
 * The WebGPU provider of `ort`, a build that has it. Calls made at once are done one after the other, for the build can
 * have but one suspended. One that was suspended when the device was lost stays so, and blocks the build: from then on
 * every call is answered with `device-lost` without asking it.
 */
export function webgpuRuntime(ort: OnnxRuntime, threads: number, adapter: AdapterFacts): GraphRuntime {
  setThreads(ort, threads);
  const queued = pLimit(1);
  /** onnxruntime destroys its device, and the shaders made for it, with the last session on it: this one stays. */
  let keeper: GraphSession | undefined;
  let watched: GPUDevice | undefined;
  const open = new Set<GraphSession>();
  let lost: Failure | undefined;
  let announce!: (failure: Failure) => void;
  const loss = new Promise<Failure>((resolve) => {
    announce = resolve;
  });

  const keepDevice = async () => {
    if (keeper) return;
    const smallest = await openGraph(ort, inOneFile(smallestModel()), {
      ...SESSION_OPTIONS,
      executionProviders: ['webgpu'],
    });
    if (smallest.ok) keeper = smallest.value;
    const device = await ort.env.webgpu.device;
    if (device === watched) return;
    watched = device;
    void device.lost.then(({ message }) => {
      // One that was given up is destroyed, which is no loss.
      if (device !== watched) return;
      lost = deviceLost(message);
      announce(lost);
    });
  };
  const inTurn = <T>(work: () => Promise<Result<T>>): Promise<Result<T>> =>
    queued(async () => {
      if (lost) return lost;
      const result = await Promise.race([work(), loss]);
      return result.ok ? result : Promise.race([loss, later(result, LOSS_ANNOUNCED_MS)]);
    });

  return {
    provider: 'webgpu',
    adapter,
    threads: () => threadsOf(ort),
    async reset() {
      await inTurn(async () => {
        if (open.size > 0) return { ok: true, value: undefined };
        watched = undefined;
        await keeper?.release();
        keeper = undefined;
        return { ok: true, value: undefined };
      });
    },
    async open(model, { placement = false, keep = [], optimized = true }: OpenOptions = {}) {
      let wide: ModelFiles | null;
      try {
        wide = adapter.f16 ? null : await widenModel(model);
      } catch (thrown) {
        return { ok: false, error: toEngineError(thrown) };
      }
      const options = {
        ...SESSION_OPTIONS,
        ...(optimized ? {} : UNOPTIMIZED),
        executionProviders: ['webgpu'],
        ...(placement ? { logSeverityLevel: VERBOSE } : {}),
        ...(keep.length > 0
          ? { preferredOutputLocation: Object.fromEntries(keep.map((name) => [name, 'gpu-buffer' as const])) }
          : {}),
      };
      return inTurn<GraphSession>(async () => {
        const { value: opened, lines } = await hear(() => openGraph(ort, wide ?? model, options));
        if (!opened.ok) return opened;
        await keepDevice();
        const session = opened.value;
        open.add(session);
        return {
          ok: true,
          value: {
            inputs: session.inputs,
            outputs: session.outputs,
            widened: wide !== null,
            placement: placement ? readPlacement(lines, PROVIDER) : null,
            run: (feeds, fetch) => inTurn(() => session.run(feeds, fetch)),
            runKeeping: (feeds, fetch, kept) => inTurn(() => session.runKeeping(feeds, fetch, kept)),
            async release() {
              await inTurn(async () => {
                open.delete(session);
                await session.release();
                return { ok: true, value: undefined };
              });
            },
          },
        };
      });
    },
  };
}

function later<T>(value: T, milliseconds: number): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, value));
}

function deviceLost(message: string): Failure {
  return failure(
    'device-lost',
    'The GPU went away while a model was running on it.',
    'Start again; if it happens often, measure a smaller model or update the graphics driver.',
    message,
  );
}
