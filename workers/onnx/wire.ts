/**
 * The protobuf wire format (protobuf.dev/programming-guides/encoding), as far as walking a file by offsets needs it:
 * fields are visited where they lie, payloads are skipped, not loaded.
 */
import type { ByteSource } from '../io/source.ts';
import { fail } from '../contract/errors.ts';

export type WireType = 0 | 1 | 2 | 5;

/** One field where it lies in the file. `end` is the first byte after it. */
export interface Field {
  number: number;
  wireType: WireType;
  /** First byte of the tag. */
  start: number;
  /** First byte of the value (after the length, for wire type 2). */
  body: number;
  end: number;
  /** Value of a varint field (wire type 0), 64-bit two's complement; 0n for the others. */
  value: bigint;
}

/** Random access over a source through one window, so that a walk makes few reads. */
export interface Reader {
  readonly source: ByteSource;
  /** Bytes [start, end) copied out. */
  bytes(start: number, end: number): Promise<Uint8Array>;
  /** The fields of the message whose body is [start, end), in order. */
  fields(start: number, end: number): AsyncGenerator<Field>;
}

const WINDOW = 1 << 16;
/** A tag and a length take at most ten bytes each. */
const HEADER = 20;

/** Bytes of a file, from the byte `from` on. */
interface Window {
  bytes: Uint8Array;
  from: number;
}

/** Creates a reader. Its methods may be called again before an earlier call has settled. */
export function createReader(source: ByteSource): Reader {
  let window: Window = { bytes: new Uint8Array(0), from: 0 };

  async function load(start: number, end: number): Promise<Window> {
    if (start >= window.from && end <= window.from + window.bytes.length) return window;
    const length = Math.min(Math.max(WINDOW, end - start), source.size - start);
    window = { bytes: await source.read(start, length), from: start };
    return window;
  }

  return {
    source,
    async *fields(start, end) {
      for (let at = start; at < end;) {
        const field = parseField(await load(at, Math.min(at + HEADER, end)), at, end, (byte, what) =>
          notProtobuf(source, byte, what),
        );
        if (field.end > end) {
          if (end === source.size) truncated(source, field);
          notProtobuf(source, at, `field ${field.number} runs past its message`);
        }
        yield field;
        at = field.end;
      }
    },
    async bytes(start, end) {
      if (end - start > WINDOW) return source.read(start, end - start);
      const { bytes, from } = await load(start, end);
      return bytes.slice(start - from, end - from);
    },
  };
}

/**
 * The fields of a message held in memory, in order; their places are counted from its first byte.
 * Errors: a `RangeError` where it is not well-formed.
 */
export function* fieldsIn(bytes: Uint8Array): Generator<Field> {
  const refuse = (at: number, what: string): never => {
    throw new RangeError(`byte ${at}: ${what}`);
  };
  for (let at = 0; at < bytes.length;) {
    const field = parseField({ bytes, from: 0 }, at, bytes.length, refuse);
    if (field.end > bytes.length) refuse(at, `field ${field.number} runs past its message`);
    yield field;
    at = field.end;
  }
}

/** The field that begins at a byte of a file; it may end behind `end`, where its message does. */
function parseField(
  { bytes, from }: Window,
  start: number,
  end: number,
  refuse: (at: number, what: string) => never,
): Field {
  let at = start;
  const varint = (): bigint => {
    const read = readVarint(bytes, at - from, end - from);
    if (!read) return refuse(at, 'a number that does not end');
    at = read.next + from;
    return read.value;
  };
  const tag = varint();
  const number = Number(tag >> 3n);
  const wireType = Number(tag & 7n);
  if (number < 1 || number > 0x1fffffff) refuse(start, `field number ${number}`);
  const field: Field = { number, wireType: 0, start, body: at, end: at, value: 0n };
  switch (wireType) {
    case 0:
      field.value = varint();
      field.end = at;
      return field;
    case 1:
    case 5:
      field.wireType = wireType;
      field.end = at + (wireType === 1 ? 8 : 4);
      return field;
    case 2: {
      const length = varint();
      field.wireType = 2;
      field.body = at;
      field.end = length > BigInt(Number.MAX_SAFE_INTEGER - at) ? Infinity : at + Number(length);
      return field;
    }
    default:
      return refuse(start, `wire type ${wireType}`);
  }
}

/** The varint at a byte, 64-bit two's complement, and the byte after it; null where it does not end before `end`. */
export function readVarint(
  bytes: Uint8Array,
  at: number,
  end: number = bytes.length,
): { value: bigint; next: number } | null {
  let low = 0;
  let scale = 1;
  // Seven groups of seven bits are exact as a number, which is faster than a bigint.
  for (let i = 0; i < 7 && at + i < end; i++) {
    const byte = bytes[at + i] ?? 0;
    low += (byte & 127) * scale;
    if (byte < 128) return { value: BigInt(low), next: at + i + 1 };
    scale *= 128;
  }
  let value = BigInt(low);
  for (let i = 7; i < 10 && at + i < end; i++) {
    const byte = bytes[at + i] ?? 0;
    value |= BigInt(byte & 127) << BigInt(7 * i);
    if (byte < 128) return { value: BigInt.asUintN(64, value), next: at + i + 1 };
  }
  return null;
}

function truncated(source: ByteSource, { number, start, end }: Field): never {
  fail(
    'onnx-truncated',
    `${source.name} ends in the middle: it is ${Number.isFinite(end) ? `at least ${end - source.size} bytes` : 'far'} too short.`,
    'Download or export the file again.',
    `field ${number} at byte ${start} ends at ${end}, the file at ${source.size}`,
  );
}

function notProtobuf(source: ByteSource, at: number, what: string): never {
  fail(
    'onnx-invalid',
    `${source.name} is not a valid ONNX file.`,
    'Check that the export finished, or export the model again.',
    `byte ${at}: ${what}`,
  );
}

/** Encoded varint of a non-negative integer. */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** Tag and length in front of a length-delimited field. */
export function encodeHeader(fieldNumber: number, length: number): Uint8Array {
  return concatBytes([encodeVarint(fieldNumber * 8 + 2), encodeVarint(length)]);
}

/** A length-delimited field that holds a message or text. */
export function encodeField(fieldNumber: number, body: Uint8Array): Uint8Array {
  return concatBytes([encodeHeader(fieldNumber, body.length), body]);
}

/** Parts joined into one array. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
