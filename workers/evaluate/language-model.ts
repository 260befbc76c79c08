/** A language model in a session: token ids in, logits out. */
import { fromFloat16Array } from '../onnx/float16.ts';
import type { Provider, Result } from '../protocol.ts';
import { failure } from './errors.ts';
import type { GraphRuntime, GraphSession, HostTensor } from './graph-session.ts';
import { recogniseSignature, type Signature } from './inputs.ts';
import { sliceToScored, type SlicedModel } from './scored-positions.ts';
import { tokenFeeds } from './token-feeds.ts';

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
  provider: Provider;
  open(model: Blob): Promise<Result<LanguageModel>>;
  /** Threads in use, known once a model has been opened. */
  threads(): number;
}

/**
 * Opens language models on a provider.
 * @param compute Which logits a graph computes where it can be told: those asked for, or, to compare with, all.
 */
export function languageModels(runtime: GraphRuntime, compute: 'asked' | 'all' = 'asked'): EvaluationRuntime {
  return { provider: runtime.provider, open: (model) => openLanguageModel(runtime, model, compute), threads: () => runtime.threads() };
}

/** Tokens in the run that tries a model out. */
const TRIAL_LENGTH = 8;

/**
 * Opens a model and tries it out on a few tokens: logits must come for every position, and
 * must not depend on later tokens. Where the graph allows, only the logits that are asked for are computed.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
async function openLanguageModel(runtime: GraphRuntime, model: Blob, compute: 'asked' | 'all'): Promise<Result<LanguageModel>> {
  const ways = compute === 'asked' ? await sliceToScored(model) : [];
  for (const sliced of ways) {
    const opened = await openGraph(runtime, sliced.model, sliced);
    if (opened.ok || opened.error.code === 'out-of-memory') return opened;
    // Whatever is wrong, with the slice or with the model, shows on the model as it is.
  }
  return openGraph(runtime, model, null);
}

/** The inputs of a graph that take the range of positions to give logits for; null when it gives all. */
type Range = Pick<SlicedModel, 'first' | 'end'> | null;

async function openGraph(runtime: GraphRuntime, model: Blob, range: Range): Promise<Result<LanguageModel>> {
  const session = await runtime.open(model);
  if (!session.ok) return session;
  const opened = await tryOut(session.value, range);
  if (!opened.ok) await session.value.release();
  return opened;
}

async function tryOut(session: GraphSession, range: Range): Promise<Result<LanguageModel>> {
  const inputs = session.inputs.filter(({ name }) => name !== range?.first && name !== range?.end);
  const signature = recogniseSignature(inputs, session.outputs);
  if (!signature.ok) return signature;
  const run = runner(session, signature.value, range);

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
      'Give it inputs to compare its outputs on, or choose a text-generation model.');
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
      release: () => session.release(),
    },
  };
}

export interface Logits {
  positions: number;
  vocabulary: number;
  /** [rows, vocabulary]; a view where the model computes in float32. */
  values(first: number, rows: number): Float32Array;
}

/** Runs over `ids`; where the graph takes a range, its logits are those of positions `first` to `first + rows − 1`. */
function runner(session: GraphSession, signature: Signature, range: Range): (ids: Int32Array, first: number, rows: number) => Promise<Result<Logits>> {
  const { name } = signature.logits;
  const int64 = (value: number): HostTensor => ({ type: 'int64', dims: [1], data: BigInt64Array.of(BigInt(value)) });
  return async (ids, first, rows) => {
    const feeds = tokenFeeds(signature, ids);
    if (range) Object.assign(feeds, { [range.first]: int64(first), [range.end]: int64(first + rows) });
    // Only the logits are asked for: the cache the graph also makes is never copied out of the heap.
    const outputs = await session.run(feeds, [name]);
    if (!outputs.ok) return outputs;
    const logits = outputs.value[name];
    return logits ? { ok: true, value: readLogits(logits) } : failure('session-failed', 'The model gave no logits.', 'Choose another export of the model.', name);
  };
}

/** Logits as they come from a graph: [batch, positions, vocabulary]; the first of the batch is read. */
export function readLogits({ type, dims, data }: HostTensor): Logits {
  const vocabulary = dims.at(-1) ?? 0;
  return {
    positions: dims.length >= 2 ? dims.at(-2) ?? 0 : 0,
    vocabulary,
    values(first, rows) {
      const from = first * vocabulary;
      const to = (first + rows) * vocabulary;
      if (data instanceof Float32Array) return data.subarray(from, to);
      if (data instanceof Uint16Array && type === 'float16') return fromFloat16Array(data.subarray(from, to));
      throw new TypeError(`logits of type ${type}`);
    },
  };
}

/** Whether the same positions got other logits: a difference above `share` of how far the logits spread. */
export function differ(before: Float32Array, after: Float32Array, share: number): boolean {
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
