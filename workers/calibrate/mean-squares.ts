/**
 * E[x²] of every input channel of the quantized products, summed inside the graph: outputs of K numbers are added to a
 * copy of the model, so that activations never leave the device.
 */
import type { Result } from '../contract/errors.ts';
import type { GraphRuntime } from '../evaluate/sessions/graph-session.ts';
import { encodeOutput, appendFields, editModel } from '../onnx/graph/edit.ts';
import { signatureOfGraph, tokenFeeds } from '../evaluate/text/token-feeds.ts';
import { inOneFile } from '../onnx/model-files.ts';
import type { Model } from '../onnx/model.ts';
import { encodeInt64Initializer, encodeNode } from '../onnx/writing/encode.ts';
import type { CalibratedProduct } from './products.ts';

/**
 * @param file The model in float32, in one file; @param model A scan of it.
 * @returns Mean squares [K] by name of the weight's tensor; none where the input is all 0 or not finite.
 * Errors: `not-a-language-model`, `inputs-unknown`, `session-failed`, `out-of-memory`.
 */
export async function measureMeanSquares(
  runtime: GraphRuntime,
  file: Blob,
  model: Model,
  products: readonly CalibratedProduct[],
  windows: readonly Int32Array[],
): Promise<Result<Map<string, Float32Array>>> {
  const signature = signatureOfGraph(model.graph);
  if (!signature.ok) return signature;
  const activations = [...new Map(products.map(({ activation, k }) => [activation, k]))];
  const session = await runtime.open(inOneFile(withMeanSquares(file, model, activations)));
  if (!session.ok) return session;
  const sums = activations.map(([, k]) => new Float64Array(k));
  let rows = 0;
  try {
    for (const ids of windows) {
      const ran = await session.value.run(
        tokenFeeds(signature.value, ids),
        activations.map((_, i) => sumName(i)),
      );
      if (!ran.ok) return ran;
      rows += ids.length;
      for (const [i, sum] of sums.entries()) {
        const { data } = ran.value[sumName(i)]!;
        for (let channel = 0; channel < sum.length; channel++) sum[channel] = sum[channel]! + Number(data[channel]);
      }
    }
  } finally {
    await session.value.release();
  }
  const byActivation = new Map(activations.map(([name], i) => [name, damped(sums[i]!, rows)] as const));
  return {
    ok: true,
    value: new Map(
      products.flatMap(({ tensor, activation }) => {
        const squares = byActivation.get(activation);
        return squares ? [[tensor, squares] as const] : [];
      }),
    ),
  };
}

/** Share of the mean of all channels that is added to each, so that none counts nothing. */
const DAMPING = 0.01;

/** Means of the sums; null where they are all 0 or not finite. */
function damped(sums: Float64Array, rows: number): Float32Array | null {
  const mean = sums.reduce((total, sum) => total + sum, 0) / sums.length / rows;
  return mean > 0 && Number.isFinite(Math.fround(mean))
    ? Float32Array.from(sums, (sum) => sum / rows + DAMPING * mean)
    : null;
}

const sumName = (index: number): string => `nibble.squares.${index}`;

/** The model with an output Σx² over all but the last dimension for each value. */
function withMeanSquares(file: Blob, model: Model, activations: readonly [name: string, k: number][]): Blob {
  const opset = model.opsets.find(({ domain }) => domain === '')?.version ?? 1;
  const axes = 'nibble.squares.axes';
  const node = (type: string, inputs: string[], output: string, attributes: Record<string, number | number[]> = {}) =>
    encodeNode({ type, domain: '', name: output, inputs, outputs: [output], attributes });
  const fields = activations.flatMap(([name, k], i) => {
    const shape = `nibble.squares.shape.${i}`;
    const rows = `nibble.squares.rows.${i}`;
    return [
      encodeInt64Initializer(shape, [-1, k]),
      node('Reshape', [name, shape], rows),
      opset < 18
        ? node('ReduceSumSquare', [rows], sumName(i), { axes: [0], keepdims: 0 })
        : node('ReduceSumSquare', [rows, axes], sumName(i), { keepdims: 0 }),
      encodeOutput(sumName(i)),
    ];
  });
  const added = [...(opset < 18 ? [] : [encodeInt64Initializer(axes, [0])]), ...fields];
  return editModel(file, model, [appendFields(model.graph, added)]);
}
