/**
 * A language model opened in onnxruntime-web: token ids in, logits out. Everything about sessions, tensors and what
 * the runtime throws ends here.
 */
import type * as Ort from 'onnxruntime-web';
import { fromFloat16Array } from '../onnx/float16.ts';
import type { Result } from '../protocol.ts';
import { failure, isOutOfMemory, outOfMemory, type Failure } from './errors.ts';
import { sliceBeforeHead, type SlicedModel } from './scored-positions.ts';
import { feedData, recogniseSignature, type FeedData, type FeedType, type Signature } from './inputs.ts';

/** The part of onnxruntime-web used here; which build it is, is the caller's business. */
export type OnnxRuntime = Pick<typeof Ort, 'InferenceSession' | 'Tensor' | 'env'>;

export interface LanguageModel {
  /** Entries of the logits. */
  vocabulary: number;
  /** Tokens the graph takes at most at once; null when its shapes leave it free. */
  longest: number | null;
  /**
   * Runs the model over `ids` with nothing before them.
   * @returns [rows, vocabulary], the logits of positions `first` to `first + rows − 1`.
   * Errors: `session-failed`, `out-of-memory`.
   */
  logits(ids: Int32Array, first: number, rows: number): Promise<Result<Float32Array>>;
  release(): Promise<void>;
}

/** How measuring reaches the runtime. */
export interface EvaluationRuntime {
  open(model: Blob): Promise<Result<LanguageModel>>;
  /** Threads in use, known once a model has been opened. */
  threads(): number;
}

/**
 * onnxruntime-web on its WASM provider, with `threads` threads where the page is isolated, else one.
 * @param compute Which logits a graph computes where it can be told: those asked for, or, to compare with, all.
 */
export function wasmRuntime(ort: OnnxRuntime, threads: number, compute: 'asked' | 'all' = 'asked'): EvaluationRuntime {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.proxy = false;
  return {
    open: (model) => openLanguageModel(ort, model, compute),
    // The runtime lowers the number when it finds that it cannot have threads.
    threads: () => ort.env.wasm.numThreads ?? 1,
  };
}

const OPTIONS: Ort.InferenceSession.SessionOptions = {
  executionProviders: ['wasm'],
  // What onnxruntime does by default everywhere, so that figures compare with other runs of it.
  graphOptimizationLevel: 'all',
  // An arena would hold each session's peak between runs; sessions that take turns can share the heap. No slower.
  enableCpuMemArena: false,
  logSeverityLevel: 3,
};

/** Tokens in the run that tries a model out. */
const TRIAL_LENGTH = 8;

/**
 * Opens a model on the WASM provider and tries it out on a few tokens: logits must come for every position, and
 * must not depend on later tokens. Where the graph allows, only the logits that are asked for are computed.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
async function openLanguageModel(ort: OnnxRuntime, model: Blob, compute: 'asked' | 'all'): Promise<Result<LanguageModel>> {
  const sliced = compute === 'asked' ? await sliceBeforeHead(model) : null;
  if (sliced) {
    const opened = await openGraph(ort, sliced.model, sliced);
    if (opened.ok || opened.error.code === 'out-of-memory') return opened;
    // Whatever is wrong, with the slice or with the model, shows on the model as it is.
  }
  return openGraph(ort, model, null);
}

/** The inputs of a graph that take the range of positions to give logits for; null when it gives all. */
type Range = Pick<SlicedModel, 'first' | 'end'> | null;

async function openGraph(ort: OnnxRuntime, model: Blob, range: Range): Promise<Result<LanguageModel>> {
  let session: Ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(new Uint8Array(await model.arrayBuffer()), OPTIONS);
  } catch (thrown) {
    return sessionFailure('open', thrown);
  }
  const opened = await tryOut(ort, session, range);
  if (!opened.ok) await release(session);
  return opened;
}

async function tryOut(ort: OnnxRuntime, session: Ort.InferenceSession, range: Range): Promise<Result<LanguageModel>> {
  const inputs = session.inputMetadata.filter(({ name }) => name !== range?.first && name !== range?.end);
  const signature = recogniseSignature(inputs, session.outputMetadata);
  if (!signature.ok) return signature;
  const run = runner(ort, session, signature.value, range);

  const length = Math.min(TRIAL_LENGTH, signature.value.window ?? TRIAL_LENGTH);
  const ids = new Int32Array(length);
  const first = await run(ids, 0, length);
  if (!first.ok) return first;
  const { vocabulary, positions } = first.value;
  if (positions < length || vocabulary < 2) {
    return failure('not-a-language-model', `The model gives logits for ${positions} of ${length} tokens; perplexity needs them for every token.`,
      'Export the model for text generation with logits for all positions, or compare sizes only.');
  }
  ids[length - 1] = 1;
  const second = await run(ids, 0, length);
  if (!second.ok) return second;
  if (differ(first.value.values(0, length - 1), second.value.values(0, length - 1), 0.01)) {
    return failure('not-a-language-model', 'The model reads the whole text to predict each token, later tokens included, so perplexity has no meaning for it.',
      'Compare sizes only, or choose a text-generation model.');
  }
  if (range) {
    const from = length >> 1;
    const part = await run(ids, from, length - from);
    if (!part.ok) return part;
    if (part.value.positions !== length - from || differ(second.value.values(from, length - from), part.value.values(0, length - from), 1e-3)) {
      return failure('internal', 'Logits of a part of the window differ from those of the whole.', 'Report this.');
    }
  }

  return {
    ok: true,
    value: {
      vocabulary,
      longest: signature.value.window,
      async logits(windowIds, firstRow, rows) {
        const output = await run(windowIds, firstRow, rows);
        if (!output.ok) return output;
        const from = range ? 0 : firstRow;
        if (output.value.vocabulary !== vocabulary || output.value.positions < from + rows) {
          return failure('session-failed', 'The model gave fewer logits than it was asked for.', 'Choose another export of the model.',
            `${output.value.positions} positions of ${output.value.vocabulary}, expected ${windowIds.length} of ${vocabulary}`);
        }
        return { ok: true, value: output.value.values(from, rows) };
      },
      release: () => release(session),
    },
  };
}

interface Logits {
  positions: number;
  vocabulary: number;
  /** [rows, vocabulary]; a view where the model computes in float32. */
  values(first: number, rows: number): Float32Array;
}

/** Runs over `ids`; where the graph takes a range, its logits are those of positions `first` to `first + rows − 1`. */
function runner(ort: OnnxRuntime, session: Ort.InferenceSession, signature: Signature, range: Range): (ids: Int32Array, first: number, rows: number) => Promise<Result<Logits>> {
  const { name } = signature.logits;
  const int64 = (value: number) => new ort.Tensor('int64', BigInt64Array.of(BigInt(value)), [1]);
  return async (ids, first, rows) => {
    const window = signature.window ?? ids.length;
    try {
      const feeds = Object.fromEntries(signature.feeds.map((feed) => {
        const { data, dims } = feedData(feed, ids, window);
        return [feed.name, tensor(ort, feed.type, data, dims)];
      }));
      if (range) Object.assign(feeds, { [range.first]: int64(first), [range.end]: int64(first + rows) });
      // Only the logits are asked for: the cache the graph also makes is never copied out of the heap.
      const { [name]: output } = await session.run(feeds, [name]);
      if (!output) return failure('session-failed', 'The model gave no logits.', 'Choose another export of the model.', name);
      return { ok: true, value: readLogits(output) };
    } catch (thrown) {
      return sessionFailure('run', thrown);
    }
  };
}

function readLogits(output: Ort.Tensor): Logits {
  const vocabulary = output.dims.at(-1) ?? 0;
  const positions = output.dims.length >= 2 ? output.dims.at(-2) ?? 0 : 0;
  const data = output.data;
  return {
    positions,
    vocabulary,
    values(first, rows) {
      const from = first * vocabulary;
      const to = (first + rows) * vocabulary;
      if (data instanceof Float32Array) return data.subarray(from, to);
      if (!ArrayBuffer.isView(data)) throw new TypeError(`logits of type ${output.type}`);
      // A Uint16Array, or a Float16Array where the runtime has one: the same bits.
      return fromFloat16Array(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2).subarray(from, to));
    },
  };
}

/** onnxruntime-web insists on a Float16Array wherever the runtime has one; TypeScript's library has none yet. */
const { Float16Array: HalfArray } = globalThis as { Float16Array?: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => Uint16Array };

function tensor(ort: OnnxRuntime, type: FeedType, data: FeedData, dims: number[]): Ort.Tensor {
  const values = type === 'float16' && HalfArray ? new HalfArray(data.buffer, data.byteOffset, data.length) : data;
  return new ort.Tensor(type, values, dims);
}

/** Whether the same positions got other logits: a difference above `share` of how far the logits spread. */
function differ(before: Float32Array, after: Float32Array, share: number): boolean {
  let largest = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let index = 0; index < before.length; index++) {
    const value = before[index]!;
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
    largest = Math.max(largest, Math.abs(value - after[index]!));
  }
  return largest > share * Math.max(0, high - low);
}

function sessionFailure(doing: 'open' | 'run', thrown: unknown): Failure {
  if (isOutOfMemory(thrown)) return outOfMemory(doing === 'open' ? 'Opening the model' : 'Running the model', thrown);
  return doing === 'open'
    ? failure('session-failed', 'onnxruntime-web could not open the model.', 'Check that the model runs elsewhere; the details say what it objects to.', thrown)
    : failure('session-failed', 'onnxruntime-web could not run the model.', 'Check that the model runs elsewhere; the details say what it objects to.', thrown);
}

/** A session whose runtime has already failed may fail again here; there is nothing left to free then. */
async function release(session: Ort.InferenceSession): Promise<void> {
  try {
    await session.release();
  } catch {
    // Its memory goes with the worker.
  }
}
