/** Tiny ONNX models made in code, for tests: as exporters write them, small enough to read. */
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from 'onnx-buf';
import { toFloat16Array } from '../workers/onnx/numbers/float16.ts';

export type FloatType = 'float32' | 'float16';

const CODES = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11, bfloat16: 16 } as const;
type Code = keyof typeof CODES;

/** A tensor with raw data; float16 takes the nearest half of each value, bfloat16 its upper bits. */
export function tensor(name: string, type: Code, dims: readonly number[], values: ArrayLike<number>): TensorProto {
  const array =
    type === 'float32'
      ? Float32Array.from(values)
      : type === 'float64'
        ? Float64Array.from(values)
        : type === 'bfloat16'
          ? Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (bits) => bits >>> 16)
          : type === 'float16'
            ? toFloat16Array(Float32Array.from(values))
            : type === 'int64'
              ? BigInt64Array.from(Array.from(values, BigInt))
              : type === 'int32'
                ? Int32Array.from(values)
                : Uint8Array.from(values);
  return create(TensorProtoSchema, {
    name,
    dataType: CODES[type],
    dims: dims.map(BigInt),
    rawData: new Uint8Array(array.buffer),
  });
}

/** What an attribute may be: an integer, a list of integers, a float, a string, a tensor or a graph. */
export type AttributeValue =
  number | number[] | { float: number } | { floats: number[] } | { text: string } | TensorProto | GraphProto;

export function node(
  opType: string,
  input: string[],
  output: string[],
  attributes: Record<string, AttributeValue> = {},
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input,
    output,
    domain,
    name: `${output[0] ?? ''}/${opType}`,
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  });
}

function attribute(name: string, value: AttributeValue): AttributeProto {
  const type = AttributeProto_AttributeType;
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, type: type.INT, i: BigInt(value) });
  if (Array.isArray(value)) return create(AttributeProtoSchema, { name, type: type.INTS, ints: value.map(BigInt) });
  if ('float' in value) return create(AttributeProtoSchema, { name, type: type.FLOAT, f: value.float });
  if ('floats' in value) return create(AttributeProtoSchema, { name, type: type.FLOATS, floats: value.floats });
  if ('text' in value)
    return create(AttributeProtoSchema, { name, type: type.STRING, s: new TextEncoder().encode(value.text) });
  return create(
    AttributeProtoSchema,
    value.$typeName === 'onnx.TensorProto'
      ? { name, type: type.TENSOR, t: value }
      : { name, type: type.GRAPH, g: value },
  );
}

/** A graph input or output; string dimensions are free. */
export function value(name: string, type: Code, dims: readonly (number | string)[]): ValueInfoProto {
  const dim = dims.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value: typeof size === 'number' ? { case: 'dimValue', value: BigInt(size) } : { case: 'dimParam', value: size },
    }),
  );
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType: CODES[type],
          shape: create(TensorShapeProtoSchema, { dim }),
        }),
      },
    }),
  });
}

export function graph(init: Omit<MessageInitShape<typeof GraphProtoSchema>, '$typeName'>): GraphProto {
  return create(GraphProtoSchema, { name: 'graph', ...init });
}

export function model(body: GraphProto, opset = 17, irVersion = 8, functions: FunctionProto[] = []): ModelProto {
  const domains = new Set(['', ...functions.map(({ domain }) => domain), ...body.node.map(({ domain }) => domain)]);
  return create(ModelProtoSchema, {
    irVersion: BigInt(irVersion),
    producerName: 'nibble-tests',
    graph: body,
    functions,
    opsetImport: [...domains].map((domain) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(domain === '' ? opset : 1) }),
    ),
  });
}

/** A local function. */
export function localFunction(
  domain: string,
  name: string,
  input: string[],
  output: string[],
  nodes: NodeProto[],
  opset = 17,
): FunctionProto {
  return create(FunctionProtoSchema, {
    domain,
    name,
    input,
    output,
    node: nodes,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
  });
}

export function encode(proto: ModelProto): Uint8Array<ArrayBuffer> {
  return toBinary(ModelProtoSchema, proto);
}

/**
 * The model with the initializers of its main graph in other files, one after the other in each, as ONNX's own helper
 * writes them.
 * @param locate The file a tensor goes to; null leaves it in the model.
 */
export function splitModel(
  bytes: Uint8Array,
  locate: (name: string) => string | null,
): { model: Uint8Array<ArrayBuffer>; files: Map<string, Uint8Array<ArrayBuffer>> } {
  const proto = fromBinary(ModelProtoSchema, bytes);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const init of proto.graph?.initializer ?? []) {
    const location = locate(init.name);
    if (location === null) continue;
    const before = files.get(location) ?? new Uint8Array(0);
    const all = new Uint8Array(before.length + init.rawData.length);
    all.set(before);
    all.set(init.rawData, before.length);
    files.set(location, all);
    init.dataLocation = TensorProto_DataLocation.EXTERNAL;
    init.externalData = Object.entries({ location, offset: before.length, length: init.rawData.length }).map(
      ([key, entry]) => create(StringStringEntryProtoSchema, { key, value: String(entry) }),
    );
    init.rawData = new Uint8Array(0);
  }
  return { model: toBinary(ModelProtoSchema, proto), files };
}

/** Seeded numbers, roughly normal: the sum of four uniform ones (mulberry32). */
export function randomValues(seed: number, count: number, scale = 1): Float32Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float32Array.from({ length: count }, () => (uniform() + uniform() + uniform() + uniform() - 2) * scale);
}

/** y = x · w with w [K, N]. */
export function matMulModel(
  weights: Float32Array,
  k: number,
  n: number,
  type: FloatType = 'float32',
): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [tensor('w', type, [k, n], weights)],
        input: [value('x', type, ['rows', k])],
        output: [value('y', type, ['rows', n])],
      }),
    ),
  );
}

export interface TinyLanguageModel {
  vocabulary: number;
  width: number;
  hidden: number;
  type: FloatType;
  /** The output projection is the embedding seen through a Transpose. */
  tied: boolean;
  opset?: number;
  /** Between the two matrices of the feed-forward block. */
  activation?: 'Tanh' | 'Softmax';
}

/** Weights of a tiny language model by name, as float32. */
export function tinyWeights(
  { vocabulary, width, hidden, tied }: TinyLanguageModel,
  seed = 1,
): Map<string, { dims: number[]; values: Float32Array }> {
  const make = (offset: number, dims: number[], scale: number) => ({
    dims,
    values: randomValues(
      seed * 1000 + offset,
      dims.reduce((a, b) => a * b, 1),
      scale,
    ),
  });
  return new Map([
    ['embed.weight', make(1, [vocabulary, width], 1)],
    ['layers.0.up.weight', make(2, [width, hidden], 0.3)],
    ['layers.0.down.weight', make(3, [hidden, width], 0.3)],
    ['layers.0.norm.weight', make(4, [width], 1)],
    ...(tied ? [] : [['head.weight', make(5, [width, vocabulary], 0.3)] as const]),
  ]);
}

/**
 * input_ids [batch, sequence] → logits [batch, sequence, vocabulary]: embedding, a gated feed-forward block with a
 * residual, output projection. `override` replaces weights, as the same graph with dequantized weights needs.
 */
export function tinyLanguageModel(
  shape: TinyLanguageModel,
  override: ReadonlyMap<string, Float32Array> = new Map(),
  seed = 1,
): Uint8Array<ArrayBuffer> {
  const initializer = [...tinyWeights(shape, seed)].map(([name, { dims, values }]) =>
    tensor(name, shape.type, dims, override.get(name) ?? values),
  );
  const head = shape.tied
    ? [node('Transpose', ['embed.weight'], ['head_t'], { perm: [1, 0] }), node('MatMul', ['out', 'head_t'], ['logits'])]
    : [node('MatMul', ['out', 'head.weight'], ['logits'])];
  return encode(
    model(
      graph({
        node: [
          node('Gather', ['embed.weight', 'input_ids'], ['x']),
          node('Mul', ['x', 'layers.0.norm.weight'], ['n']),
          node('MatMul', ['n', 'layers.0.up.weight'], ['u']),
          node(shape.activation ?? 'Tanh', ['u'], ['t']),
          node('MatMul', ['t', 'layers.0.down.weight'], ['d']),
          node('Add', ['x', 'd'], ['out']),
          ...head,
        ],
        initializer,
        input: [value('input_ids', 'int64', ['batch', 'sequence'])],
        output: [value('logits', shape.type, ['batch', 'sequence', shape.vocabulary])],
      }),
      shape.opset,
    ),
  );
}

/** A tokenizer.json whose 256 tokens are the bytes, in the alphabet byte-level BPE writes them in (GPT-2's encoder.py). */
export function byteTokenizer(): string {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  const vocab = Object.fromEntries(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(printable(byte) ? byte : next++), byte]),
  );
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: [],
    },
  });
}

export interface ImageModel {
  /** Height and width the input states; free when null. The graph takes 32 × 32 only. */
  size: 32 | null;
  /** Samples at once; free when absent. */
  batch?: number;
}

/**
 * pixel_values [batch, 3, 32, 32] → scores [batch, 12]: a convolution, then two matrices as image models end in.
 * Levels quantize the matrices; the convolution stays.
 */
export function imageModel({ size, batch }: ImageModel): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('Conv', ['pixel_values', 'patch.weight'], ['patches'], { strides: [4, 4] }),
          node('Relu', ['patches'], ['active']),
          node('Flatten', ['active'], ['flat']),
          node('MatMul', ['flat', 'hidden.weight'], ['h']),
          node('Tanh', ['h'], ['t']),
          node('MatMul', ['t', 'classifier.weight'], ['scores']),
        ],
        initializer: [
          tensor('patch.weight', 'float32', [8, 3, 4, 4], randomValues(21, 8 * 3 * 16, 0.3)),
          tensor('hidden.weight', 'float32', [512, 48], randomValues(22, 512 * 48, 0.2)),
          tensor('classifier.weight', 'float32', [48, 12], randomValues(23, 48 * 12, 0.5)),
        ],
        input: [value('pixel_values', 'float32', [batch ?? 'batch', 3, size ?? 'height', size ?? 'width'])],
        output: [value('scores', 'float32', [batch ?? 'batch', 12])],
      }),
    ),
  );
}

/** features [batch, 48] → embedding [batch, 32] and, by its largest of 16 scores, label int64 [batch]. */
export function twoOutputModel(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('MatMul', ['features', 'up.weight'], ['u']),
          node('Tanh', ['u'], ['t']),
          node('MatMul', ['t', 'embedding.weight'], ['embedding']),
          node('MatMul', ['embedding', 'labels.weight'], ['s']),
          node('ArgMax', ['s'], ['label'], { axis: -1, keepdims: 0 }),
        ],
        initializer: [
          tensor('up.weight', 'float32', [48, 64], randomValues(31, 48 * 64, 0.2)),
          tensor('embedding.weight', 'float32', [64, 32], randomValues(32, 64 * 32, 0.2)),
          tensor('labels.weight', 'float32', [32, 16], randomValues(33, 32 * 16, 0.5)),
        ],
        input: [value('features', 'float32', ['batch', 48])],
        output: [value('embedding', 'float32', ['batch', 32]), value('label', 'int64', ['batch'])],
      }),
    ),
  );
}

/** input_ids, attention_mask, token_type_ids [batch, sequence] → last_hidden_state [batch, sequence, 32], as BERT's exports have them. */
export function encoderModel(): Uint8Array<ArrayBuffer> {
  const ids = (name: string) => value(name, 'int64', ['batch', 'sequence']);
  return encode(
    model(
      graph({
        node: [
          node('Gather', ['words.weight', 'input_ids'], ['words']),
          node('Gather', ['types.weight', 'token_type_ids'], ['types']),
          node('Add', ['words', 'types'], ['embedded']),
          node('Cast', ['attention_mask'], ['mask'], { to: CODES.float32 }),
          node('Unsqueeze', ['mask', 'last'], ['column']),
          node('Mul', ['embedded', 'column'], ['masked']),
          node('ReduceMean', ['masked'], ['mean'], { axes: [1], keepdims: 1 }),
          node('Add', ['masked', 'mean'], ['mixed']),
          node('MatMul', ['mixed', 'out.weight'], ['last_hidden_state']),
        ],
        initializer: [
          tensor('words.weight', 'float32', [60, 32], randomValues(41, 60 * 32)),
          tensor('types.weight', 'float32', [2, 32], randomValues(42, 64)),
          tensor('out.weight', 'float32', [32, 32], randomValues(43, 32 * 32, 0.3)),
          tensor('last', 'int64', [1], [-1]),
        ],
        input: [ids('input_ids'), ids('attention_mask'), ids('token_type_ids')],
        output: [value('last_hidden_state', 'float32', ['batch', 'sequence', 32])],
      }),
    ),
  );
}
