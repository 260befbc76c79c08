/**
 * Whether a language model reads later tokens, told apart from rounding that depends on them: where activations are
 * quantized with a range over all that is run at once, another token at the end changes the logits before it although
 * no token reads it.
 */
import type { Result } from '../../contract/errors.ts';
import { failure } from '../errors.ts';
import type { GraphSession, HostTensor } from '../sessions/graph-session.ts';
import { feedData, recogniseSignature, type Signature, type ValueInfo } from '../inputs.ts';
import { differ, readLogits, type Logits } from './logits.ts';
import { randomNumbers } from '../random.ts';
import { tokenFeeds } from './token-feeds.ts';

export interface CausalityCheck {
  session: GraphSession;
  /** Inputs that a text fills. */
  inputs: readonly ValueInfo[];
  /** Tokens to try the model with, two at least. */
  ids: Int32Array;
  /** Values of inputs that a text does not fill, for a run over so many tokens. */
  others?: (tokens: number) => Record<string, HostTensor>;
  /** Whether activations are quantized with ranges over all that is run. */
  dynamicRanges: () => Promise<boolean>;
}

/** How much of the logits' range another last token may change those before it; kernels may share out their work otherwise. */
export const CAUSAL_TOLERANCE = 1e-3;
/** The same where values are rounded to few steps: what falls just beside a boundary may fall to its other side. */
const ROUNDED_TOLERANCE = 0.01;

/**
 * Of a model in which another last token changes the logits before it: whether that token is read. Where activations are
 * quantized with ranges over all that is run, both texts are run as one batch, so that they share every range: then the
 * logits before the last token are the same unless it is read. A graph for one sequence only is run over longer texts
 * until one is found whose last token sets no range.
 * Errors: `not-a-language-model` where it cannot be told, `out-of-memory`.
 */
export async function readsLaterTokens(check: CausalityCheck): Promise<Result<boolean>> {
  // What else a change at the end reaches is read, be it through a number for the whole batch.
  if (!(await check.dynamicRanges())) return { ok: true, value: true };
  const together = await runTogether(check);
  if (!together.ok && together.error.code === 'out-of-memory') return together;
  return together.ok && together.value !== null ? { ok: true, value: together.value } : searchUnmovedRanges(check);
}

/** Null where the graph runs one sequence at a time. */
async function runTogether({ session, inputs, ids, others }: CausalityCheck): Promise<Result<boolean | null>> {
  const signature = recogniseSignature(inputs, session.outputs, 2);
  if (!signature.ok) return signature;
  const { feeds, logits } = signature.value;
  const texts = feeds.find(({ fill }) => fill === 'ids');
  const sequences = texts?.dims.length === 2 ? texts.dims[0] : 1;
  if (!texts || typeof sequences !== 'number' || sequences < 2) return { ok: true, value: null };
  const values = tokenFeeds(signature.value, ids);
  const window = signature.value.window ?? ids.length;
  const row = (of: Int32Array) => feedData({ ...texts, dims: [1, 'window'] }, of, window).data;
  const data = values[texts.name]?.data;
  if (!(data instanceof BigInt64Array) && !(data instanceof Int32Array)) return { ok: true, value: null };
  data.set(row(withOtherEnd(ids)) as never, window);
  const outputs = await session.run({ ...values, ...others?.(ids.length) }, [logits.name]);
  if (!outputs.ok) return outputs;
  const found = outputs.value[logits.name];
  if (!found || found.dims.length !== 3 || (found.dims[0] ?? 0) < 2) return { ok: true, value: null };
  const rows = readLogits(found);
  const compared = Math.min(ids.length, rows.positions) - 1;
  if (compared < 1) return { ok: true, value: null };
  return {
    ok: true,
    value: differ(rows.values(0, compared), rows.values(rows.positions, compared), ROUNDED_TOLERANCE),
  };
}

/** Tokens of the longer texts; so many that the last one rarely holds an extreme of some layer. */
const LONGER = 384;
const MOST_TRIALS = 12;

async function searchUnmovedRanges({ session, inputs, others }: CausalityCheck): Promise<Result<boolean>> {
  const signature = recogniseSignature(inputs, session.outputs);
  if (!signature.ok) return signature;
  const length = signature.value.window ?? LONGER;
  const random = randomNumbers(length);
  const run = async (ids: Int32Array): Promise<Result<Logits>> =>
    runOnce(session, signature.value, ids, others?.(ids.length));
  let vocabulary = 2;
  for (let trial = 0; trial < MOST_TRIALS; trial++) {
    const ids = Int32Array.from({ length }, () => random.below(vocabulary));
    const [first, second] = [await run(ids), await run(withOtherEnd(ids))];
    if (!first.ok) return first;
    if (!second.ok) return second;
    vocabulary = first.value.vocabulary;
    const compared = Math.min(length, first.value.positions) - 1;
    // The same down to the last bit: a token that is read always changes something.
    if (compared > 0 && !differ(first.value.values(0, compared), second.value.values(0, compared), 0))
      return { ok: true, value: false };
  }
  return failure(
    'not-a-language-model',
    'Another last token changes the logits before it. Whether the model reads later tokens or only quantizes activations over all of them cannot be told of a graph for one sequence at a time.',
    'Export the model with a free batch size, or drop the model it was quantized from.',
  );
}

async function runOnce(
  session: GraphSession,
  signature: Signature,
  ids: Int32Array,
  others: Record<string, HostTensor> = {},
): Promise<Result<Logits>> {
  const { name } = signature.logits;
  const outputs = await session.run({ ...tokenFeeds(signature, ids), ...others }, [name]);
  if (!outputs.ok) return outputs;
  const logits = outputs.value[name];
  return logits
    ? { ok: true, value: readLogits(logits) }
    : failure('session-failed', 'The model gave no logits.', 'Choose another export of the model.', name);
}

/** Tokens of which no two neighbours are the same, in a vocabulary of two or more. */
export function trialTokens(length: number, vocabulary: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => (vocabulary < 4 ? index % 2 : (index * 7919 + 1) % vocabulary));
}

/** The same tokens but for the last, which is one that every vocabulary has. */
export function withOtherEnd(ids: Int32Array): Int32Array {
  const other = ids.slice();
  other[other.length - 1] = ids.at(-1) === 1 ? 0 : 1;
  return other;
}
