/**
 * Weights in a second file beside the model, for models that protobuf cannot hold in one (2 GB): which go there, at
 * which place, and how the model says so (onnx/docs/ExternalData.md). And the way back: weights that came in other
 * files are brought inside where there is room.
 */
import { encodePlace, type DataPlace, encodeRawDataHeader } from '../onnx/writing/encode.ts';
import { externalLength } from '../onnx/extent.ts';
import type { Model, ExternalTensor, Tensor } from '../onnx/model.ts';
import { piecesLength, type Edit, type Piece } from '../onnx/writing/splice.ts';
import type { ExternalFiles } from '../io/source.ts';
import type { QuantizeTask } from './quantize-task.ts';

/** The largest message protobuf reads, and so the largest model in one file. */
export const SINGLE_FILE_LIMIT = 2 ** 31 - 1;
/** Smaller weights stay in the model, where shape inference sees them; ONNX's own helper draws the same line. */
export const LEAST_OUTSIDE = 1024;
/** A page of memory, so that a runtime can map each weight from the file. */
export const ALIGNMENT = 4096;

/** A data file while it is being planned. */
export interface DataFile {
  /** Its name, which is what the model calls it. */
  readonly file: string;
  readonly pieces: Piece<QuantizeTask>[];
  bytes(): number;
  /** Puts what `pieces` make at the next place. */
  add(pieces: readonly Piece<QuantizeTask>[]): DataPlace;
}

export function createDataFile(file: string): DataFile {
  const all: Piece<QuantizeTask>[] = [];
  let end = 0;
  return {
    file,
    pieces: all,
    bytes: () => end,
    add(pieces) {
      const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      if (offset > end) all.push({ kind: 'bytes', bytes: new Uint8Array(offset - end) });
      for (const piece of pieces) all.push(piece);
      const length = piecesLength(pieces);
      end = offset + length;
      return { location: file, offset, length };
    },
  };
}

/** Where a new tensor goes; all that one task makes goes the same way, so that it is carried out once. */
export function placeNew(data: DataFile | null, piece: Piece<QuantizeTask>): DataPlace | null {
  return data && piece.kind === 'made' && piece.task.tensor.bytes >= LEAST_OUTSIDE ? data.add([piece]) : null;
}

/**
 * What becomes of the tensors that `edits` leave alone: without a data file all are in the model, with one only the
 * small ones, and `Constant` nodes that were there before.
 */
export function placeKept(
  model: Model,
  edits: readonly Edit<QuantizeTask>[],
  data: DataFile | null,
): Edit<QuantizeTask>[] {
  const gone = new Set(edits.flatMap(({ start, end }) => (end > start ? [start] : [])));
  const isGone = ({ span, place }: Tensor) =>
    gone.has(span.start) || (place?.within.some(({ start }) => gone.has(start)) ?? false);
  const placed = model.externalTensors.flatMap((tensor) =>
    isGone(tensor) ? [] : placeOutside(tensor, model.external, data),
  );
  if (!data) return placed;
  const moved = initializers(model).flatMap((tensor) => {
    if (
      tensor.data.kind !== 'inline' ||
      tensor.data.length < LEAST_OUTSIDE ||
      tensor.place?.stored.length !== 1 ||
      isGone(tensor)
    )
      return [];
    const { offset, length } = tensor.data;
    return restored(tensor, sayWhere(data.add([{ kind: 'copy', start: offset, end: offset + length }])));
  });
  return [...placed, ...moved];
}

function placeOutside(tensor: ExternalTensor, external: ExternalFiles, data: DataFile | null): Edit<QuantizeTask>[] {
  const { location, offset } = tensor.data;
  const length = externalLength(tensor, external);
  const copy = { kind: 'copy', start: offset, end: offset + length, location } as const;
  return restored(
    tensor,
    data && length >= LEAST_OUTSIDE
      ? sayWhere(data.add([copy]))
      : [{ kind: 'bytes', bytes: encodeRawDataHeader(length) }, copy],
  );
}

/** Other fields in place of those that held a tensor's elements. */
function restored({ place, span }: Tensor, pieces: Piece<QuantizeTask>[]): Edit<QuantizeTask>[] {
  return (place?.stored ?? []).map(({ start, end }, i) => ({
    start,
    end,
    within: [...(place?.within ?? []), span],
    pieces: i === 0 ? pieces : [],
  }));
}

function sayWhere(at: DataPlace): Piece<QuantizeTask>[] {
  return [{ kind: 'bytes', bytes: encodePlace(at) }];
}

/** Of the main graph and of bodies. */
function initializers(model: Model): Tensor[] {
  const found: Tensor[] = [];
  const visit = (graph: Model['graph']) => {
    for (const tensor of graph.initializers) found.push(tensor);
    for (const { attributes } of graph.nodes) for (const { graphs } of attributes) graphs.forEach(visit);
  };
  visit(model.graph);
  return found;
}
