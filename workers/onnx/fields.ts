/** The fields of onnx.proto's messages: their numbers and wire types, from the schema that onnx-buf generates. */
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { concatBytes, encodeHeader, fieldsIn, type Field, type WireType } from './wire.ts';

/** The number of each field of a message, by the name that the generated code gives it. */
export function fieldNumbers<Name extends string>(schema: {
  field: Record<Name, DescField>;
}): Readonly<Record<Name, number>> {
  const numbers = Object.entries<DescField>(schema.field).map(([name, { number }]) => [name, number]);
  return Object.fromEntries(numbers) as Record<Name, number>;
}

interface DeclaredField {
  wireTypes: readonly WireType[];
  /** Schema of the message in the field; null where it holds something else. */
  message: DescMessage | null;
}

const FIXED_WIDTH: ReadonlyMap<ScalarType, WireType> = new Map<ScalarType, WireType>([
  [ScalarType.DOUBLE, 1],
  [ScalarType.FIXED64, 1],
  [ScalarType.SFIXED64, 1],
  [ScalarType.FLOAT, 5],
  [ScalarType.FIXED32, 5],
  [ScalarType.SFIXED32, 5],
]);

const declaredBySchema = new WeakMap<DescMessage, ReadonlyMap<number, DeclaredField>>();

function declaredFields(schema: DescMessage): ReadonlyMap<number, DeclaredField> {
  const known = declaredBySchema.get(schema);
  if (known) return known;
  const declared = new Map(schema.fields.map((field) => [field.number, declaredField(field)]));
  declaredBySchema.set(schema, declared);
  return declared;
}

function declaredField({ message, scalar, fieldKind }: DescField): DeclaredField {
  if (message) return { wireTypes: [2], message };
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return { wireTypes: [2], message: null };
  const single = (scalar !== undefined && FIXED_WIDTH.get(scalar)) || 0;
  // Parsers accept repeated numbers packed and one by one, whichever of the two the schema says.
  return { wireTypes: fieldKind === 'list' ? [single, 2] : [single], message: null };
}

/** The schema of the message that a field holds; null where it holds something else or is not declared. */
export function messageIn(schema: DescMessage, fieldNumber: number): DescMessage | null {
  return declaredFields(schema).get(fieldNumber)?.message ?? null;
}

/** Whether a message has a field of a number in a wire type. */
export function isDeclared(schema: DescMessage, { number, wireType }: { number: number; wireType: number }): boolean {
  return (
    declaredFields(schema)
      .get(number)
      ?.wireTypes.some((declared) => declared === wireType) ?? false
  );
}

/**
 * Whether a field has a declared number and another wire type than the declared one. The parser of onnxruntime skips
 * such a field like one with an unknown number.
 */
export function isMistyped(schema: DescMessage, { number, wireType }: Pick<Field, 'number' | 'wireType'>): boolean {
  return declaredFields(schema).has(number) && !isDeclared(schema, { number, wireType });
}

/**
 * A message without its mistyped fields, which onnx-buf would decode; the same bytes where there are none.
 * Errors: a `RangeError` where it, or a message in it, is not well-formed protobuf.
 */
export function withoutMistyped(schema: DescMessage, bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let changed = false;
  for (const field of fieldsIn(bytes)) {
    if (isMistyped(schema, field)) {
      changed = true;
      continue;
    }
    const inner = messageIn(schema, field.number);
    const body = inner && bytes.subarray(field.body, field.end);
    const clean = body && withoutMistyped(inner, body);
    if (clean === body) parts.push(bytes.subarray(field.start, field.end));
    else {
      changed = true;
      parts.push(encodeHeader(field.number, clean!.length), clean!);
    }
  }
  return changed ? concatBytes(parts) : bytes;
}
