/** What a model is expected to take: shown before it is run, and beside what was observed. */
import { filesSize } from '../../onnx/model-files.ts';
import type { ModelFiles } from '../../contract/files.ts';
import { elementCount, elementType } from '../../onnx/numbers/element-types.ts';
import { mainScope, type Scope } from '../../onnx/graph/scopes.ts';
import type { Graph, Model, Node, Tensor } from '../../onnx/model.ts';
import { scanModel } from '../../onnx/scan.ts';
import type { MemoryParts, MemoryPrediction } from '../../contract/report.ts';
import type { Provider } from '../../contract/capabilities.ts';
import { blobSource } from '../../io/source.ts';
import { recogniseSignature, signatureOf } from '../inputs.ts';

export interface MemoryUse {
  provider: Provider;
  /** Tokens run at once, each with its row of logits. */
  tokens: number;
  /** Entries of the logits; 0 for models that are not language models. */
  vocabulary: number;
  /** float16 is computed in float32 on the GPU. */
  widened: boolean;
}

/** Memory onnxruntime-web begins with. */
const HEAP_AT_START = 16 << 20;
/** The heap grows to what is needed or by a fifth, whichever is more; by how much a need is exceeded is chance, so all of it is counted. */
const HEAP_GROWTH = 1.2;

/**
 * The one model of memory. On the GPU, what is live at once: weights in the type they are computed in, keys and values
 * of the tokens twice, before and after a run, logits and the copy they are read through. In the heap of the WASM
 * provider, its highest mark: what it begins with, the file, weights as stored, float16 ones beside their float32
 * copies (the CPU kernels compute in float32), and one set of logits; the cache is in the page's memory between runs,
 * and in the heap twice during one. Activations other than logits are left out, and so are other models' outputs.
 * @returns Null when the file cannot be read.
 */
export async function memoryOf(files: ModelFiles, use: Omit<MemoryUse, 'tokens'>): Promise<MemoryPrediction | null> {
  try {
    return predictionOf(await scanModel(blobSource('model', files.model)), filesSize(files), use);
  } catch {
    // The runtime says what is wrong with it.
    return null;
  }
}

/** The same for every provider, of a file as it is stored. Errors as `memoryOf`. */
export async function memoryByProvider(
  files: ModelFiles,
  vocabulary: number,
): Promise<Record<Provider, MemoryPrediction> | null> {
  try {
    const scanned = await scanModel(blobSource('model', files.model));
    const on = (provider: Provider) =>
      predictionOf(scanned, filesSize(files), { provider, vocabulary, widened: false });
    return { wasm: on('wasm'), webgpu: on('webgpu') };
  } catch {
    return null;
  }
}

/** The parts for so many tokens. */
export function partsFor({ fixed, perToken }: MemoryPrediction, tokens: number): MemoryParts {
  const at = (part: keyof MemoryParts) => Math.round(fixed[part] + tokens * perToken[part]);
  return { weights: at('weights'), cache: at('cache'), activations: at('activations'), runtime: at('runtime') };
}

export const totalOf = ({ weights, cache, activations, runtime }: MemoryParts): number =>
  weights + cache + activations + runtime;

function predictionOf(model: Model, fileBytes: number, use: Omit<MemoryUse, 'tokens'>): MemoryPrediction {
  const scope = mainScope(model);
  const { initializers } = model.graph;
  const cache = 2 * cacheBytesPerToken(model.graph, scope, use);
  const logits = use.vocabulary * 4;
  if (use.provider === 'webgpu') {
    const weights = initializers.reduce(
      (sum, tensor) => sum + tensor.bytes * (use.widened && isHalf(tensor) ? 2 : 1),
      0,
    );
    return {
      fixed: { weights, cache: 0, activations: 0, runtime: 0 },
      perToken: { weights: 0, cache, activations: 2 * logits, runtime: 0 },
    };
  }
  const weights =
    fileBytes +
    initializers.reduce(
      (sum, tensor) => sum + tensor.bytes * (isHalf(tensor) && isComputedWith(scope, tensor) ? 3 : 1),
      0,
    );
  const grown = (needed: number) => (HEAP_GROWTH - 1) * needed;
  return {
    fixed: { weights, cache: 0, activations: 0, runtime: HEAP_AT_START + grown(HEAP_AT_START + weights) },
    perToken: { weights: 0, cache, activations: logits, runtime: grown(cache + logits) },
  };
}

const isHalf = ({ type }: Tensor): boolean => elementType(type).name === 'float16';

/** Operators that look up rows, or read float16 scales, as they are. */
const READS_HALF: ReadonlySet<Node['type']> = new Set([
  'Gather',
  'GatherBlockQuantized',
  'MatMulNBits',
  'DequantizeLinear',
]);

function isComputedWith(scope: Scope, { name }: Tensor): boolean {
  return (scope.uses.get(name) ?? []).some(({ node }) => !READS_HALF.has(node.type));
}

function cacheBytesPerToken(
  { inputs, outputs }: Graph,
  { constants }: Scope,
  { provider, widened }: Omit<MemoryUse, 'tokens'>,
): number {
  const signature = recogniseSignature(
    inputs.filter(({ proto }) => !constants.has(proto.name)).map(({ proto }) => signatureOf(proto)),
    outputs.map(({ proto }) => signatureOf(proto)),
  );
  if (!signature.ok) return 0;
  return signature.value.feeds
    .filter(({ dims }) => dims.includes(0))
    .reduce((sum, { type, dims }) => {
      const width = type === 'float16' ? (widened && provider === 'webgpu' ? 4 : 2) : type === 'float32' ? 4 : 1;
      return sum + width * elementCount(dims.map((dim) => (dim === 0 || dim === 'window' ? 1 : dim)));
    }, 0);
}
