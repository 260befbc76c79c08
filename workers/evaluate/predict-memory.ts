/** What a model is expected to take while its speed is measured, to read what was observed by. */
import { elementCount, elementType } from '../onnx/element-types.ts';
import type { Node, Tensor } from '../onnx/model.ts';
import { scanModel } from '../onnx/scan.ts';
import { indexGraph, type GraphIndex } from '../plan/graph-index.ts';
import type { Provider } from '../protocol.ts';
import { blobSource } from '../source.ts';
import { recogniseSignature, signatureOf } from './inputs.ts';

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
 * Bytes. On the GPU, what is live at once: weights in the type they are computed in, keys and values of the tokens
 * twice, before and after a run, logits and the copy they are read through. In the heap of the WASM provider, its
 * highest mark: what it begins with, the file, weights as stored, float16 ones beside their float32 copies (the CPU
 * kernels compute in float32), and one set of logits; the cache is in the page's memory between runs, and in the heap
 * twice during one. Activations are left out, and so are other models' outputs.
 * @returns Null when the file cannot be read.
 */
export async function predictMemory(model: Blob, use: MemoryUse): Promise<number | null> {
  try {
    const { graph } = await scanModel(blobSource('model', model));
    const index = indexGraph(graph);
    const cache = 2 * use.tokens * cacheBytesPerToken(index, use);
    const logits = use.tokens * use.vocabulary * 4;
    if (use.provider === 'webgpu') {
      const weights = graph.initializers.reduce((sum, tensor) => sum + tensor.bytes * (use.widened && isHalf(tensor) ? 2 : 1), 0);
      return weights + cache + 2 * logits;
    }
    const weights = graph.initializers.reduce((sum, tensor) => sum + tensor.bytes * (isHalf(tensor) && isComputedWith(index, tensor) ? 3 : 1), 0);
    return Math.round(HEAP_GROWTH * (HEAP_AT_START + model.size + weights + cache + logits));
  } catch {
    // The runtime says what is wrong with it.
    return null;
  }
}

const isHalf = ({ type }: Tensor): boolean => elementType(type).name === 'float16';

/** Operators that look up rows, or read float16 scales, as they are. */
const READS_HALF: ReadonlySet<Node['type']> = new Set(['Gather', 'GatherBlockQuantized', 'MatMulNBits', 'DequantizeLinear']);

function isComputedWith(index: GraphIndex, { name }: Tensor): boolean {
  return (index.uses.get(name) ?? []).some(({ node }) => !READS_HALF.has(node.type));
}

function cacheBytesPerToken({ graph, initializers }: GraphIndex, { provider, widened }: MemoryUse): number {
  const inputs = graph.inputs.filter(({ proto }) => !initializers.has(proto.name)).map(({ proto }) => signatureOf(proto));
  const signature = recogniseSignature(inputs, graph.outputs.map(({ proto }) => signatureOf(proto)));
  if (!signature.ok) return 0;
  return signature.value.feeds.filter(({ dims }) => dims.includes(0)).reduce((sum, { type, dims }) => {
    const width = type === 'float16' ? (widened && provider === 'webgpu' ? 4 : 2) : type === 'float32' ? 4 : 1;
    return sum + width * elementCount(dims.map((dim) => (dim === 0 || dim === 'window' ? 1 : dim)));
  }, 0);
}
