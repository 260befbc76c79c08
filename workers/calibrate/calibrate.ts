/**
 * Sequential calibration of a language model: goes through the layers in order, quantizes the weights whose inputs are
 * complete against the activations of the model quantized so far, with the original's outputs as the goal, and goes on
 * with the quantized weights (GPTAQ, arXiv 2504.02692; Qronos, arXiv 2505.11695). A refinement is kept only if the KL
 * divergence of the whole model on some calibration windows does not rise.
 *
 * Memory: what is live at one cut of the graph, for every window, once for the original and once for the quantized model
 * where they differ; the weights that are calibrated twice in float32; the logits of the windows that are judged by.
 */
import { inOneFile } from '../onnx/model-files.ts';
import type { Result } from '../contract/errors.ts';
import type { GraphRuntime, GraphSession, HostTensor } from '../evaluate/sessions/graph-session.ts';
import { failure } from '../evaluate/errors.ts';
import { tokenFeeds, signatureOfGraph } from '../evaluate/text/token-feeds.ts';
import { createWasmScorer } from '../evaluate/statistics/wasm/scorer.ts';
import type { Model } from '../onnx/model.ts';
import { elementType } from '../onnx/numbers/element-types.ts';
import { dequantizedRows, type BlockCodes } from '../quantize/methods/block-codes.ts';
import { createSolver, quantizeRows, refineRows, targetRows } from '../quantize/methods/gptq-rows.ts';
import type { BlockScheme } from '../kernels/kernel.ts';
import { openGramSession } from './gram-session.ts';
import type { CalibratedProduct } from './products.ts';
import { cutIntoSegments, encodeSegment, weightInput, type Segment } from './segments.ts';

/** A weight to quantize. */
export interface CalibratedWeight {
  product: CalibratedProduct;
  /** [N, K]. */
  rows: Float32Array;
  type: 'float32' | 'float16';
  scheme: BlockScheme;
}

export interface CalibrationOptions {
  /** Windows of token ids. */
  windows: readonly Int32Array[];
  /** How many of the windows refinements are judged by. */
  judged: number;
  onProgress?(done: number, total: number, tensor: string): void;
  signal?: AbortSignal;
}

export interface CalibratedTensor {
  codes: BlockCodes;
  /** Whether the refinement was kept. */
  refined: boolean;
}

export interface Calibration {
  tensors: ReadonlyMap<string, CalibratedTensor>;
  /** Why a tensor has no calibrated form, by its name. */
  skipped: ReadonlyMap<string, string>;
  /** Mean KL divergence on the judged windows, nats, after the last layer. */
  kld: number;
}

type State = Map<string, HostTensor>;

/** Logits of a judged window are kept, as many rows at its end as fit. */
const JUDGED_BYTES = 96e6;

/**
 * @param file The model in float32, in one file; @param model A scan of it.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
export async function calibrateGptq(
  runtime: GraphRuntime,
  file: Blob,
  model: Model,
  weights: readonly CalibratedWeight[],
  { windows, judged, onProgress, signal }: CalibrationOptions,
): Promise<Result<Calibration>> {
  const signature = signatureOfGraph(model.graph);
  if (!signature.ok) return signature;
  const logits = signature.value.logits.name;
  const segments = cutIntoSegments(
    model,
    weights.map(({ product }) => product),
    logits,
  );
  if (!segments)
    return failure('session-failed', 'The nodes of the graph are out of order.', 'Export the model again.');
  const gramSession = await openGramSession(runtime);
  if (!gramSession.ok) return gramSession;
  const sessions: GraphSession[] = [];
  const weightOf = new Map(weights.map((weight) => [weight.product.tensor, weight]));
  const original = new Map(weights.map(({ product, rows }) => [product.tensor, asFeed(product, rows)]));
  const current = new Map(original);
  const tensors = new Map<string, CalibratedTensor>();
  const skipped = new Map<string, string>();

  try {
    // The judged windows go through the original model first, which opens every session.
    const first = windows
      .slice(0, judged)
      .map((ids): State => new Map(Object.entries(tokenFeeds(signature.value, ids))));
    const types = new Map<string, number>();
    const noteTypes = (state: State) => {
      for (const [name, { type }] of state) types.set(name, TYPE_CODES.get(type) ?? 1);
    };
    const baselines: { logits: Float32Array; rows: number; targets: Int32Array }[] = [];
    noteTypes(first[0] ?? new Map<string, HostTensor>());
    for (const segment of segments) {
      const opened = await runtime.open(inOneFile(await encodeSegment(file, model, segment, types)));
      if (!opened.ok) return opened;
      sessions.push(opened.value);
      for (const state of first) {
        const done = await runSegment(opened.value, segment, state, original);
        if (!done.ok) return done;
        for (const [name, value] of done.value) state.set(name, value);
        if (state === first[0]) noteTypes(state);
        for (const name of state.keys()) if (!isNeeded(name, segments, sessions.length)) state.delete(name);
      }
    }
    const vocabulary = first[0]?.get(logits)?.dims.at(-1) ?? 0;
    const rowsOf = (length: number) =>
      Math.max(1, Math.min(length - 1, Math.floor(length / 2), Math.floor(JUDGED_BYTES / judged / vocabulary / 4)));
    for (const [i, state] of first.entries()) {
      const ids = windows[i]!;
      const rows = rowsOf(ids.length);
      baselines.push({
        logits: lastRows(state.get(logits)!, ids.length, rows),
        rows,
        targets: ids.slice(ids.length - rows),
      });
    }
    const scorer = await createWasmScorer(
      baselines.reduce((most, { rows }) => Math.max(most, rows), 1),
      vocabulary,
    );

    /** Mean KL divergence over the judged windows when segments from `from` on run with `current`. */
    const judge = async (from: number, states: readonly State[]): Promise<Result<number>> => {
      let sum = 0;
      let count = 0;
      for (const [i, baseline] of baselines.entries()) {
        const state: State = new Map(states[i]);
        for (let at = from; at < segments.length; at++) {
          const done = await runSegment(sessions[at]!, segments[at]!, state, current);
          if (!done.ok) return done;
          for (const [name, value] of done.value) state.set(name, value);
          for (const name of state.keys()) if (!isNeeded(name, segments, at + 1)) state.delete(name);
        }
        scorer.baseline(baseline.logits, baseline.targets);
        const { kld } = scorer.compare(lastRows(state.get(logits)!, windows[i]!.length, baseline.rows));
        for (const value of kld) sum += value;
        count += kld.length;
      }
      return { ok: true, value: sum / count };
    };

    const plain = windows.map((ids): State => new Map(Object.entries(tokenFeeds(signature.value, ids))));
    const quantized = plain.map((state): State => new Map(state));
    let kld = 0;
    let doneTensors = 0;
    for (const [at, segment] of segments.entries()) {
      signal?.throwIfAborted();
      const groups = groupBy(segment.due, ({ activation }) => activation);
      for (const [activation, products] of groups) {
        const { k } = products[0]!;
        const differs = plain.some((state, i) => state.get(activation) !== quantized[i]!.get(activation));
        const gram = new Float64Array(k * k);
        const cross = differs ? new Float64Array(k * k) : null;
        for (const [i, state] of quantized.entries()) {
          const x = state.get(activation)!.data as Float32Array;
          const x0 = plain[i]!.get(activation)!.data as Float32Array;
          const added = await gramSession.value.add(x, differs ? x0 : null, k, { gram, cross });
          if (!added.ok) return added;
        }
        const solver = createSolver({ gram, cross }, k);
        if (!solver) {
          for (const { tensor } of products) skipped.set(tensor, 'its input is constant, zero or not finite');
          continue;
        }
        const pairs = products.map((product) => {
          const { rows, type, scheme } = weightOf.get(product.tensor)!;
          const targets = targetRows(solver, rows);
          const coarse = quantizeRows(solver, targets, type, scheme);
          const fine = refineRows(solver, targets, coarse);
          doneTensors++;
          onProgress?.(doneTensors, weights.length, product.tensor);
          return { product, coarse, fine };
        });
        const use = (which: 'coarse' | 'fine') => {
          for (const pair of pairs) {
            const codes = pair[which];
            current.set(pair.product.tensor, asFeed(pair.product, dequantizedRows(codes)));
            tensors.set(pair.product.tensor, { codes, refined: which === 'fine' });
          }
        };
        use('coarse');
        const before = await judge(at, quantized);
        if (!before.ok) return before;
        use('fine');
        const after = await judge(at, quantized);
        if (!after.ok) return after;
        if (!(after.value <= before.value)) use('coarse');
        kld = Math.min(after.value, before.value);
      }
      for (const [i, state] of plain.entries()) {
        const own = quantized[i]!;
        const same =
          segment.inputs.every((name) => state.get(name) === own.get(name)) &&
          segment.products.every(({ tensor }) => current.get(tensor) === original.get(tensor));
        const ran = await runSegment(sessions[at]!, segment, state, original);
        if (!ran.ok) return ran;
        const other = same ? ran : await runSegment(sessions[at]!, segment, own, current);
        if (!other.ok) return other;
        for (const [name, value] of ran.value) {
          const shared = shareEqual(value, i > 0 ? plain[0]!.get(name) : undefined);
          state.set(name, shared);
          own.set(name, shareEqual(other.value.get(name)!, shared));
        }
      }
      // A window's values are let go when all windows have them: equal ones are shared with the first.
      for (const states of [plain, quantized])
        for (const state of states)
          for (const name of state.keys()) if (!isNeeded(name, segments, at + 1)) state.delete(name);
    }
    return { ok: true, value: { tensors, skipped, kld } };
  } finally {
    for (const session of sessions) await session.release();
    await gramSession.value.release();
  }
}

const TYPE_CODES: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 27 }, (_, code) => [elementType(code).name, code]),
);

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** Whether a value is live where segment `next` begins; the logits are behind the last. */
function isNeeded(name: string, segments: readonly Segment[], next: number): boolean {
  const segment = segments[next];
  return segment ? segment.live.includes(name) : (segments.at(-1)?.outputs.includes(name) ?? false);
}

async function runSegment(
  session: GraphSession,
  segment: Segment,
  state: State,
  weights: ReadonlyMap<string, HostTensor>,
): Promise<Result<State>> {
  const feeds: Record<string, HostTensor> = {};
  for (const name of segment.inputs) feeds[name] = state.get(name)!;
  for (const product of segment.products) feeds[weightInput(product)] = weights.get(product.tensor)!;
  if (segment.outputs.length === 0) return { ok: true, value: new Map() };
  const result = await session.run(feeds, segment.outputs);
  return result.ok ? { ok: true, value: new Map(Object.entries(result.value)) } : result;
}

/** The weight as the product's node takes it. */
function asFeed({ dims, turned, k, n }: CalibratedProduct, rows: Float32Array): HostTensor {
  if (turned) return { type: 'float32', dims, data: rows };
  const data = new Float32Array(k * n);
  for (let j = 0; j < n; j++) for (let i = 0; i < k; i++) data[i * n + j] = rows[j * k + i]!;
  return { type: 'float32', dims, data };
}

/** The last `rows` positions that predict a token of the window: those before its last one. */
function lastRows({ data, dims }: HostTensor, length: number, rows: number): Float32Array {
  const vocabulary = dims.at(-1) ?? 0;
  const end = (length - 1) * vocabulary;
  return (data as Float32Array).slice(end - rows * vocabulary, end);
}

/** `known` where both hold the same bytes, so that one of them can be let go. */
function shareEqual(value: HostTensor, known: HostTensor | undefined): HostTensor {
  if (!known || known.data.length !== value.data.length || known.type !== value.type) return value;
  if (known.dims.some((dim, axis) => dim !== value.dims[axis])) return value;
  for (let i = 0; i < value.data.length; i++) if (value.data[i] !== known.data[i]) return value;
  return known;
}
