/** For tests: language models of a few hundred weights, and a tokenizer for them, made on the spot. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from 'onnx-buf';
import { toFloat16Array } from '../onnx/numbers/float16.ts';

export interface TinyModel {
  vocabulary: number;
  /** Element type of weights, activations and logits. */
  type?: 'float32' | 'float16';
  /** What position t sees of the others: those before it, all of them, or none. */
  sees?: 'earlier' | 'all' | 'none';
  /** Tokens at once; free when absent. */
  sequence?: number;
  /** Logits of the last position only. */
  lastOnly?: boolean;
  /** An input nothing uses. */
  extraInput?: string;
  /** Models of one seed differ by this much noise on the weights. */
  noise?: number;
  /** Adds this to one weight. */
  spoil?: number;
}

const WIDTH = 8;

/** input_ids → Gather → (sum over the tokens seen) → MatMul → logits [1, sequence, vocabulary]. */
export function tinyModel({
  vocabulary,
  type = 'float32',
  sees = 'earlier',
  sequence,
  lastOnly = false,
  extraInput,
  noise = 0,
  spoil = 0,
}: TinyModel): Blob {
  const random = generator(1);
  const jitter = generator(2);
  const weights = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => scale * (random() - 0.5) + noise * (jitter() - 0.5));
  const embedding = weights(vocabulary * WIDTH, 1);
  embedding[0]! += spoil;
  const element = type === 'float16' ? DataType.FLOAT16 : DataType.FLOAT;
  const float = (name: string, values: Float32Array, dims: number[]) =>
    tensor(name, element, type === 'float16' ? toFloat16Array(values) : values, dims);

  const nodes = [node('Gather', ['embedding', 'input_ids'], 'embedded')];
  let hidden = 'embedded';
  if (sees === 'earlier') nodes.push(node('CumSum', [hidden, 'axis'], (hidden = 'summed')));
  if (sees === 'all') {
    nodes.push(node('ReduceSum', [hidden, 'axes'], 'total'));
    nodes.push(node('Add', [hidden, 'total'], (hidden = 'summed')));
  }
  if (lastOnly) nodes.push(node('Gather', [hidden, 'last'], (hidden = 'end'), 1));
  nodes.push(node('MatMul', [hidden, 'projection'], 'logits'));

  const length = sequence ?? 'sequence';
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 17n }],
    graph: create(GraphProtoSchema, {
      name: 'tiny',
      node: nodes,
      initializer: [
        float('embedding', embedding, [vocabulary, WIDTH]),
        float('projection', weights(WIDTH * vocabulary, 4), [WIDTH, vocabulary]),
        tensor('axis', DataType.INT64, BigInt64Array.of(1n), []),
        tensor('axes', DataType.INT64, BigInt64Array.of(1n), [1]),
        tensor('last', DataType.INT64, BigInt64Array.of(-1n), [1]),
      ],
      input: [
        valueInfo('input_ids', DataType.INT64, ['batch', length]),
        ...(extraInput ? [valueInfo(extraInput, DataType.FLOAT, [1])] : []),
      ],
      output: [valueInfo('logits', element, ['batch', lastOnly ? 1 : length, vocabulary])],
    }),
  });
  return new Blob([toBinary(ModelProtoSchema, model)]);
}

export interface TinyDecoder {
  vocabulary: number;
  /** What it remembers of the tokens before: all of them, or a sum of fixed size. */
  memory?: 'cache' | 'state';
  /** Gives back a cache that has the new tokens only, as a graph with another convention might. */
  forgets?: boolean;
  /** What the memory is called on its way in and out. */
  names?: { past: string; present: string };
  /** Positions it has a row for. */
  positions?: number;
  seed?: number;
}

/**
 * input_ids, position_ids, attention_mask and what is remembered → logits [1, sequence, vocabulary] and what is
 * remembered next. The sum of all tokens and positions so far stands in for attention, times its own square so that
 * order matters.
 */
export function tinyDecoder({
  vocabulary,
  memory = 'cache',
  forgets = false,
  positions = 64,
  seed = 1,
  names,
}: TinyDecoder): Blob {
  const random = generator(seed);
  const weights = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => scale * (random() - 0.5));
  const int64 = (name: string, values: bigint[], dims: number[]) =>
    tensor(name, DataType.INT64, BigInt64Array.from(values), dims);
  const { past, present } =
    names ??
    (memory === 'cache'
      ? { past: 'past_key_values.0.key', present: 'present.0.key' }
      : { past: 'past_ssm.0', present: 'present_ssm.0' });
  const shape = (length: string) => (memory === 'cache' ? ['batch', 1, length, WIDTH] : ['batch', WIDTH]);
  const cache = [
    node('Concat', [past, 'masked'], forgets ? 'whole' : present, 2),
    ...(forgets ? [node('Identity', ['masked'], present)] : []),
    node('CumSum', [forgets ? 'whole' : present, 'axis'], 'sums'),
    node('Shape', [past], 'shape'),
    node('Gather', ['shape', 'axes'], 'before'),
    node('Slice', ['sums', 'before', 'end', 'axes'], 'seen'),
  ];
  const state = [
    node('CumSum', ['masked', 'axis'], 'sums'),
    node('Unsqueeze', [past, 'inner'], 'state'),
    node('Add', ['sums', 'state'], 'seen'),
    node('Gather', ['seen', 'last'], 'ends', 2),
    node('Squeeze', ['ends', 'inner'], present),
  ];
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 17n }],
    graph: create(GraphProtoSchema, {
      name: 'decoder',
      node: [
        node('Gather', ['embedding', 'input_ids'], 'words'),
        node('Gather', ['places', 'position_ids'], 'where'),
        node('Add', ['words', 'where'], 'placed'),
        node('Unsqueeze', ['placed', 'head'], 'new'),
        // The mask is over all tokens; only that it has their number matters here.
        node('Cast', ['attention_mask'], 'shown', DataType.FLOAT, 'to'),
        node('ReduceMax', ['shown'], 'one'),
        node('Mul', ['new', 'one'], 'masked'),
        ...(memory === 'cache' ? cache : state),
        node('Mul', ['seen', 'seen'], 'squared'),
        node('Mul', ['squared', 'new'], 'mixed'),
        node('Add', ['mixed', 'seen'], 'hidden'),
        node('Squeeze', ['hidden', 'head'], 'flat'),
        node('MatMul', ['flat', 'projection'], 'logits'),
      ],
      initializer: [
        tensor('embedding', DataType.FLOAT, weights(vocabulary * WIDTH, 1), [vocabulary, WIDTH]),
        tensor('places', DataType.FLOAT, weights(positions * WIDTH, 1), [positions, WIDTH]),
        tensor('projection', DataType.FLOAT, weights(WIDTH * vocabulary, 4), [WIDTH, vocabulary]),
        int64('axis', [2n], []),
        int64('axes', [2n], [1]),
        int64('head', [1n], [1]),
        int64('inner', [1n, 2n], [2]),
        int64('last', [-1n], [1]),
        int64('end', [2n ** 40n], [1]),
      ],
      input: [
        valueInfo('input_ids', DataType.INT64, ['batch', 'sequence']),
        valueInfo('attention_mask', DataType.INT64, ['batch', 'total']),
        valueInfo('position_ids', DataType.INT64, ['batch', 'sequence']),
        valueInfo(past, DataType.FLOAT, shape('past')),
      ],
      output: [
        valueInfo('logits', DataType.FLOAT, ['batch', 'sequence', vocabulary]),
        valueInfo(present, DataType.FLOAT, shape('total')),
      ],
    }),
  });
  return new Blob([toBinary(ModelProtoSchema, model)]);
}

/** A tokenizer that knows the first `vocabulary` characters from U+0100, one token each; `bos` is id 0 in their place. */
export function tinyTokenizer(vocabulary: number, bos = false): { json: string; config: string } {
  const vocab = Object.fromEntries(
    Array.from({ length: vocabulary }, (_, id) => [bos && id === 0 ? '<s>' : String.fromCodePoint(0x100 + id), id]),
  );
  return {
    json: JSON.stringify({
      version: '1.0',
      added_tokens: bos ? [{ id: 0, content: '<s>', special: true }] : [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      model: { type: 'BPE', vocab, merges: [] },
    }),
    config: JSON.stringify({
      tokenizer_class: 'PreTrainedTokenizerFast',
      add_bos_token: bos,
      bos_token: bos ? '<s>' : null,
    }),
  };
}

/** Text of `tokens` tokens of `tinyTokenizer`, the same every time. */
export function tinyText(vocabulary: number, tokens: number): string {
  const random = generator(3);
  return Array.from({ length: tokens }, () =>
    String.fromCodePoint(0x101 + Math.floor(random() * (vocabulary - 1))),
  ).join('');
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function node(opType: string, input: string[], output: string, value?: number, attribute = 'axis'): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input,
    output: [output],
    name: output,
    attribute:
      value === undefined ? [] : [{ name: attribute, type: AttributeProto_AttributeType.INT, i: BigInt(value) }],
  });
}

function tensor(
  name: string,
  dataType: DataType,
  values: Float32Array | Uint16Array | BigInt64Array,
  dims: number[],
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType,
    dims: dims.map(BigInt),
    rawData: new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength),
  });
}

function valueInfo(name: string, elemType: DataType, dims: (number | string)[]): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType,
          shape: {
            dim: dims.map((dim) => ({
              value:
                typeof dim === 'number'
                  ? { case: 'dimValue' as const, value: BigInt(dim) }
                  : { case: 'dimParam' as const, value: dim },
            })),
          },
        },
      },
    },
  });
}
