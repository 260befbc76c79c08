/**
 * Shows values from inside a graph: a copy of a model, for one run and never written, whose graph has more outputs.
 * onnxruntime infers the type of an output that has only a name. An exposed value is computed and kept whatever the
 * optimizer would have made of it, so fusions over it do not happen in the copy.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema } from 'onnx-buf';
import type { Model } from '../../onnx/model.ts';
import { splice } from '../../onnx/writing/splice.ts';
import { concatBytes, encodeHeader } from '../../onnx/wire.ts';

const GRAPH_OUTPUT = 12;

/**
 * @param scanned What a scan of `model` gave.
 * @param tensors Values of the main graph; those that are outputs already are left as they are.
 * @returns A model that refers to the bytes of `model`.
 */
export function exposeOutputs(model: Blob, scanned: Model, tensors: readonly string[]): Blob {
  const shown = new Set(scanned.graph.outputs.map(({ proto }) => proto.name));
  return extendGraph(model, scanned, [...new Set(tensors)].filter((tensor) => !shown.has(tensor)).map(encodeOutput));
}

/** An `output` field of a graph, without a type. */
export function encodeOutput(name: string): Uint8Array {
  const message = toBinary(ValueInfoProtoSchema, create(ValueInfoProtoSchema, { name }));
  return concatBytes([encodeHeader(GRAPH_OUTPUT, message.length), message]);
}

/** The model with more fields (nodes, initializers, outputs) at the end of its graph. */
export function extendGraph(model: Blob, { graph, source }: Model, fields: readonly Uint8Array[]): Blob {
  if (fields.length === 0) return model;
  const pieces = splice<never>(source.size, [
    {
      start: graph.span.end,
      end: graph.span.end,
      within: [graph.span],
      pieces: fields.map((bytes) => ({ kind: 'bytes', bytes })),
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
