/**
 * Models of any size, made in code piece by piece: decoders with the shapes of GPT-2 (a table of 50257 × 768, layers of
 * 768×2304, 2304×768, 768×3072 and 3072×768, an output projection), for benchmarks and for tests of memory. No piece is
 * larger than a few megabytes, so that making one takes no memory either.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema, TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import { FLOAT16, FLOAT32 } from '../workers/onnx/numbers/element-types.ts';
import { toFloat16Array } from '../workers/onnx/numbers/float16.ts';
import { concatBytes, encodeHeader } from '../workers/onnx/wire.ts';
import { encode, graph, model, node, randomValues, value, type FloatType } from './build.ts';

export interface LargeModelShape {
  vocabulary: number;
  width: number;
  /** Widths inside attention's and the feed-forward block's pair of matrices. */
  inner: [number, number];
  layers: number;
  type: FloatType;
}

/** 353 MB in float16. */
export const GPT2_SHAPE: LargeModelShape = {
  vocabulary: 50257,
  width: 768,
  inner: [2304, 3072],
  layers: 12,
  type: 'float16',
};

interface Weight {
  name: string;
  dims: [number, number];
}

const CHUNK = 4 * 2 ** 20;
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_RAW_DATA = 9;

function weightsOf({ vocabulary, width, inner, layers }: LargeModelShape): Weight[] {
  return [
    { name: 'embed.weight', dims: [vocabulary, width] },
    ...Array.from({ length: layers }, (_, layer) =>
      inner.flatMap((wide, half): Weight[] => [
        { name: `layers.${layer}.${half}.up.weight`, dims: [width, wide] },
        { name: `layers.${layer}.${half}.down.weight`, dims: [wide, width] },
      ]),
    ).flat(),
    { name: 'head.weight', dims: [width, vocabulary] },
  ];
}

const bytesOf = ({ dims: [rows, columns] }: Weight, type: FloatType): number =>
  rows * columns * (type === 'float16' ? 2 : 4);

/** Bytes of all weights. */
export function largeModelBytes(shape: LargeModelShape): number {
  return weightsOf(shape).reduce((sum, weight) => sum + bytesOf(weight, shape.type), 0);
}

/** The model without its initializers: input_ids → logits, each pair of matrices with a residual. */
function skeleton(shape: LargeModelShape): { before: Uint8Array; graphBody: Uint8Array } {
  const nodes = [node('Gather', ['embed.weight', 'input_ids'], ['x0'])];
  let x = 'x0';
  for (let pair = 0; pair < shape.layers * 2; pair++) {
    const name = `layers.${pair >> 1}.${pair % 2}`;
    nodes.push(
      node('MatMul', [x, `${name}.up.weight`], [`${name}.u`]),
      node('Tanh', [`${name}.u`], [`${name}.t`]),
      node('MatMul', [`${name}.t`, `${name}.down.weight`], [`${name}.d`]),
      node('Add', [x, `${name}.d`], [`${name}.out`]),
    );
    x = `${name}.out`;
  }
  nodes.push(node('MatMul', [x, 'head.weight'], ['logits']));
  const whole = encode(
    model(
      graph({
        node: nodes,
        input: [value('input_ids', 'int64', ['batch', 'sequence'])],
        output: [value('logits', shape.type, ['batch', 'sequence', shape.vocabulary])],
      }),
    ),
  );
  const empty = encode(model(graph({})));
  // The graph is the only part that grows: its message is what is longer than in a model with an empty one.
  const graphBody = graphOf(whole);
  return { before: withoutGraph(empty), graphBody };
}

function findGraph(bytes: Uint8Array): { start: number; body: number; end: number } {
  let at = 0;
  const varint = () => {
    let result = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++] ?? 0;
      result += (byte & 127) * shift;
      if (byte < 128) return result;
    }
  };
  while (at < bytes.length) {
    const start = at;
    const tag = varint();
    if ((tag & 7) === 0) {
      varint();
      continue;
    }
    const length = varint();
    if (tag >> 3 === MODEL_GRAPH) return { start, body: at, end: at + length };
    at += length;
  }
  throw new Error('a model without a graph');
}

function graphOf(bytes: Uint8Array): Uint8Array {
  const { body, end } = findGraph(bytes);
  return bytes.subarray(body, end);
}

function withoutGraph(bytes: Uint8Array): Uint8Array {
  const { start, end } = findGraph(bytes);
  return concatBytes([bytes.subarray(0, start), bytes.subarray(end)]);
}

/** The file in pieces, weights inside. Weights are roughly normal, seeded, and repeat every few megabytes. */
export function* largeModel(shape: LargeModelShape): Generator<Uint8Array<ArrayBuffer>> {
  const { before, graphBody } = skeleton(shape);
  const heads = weightsOf(shape).map((weight) => {
    const head = toBinary(
      TensorProtoSchema,
      create(TensorProtoSchema, {
        name: weight.name,
        dataType: shape.type === 'float16' ? FLOAT16 : FLOAT32,
        dims: weight.dims.map(BigInt),
      }),
    );
    const dataHeader = encodeHeader(TENSOR_RAW_DATA, bytesOf(weight, shape.type));
    const length = head.length + dataHeader.length + bytesOf(weight, shape.type);
    return { weight, bytes: concatBytes([encodeHeader(GRAPH_INITIALIZER, length), head, dataHeader]) };
  });
  const graphLength =
    graphBody.length + heads.reduce((sum, { weight, bytes }) => sum + bytes.length + bytesOf(weight, shape.type), 0);
  yield owned(concatBytes([before, encodeHeader(MODEL_GRAPH, graphLength), graphBody]));
  const block = blockOf(shape.type);
  for (const [index, { weight, bytes }] of heads.entries()) {
    yield owned(bytes);
    yield* repeated(block, bytesOf(weight, shape.type), index);
  }
}

/** The model file alone, its weights in one external file `location` at multiples of 4,096, and how long that file is. */
export function largeModelExternal(
  shape: LargeModelShape,
  location: string,
): { model: Uint8Array<ArrayBuffer>; dataBytes: number } {
  const { before, graphBody } = skeleton(shape);
  let offset = 0;
  const initializers = weightsOf(shape).map((weight) => {
    const length = bytesOf(weight, shape.type);
    const entries = { location, offset: String(offset), length: String(length) };
    const tensor = toBinary(
      TensorProtoSchema,
      create(TensorProtoSchema, {
        name: weight.name,
        dataType: shape.type === 'float16' ? FLOAT16 : FLOAT32,
        dims: weight.dims.map(BigInt),
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: Object.entries(entries).map(([key, entry]) =>
          create(StringStringEntryProtoSchema, { key, value: entry }),
        ),
      }),
    );
    offset = Math.ceil((offset + length) / 4096) * 4096;
    return concatBytes([encodeHeader(GRAPH_INITIALIZER, tensor.length), tensor]);
  });
  const body = concatBytes([graphBody, ...initializers]);
  return { model: owned(concatBytes([before, encodeHeader(MODEL_GRAPH, body.length), body])), dataBytes: offset };
}

/** The external file of `largeModelExternal` in pieces. */
export function* largeModelData(shape: LargeModelShape): Generator<Uint8Array<ArrayBuffer>> {
  const block = blockOf(shape.type);
  for (const [index, weight] of weightsOf(shape).entries()) {
    const length = bytesOf(weight, shape.type);
    yield* repeated(block, length, index);
    yield new Uint8Array(Math.ceil(length / 4096) * 4096 - length);
  }
}

function blockOf(type: FloatType): Uint8Array<ArrayBuffer> {
  const values = randomValues(7, CHUNK / (type === 'float16' ? 2 : 4), 0.03);
  return new Uint8Array(type === 'float16' ? toFloat16Array(values).buffer : (values.buffer as ArrayBuffer));
}

/** `length` bytes of the block over and over, from a place of its own for each tensor. */
function* repeated(block: Uint8Array<ArrayBuffer>, length: number, index: number): Generator<Uint8Array<ArrayBuffer>> {
  let from = (index * 8192) % block.length;
  for (let left = length; left > 0; from = 0) {
    const piece = block.subarray(from, from + Math.min(left, block.length - from));
    yield piece;
    left -= piece.length;
  }
}

const owned = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
