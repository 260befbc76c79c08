/** Calibration of a planned file: measures activations, and gives the tasks of its plan what their method needs. */
import { METHODS } from '../contract/methods.ts';
import type { Result } from '../contract/errors.ts';
import type { GraphRuntime } from '../evaluate/sessions/graph-session.ts';
import { blobSource } from '../io/source.ts';
import { scanModel } from '../onnx/scan.ts';
import { inOneFile } from '../onnx/model-files.ts';
import { widenModel } from '../onnx/widen.ts';
import { preparePlan } from '../plan/plan.ts';
import type { QuantizeTask } from '../plan/quantize-task.ts';
import { packCodes, weightRows } from '../quantize/methods/block-codes.ts';
import { weightMatrix } from '../quantize/quantize-chunk.ts';
import type { ByteSource, ExternalFiles } from '../io/source.ts';
import { calibrateGptq, type CalibratedWeight } from './calibrate.ts';
import { measureMeanSquares } from './mean-squares.ts';
import { findProducts } from './products.ts';

export type BlockTask = QuantizeTask & { kind: 'quantize' };

export interface TasksInput {
  /** The model as it is run: in one file. */
  model: Blob;
  /** What the tasks' weights are read from. */
  source: ByteSource;
  external: ExternalFiles;
  /** Tasks of one level. */
  tasks: readonly BlockTask[];
  windows: readonly Int32Array[];
  /** How many of the windows refinements are judged by. */
  judged?: number;
  onProgress?(done: number, total: number, tensor: string): void;
  signal?: AbortSignal;
}

export interface CalibratedTasks {
  /** The tasks that change, by those they replace. */
  tasks: ReadonlyMap<BlockTask, BlockTask>;
  /** Weights that have no calibrated form, and why: they are searched without calibration. */
  skipped: ReadonlyMap<string, string>;
  /** Weights whose refinement raised the KL divergence, and was undone. */
  unrefined: number;
  /** Mean KL divergence on the judged windows, nats; null where it was not measured. */
  kld: number | null;
}

const JUDGED = 8;
const UNUSABLE_INPUT = 'its input is all zero or not finite';

/**
 * Calibrates the tasks whose method needs it.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`; those of reading.
 */
export async function calibrateTasks(
  runtime: GraphRuntime,
  { model, source, external, tasks, windows, judged = JUDGED, onProgress, signal }: TasksInput,
): Promise<Result<CalibratedTasks>> {
  const needing = (needs: string) =>
    tasks.filter(({ scheme }) => scheme.method && METHODS[scheme.method].needs === needs);
  const file = (await widenModel(inOneFile(model)))?.model ?? model;
  const scanned = await scanModel(blobSource('The model', file));
  const products = findProducts(preparePlan(scanned));
  const productOf = new Map(products.map((product) => [product.tensor, product]));
  const changed = new Map<BlockTask, BlockTask>();
  const skipped = new Map<string, string>();
  let unrefined = 0;
  let kld: number | null = null;

  const usable = (task: BlockTask) => {
    const product = productOf.get(task.tensor.name);
    if (product?.k === task.k && product.n === task.n) return product;
    skipped.set(task.tensor.name, 'it is not the right factor of one product of the main graph');
    return null;
  };

  const weighted = needing('mean-squares').filter(usable);
  if (weighted.length > 0) {
    const wanted = new Set(weighted.map(({ tensor }) => tensor.name));
    const measured = await measureMeanSquares(
      runtime,
      file,
      scanned,
      products.filter(({ tensor }) => wanted.has(tensor)),
      windows,
    );
    if (!measured.ok) return measured;
    for (const task of weighted) {
      const meanSquares = measured.value.get(task.tensor.name);
      if (meanSquares) changed.set(task, { ...task, meanSquares });
      else skipped.set(task.tensor.name, UNUSABLE_INPUT);
    }
  }

  const weights: CalibratedWeight[] = [];
  const sequential = new Map<string, BlockTask>();
  for (const task of needing('grams')) {
    const product = usable(task);
    if (!product) continue;
    const { matrix } = await weightMatrix(task, source, external);
    const rows = weightRows(matrix);
    // A weight that is not finite is refused where it is written.
    if (!rows.every(Number.isFinite)) continue;
    weights.push({ product, rows, type: matrix.type, scheme: task.scheme });
    sequential.set(product.tensor, task);
  }
  if (weights.length > 0) {
    const calibrated = await calibrateGptq(runtime, file, scanned, weights, {
      windows,
      judged,
      ...(onProgress && { onProgress }),
      ...(signal && { signal }),
    });
    if (!calibrated.ok) return calibrated;
    ({ kld } = calibrated.value);
    for (const [tensor, why] of calibrated.value.skipped) skipped.set(tensor, why);
    for (const [tensor, { codes, refined }] of calibrated.value.tensors) {
      const task = sequential.get(tensor)!;
      changed.set(task, { ...task, ready: packCodes(codes) });
      if (!refined) unrefined++;
    }
  }
  return { ok: true, value: { tasks: changed, skipped, unrefined, kld } };
}
