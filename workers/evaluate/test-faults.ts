/** For tests: a provider that computes one value wrongly, as a broken kernel would. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { NodeProtoSchema, TensorProtoSchema } from 'onnx-buf';
import { encodeNode } from '../onnx/writing/encode.ts';
import { scanModel } from '../onnx/scan.ts';
import { splice } from '../onnx/writing/splice.ts';
import { concatBytes, encodeHeader } from '../onnx/wire.ts';
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

const GRAPH = { node: 1, initializer: 5 };

/** `runtime` with a fault in every model that has the value. */
export function withFault(runtime: GraphRuntime, fault: Fault): GraphRuntime {
  return {
    ...runtime,
    open: async (model, options) =>
      runtime.open(fault.hiddenBy && options?.optimized === false ? model : await planted(model, fault), options),
  };
}

async function planted(model: Blob, { tensor, factor, type = 'float32', hiddenBy = [] }: Fault): Promise<Blob> {
  const { graph, source } = await scanModel(blobSource('model', model));
  const node = graph.nodes.find(({ outputs }) => outputs.includes(tensor));
  if (!node || graph.outputs.some(({ proto }) => hiddenBy.includes(proto.name))) return model;
  const proto = fromBinary(NodeProtoSchema, await source.read(node.span.body, node.span.end - node.span.body));
  const field = (number: number, message: Uint8Array) => concatBytes([encodeHeader(number, message.length), message]);
  const [right, wrong] = [`${tensor}/right`, `${tensor}/factor`];
  const renamed = field(
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
  const pieces = splice<never>(source.size, [
    {
      start: node.span.start,
      end: node.span.end,
      within: [graph.span],
      pieces: [
        { kind: 'bytes', bytes: renamed },
        { kind: 'bytes', bytes: times },
      ],
    },
    {
      start: graph.span.end,
      end: graph.span.end,
      within: [graph.span],
      pieces: [{ kind: 'bytes', bytes: field(GRAPH.initializer, toBinary(TensorProtoSchema, constant)) }],
    },
  ]);
  return new Blob(
    pieces.map((piece) =>
      piece.kind === 'copy'
        ? model.slice(piece.start, piece.end)
        : piece.kind === 'bytes'
          ? (piece.bytes as Uint8Array<ArrayBuffer>)
          : new Blob(),
    ),
  );
}
