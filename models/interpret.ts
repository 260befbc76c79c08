/**
 * Runs a model in the types its file states, for tests: every fp16 value is rounded to fp16 after each operator, and
 * operators that take numbers of one type get no others. onnxruntime's CPU provider widens fp16 and fuses operators,
 * which hides what a runtime that computes in fp16 would show. Written from ONNX's Operators.md and onnxruntime's
 * ContribOperators.md, for the operators test models have.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type AttributeProto, type GraphProto, type NodeProto, type TensorProto } from 'onnx-buf';
import {
  elementCount,
  elementType,
  FLOAT16,
  FLOAT32,
  FLOAT64,
  INT64,
  UINT8,
} from '../workers/onnx/numbers/element-types.ts';
import { fromFloat16Bits, toFloat16Bits } from '../workers/onnx/numbers/float16.ts';

const BOOL = 9;

export interface Value {
  /** Element type, see element-types.ts. */
  type: number;
  dims: number[];
  data: Float64Array;
}

export type Values = Record<string, Value>;

export function valueOf(type: number, dims: readonly number[], data: ArrayLike<number>): Value {
  return rounded({ type, dims: [...dims], data: Float64Array.from(data) });
}

/** Rejects with a sentence for a type error, an operator it does not know, or a value nobody makes. */
export function interpret(bytes: Uint8Array, feeds: Values): Values {
  const { graph } = fromBinary(ModelProtoSchema, bytes);
  if (!graph) throw new Error('there is no graph');
  for (const { name, type } of graph.input) {
    const stated = type?.value.case === 'tensorType' ? type.value.value.elemType : 0;
    if (feeds[name] && feeds[name].type !== stated) throw new Error(`input ${name} is ${elementType(stated).name}`);
  }
  const outputs = runGraph(graph, new Map(Object.entries(feeds)));
  return Object.fromEntries(graph.output.map(({ name }, i) => [name, outputs[i]!]));
}

function runGraph(graph: GraphProto, outer: ReadonlyMap<string, Value>): Value[] {
  const values = new Map(outer);
  for (const tensor of graph.initializer) values.set(tensor.name, tensorValue(tensor));
  for (const node of graph.node) {
    const inputs = node.input.map((name) => {
      if (name === '') return undefined;
      const found = values.get(name);
      if (!found) throw new Error(`${node.name}: nobody makes ${name}`);
      return found;
    });
    const operator = OPERATORS[node.domain === '' ? node.opType : `${node.domain}:${node.opType}`];
    if (!operator) throw new Error(`${node.domain} ${node.opType} is not known to the interpreter`);
    let made: Value[];
    try {
      made = operator({ node, inputs, values });
    } catch (thrown) {
      throw new Error(
        `${node.name || node.opType} (${node.input.join(', ')}): ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        { cause: thrown },
      );
    }
    node.output.forEach((name, i) => {
      if (name !== '' && made[i]) values.set(name, rounded(made[i]));
    });
  }
  for (const { name, type } of [...graph.valueInfo, ...graph.output]) {
    const stated = type?.value.case === 'tensorType' ? type.value.value.elemType : 0;
    const found = values.get(name);
    if (found && stated !== 0 && stated !== found.type)
      throw new Error(`${name} is stated to be ${elementType(stated).name} and is ${elementType(found.type).name}`);
  }
  return graph.output.map(({ name }) => values.get(name)!);
}

function rounded({ type, dims, data }: Value): Value {
  if (data.length !== elementCount(dims)) throw new Error(`${data.length} numbers in the shape [${dims.join(', ')}]`);
  const round =
    type === FLOAT16
      ? (x: number) => fromFloat16Bits(toFloat16Bits(x))
      : type === FLOAT32
        ? Math.fround
        : type === FLOAT64
          ? null
          : type === BOOL
            ? (x: number) => Number(x !== 0)
            : Math.trunc;
  return { type, dims, data: round ? data.map(round) : data };
}

function tensorValue({
  dataType: type,
  dims: sizes,
  rawData,
  floatData,
  int64Data,
  int32Data,
  doubleData,
}: TensorProto): Value {
  const dims = sizes.map(Number);
  const raw = rawData.slice();
  const read = (): ArrayLike<number> => {
    switch (elementType(type).name) {
      case 'float32':
        return raw.length > 0 ? new Float32Array(raw.buffer) : floatData;
      case 'float64':
        return raw.length > 0 ? new Float64Array(raw.buffer) : doubleData;
      case 'float16':
        return Array.from(raw.length > 0 ? new Uint16Array(raw.buffer) : int32Data, fromFloat16Bits);
      case 'bfloat16':
        return new Float32Array(Uint32Array.from(new Uint16Array(raw.buffer), (bits) => bits << 16).buffer);
      case 'int64':
        return Array.from(raw.length > 0 ? new BigInt64Array(raw.buffer) : int64Data, Number);
      case 'int32':
        return raw.length > 0 ? new Int32Array(raw.buffer) : int32Data;
      case 'int8':
        return raw.length > 0 ? new Int8Array(raw.buffer) : int32Data;
      default:
        return raw.length > 0 ? raw : int32Data;
    }
  };
  return { type, dims, data: Float64Array.from(read()) };
}

interface Call {
  node: NodeProto;
  inputs: (Value | undefined)[];
  values: ReadonlyMap<string, Value>;
}
type Operator = (call: Call) => Value[];

const attributeOf = ({ attribute }: NodeProto, name: string): AttributeProto | undefined =>
  attribute.find((one) => one.name === name);
const int = (node: NodeProto, name: string, fallback: number): number => {
  const found = attributeOf(node, name);
  return found ? Number(found.i) : fallback;
};
const float = (node: NodeProto, name: string, fallback: number): number => attributeOf(node, name)?.f ?? fallback;
const ints = (node: NodeProto, name: string): number[] | null => attributeOf(node, name)?.ints.map(Number) ?? null;
const text = (node: NodeProto, name: string): string => new TextDecoder().decode(attributeOf(node, name)?.s);

/** Strides of a shape; 0 along dimensions of 1 that are broadcast to `to`. */
function strides(dims: readonly number[], to: readonly number[] = dims): number[] {
  const own = dims.map((size, axis) => (size === 1 && to !== dims ? 0 : elementCount(dims.slice(axis + 1))));
  return [...Array.from({ length: to.length - dims.length }, () => 0), ...own];
}

/** Element numbers in the order of a shape with the given strides. */
function* walk(dims: readonly number[], by: readonly number[]): Generator<number> {
  const count = elementCount(dims);
  const index = dims.map(() => 0);
  let at = 0;
  for (let i = 0; i < count; i++) {
    yield at;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += by[axis]!;
      index[axis]!++;
      if (index[axis]! < dims[axis]!) break;
      at -= by[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
}

function broadcastShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((size, dims) => {
      const own = dims[axis - rank + dims.length] ?? 1;
      if (own !== 1 && size !== 1 && own !== size)
        throw new Error(`shapes ${shapes.map((one) => `[${one.join(', ')}]`).join(' and ')} do not go together`);
      return own === 1 ? size : own;
    }, 1),
  );
}

function broadcast(value: Value, dims: readonly number[]): Float64Array {
  return Float64Array.from(walk(dims, strides(value.dims, dims)), (at) => value.data[at]!);
}

function sameType(values: readonly Value[]): number {
  const [first] = values;
  for (const { type } of values)
    if (type !== first!.type) throw new Error(`takes ${elementType(first!.type).name} and ${elementType(type).name}`);
  return first!.type;
}

const given = (inputs: (Value | undefined)[]): Value[] => inputs.flatMap((value) => value ?? []);

function elementwise(compute: (...numbers: number[]) => number, as?: number): Operator {
  return ({ inputs }) => {
    const all = given(inputs);
    const type = sameType(all);
    const dims = broadcastShape(all.map((value) => value.dims));
    const data = all.map((value) => broadcast(value, dims));
    return [{ type: as ?? type, dims, data: data[0]!.map((_, i) => compute(...data.map((one) => one[i]!))) }];
  };
}

/** Division of integers goes towards zero. */
const divide: Operator = (call) => elementwise((a, b) => a / b)(call);

const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

function reduce(compute: (numbers: number[]) => number): Operator {
  return ({ node, inputs: [x, axes] }) => {
    const { type, dims, data } = x!;
    const rank = dims.length;
    const asked = ints(node, 'axes') ?? (axes ? [...axes.data] : null);
    const over = new Set((asked ?? dims.map((_, axis) => axis)).map((axis) => axisOf(axis, rank)));
    const by = strides(dims);
    const outer = dims.map((size, axis) => (over.has(axis) ? 1 : size));
    const inner = dims.map((size, axis) => (over.has(axis) ? size : 1));
    const steps = [...walk(inner, by)];
    return [
      {
        type,
        dims: int(node, 'keepdims', 1) === 1 ? outer : outer.filter((_, axis) => !over.has(axis)),
        data: Float64Array.from(walk(outer, by), (at) => compute(steps.map((step) => data[at + step]!))),
      },
    ];
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

function transpose({ type, dims, data }: Value, perm: readonly number[]): Value {
  const to = perm.map((axis) => dims[axis]!);
  const by = strides(dims);
  return {
    type,
    dims: to,
    data: Float64Array.from(
      walk(
        to,
        perm.map((axis) => by[axis]!),
      ),
      (at) => data[at]!,
    ),
  };
}

function matMul(a: Value, b: Value): Value {
  const type = sameType([a, b]);
  const [left, right] = [a.dims.length === 1 ? [1, ...a.dims] : a.dims, b.dims.length === 1 ? [...b.dims, 1] : b.dims];
  const [m, k, n] = [left.at(-2)!, left.at(-1)!, right.at(-1)!];
  if (right.at(-2) !== k) throw new Error(`[${a.dims.join(', ')}] × [${b.dims.join(', ')}]`);
  const batch = broadcastShape([left.slice(0, -2), right.slice(0, -2)]);
  const [fromA, fromB] = [
    [...walk(batch, strides(left.slice(0, -2), batch))],
    [...walk(batch, strides(right.slice(0, -2), batch))],
  ];
  const data = new Float64Array(elementCount(batch) * m * n);
  for (let at = 0; at < fromA.length; at++) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let total = 0;
        for (let i = 0; i < k; i++)
          total += a.data[(fromA[at]! * m + row) * k + i]! * b.data[(fromB[at]! * k + i) * n + column]!;
        data[(at * m + row) * n + column] = total;
      }
    }
  }
  return { type, dims: [...batch, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])], data };
}

/** Along one axis: each line of numbers to another of the same length. */
function alongAxis({ type, dims, data }: Value, axis: number, compute: (line: number[]) => number[]): Value {
  const at = axisOf(axis, dims.length);
  const by = strides(dims);
  const result = new Float64Array(data.length);
  for (const start of walk(
    dims.map((size, i) => (i === at ? 1 : size)),
    by,
  )) {
    const places = Array.from({ length: dims[at]! }, (_, i) => start + i * by[at]!);
    compute(places.map((place) => data[place]!)).forEach((number, i) => {
      result[places[i]!] = number;
    });
  }
  return { type, dims, data: result };
}

function softmax(line: number[]): number[] {
  const most = Math.max(...line);
  const powers = line.map((number) => Math.exp(number - most));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

function gather({ type, dims, data }: Value, indices: Value, axis: number): Value {
  const [outer, size, inner] = [elementCount(dims.slice(0, axis)), dims[axis]!, elementCount(dims.slice(axis + 1))];
  const result: number[] = [];
  for (let o = 0; o < outer; o++) {
    for (const index of indices.data) {
      const at = axisOf(index, size);
      if (at < 0 || at >= size) throw new Error(`index ${index} of ${size}`);
      for (let i = 0; i < inner; i++) result.push(data[(o * size + at) * inner + i]!);
    }
  }
  return {
    type,
    dims: [...dims.slice(0, axis), ...indices.dims, ...dims.slice(axis + 1)],
    data: Float64Array.from(result),
  };
}

function concat(values: readonly Value[], axis: number): Value {
  const type = sameType(values);
  const at = axisOf(axis, values[0]!.dims.length);
  const dims = values[0]!.dims.map((size, i) => (i === at ? sum(values.map((value) => value.dims[at]!)) : size));
  const outer = elementCount(dims.slice(0, at));
  const parts: number[] = [];
  for (let o = 0; o < outer; o++) {
    for (const value of values) {
      const length = elementCount(value.dims.slice(at));
      for (const number of value.data.subarray(o * length, (o + 1) * length)) parts.push(number);
    }
  }
  return { type, dims, data: Float64Array.from(parts) };
}

function slice(
  value: Value,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
  steps: readonly number[],
): Value {
  const by = strides(value.dims);
  const dims = [...value.dims];
  let offset = 0;
  axes.forEach((given, i) => {
    const axis = axisOf(given, value.dims.length);
    const size = value.dims[axis]!;
    const step = steps[i] ?? 1;
    const clamp = (at: number, least: number, most: number) => Math.max(least, Math.min(most, at < 0 ? at + size : at));
    const [from, to] =
      step > 0
        ? [clamp(starts[i]!, 0, size), clamp(ends[i]!, 0, size)]
        : [clamp(starts[i]!, 0, size - 1), clamp(ends[i]!, -1, size - 1)];
    dims[axis] = Math.max(0, Math.ceil((to - from) / step));
    offset += from * by[axis]!;
    by[axis]! *= step;
  });
  return { type: value.type, dims, data: Float64Array.from(walk(dims, by), (at) => value.data[offset + at]!) };
}

function normalized({ node, inputs: [x, scale, bias] }: Call, isCentred: boolean): Value[] {
  const axis = axisOf(int(node, 'axis', -1), x!.dims.length);
  const width = elementCount(x!.dims.slice(axis));
  const flat: Value = { ...x!, dims: [x!.data.length / width, width] };
  const made = alongAxis(flat, 1, (line) => {
    const mean = isCentred ? sum(line) / width : 0;
    const deviation = Math.sqrt(sum(line.map((number) => (number - mean) ** 2)) / width + float(node, 'epsilon', 1e-5));
    return line.map((number, i) => ((number - mean) / deviation) * scale!.data[i]! + (bias?.data[i] ?? 0));
  });
  sameType(given([x, scale, bias]));
  return [{ ...made, dims: x!.dims }];
}

function erf(x: number): number {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const value =
    1 -
    t *
      Math.exp(
        -x * x -
          1.26551223 +
          t *
            (1.00002368 +
              t *
                (0.37409196 +
                  t *
                    (0.09678418 +
                      t *
                        (-0.18628806 +
                          t *
                            (0.27886807 +
                              t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))),
      );
  return x >= 0 ? value : -value;
}

function roundHalfToEven(x: number): number {
  const low = Math.floor(x);
  return x - low < 0.5 ? low : x - low > 0.5 ? low + 1 : low % 2 === 0 ? low : low + 1;
}

/** Rows of codes of 4 or 8 bits in blocks, low bits first. */
function blocks(
  codes: Value,
  scales: Value,
  zeroPoints: Value | undefined,
  rows: number,
  width: number,
  bits: number,
  block: number,
): Float64Array {
  const pick = (packed: Value, row: number, i: number) =>
    (packed.data[row * (packed.data.length / rows) + Math.floor((i * bits) / 8)]! >> ((i * bits) % 8)) &
    (2 ** bits - 1);
  const perRow = scales.data.length / rows;
  return Float64Array.from({ length: rows * width }, (_, at) => {
    const [row, i] = [Math.floor(at / width), at % width];
    const group = Math.floor(i / block);
    return (
      (pick(codes, row, i) - (zeroPoints ? pick(zeroPoints, row, group) : 2 ** (bits - 1))) *
      scales.data[row * perRow + group]!
    );
  });
}

const axesOf = ({ node, inputs }: Call): number[] | null =>
  ints(node, 'axes') ?? (inputs[1] ? [...inputs[1].data] : null);

const OPERATORS: Readonly<Record<string, Operator>> = {
  Add: elementwise((a, b) => a + b),
  Sub: elementwise((a, b) => a - b),
  Mul: elementwise((a, b) => a * b),
  Div: divide,
  Sum: elementwise((...all) => sum(all)),
  Min: elementwise(Math.min),
  Max: elementwise(Math.max),
  Pow: (call) =>
    elementwise((a, b) => a ** b)({
      ...call,
      inputs: [call.inputs[0], { ...call.inputs[1]!, type: call.inputs[0]!.type }],
    }),
  Mod: elementwise((a, b) => a - Math.floor(a / b) * b),
  Neg: elementwise((a) => -a),
  Abs: elementwise(Math.abs),
  Exp: elementwise(Math.exp),
  Log: elementwise(Math.log),
  Sqrt: elementwise(Math.sqrt),
  Reciprocal: elementwise((a) => 1 / a),
  Floor: elementwise(Math.floor),
  Ceil: elementwise(Math.ceil),
  Round: elementwise(roundHalfToEven),
  Sin: elementwise(Math.sin),
  Cos: elementwise(Math.cos),
  Tanh: elementwise(Math.tanh),
  Relu: elementwise((a) => Math.max(0, a)),
  Sigmoid: elementwise((a) => 1 / (1 + Math.exp(-a))),
  Erf: elementwise(erf),
  Sign: elementwise(Math.sign),
  Softplus: elementwise((a) => Math.log1p(Math.exp(a))),
  'com.microsoft:Gelu': elementwise((a) => a * 0.5 * (1 + erf(a / Math.SQRT2))),
  Less: elementwise((a, b) => Number(a < b), BOOL),
  LessOrEqual: elementwise((a, b) => Number(a <= b), BOOL),
  Greater: elementwise((a, b) => Number(a > b), BOOL),
  GreaterOrEqual: elementwise((a, b) => Number(a >= b), BOOL),
  Equal: elementwise((a, b) => Number(a === b), BOOL),
  Not: elementwise((a) => Number(!a)),
  And: elementwise((a, b) => a && b),
  Or: elementwise((a, b) => a || b),
  IsNaN: elementwise((a) => Number(Number.isNaN(a)), BOOL),
  IsInf: elementwise((a) => Number(Math.abs(a) === Infinity), BOOL),
  Identity: ({ inputs: [x] }) => [x!],
  Dropout: ({ inputs: [x] }) => [x!],
  Constant: ({ node }) => {
    const [one] = node.attribute;
    if (one!.t) return [tensorValue(one!.t)];
    switch (one!.name) {
      case 'value_float':
        return [valueOf(FLOAT32, [], [one!.f])];
      case 'value_floats':
        return [valueOf(FLOAT32, [one!.floats.length], one!.floats)];
      case 'value_int':
        return [valueOf(INT64, [], [Number(one!.i)])];
      default:
        return [valueOf(INT64, [one!.ints.length], one!.ints.map(Number))];
    }
  },
  ConstantOfShape: ({ node, inputs: [shape] }) => {
    const fill = attributeOf(node, 'value')?.t;
    const {
      type,
      data: [number = 0],
    } = fill ? tensorValue(fill) : valueOf(FLOAT32, [1], [0]);
    const dims = [...shape!.data];
    return [{ type, dims, data: new Float64Array(elementCount(dims)).fill(number) }];
  },
  Cast: ({ node, inputs: [x] }) => [{ ...x!, type: int(node, 'to', 0), data: Float64Array.from(x!.data) }],
  CastLike: ({ inputs: [x, like] }) => [{ ...x!, type: like!.type, data: Float64Array.from(x!.data) }],
  Shape: ({ inputs: [x] }) => [valueOf(INT64, [x!.dims.length], x!.dims)],
  Size: ({ inputs: [x] }) => [valueOf(INT64, [], [x!.data.length])],
  Range: ({ inputs }) => {
    const [from, to, step] = given(inputs);
    const type = sameType(given(inputs));
    const count = Math.max(0, Math.ceil((to!.data[0]! - from!.data[0]!) / step!.data[0]!));
    return [
      {
        type,
        dims: [count],
        data: Float64Array.from({ length: count }, (_, i) => from!.data[0]! + i * step!.data[0]!),
      },
    ];
  },
  Reshape: ({ node, inputs: [x, shape] }) => {
    const target = [...shape!.data].map((size, axis) =>
      size === 0 && int(node, 'allowzero', 0) === 0 ? x!.dims[axis]! : size,
    );
    const known = elementCount(target.filter((size) => size !== -1));
    return [{ ...x!, dims: target.map((size) => (size === -1 ? x!.data.length / known : size)) }];
  },
  Flatten: ({ node, inputs: [x] }) => {
    const axis = axisOf(int(node, 'axis', 1), x!.dims.length);
    return [{ ...x!, dims: [elementCount(x!.dims.slice(0, axis)), elementCount(x!.dims.slice(axis))] }];
  },
  Unsqueeze: (call) => {
    const x = call.inputs[0]!;
    const axes = axesOf(call)!;
    const rank = x.dims.length + axes.length;
    const at = new Set(axes.map((axis) => axisOf(axis, rank)));
    const rest = [...x.dims];
    return [{ ...x, dims: Array.from({ length: rank }, (_, axis) => (at.has(axis) ? 1 : rest.shift()!)) }];
  },
  Squeeze: (call) => {
    const x = call.inputs[0]!;
    const at = new Set(
      (axesOf(call) ?? x.dims.flatMap((size, axis) => (size === 1 ? [axis] : []))).map((axis) =>
        axisOf(axis, x.dims.length),
      ),
    );
    return [{ ...x, dims: x.dims.filter((_, axis) => !at.has(axis)) }];
  },
  Transpose: ({ node, inputs: [x] }) => [
    transpose(x!, ints(node, 'perm') ?? x!.dims.map((_, axis) => x!.dims.length - 1 - axis)),
  ],
  Expand: ({ inputs: [x, shape] }) => {
    const dims = broadcastShape([x!.dims, [...shape!.data]]);
    return [{ type: x!.type, dims, data: broadcast(x!, dims) }];
  },
  Tile: ({ inputs: [x, repeats] }) => [
    [...repeats!.data].reduce(
      (value, times, axis) =>
        concat(
          Array.from({ length: times }, () => value),
          axis,
        ),
      x!,
    ),
  ],
  Concat: ({ node, inputs }) => [concat(given(inputs), int(node, 'axis', 0))],
  Split: ({ node, inputs: [x, sizes] }) => {
    const axis = axisOf(int(node, 'axis', 0), x!.dims.length);
    const each = sizes
      ? [...sizes.data]
      : (ints(node, 'split') ?? node.output.map(() => x!.dims[axis]! / node.output.length));
    return each.map((size, i) => slice(x!, [sum(each.slice(0, i))], [sum(each.slice(0, i)) + size], [axis], [1]));
  },
  Slice: ({ inputs: [x, starts, ends, axes, steps] }) => [
    slice(
      x!,
      [...starts!.data],
      [...ends!.data],
      axes ? [...axes.data] : [...starts!.data].map((_, axis) => axis),
      steps ? [...steps.data] : [],
    ),
  ],
  Gather: ({ node, inputs: [x, indices] }) => [gather(x!, indices!, axisOf(int(node, 'axis', 0), x!.dims.length))],
  Where: ({ inputs: [condition, a, b] }) => {
    const type = sameType([a!, b!]);
    const dims = broadcastShape([condition!.dims, a!.dims, b!.dims]);
    const [flags, yes, no] = [broadcast(condition!, dims), broadcast(a!, dims), broadcast(b!, dims)];
    return [{ type, dims, data: flags.map((flag, i) => (flag ? yes[i]! : no[i]!)) }];
  },
  Clip: ({ node, inputs: [x, least, most] }) => {
    sameType(given([x, least, most]));
    const [low, high] = [
      least?.data[0] ?? float(node, 'min', -Infinity),
      most?.data[0] ?? float(node, 'max', Infinity),
    ];
    return [{ ...x!, data: x!.data.map((number) => Math.min(high, Math.max(low, number))) }];
  },
  Trilu: ({ node, inputs: [x, shift] }) => {
    const [rows, columns] = x!.dims.slice(-2);
    const upper = int(node, 'upper', 1) === 1;
    const k = shift?.data[0] ?? 0;
    return [
      {
        ...x!,
        data: x!.data.map((number, i) => {
          const at = i % (rows! * columns!);
          const off = (at % columns!) - Math.floor(at / columns!) - k;
          return (upper ? off >= 0 : off <= 0) ? number : 0;
        }),
      },
    ];
  },
  CumSum: ({ inputs: [x, axis] }) => [
    alongAxis(x!, axis!.data[0]!, (line) => {
      let total = 0;
      return line.map((number) => (total += number));
    }),
  ],
  EyeLike: ({ node, inputs: [x] }) => [
    {
      type: int(node, 'dtype', x!.type),
      dims: x!.dims,
      data: x!.data.map((_, i) => Number(Math.floor(i / x!.dims[1]!) + int(node, 'k', 0) === i % x!.dims[1]!)),
    },
  ],
  ReduceSum: reduce(sum),
  ReduceMean: reduce((numbers) => sum(numbers) / numbers.length),
  ReduceMax: reduce((numbers) => Math.max(...numbers)),
  ReduceMin: reduce((numbers) => Math.min(...numbers)),
  ReduceL2: reduce((numbers) => Math.sqrt(sum(numbers.map((number) => number ** 2)))),
  ReduceSumSquare: reduce((numbers) => sum(numbers.map((number) => number ** 2))),
  Softmax: ({ node, inputs: [x] }) => [alongAxis(x!, int(node, 'axis', -1), softmax)],
  LayerNormalization: (call) => normalized(call, true),
  SimplifiedLayerNormalization: (call) => normalized(call, false),
  MatMul: ({ inputs: [a, b] }) => [matMul(a!, b!)],
  Gemm: ({ node, inputs: [a, b, c] }) => {
    const product = matMul(
      int(node, 'transA', 0) === 1 ? transpose(a!, [1, 0]) : a!,
      int(node, 'transB', 0) === 1 ? transpose(b!, [1, 0]) : b!,
    );
    const added = c ? broadcast(c, product.dims) : null;
    sameType(given([a, b, c]));
    return [
      {
        ...product,
        data: product.data.map(
          (number, i) => number * float(node, 'alpha', 1) + (added?.[i] ?? 0) * float(node, 'beta', 1),
        ),
      },
    ];
  },
  Resize: ({ node, inputs: [x, , scales, sizes] }) => {
    if (text(node, 'mode') !== 'nearest') throw new Error('resizes to the nearest only');
    if (scales && scales.type !== FLOAT32) throw new Error('takes scales in float32');
    const dims = sizes ? [...sizes.data] : x!.dims.map((size, axis) => Math.floor(size * scales!.data[axis]!));
    const by = strides(x!.dims);
    const data = Float64Array.from({ length: elementCount(dims) }, (_, i) => {
      let [rest, at] = [i, 0];
      for (let axis = dims.length - 1; axis >= 0; axis--) {
        const place = rest % dims[axis]!;
        rest = Math.floor(rest / dims[axis]!);
        const source = (place + 0.5) / (dims[axis]! / x!.dims[axis]!) - 0.5;
        at += Math.min(x!.dims[axis]! - 1, Math.max(0, Math.ceil(source - 0.5))) * by[axis]!;
      }
      return x!.data[at]!;
    });
    return [{ type: x!.type, dims, data }];
  },
  DequantizeLinear: ({ node, inputs: [x, scales, zeroPoints] }) => {
    const axis = axisOf(int(node, 'axis', 1), x!.dims.length);
    const inner = elementCount(x!.dims.slice(axis + 1));
    return [
      {
        type: scales!.type,
        dims: x!.dims,
        data: x!.data.map((code, i) => {
          const at = scales!.data.length === 1 ? 0 : Math.floor(i / inner) % x!.dims[axis]!;
          return (code - (zeroPoints?.data[at] ?? 0)) * scales!.data[at]!;
        }),
      },
    ];
  },
  'com.microsoft:MatMulNBits': ({ node, inputs: [a, codes, scales, zeroPoints, , bias] }) => {
    const [k, n] = [int(node, 'K', 0), int(node, 'N', 0)];
    if (codes!.type !== UINT8) throw new Error('takes codes in uint8');
    const weights = blocks(codes!, scales!, zeroPoints, n, k, int(node, 'bits', 4), int(node, 'block_size', 32));
    sameType(given([a, scales, bias]));
    const product = matMul(a!, transpose({ type: a!.type, dims: [n, k], data: weights }, [1, 0]));
    return [{ ...product, data: product.data.map((number, i) => number + (bias?.data[i % n] ?? 0)) }];
  },
  'com.microsoft:GatherBlockQuantized': ({ node, inputs: [codes, indices, scales, zeroPoints] }) => {
    const [rows, bits] = [scales!.dims[0]!, int(node, 'bits', 4)];
    const width = (codes!.data.length * 8) / bits / rows;
    return [
      gather(
        {
          type: scales!.type,
          dims: [rows, width],
          data: blocks(codes!, scales!, zeroPoints, rows, width, bits, int(node, 'block_size', 32)),
        },
        indices!,
        0,
      ),
    ];
  },
  If: ({ node, inputs: [condition], values }) =>
    runGraph(attributeOf(node, condition!.data[0] ? 'then_branch' : 'else_branch')!.g!, values),
  Loop: ({ node, inputs: [most, first, ...carried], values }) => {
    const body = attributeOf(node, 'body')!.g!;
    let state = carried.map((value) => value!);
    const scans: Value[][] = [];
    let goOn = first?.data[0] ?? 1;
    for (let i = 0; goOn && i < (most?.data[0] ?? Infinity); i++) {
      const [iteration = '', condition = '', ...names] = body.input.map(({ name }) => name);
      const made = runGraph(
        body,
        new Map([
          ...values,
          [iteration, valueOf(INT64, [], [i])],
          [condition, valueOf(BOOL, [], [goOn])],
          ...names.map((name, at) => [name, state[at]!] as const),
        ]),
      );
      goOn = made[0]!.data[0]!;
      state.forEach((value, at) => sameType([value, made[at + 1]!]));
      state = made.slice(1, 1 + carried.length);
      scans.push(made.slice(1 + carried.length));
    }
    const collected = (scans[0] ?? []).map((_, at) =>
      concat(
        scans.map((one) => ({ ...one[at]!, dims: [1, ...one[at]!.dims] })),
        0,
      ),
    );
    return [...state, ...collected];
  },
};

/** Signal to noise in decibels; Infinity where nothing differs. Rejects values that are no finite numbers. */
export function decibels(original: Value, other: Value): number {
  if (original.data.length !== other.data.length)
    throw new Error(`[${original.dims.join(', ')}] and [${other.dims.join(', ')}]`);
  let [signal, noise] = [0, 0];
  original.data.forEach((value, i) => {
    if (!Number.isFinite(other.data[i]!)) throw new Error(`${other.data[i]} instead of ${value}`);
    signal += value ** 2;
    noise += (value - other.data[i]!) ** 2;
  });
  return noise === 0 ? Infinity : 10 * Math.log10(signal / noise);
}
