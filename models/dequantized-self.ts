/**
 * A quantized model's dequantized self: the same graph, where every quantized weight is the floating-point numbers its
 * codes stand for, and every quantized operator the one it stands for. Written from the definitions of the operators
 * (onnxruntime's ContribOperators.md, ONNX's Operators.md), knowing nothing of how the file was planned.
 *
 * Activations that are quantized while running are taken as they are before, so what is left of the difference is
 * their rounding.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type GraphProto, type NodeProto, type TensorProto } from 'onnx-buf';
import { elementCount, elementType, FLOAT16, FLOAT32 } from '../workers/onnx/numbers/element-types.ts';
import { fromFloat16Array } from '../workers/onnx/numbers/float16.ts';
import { node as namedNode, tensor, type AttributeValue } from './build.ts';

export function dequantizedSelf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, bytes);
  const names = nameMaker();
  if (model.graph) rewriteGraph(model.graph, null, names);
  for (const body of model.functions) body.node = rewriteNodes(body.node, scopeOf(body.node, [], null), names);
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, model));
}

interface Scope {
  parent: Scope | null;
  tensors: ReadonlyMap<string, TensorProto>;
  producer: ReadonlyMap<string, NodeProto>;
}

interface Numbers {
  dims: number[];
  values: Float32Array;
  type: number;
}

function scopeOf(nodes: readonly NodeProto[], initializers: readonly TensorProto[], parent: Scope | null): Scope {
  return {
    parent,
    tensors: new Map(initializers.map((one) => [one.name, one])),
    producer: new Map(nodes.flatMap((one) => one.output.map((name) => [name, one] as const))),
  };
}

function rewriteGraph(graph: GraphProto, parent: Scope | null, names: (wish: string) => string): void {
  graph.node = rewriteNodes(graph.node, scopeOf(graph.node, graph.initializer, parent), names);
  // What is said of types of values may no longer hold.
  graph.valueInfo = [];
  // Before IR version 4 an initializer that nobody uses is an error.
  const used = usedNames(graph);
  graph.initializer = graph.initializer.filter(({ name }) => used.has(name));
}

function rewriteNodes(nodes: readonly NodeProto[], scope: Scope, names: (wish: string) => string): NodeProto[] {
  return nodes.flatMap((one) => {
    for (const { g, graphs } of one.attribute)
      for (const body of [...(g ? [g] : []), ...graphs]) rewriteGraph(body, scope, names);
    const rewritten = REWRITE[one.opType]?.(one, scope, names) ?? [one];
    return rewritten;
  });
}

function usedNames(graph: GraphProto): Set<string> {
  return new Set([
    ...graph.output.map(({ name }) => name),
    ...graph.input.map(({ name }) => name),
    ...graph.node.flatMap(({ input, attribute }) => [
      ...input,
      ...attribute.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...graphs].flatMap((body) => [...usedNames(body)])),
    ]),
  ]);
}

/** Nodes need no names, and those of the model are taken. */
function node(
  type: string,
  input: string[],
  output: string[],
  attributes: Record<string, AttributeValue> = {},
): NodeProto {
  return { ...namedNode(type, input, output, attributes), name: '' };
}

type Rewrite = (node: NodeProto, scope: Scope, names: (wish: string) => string) => NodeProto[] | null;

const REWRITE: Readonly<Record<string, Rewrite>> = {
  MatMulNBits(of, scope, names) {
    const [a = '', b = '', s = '', z = '', , bias = ''] = of.input;
    const [output = ''] = of.output;
    const [k, n, bits, block] = [int(of, 'K', 0), int(of, 'N', 0), int(of, 'bits', 4), int(of, 'block_size', 0)];
    const [codes, scales] = [bytesOf(scope, b), numbersOf(scope, s)];
    const zeroPoints = z === '' ? null : bytesOf(scope, z);
    if (!codes || !scales) return null;
    const values = dequantizeRows({ codes, scales: scales.values, zeroPoints, bits, block, rows: n, width: k });
    const turned = Float32Array.from({ length: k * n }, (_, i) => values[(i % n) * k + Math.floor(i / n)]!);
    const weight = names(b);
    const product = bias === '' ? output : names(output);
    return [
      constant(weight, scales.type, [k, n], turned),
      node('MatMul', [a, weight], [product]),
      ...(bias === '' ? [] : [node('Add', [product, bias], [output])]),
    ];
  },
  GatherBlockQuantized(of, scope, names) {
    const [data = '', indices = '', s = '', z = ''] = of.input;
    const [codes, scales] = [bytesOf(scope, data), numbersOf(scope, s)];
    if (!codes || !scales) return null;
    const [bits, block, rows] = [int(of, 'bits', 4), int(of, 'block_size', 128), scales.dims[0] ?? 0];
    const width = (codes.length * 8) / bits / rows;
    const values = dequantizeRows({
      codes,
      scales: scales.values,
      zeroPoints: z === '' ? null : bytesOf(scope, z),
      bits,
      block,
      rows,
      width,
    });
    const table = names(data);
    return [
      constant(table, scales.type, [rows, width], values),
      node('Gather', [table, indices], of.output, { axis: int(of, 'gather_axis', 0) }),
    ];
  },
  DequantizeLinear(of, scope, names) {
    const [x = '', s = '', z = ''] = of.input;
    const [output = ''] = of.output;
    const scales = numbersOf(scope, s);
    if (!scales) return null;
    const zeroPoints = z === '' ? null : numbersOf(scope, z);
    const codes = numbersOf(scope, x);
    if (codes)
      return [
        constant(
          output,
          scales.type,
          codes.dims,
          dequantizeLinear(codes, scales, zeroPoints, int(of, 'axis', 1), int(of, 'block_size', 0)),
        ),
      ];
    // Rows of a table, dequantized after they were taken.
    const rows = scope.producer.get(x);
    const table = rows?.opType === 'Gather' ? numbersOf(scope, rows.input[0] ?? '') : null;
    if (!rows || !table || scales.values.length !== 1) return null;
    const name = names(output);
    return [
      constant(name, scales.type, table.dims, dequantizeLinear(table, scales, zeroPoints, 0, 0)),
      node('Gather', [name, rows.input[1] ?? ''], [output], { axis: int(rows, 'axis', 0) }),
    ];
  },
  DynamicQuantizeLinear(of, _, names) {
    const [x = ''] = of.input;
    const [value = '', scale = '', zeroPoint = ''] = of.output;
    return [
      node('Identity', [x], [value]),
      constant(scale || names('scale'), FLOAT32, [], [1]),
      constant(zeroPoint || names('zero'), FLOAT32, [], [0]),
    ];
  },
  QAttention(of, scope, names) {
    const [a = '', b = '', bias = '', , s = '', mask = '', , z = '', past = ''] = of.input;
    const [codes, scales] = [numbersOf(scope, b), numbersOf(scope, s)];
    if (!codes || !scales) return null;
    const weight = names(b);
    const values = dequantizeLinear(codes, scales, z === '' ? null : numbersOf(scope, z), 1, 0);
    return [
      constant(weight, FLOAT32, codes.dims, values),
      { ...node('Attention', [a, weight, bias, mask, past], of.output), domain: of.domain, attribute: of.attribute },
    ];
  },
  MatMulInteger: (of, scope, names) => integerOperator(of, 'MatMul', scope, names),
  ConvInteger: (of, scope, names) => integerOperator(of, 'Conv', scope, names),
};

/** An operator on integers less their zero points, as floats. */
function integerOperator(
  of: NodeProto,
  opType: string,
  scope: Scope,
  names: (wish: string) => string,
): NodeProto[] | null {
  const [a = '', b = '', zeroA = '', zeroB = ''] = of.input;
  const codes = numbersOf(scope, b);
  if (!codes) return null;
  const zero = zeroB === '' ? null : numbersOf(scope, zeroB);
  const weight = names(b);
  const one = { dims: [], values: Float32Array.of(1), type: FLOAT32 };
  const values = dequantizeLinear(
    codes,
    zero && zero.values.length > 1 ? { ...one, dims: zero.dims, values: zero.values.map(() => 1) } : one,
    zero,
    codes.dims.length - 1,
    0,
  );
  const running = producerOf(scope, a)?.opType === 'DynamicQuantizeLinear';
  const [wide, point, shifted] = [names(a), names(zeroA), names(a)];
  return [
    constant(weight, FLOAT32, codes.dims, values),
    ...(running
      ? []
      : [
          node('Cast', [a], [wide], { to: FLOAT32 }),
          node('Cast', [zeroA], [point], { to: FLOAT32 }),
          node('Sub', [wide, point], [shifted]),
        ]),
    { ...node(opType, [running ? a : shifted, weight], of.output), attribute: of.attribute },
  ];
}

function producerOf(scope: Scope, name: string): NodeProto | undefined {
  for (let at: Scope | null = scope; at; at = at.parent) {
    const found = at.producer.get(name);
    if (found) return found;
  }
  return undefined;
}

/** Rows of packed codes, low bits first; each block has a scale and a zero point, 2^(bits−1) by default. */
function dequantizeRows({
  codes,
  scales,
  zeroPoints,
  bits,
  block,
  rows,
  width,
}: {
  codes: Uint8Array;
  scales: Float32Array;
  zeroPoints: Uint8Array | null;
  bits: number;
  block: number;
  rows: number;
  width: number;
}): Float32Array {
  const pick = (packed: Uint8Array, row: number, i: number) =>
    (packed[row * (packed.length / rows) + Math.floor((i * bits) / 8)]! >> ((i * bits) % 8)) & (2 ** bits - 1);
  const blocks = scales.length / rows;
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      const at = Math.floor(i / block);
      values[row * width + i] =
        (pick(codes, row, i) - (zeroPoints ? pick(zeroPoints, row, at) : 2 ** (bits - 1))) * scales[row * blocks + at]!;
    }
  }
  return values;
}

function dequantizeLinear(
  codes: Numbers,
  scales: Numbers,
  zeroPoints: Numbers | null,
  axis: number,
  block: number,
): Float32Array {
  const along = axis < 0 ? axis + codes.dims.length : axis;
  const size = codes.dims[along] ?? 1;
  const inner = elementCount(codes.dims.slice(along + 1));
  const groups = block > 0 ? Math.ceil(size / block) : size;
  return codes.values.map((code, i) => {
    const position = Math.floor(i / inner) % size;
    const at =
      scales.values.length === 1
        ? 0
        : block > 0
          ? (Math.floor(i / inner / size) * groups + Math.floor(position / block)) * inner + (i % inner)
          : position;
    return (code - (zeroPoints?.values[at] ?? 0)) * scales.values[at]!;
  });
}

/** The constant a name stands for, a Reshape in between at most. */
function tensorOf(scope: Scope, name: string): TensorProto | null {
  for (let at: Scope | null = scope; at; at = at.parent) {
    const found = at.tensors.get(name);
    if (found) return found;
    const made = at.producer.get(name);
    if (made?.opType === 'Constant') return made.attribute.find((attribute) => attribute.name === 'value')?.t ?? null;
    if (made?.opType === 'Reshape') return tensorOf(at, made.input[0] ?? '');
    if (made) return null;
  }
  return null;
}

function bytesOf(scope: Scope, name: string): Uint8Array | null {
  return tensorOf(scope, name)?.rawData ?? null;
}

function numbersOf(scope: Scope, name: string): Numbers | null {
  const found = tensorOf(scope, name);
  if (!found) return null;
  const dims = found.dims.map(Number);
  const values = numbers(found, elementCount(dims));
  return values && { dims, values, type: found.dataType };
}

function numbers({ dataType, rawData, floatData, int32Data }: TensorProto, count: number): Float32Array | null {
  const raw = rawData.slice();
  const nibble = (i: number) => (raw[i >> 1]! >> (4 * (i & 1))) & 15;
  switch (elementType(dataType).name) {
    case 'float32':
      return raw.length > 0 ? new Float32Array(raw.buffer) : Float32Array.from(floatData);
    case 'float16':
      return fromFloat16Array(new Uint16Array(raw.buffer));
    case 'uint8':
      return Float32Array.from(raw.length > 0 ? raw : int32Data);
    case 'int8':
      return Float32Array.from(raw.length > 0 ? new Int8Array(raw.buffer) : int32Data);
    case 'int32':
      return Float32Array.from(raw.length > 0 ? new Int32Array(raw.buffer) : int32Data);
    case 'uint4':
      return Float32Array.from({ length: count }, (_, i) => nibble(i));
    case 'int4':
      return Float32Array.from({ length: count }, (_, i) => (nibble(i) << 28) >> 28);
    default:
      return null;
  }
}

function constant(name: string, type: number, dims: readonly number[], values: ArrayLike<number>): NodeProto {
  return node('Constant', [], [name], { value: tensor('', type === FLOAT16 ? 'float16' : 'float32', dims, values) });
}

function int(of: NodeProto, name: string, fallback: number): number {
  const found = of.attribute.find((attribute) => attribute.name === name);
  return found ? Number(found.i) : fallback;
}

/** Names nothing in a model has. */
function nameMaker(): (wish: string) => string {
  let made = 0;
  return (wish) => `${wish}/dequantized/${made++}`;
}
