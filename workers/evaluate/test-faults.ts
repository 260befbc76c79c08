/** For tests: a provider that computes one value wrongly, as a broken kernel would. */
import type { ModelFiles } from '../contract/files.ts';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GraphProtoSchema, NodeProtoSchema, TensorProtoSchema } from 'onnx-buf';
import { encodeNode } from '../onnx/writing/encode.ts';
import { scanModel } from '../onnx/scan.ts';
import { fieldNumbers } from '../onnx/fields.ts';
import { appendFields, editModel, replaceFields } from '../onnx/graph/edit.ts';
import { encodeField } from '../onnx/wire.ts';
import { blobSource } from '../io/source.ts';
import { toFloat16Array } from '../onnx/numbers/float16.ts';
import type { GraphRuntime } from './sessions/graph-session.ts';

export interface Fault {
  /** The value that comes out wrong, a float one. */
  tensor: string;
  /** It is multiplied by this. */
  factor: number;
  type?: 'float32' | 'float16';
  /** The fault is that of a fused kernel: not there in graphs that give out one of these values from inside it, and not without optimizations. */
  hiddenBy?: readonly string[];
}

const GRAPH = fieldNumbers(GraphProtoSchema);

/** `runtime` with a fault in every model that has the value. */
export function withFault(runtime: GraphRuntime, fault: Fault): GraphRuntime {
  return {
    ...runtime,
    open: async (model, options) =>
      runtime.open(fault.hiddenBy && options?.optimized === false ? model : await planted(model, fault), options),
  };
}

async function planted(
  files: ModelFiles,
  { tensor, factor, type = 'float32', hiddenBy = [] }: Fault,
): Promise<ModelFiles> {
  const scanned = await scanModel(blobSource('model', files.model));
  const { graph, source } = scanned;
  const node = graph.nodes.find(({ outputs }) => outputs.includes(tensor));
  if (!node || graph.outputs.some(({ proto }) => hiddenBy.includes(proto.name))) return files;
  const proto = fromBinary(NodeProtoSchema, await source.read(node.span.body, node.span.end - node.span.body));
  const [right, wrong] = [`${tensor}/right`, `${tensor}/factor`];
  const renamed = encodeField(
    GRAPH.node,
    toBinary(NodeProtoSchema, { ...proto, output: proto.output.map((name) => (name === tensor ? right : name)) }),
  );
  const times = encodeNode({
    type: 'Mul',
    domain: '',
    name: `${tensor}/fault`,
    inputs: [right, wrong],
    outputs: [tensor],
    attributes: {},
  });
  const values = type === 'float32' ? Float32Array.of(factor) : toFloat16Array(Float32Array.of(factor));
  const constant = create(TensorProtoSchema, {
    name: wrong,
    dataType: type === 'float32' ? 1 : 10,
    rawData: new Uint8Array(values.buffer),
  });
  const added = encodeField(GRAPH.initializer, toBinary(TensorProtoSchema, constant));
  const edits = [replaceFields(graph, node.span, [renamed, times]), appendFields(graph, [added])];
  return { ...files, model: editModel(files.model, scanned, edits) };
}
