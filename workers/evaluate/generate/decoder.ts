/**
 * A language model that goes on from where it is: a prompt in one run, then a token a run, keys and values of what
 * came before fed back as the runtime left them. A graph without a cache, or whose cache does not give what running
 * everything gives, runs the whole sequence for every token.
 */
import type { ModelFiles } from '../../contract/files.ts';
import { scanModel } from '../../onnx/scan.ts';
import type { Result } from '../../contract/errors.ts';
import { blobSource } from '../../io/source.ts';
import { pairCaches, type CachePair } from './cache-pairs.ts';
import { readsLaterTokens } from '../text/causality.ts';
import { hasDynamicRanges } from '../text/dynamic-ranges.ts';
import { failure } from '../errors.ts';
import type { GraphRuntime, GraphSession, HostTensor, KeptTensor } from '../sessions/graph-session.ts';
import { feedData, recogniseSignature, signatureOf, type Signature, type ValueInfo } from '../inputs.ts';
import { differ, largestDifference, readLogits, type Logits } from '../text/logits.ts';

export interface Decoder {
  /** Entries of the logits. */
  vocabulary: number;
  /** Tokens of a sequence at most, prompt included; null when the graph's shapes leave it free. */
  longest: number | null;
  /** Whether what came before is kept, or run again for every token. */
  cached: boolean;
  /**
   * Adds tokens, one at least, to the sequence.
   * @returns [vocabulary], the logits that follow the last of them; valid until the next call.
   * Errors: `session-failed`, `out-of-memory`, `usage` beyond `longest`.
   */
  next(ids: Int32Array): Promise<Result<Float32Array>>;
  /** Begins a new sequence. */
  reset(): void;
  release(): Promise<void>;
}

/**
 * Opens a model and tries it out on a few tokens, with its cache against without.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
export async function openDecoder(runtime: GraphRuntime, model: ModelFiles): Promise<Result<Decoder>> {
  const session = await runtime.open(model, { keep: await cacheOutputs(model.model) });
  if (!session.ok) return session;
  const decoder = await chooseWay(session.value, () => hasDynamicRanges(model.model));
  if (!decoder.ok) await session.value.release();
  return decoder;
}

/** Outputs that are to stay where they are computed, which has to be said before the runtime tells their names. */
async function cacheOutputs(model: Blob): Promise<string[]> {
  try {
    const { graph } = await scanModel(blobSource('model', model));
    const initializers = new Set(graph.initializers.map(({ name }) => name));
    const inputs = graph.inputs
      .filter(({ proto }) => !initializers.has(proto.name))
      .map(({ proto }) => signatureOf(proto));
    const found = recognise(
      inputs,
      graph.outputs.map(({ proto }) => signatureOf(proto)),
    );
    return found.ok ? found.value.pairs.map(({ output }) => output) : [];
  } catch {
    // What is wrong with the file is for the runtime to say.
    return [];
  }
}

interface Recognised {
  signature: Signature;
  /** Empty where there is no cache that can be fed back. */
  pairs: CachePair[];
}

function recognise(inputs: readonly ValueInfo[], outputs: readonly ValueInfo[]): Result<Recognised> {
  const signature = recogniseSignature(inputs, outputs);
  if (!signature.ok) return signature;
  const { feeds, window, logits } = signature.value;
  // Padding of a window of fixed length would go into the cache.
  return {
    ok: true,
    value: {
      signature: signature.value,
      pairs: window === null ? (pairCaches(feeds, outputs, logits.name) ?? []) : [],
    },
  };
}

/** Tokens that every vocabulary has, for the run that tries a model out. */
const TRIAL = Int32Array.of(1, 0, 1, 1, 0, 0, 1, 0);
/** Of them, how many are the prompt; the others follow one by one. */
const TRIAL_PROMPT = 6;
/**
 * How much of the logits' range a cache may make a difference of. One that is misread makes them others altogether;
 * kernels for one row round differently from those for many, dynamic quantization most of all.
 */
const CACHE_TOLERANCE = 0.1;

async function chooseWay(session: GraphSession, dynamicRanges: () => Promise<boolean>): Promise<Result<Decoder>> {
  const found = recognise(session.inputs, session.outputs);
  if (!found.ok) return found;
  const { signature, pairs } = found.value;
  const trial = signature.window === null ? TRIAL : TRIAL.subarray(0, signature.window);

  const whole = wholeSequence(session, signature);
  const atOnce = await whole.run(trial);
  if (!atOnce.ok) return atOnce;
  const { logits: all, row } = atOnce.value;
  const { vocabulary } = all;
  if (vocabulary < 2)
    return failure(
      'not-a-language-model',
      'The model gives no logits over a vocabulary, so it cannot continue a text.',
      'Choose a text-generation model.',
    );
  const expected = all.values(row, 1).slice();
  const shared = { vocabulary, longest: signature.window, release: () => session.release() };

  if (pairs.length > 0) {
    const stepping = withCache(session, signature, pairs);
    const stepped = await inSteps(stepping, trial);
    if (!stepped.ok && stepped.error.code === 'out-of-memory') return stepped;
    const remembered =
      stepped.ok &&
      stepped.value.length === vocabulary &&
      (!differ(expected, stepped.value, CACHE_TOLERANCE) ||
        ((await dynamicRanges()) && (await remembers(stepping, trial, expected, stepped.value.slice()))));
    stepping.reset();
    if (remembered) {
      return {
        ok: true,
        value: {
          ...shared,
          cached: true,
          next: stepping.next,
          reset: stepping.reset,
          release: () => {
            stepping.reset();
            return session.release();
          },
        },
      };
    }
  }

  if (row > 0) {
    // Without its last token, the logits before it must be the same.
    const before = all.values(row - 1, 1).slice();
    const shorter = await whole.run(trial.subarray(0, -1));
    if (!shorter.ok) return shorter;
    const reads = differ(before, shorter.value.logits.values(shorter.value.row, 1), CACHE_TOLERANCE)
      ? await readsLaterTokens({ session, inputs: session.inputs, ids: trial, dynamicRanges })
      : { ok: true as const, value: false };
    if (!reads.ok) return reads;
    if (reads.value) {
      return failure(
        'not-a-language-model',
        'The model reads the whole text to predict each token, later tokens included, so it cannot continue one.',
        'Choose a text-generation model.',
      );
    }
  }
  return { ok: true, value: { ...shared, cached: false, next: whole.next, reset: whole.reset } };
}

/** With ranges over what is run at once, steps round otherwise than a whole text: by how much of what a missing cache changes they may. */
const ROUNDING_SHARE = 0.4;

/** Whether logits in steps are near those of the whole text, measured by what the last token gives without a cache. */
async function remembers(
  stepping: Way,
  trial: Int32Array,
  expected: Float32Array,
  stepped: Float32Array,
): Promise<boolean> {
  stepping.reset();
  const alone = await stepping.next(trial.subarray(-1));
  return alone.ok && largestDifference(expected, stepped) <= ROUNDING_SHARE * largestDifference(expected, alone.value);
}

type Way = Pick<Decoder, 'next' | 'reset'>;

async function inSteps({ next }: Way, ids: Int32Array): Promise<Result<Float32Array>> {
  let logits = await next(ids.subarray(0, TRIAL_PROMPT));
  for (let index = TRIAL_PROMPT; index < ids.length && logits.ok; index++)
    logits = await next(ids.subarray(index, index + 1));
  return logits;
}

function withCache(session: GraphSession, signature: Signature, pairs: readonly CachePair[]): Way {
  const { logits } = signature;
  const caches = new Set(pairs.map(({ feed }) => feed.name));
  const plain = signature.feeds.filter(({ name }) => !caches.has(name));
  const empty: Record<string, HostTensor> = Object.fromEntries(
    pairs.map(({ feed }) => [feed.name, { type: feed.type, ...feedData(feed, new Int32Array(0), 0) }]),
  );
  let past = 0;
  let cache: Record<string, KeptTensor> = {};
  const replaceCache = (by: Record<string, KeptTensor>) => {
    for (const tensor of Object.values(cache)) tensor.dispose();
    cache = by;
  };
  return {
    async next(ids) {
      const feeds: Record<string, HostTensor | KeptTensor> = { ...empty, ...cache };
      for (const feed of plain) feeds[feed.name] = { type: feed.type, ...feedData(feed, ids, ids.length, past, 1) };
      const run = await session.runKeeping(
        feeds,
        [logits.name],
        pairs.map(({ output }) => output),
      );
      if (!run.ok) return run;
      const { fetched, kept } = run.value;
      const fresh = pairs.flatMap(({ feed, output }) => (kept[output] ? [[feed.name, kept[output]] as const] : []));
      replaceCache(Object.fromEntries(fresh));
      past += ids.length;
      const found = fetched[logits.name];
      if (!found || fresh.length < pairs.length) return noLogits(logits.name);
      const rows = readLogits(found);
      return { ok: true, value: rows.values(rows.positions - 1, 1) };
    },
    reset() {
      replaceCache({});
      past = 0;
    },
  };
}

interface LastRow {
  logits: Logits;
  /** The row that follows the last token. */
  row: number;
}

function wholeSequence(
  session: GraphSession,
  signature: Signature,
): Way & { run(ids: Int32Array): Promise<Result<LastRow>> } {
  const { feeds, window, logits } = signature;
  let sequence = new Int32Array(0);
  const run = async (ids: Int32Array): Promise<Result<LastRow>> => {
    if (window !== null && ids.length > window) {
      return failure(
        'usage',
        `The model takes ${window.toLocaleString('en')} tokens at most.`,
        'Use a shorter prompt, or ask for fewer tokens.',
      );
    }
    const length = window ?? ids.length;
    const values: Record<string, HostTensor> = Object.fromEntries(
      feeds.map((feed) => [feed.name, { type: feed.type, ...feedData(feed, ids, length) }]),
    );
    const outputs = await session.run(values, [logits.name]);
    if (!outputs.ok) return outputs;
    const found = outputs.value[logits.name];
    if (!found) return noLogits(logits.name);
    const rows = readLogits(found);
    if (rows.positions < ids.length && (rows.positions < 1 || length > ids.length)) {
      return failure(
        'not-a-language-model',
        'The model gives logits for the end of its window only, where a shorter text has padding.',
        'Export the model with a free sequence length.',
      );
    }
    return { ok: true, value: { logits: rows, row: Math.min(rows.positions, ids.length) - 1 } };
  };
  return {
    run,
    async next(ids) {
      const longer = new Int32Array(sequence.length + ids.length);
      longer.set(sequence);
      longer.set(ids, sequence.length);
      const last = await run(longer);
      if (!last.ok) return last;
      sequence = longer;
      return { ok: true, value: last.value.logits.values(last.value.row, 1) };
    },
    reset() {
      sequence = new Int32Array(0);
    },
  };
}

function noLogits(name: string): Result<never> {
  return failure(
    'session-failed',
    'The model did not give the outputs it has.',
    'Choose another export of the model.',
    name,
  );
}
