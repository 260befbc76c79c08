/**
 * The protobuf wire format (protobuf.dev/programming-guides/encoding), as far as walking a file by offsets needs it:
 * fields are visited where they lie, payloads are skipped, not loaded.
 */
import type { ByteSource } from '../io/source.ts';
import { fail } from '../contract/errors.ts';

/** One field where it lies in the file. `end` is the first byte after it. */
export interface Field {
  number: number;
  wireType: 0 | 1 | 2 | 5;
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

export function createReader(source: ByteSource): Reader {
  let window: Uint8Array = new Uint8Array(0);
  let from = 0;

  async function load(start: number, end: number): Promise<void> {
    if (start >= from && end <= from + window.length) return;
    const length = Math.min(Math.max(WINDOW, end - start), source.size - start);
    window = await source.read(start, length);
    from = start;
  }

  function varint(at: number, end: number): { value: bigint; next: number } {
    let value = 0n;
    for (let i = 0; i < 10; i++) {
      if (at + i >= end) break;
      const byte = window[at + i - from] ?? 0;
      value |= BigInt(byte & 127) << BigInt(7 * i);
      if (byte < 128) return { value: BigInt.asUintN(64, value), next: at + i + 1 };
    }
    return notProtobuf(source, at, 'a number that does not end');
  }

  async function* fields(start: number, end: number): AsyncGenerator<Field> {
    let at = start;
    while (at < end) {
      await load(at, Math.min(at + HEADER, end));
      const tag = varint(at, end);
      const number = Number(tag.value >> 3n);
      const wireType = Number(tag.value & 7n);
      if (number < 1 || number > 0x1fffffff) notProtobuf(source, at, `field number ${number}`);
      const field: Field = { number, wireType: 0, start: at, body: tag.next, end: tag.next, value: 0n };
      if (wireType === 0) {
        const { value, next } = varint(tag.next, end);
        field.value = value;
        field.end = next;
      } else if (wireType === 1 || wireType === 5) {
        field.wireType = wireType;
        field.end = tag.next + (wireType === 1 ? 8 : 4);
      } else if (wireType === 2) {
        const { value, next } = varint(tag.next, end);
        field.wireType = 2;
        field.body = next;
        field.end = value > BigInt(Number.MAX_SAFE_INTEGER - next) ? Infinity : next + Number(value);
      } else {
        notProtobuf(source, at, `wire type ${wireType}`);
      }
      if (field.end > end) {
        if (end === source.size) {
          fail(
            'onnx-truncated',
            `${source.name} ends in the middle: it is ${Number.isFinite(field.end) ? `at least ${field.end - end} bytes` : 'far'} too short.`,
            'Download or export the file again.',
            `field ${number} at byte ${at} ends at ${field.end}, the file at ${end}`,
          );
        }
        notProtobuf(source, at, `field ${number} runs past its message`);
      }
      yield field;
      at = field.end;
    }
  }

  return {
    source,
    fields,
    async bytes(start, end) {
      if (end - start > WINDOW) return source.read(start, end - start);
      await load(start, end);
      return window.slice(start - from, end - from);
    },
  };
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

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
