/**
 * Copies of a model for one run, which are never written to a file: with other nodes, inputs or outputs. The copy
 * refers to the bytes of the model.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { fieldNumbers } from '../fields.ts';
import type { Graph, Model } from '../model.ts';
import { encodeValueInfo } from '../writing/encode.ts';
import { splice, type Edit } from '../writing/splice.ts';
import { blobOf } from '../writing/write.ts';

const { output: OUTPUT } = fieldNumbers(GraphProtoSchema);

/** Replaces the range of a field of a graph by other fields; an empty range inserts them. */
export function replaceFields(
  graph: Graph,
  { start, end }: { start: number; end: number },
  fields: readonly Uint8Array[],
): Edit<never> {
  return { start, end, within: [graph.span], pieces: fields.map((bytes) => ({ kind: 'bytes', bytes })) };
}

/** Adds fields (nodes, initializers, inputs, outputs) at the end of a graph. */
export function appendFields(graph: Graph, fields: readonly Uint8Array[]): Edit<never> {
  return replaceFields(graph, { start: graph.span.end, end: graph.span.end }, fields);
}

/** The model with edits of its main graph. @param scanned What a scan of `model` gave. */
export function editModel(model: Blob, { source }: Model, edits: readonly Edit<never>[]): Blob {
  return edits.length === 0 ? model : blobOf(splice(source.size, edits), model);
}

/** An `output` field of a graph, without a type, which onnxruntime infers. */
export function encodeOutput(name: string): Uint8Array {
  return encodeValueInfo(create(ValueInfoProtoSchema, { name }), OUTPUT);
}

/**
 * The model with more outputs. onnxruntime computes and keeps the value of an output whatever its optimizer would have
 * made of it, so it does not fuse operators over that value in the copy.
 * @param scanned What a scan of `model` gave.
 * @param tensors Values of the main graph; those that are outputs already are left as they are.
 */
export function exposeOutputs(model: Blob, scanned: Model, tensors: readonly string[]): Blob {
  const shown = new Set(scanned.graph.outputs.map(({ proto }) => proto.name));
  const added = [...new Set(tensors)].filter((tensor) => !shown.has(tensor)).map(encodeOutput);
  return editModel(model, scanned, added.length === 0 ? [] : [appendFields(scanned.graph, added)]);
}
