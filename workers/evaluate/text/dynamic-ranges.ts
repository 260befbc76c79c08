/**
 * Whether a graph quantizes activations while it runs, with a range over all that is run at once. Its logits then depend
 * a little on which tokens are run together: another token may widen the range, and every value is rounded to it.
 */
import type { Graph, Model, Node } from '../../onnx/model.ts';
import { scanModel } from '../../onnx/scan.ts';
import { blobSource } from '../../io/source.ts';

/** Operators that take the range of a whole tensor, by domain. */
const OPERATORS: Readonly<Record<string, readonly string[]>> = {
  '': ['DynamicQuantizeLinear'],
  'com.microsoft': ['DynamicQuantizeMatMul', 'DynamicQuantizeLSTM'],
};

/** False for what cannot be scanned: the runtime says what is wrong with it. */
export async function hasDynamicRanges(model: Blob): Promise<boolean> {
  try {
    return takesRanges(await scanModel(blobSource('model', model)));
  } catch {
    return false;
  }
}

function takesRanges({ graph, functions }: Model): boolean {
  return inGraph(graph) || functions.some(({ nodes }) => nodes.some(inNode));
}

const inGraph = ({ nodes }: Graph): boolean => nodes.some(inNode);

function inNode({ domain, type, attributes }: Node): boolean {
  return OPERATORS[domain]?.includes(type) === true || attributes.some(({ graphs }) => graphs.some(inGraph));
}
