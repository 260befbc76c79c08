/** Runs copies of a model that give out values from inside its graph, on a provider, with onnxruntime's optimizations or without. */
import { filesSize } from '../../onnx/model-files.ts';
import type { ModelFiles } from '../../contract/files.ts';
import type { Result } from '../../contract/errors.ts';
import type { Model } from '../../onnx/model.ts';
import { cancelled } from '../errors.ts';
import { exposeOutputs } from '../../onnx/graph/edit.ts';
import type { GraphRuntime, HostTensor } from '../sessions/graph-session.ts';

/** A way to run the model. Without optimizations every node is a kernel of its own, whatever is given out beside. */
export interface Side {
  runtime: GraphRuntime;
  optimized: boolean;
}

export interface ObservedModel {
  model: ModelFiles;
  /** What a scan of `model` gave. */
  scanned: Model;
  feeds: Readonly<Record<string, HostTensor>>;
  /** Bytes of weights that released sessions may leave on the GPU before it is reset. */
  mostLeft?: number;
  signal?: AbortSignal | undefined;
}

/**
 * Values of the copy that gives out `tensors`, by name; what is no tensor of numbers is left out.
 * Errors: `session-failed`, `out-of-memory`, `device-lost`, `cancelled`.
 */
export type Observe = (side: Side, tensors: readonly string[]) => Promise<Result<Record<string, HostTensor>>>;

const MOST_LEFT = 256 << 20;

export function observer({ model, scanned, feeds, mostLeft = MOST_LEFT, signal }: ObservedModel): Observe {
  let released = 0;
  /** onnxruntime leaves the weights of a released session on the GPU; a large model must not be there time and again. */
  const giveBack = async (runtime: GraphRuntime) => {
    if (!runtime.reset || (released += filesSize(model)) <= mostLeft) return;
    released = 0;
    await runtime.reset();
  };

  return async ({ runtime, optimized }, tensors) => {
    if (signal?.aborted) return cancelled();
    const session = await runtime.open(
      { ...model, model: exposeOutputs(model.model, scanned, tensors) },
      optimized ? {} : { optimized },
    );
    if (!session.ok) return session;
    try {
      if (signal?.aborted) return cancelled();
      // What is no tensor cannot be fetched.
      const shown = new Set(
        session.value.outputs.filter(({ isTensor, type }) => isTensor && type !== 'string').map(({ name }) => name),
      );
      return await session.value.run(
        feeds,
        [...new Set(tensors)].filter((tensor) => shown.has(tensor)),
      );
    } finally {
      await session.value.release();
      await giveBack(runtime);
    }
  };
}

/** Whether a failure ends all observing, not only that of one copy. */
export function isFinal(result: Result<unknown>): boolean {
  return !result.ok && (result.error.code === 'cancelled' || result.error.code === 'device-lost');
}
