/**
 * Damages models where it matters: an ONNX file is taken apart into its fields, some of them are changed, and it is
 * put together again with every length right but for those that are meant to lie.
 */
import { concatBytes, encodeVarint } from './wire.ts';

/** One change: what is done, to which field, and how; all are taken modulo what there is. */
export interface Mutation {
  what: number;
  at: number;
  how: number;
}

type Schema = Readonly<Record<number, string>>;

/** Fields that are messages themselves (onnx.proto). */
const MESSAGES: Readonly<Record<string, Schema>> = {
  model: { 7: 'graph', 8: 'opset', 14: 'entry', 20: 'training', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 11: 'value', 12: 'value', 13: 'value', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse' },
  tensor: { 13: 'entry' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  value: { 2: 'type' },
  type: { 1: 'tensorType' },
  tensorType: { 2: 'shape' },
  shape: { 1: 'dim' },
  function: { 7: 'node', 9: 'opset' },
  training: { 1: 'graph', 2: 'graph', 3: 'entry', 4: 'entry' },
};

interface Field {
  number: number;
  wire: number;
  /** Of wire type 0. */
  value: bigint;
  bytes: Uint8Array;
  /** Null where it is no message. */
  children: Field[] | null;
  kind: string;
  /** Said of its length beside the truth; 0 is the truth. */
  lie: bigint;
}

const MASK = (1n << 64n) - 1n;

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value & MASK;
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function readVarint(bytes: Uint8Array, from: number): [bigint, number] {
  let value = 0n;
  let at = from;
  for (let shift = 0n; at < bytes.length; shift += 7n) {
    const byte = bytes[at++]!;
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) break;
  }
  return [value, at];
}

function parse(bytes: Uint8Array, kind: string): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const [tag, next] = readVarint(bytes, at);
    const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)];
    const field: Field = {
      number,
      wire,
      value: 0n,
      bytes: new Uint8Array(),
      children: null,
      kind: MESSAGES[kind]?.[number] ?? `${kind}.${number}`,
      lie: 0n,
    };
    if (wire === 0) [field.value, at] = readVarint(bytes, next);
    else {
      const [length, body] = wire === 2 ? readVarint(bytes, next) : [wire === 1 ? 8n : 4n, next];
      at = body + Number(length);
      field.bytes = bytes.subarray(body, at);
      if (wire === 2 && MESSAGES[kind]?.[number]) field.children = parse(field.bytes, field.kind);
    }
    fields.push(field);
  }
  return fields;
}

function encode(fields: readonly Field[]): Uint8Array {
  return concatBytes(
    fields.flatMap(({ number, wire, value, bytes, children, lie }) => {
      const tag = encodeVarint(number * 8 + wire);
      if (wire === 0) return [tag, varint(value)];
      const payload = children ? encode(children) : bytes;
      return wire === 2 ? [tag, varint(BigInt(payload.length) + lie), payload] : [tag, payload];
    }),
  );
}

/** Where fields are: the list a field is in, and its place there. */
interface Place {
  list: Field[];
  index: number;
}

/** Every field, a message before what is in it. Bodies may be two hundred deep: one list is filled, none is copied. */
function places(list: Field[], found: Place[] = []): Place[] {
  list.forEach((field, index) => {
    found.push({ list, index });
    if (field.children) places(field.children, found);
  });
  return found;
}

const NUMBERS = [
  0n,
  1n,
  -1n,
  2n,
  3n,
  7n,
  8n,
  10n,
  16n,
  64n,
  127n,
  255n,
  1n << 16n,
  (1n << 31n) - 1n,
  1n << 31n,
  1n << 32n,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
];
const TEXTS = [
  '',
  'x',
  'y',
  'w',
  '../../w',
  '/etc/passwd',
  'C:\\w',
  'ai.onnx',
  'com.microsoft',
  '\0',
  'w_Q4',
  'w_scales',
  'w_quantized',
  'If',
  'MatMul',
  'Constant',
  'Identity',
  'Transpose',
  'é'.repeat(300),
];
const LIES = [1n, -1n, 2n, -5n, 100n, 1n << 31n, 1n << 40n, 1n << 62n];

type Change = (place: Place, how: number, all: readonly Place[]) => void;

const pick = <T>(list: readonly T[], how: number): T => list[how % list.length]!;
const copyOf = (field: Field): Field => ({
  ...field,
  bytes: field.bytes,
  children: field.children?.map(copyOf) ?? null,
});

const CHANGES: readonly Change[] = [
  // A number becomes another; a packed list, a list of others.
  ({ list, index }, how) => {
    const field = list[index]!;
    const number = pick(NUMBERS, how);
    if (field.wire === 0) field.value = how % 5 === 0 ? field.value + 1n : how % 7 === 0 ? field.value - 1n : number;
    else if (/^tensor\.(1|7)$/.test(field.kind)) {
      const numbers: bigint[] = [];
      for (let at = 0; at < field.bytes.length;) {
        const [value, next] = readVarint(field.bytes, at);
        numbers.push(value);
        at = next;
      }
      const at = (how >> 8) % (numbers.length + 1);
      numbers[at] = number;
      if (how % 3 === 0) numbers.reverse();
      field.bytes = concatBytes(numbers.map(varint));
    }
  },
  // A name becomes another one of the model, or a strange one: names twice, cycles, nothing.
  ({ list, index }, how, all) => {
    const field = list[index]!;
    if (field.wire !== 2 || field.children || field.bytes.length > 400) return;
    const others = all
      .map((place) => place.list[place.index]!)
      .filter(({ kind, wire, children }) => wire === 2 && !children && kind !== 'tensor.9');
    field.bytes =
      how % 2 === 0 || others.length === 0
        ? new TextEncoder().encode(pick(TEXTS, how >> 1))
        : pick(others, how >> 1).bytes;
  },
  // A field is another.
  ({ list, index }, how) => {
    list[index]!.number = (how % 30) + 1;
  },
  ({ list, index }, how) => {
    list[index]!.wire = how % 8;
  },
  ({ list, index }, how) => {
    list[index]!.lie = pick(LIES, how);
  },
  ({ list, index }) => {
    list.splice(index, 1);
  },
  ({ list, index }, how) => {
    list.splice(how % (list.length + 1), 0, copyOf(list[index]!));
  },
  ({ list, index }, how) => {
    const other = how % list.length;
    [list[index], list[other]] = [list[other]!, list[index]!];
  },
  // Payloads get longer or shorter.
  ({ list, index }, how) => {
    const field = list[index]!;
    field.children = null;
    field.bytes =
      how % 2 === 0
        ? field.bytes.subarray(0, how % (field.bytes.length + 1))
        : concatBytes([field.bytes, field.bytes.subarray(0, how % 9), new Uint8Array(how % 5)]);
  },
  // A message of its kind takes its place: a body becomes the graph it is in.
  ({ list, index }, how, all) => {
    const { kind } = list[index]!;
    const same = all.map((place) => place.list[place.index]!).filter((field) => field.kind === kind);
    list[index] = copyOf(pick(same, how));
  },
  // Bodies in bodies in bodies.
  (_, how, all) => {
    const graph = all
      .map((place) => place.list[place.index]!)
      .find(({ kind, children }) => kind === 'graph' && children);
    if (!graph?.children) return;
    const leaf = (number: number, kind: string, text: string): Field => ({
      number,
      wire: 2,
      value: 0n,
      bytes: new TextEncoder().encode(text),
      children: null,
      kind,
      lie: 0n,
    });
    let inner = copyOf(graph);
    for (let depth = how % 3 === 0 ? how % 200 : how % 5; depth > 0; depth--) {
      const body: Field = { ...inner, number: 6, kind: 'graph' };
      const attribute: Field = {
        ...leaf(5, 'attribute', ''),
        children: [
          leaf(1, 'attribute.1', 'then_branch'),
          { ...leaf(20, 'attribute.20', ''), wire: 0, value: 5n },
          body,
        ],
      };
      const node: Field = {
        ...leaf(1, 'node', ''),
        children: [leaf(1, 'node.1', 'flag'), leaf(2, 'node.2', `out${depth}`), leaf(4, 'node.4', 'If'), attribute],
      };
      inner = { ...graph, children: [node] };
    }
    graph.children.push(...(inner.children ?? []));
  },
  // Bits of a payload.
  ({ list, index }, how) => {
    const field = list[index]!;
    if (field.bytes.length === 0) return;
    field.children = null;
    field.bytes = field.bytes.slice();
    field.bytes[(how >> 3) % field.bytes.length]! ^= 1 << (how & 7);
  },
];

/** Changes of the file as a whole come after those of its fields. */
export function mutate(model: Uint8Array, mutations: readonly Mutation[]): Uint8Array<ArrayBuffer> {
  const fields = parse(model, 'model');
  for (const { what, at, how } of mutations) {
    const all = places(fields);
    const place = pick(all, at);
    if (all.length > 0 && what < CHANGES.length) CHANGES[what]!(place, how, all);
  }
  let bytes = encode(fields);
  for (const { what, at, how } of mutations) {
    if (what === CHANGES.length) bytes = bytes.slice(0, at % (bytes.length + 1));
    if (what === CHANGES.length + 1 && bytes.length > 0) {
      bytes = bytes.slice();
      bytes[at % bytes.length]! ^= 1 << (how & 7);
    }
  }
  return new Uint8Array(bytes);
}

export const KINDS_OF_MUTATION = CHANGES.length + 2;
