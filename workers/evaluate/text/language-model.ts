/** A language model in a session: token ids in, logits out. */
import type { ModelFiles } from '../../contract/files.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { CAUSAL_TOLERANCE, readsLaterTokens, trialTokens, withOtherEnd } from './causality.ts';
import { hasDynamicRanges } from './dynamic-ranges.ts';
import { failure } from '../errors.ts';
import type { GraphRuntime, GraphSession, HostTensor } from '../sessions/graph-session.ts';
import { recogniseSignature, type Signature } from '../inputs.ts';
import { differ, readLogits, type Logits } from './logits.ts';
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

export interface OpenLanguageModel {
  /** Its graph has been found not to read later tokens already, as a level's has on the baseline. */
  causal?: boolean;
}

/** How measuring reaches the runtime. */
export interface EvaluationRuntime {
  provider: Provider;
  open(model: ModelFiles, options?: OpenLanguageModel): Promise<Result<LanguageModel>>;
  /** Threads in use, known once a model has been opened. */
  threads(): number;
}

/**
 * Opens language models on a provider.
 * @param compute Which logits a graph computes where it can be told: those asked for, or, to compare with, all.
 */
export function languageModels(runtime: GraphRuntime, compute: 'asked' | 'all' = 'asked'): EvaluationRuntime {
  return {
    provider: runtime.provider,
    open: (model, options = {}) => openLanguageModel(runtime, model, compute, options),
    threads: () => runtime.threads(),
  };
}

/** Tokens in the run that tries a model out. */
const TRIAL_LENGTH = 8;

/**
 * Opens a model and tries it out on a few tokens: logits must come for every position, and
 * must not depend on later tokens. Where the graph allows, only the logits that are asked for are computed.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
async function openLanguageModel(
  runtime: GraphRuntime,
  model: ModelFiles,
  compute: 'asked' | 'all',
  options: OpenLanguageModel,
): Promise<Result<LanguageModel>> {
  const ways = compute === 'asked' ? await sliceToScored(model) : [];
  for (const sliced of ways) {
    const opened = await openGraph(runtime, sliced.model, sliced, options);
    if (opened.ok || opened.error.code === 'out-of-memory') return opened;
    // Whatever is wrong, with the slice or with the model, shows on the model as it is.
  }
  return openGraph(runtime, model, null, options);
}

/** The inputs of a graph that take the range of positions to give logits for; null when it gives all. */
type Range = Pick<SlicedModel, 'first' | 'end'> | null;

async function openGraph(
  runtime: GraphRuntime,
  model: ModelFiles,
  range: Range,
  options: OpenLanguageModel,
): Promise<Result<LanguageModel>> {
  const session = await runtime.open(model);
  if (!session.ok) return session;
  const opened = await tryOut(session.value, model, range, options);
  if (!opened.ok) await session.value.release();
  return opened;
}

async function tryOut(
  session: GraphSession,
  model: ModelFiles,
  range: Range,
  { causal = false }: OpenLanguageModel,
): Promise<Result<LanguageModel>> {
  const inputs = session.inputs.filter(({ name }) => name !== range?.first && name !== range?.end);
  const signature = recogniseSignature(inputs, session.outputs);
  if (!signature.ok) return signature;
  const run = runner(session, signature.value, range);

  const length = Math.min(TRIAL_LENGTH, signature.value.window ?? TRIAL_LENGTH);
  const begun = await run(new Int32Array(length), 0, length);
  if (!begun.ok) return begun;
  const { vocabulary, positions } = begun.value;
  if (positions < length || vocabulary < 2) {
    return failure(
      'not-a-language-model',
      `The model gives logits for ${positions} of ${length} tokens; perplexity needs them for every token.`,
      'Export the model for text generation with logits for all positions, or compare sizes only.',
    );
  }
  const ids = trialTokens(length, vocabulary);
  const first = await run(ids, 0, length);
  if (!first.ok) return first;
  const rangeOf = range && { others: (tokens: number) => rangeFeeds(range, 0, tokens) };
  const reads = causal
    ? { ok: true as const, value: false }
    : await changesWithTheEnd(run, ids, first.value, () =>
        readsLaterTokens({ session, inputs, ids, ...rangeOf, dynamicRanges: () => hasDynamicRanges(model.model) }),
      );
  if (!reads.ok) return reads;
  if (reads.value) {
    return failure(
      'not-a-language-model',
      'The model reads the whole text to predict each token, later tokens included, so perplexity has no meaning for it.',
      'Give it inputs to compare its outputs on, or choose a text-generation model.',
    );
  }
  if (range) {
    const from = length >> 1;
    const part = await run(ids, from, length - from);
    if (!part.ok) return part;
    if (
      part.value.positions !== length - from ||
      differ(first.value.values(from, length - from), part.value.values(0, length - from), 1e-3)
    ) {
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
          return failure(
            'session-failed',
            'The model gave fewer logits than it was asked for.',
            'Choose another export of the model.',
            `${output.value.positions} positions of ${output.value.vocabulary}, expected ${windowIds.length} of ${vocabulary}`,
          );
        }
        return { ok: true, value: output.value.values(from, rows) };
      },
      release: () => session.release(),
    },
  };
}

/** Whether another last token changes the logits before it because it is read; `examine` looks closer where they change at all. */
async function changesWithTheEnd(
  run: Run,
  ids: Int32Array,
  first: Logits,
  examine: () => Promise<Result<boolean>>,
): Promise<Result<boolean>> {
  const before = ids.length - 1;
  const other = await run(withOtherEnd(ids), 0, ids.length);
  if (!other.ok) return other;
  return differ(first.values(0, before), other.value.values(0, before), CAUSAL_TOLERANCE)
    ? examine()
    : { ok: true, value: false };
}

function rangeFeeds(range: NonNullable<Range>, first: number, end: number): Record<string, HostTensor> {
  const int64 = (value: number): HostTensor => ({ type: 'int64', dims: [1], data: BigInt64Array.of(BigInt(value)) });
  return { [range.first]: int64(first), [range.end]: int64(end) };
}

type Run = (ids: Int32Array, first: number, rows: number) => Promise<Result<Logits>>;

/** Runs over `ids`; where the graph takes a range, its logits are those of positions `first` to `first + rows − 1`. */
function runner(session: GraphSession, signature: Signature, range: Range): Run {
  const { name } = signature.logits;
  return async (ids, first, rows) => {
    const feeds = { ...tokenFeeds(signature, ids), ...(range && rangeFeeds(range, first, first + rows)) };
    // Only the logits are asked for: the cache the graph also makes is never copied out of the heap.
    const outputs = await session.run(feeds, [name]);
    if (!outputs.ok) return outputs;
    const logits = outputs.value[name];
    return logits
      ? { ok: true, value: readLogits(logits) }
      : failure('session-failed', 'The model gave no logits.', 'Choose another export of the model.', name);
  };
}
