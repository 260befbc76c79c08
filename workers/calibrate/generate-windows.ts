/** Calibration text that the model writes itself, from its BOS token on, drawn from its own probabilities. */
import { inOneFile } from '../onnx/model-files.ts';
import type { Result } from '../contract/errors.ts';
import { failure } from '../evaluate/errors.ts';
import { pairCaches, type CachePair } from '../evaluate/generate/cache-pairs.ts';
import { feedData, recogniseSignature, type Feed, type Signature } from '../evaluate/inputs.ts';
import { randomNumbers } from '../evaluate/random.ts';
import type { GraphRuntime, GraphSession, HostTensor } from '../evaluate/sessions/graph-session.ts';

export interface GenerationRequest {
  /** Windows to write. */
  windows: number;
  /** Tokens of each. */
  context: number;
  /** The first token of each; any token when null. */
  bos: number | null;
  /** Windows that are written at the same time, where the graph takes several. */
  batch?: number;
  seed?: number;
  onProgress?(done: number, total: number): void;
  signal?: AbortSignal;
}

/**
 * The same windows for the same model and seed, up to rounding of the provider.
 * @param model In float32.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
export async function generateWindows(
  runtime: GraphRuntime,
  model: Blob,
  request: GenerationRequest,
): Promise<Result<Int32Array[]>> {
  const opened = await runtime.open(inOneFile(model));
  if (!opened.ok) return opened;
  try {
    const { windows: count, batch = 16, onProgress, signal } = request;
    const windows: Int32Array[] = [];
    let sequences = Math.min(batch, count);
    while (windows.length < count) {
      signal?.throwIfAborted();
      const wanted = Math.min(sequences, count - windows.length);
      const written = await writeTogether(opened.value, request, wanted, windows.length, (share) => {
        onProgress?.(windows.length + share * wanted, count);
      });
      // A graph may take one sequence only.
      if (!written.ok && sequences > 1 && written.error.code !== 'not-a-language-model') sequences = 1;
      else if (!written.ok) return written;
      else for (const ids of written.value) windows.push(ids);
    }
    return { ok: true, value: windows };
  } finally {
    await opened.value.release();
  }
}

async function writeTogether(
  session: GraphSession,
  { context, bos, seed = 0, signal }: GenerationRequest,
  sequences: number,
  first: number,
  onShare: (share: number) => void,
): Promise<Result<Int32Array[]>> {
  const signature = recogniseSignature(session.inputs, session.outputs, sequences);
  if (!signature.ok) return signature;
  const { feeds, window, logits } = signature.value;
  const pairs = window === null ? (pairCaches(feeds, session.outputs, logits.name) ?? []) : [];
  const length = Math.min(context, window ?? context);
  const rows = Array.from({ length: sequences }, () => new Int32Array(length));
  const random = rows.map((_, i) => randomNumbers(seed, first + i));
  let caches: Record<string, HostTensor> = {};
  for (let at = 0; at < length; at++) {
    signal?.throwIfAborted();
    if (at === 0) {
      if (bos !== null) for (const ids of rows) ids[0] = bos;
      if (bos !== null) continue;
    }
    const from = pairs.length > 0 ? Math.max(0, at - 1) : 0;
    const ran = await session.run(feedsOf(signature.value, rows, from, Math.max(1, at), caches, pairs), [
      logits.name,
      ...pairs.map(({ output }) => output),
    ]);
    if (!ran.ok) return ran;
    const output = ran.value[logits.name]!;
    const vocabulary = output.dims.at(-1) ?? 0;
    const positions = output.dims.at(-2) ?? 1;
    if (output.data.length !== sequences * positions * vocabulary || !(output.data instanceof Float32Array))
      return failure('session-failed', 'The model does not take several texts at once.', 'Report this.');
    caches = Object.fromEntries(pairs.map(({ feed, output: name }) => [feed.name, ran.value[name]!]));
    const row = pairs.length > 0 ? positions - 1 : Math.min(positions, Math.max(1, at)) - 1;
    for (const [i, ids] of rows.entries())
      ids[at] = draw(
        output.data.subarray((i * positions + row) * vocabulary, (i * positions + row + 1) * vocabulary),
        random[i]!.uniform(),
      );
    onShare((at + 1) / length);
  }
  return { ok: true, value: rows };
}

/** Tokens `from` to `to` of every row, with what is cached of those before. */
function feedsOf(
  { feeds, window }: Signature,
  rows: readonly Int32Array[],
  from: number,
  to: number,
  caches: Readonly<Record<string, HostTensor>>,
  pairs: readonly CachePair[],
): Record<string, HostTensor> {
  const paired = new Set(pairs.map(({ feed }) => feed.name));
  const feed = (each: Feed): HostTensor => {
    const cached = paired.has(each.name) ? caches[each.name] : undefined;
    if (cached) return cached;
    const made = { type: each.type, ...feedData(each, rows[0]!.subarray(from, to), window ?? to - from, from) };
    if (each.fill !== 'ids') return made;
    const width = made.data.length / rows.length;
    for (const [i, ids] of rows.entries())
      for (const [position, id] of ids.subarray(from, to).entries())
        made.data[i * width + position] = made.data instanceof BigInt64Array ? BigInt(id) : id;
    return made;
  };
  return Object.fromEntries(feeds.map((each) => [each.name, feed(each)]));
}

/** The token at `share` of the total probability. */
function draw(logits: Float32Array, share: number): number {
  let top = -Infinity;
  for (const value of logits) top = Math.max(top, value);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - top);
  let left = share * sum;
  for (let id = 0; id < logits.length; id++) {
    left -= Math.exp(logits[id]! - top);
    if (left < 0) return id;
  }
  return logits.length - 1;
}
