/** Fields by the schema that onnx-buf generates. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AttributeProtoSchema, GraphProtoSchema, TensorProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { expect, test } from 'vitest';
import { value } from '../../models/build.ts';
import { fieldNumbers, isMistyped, messageIn, withoutMistyped } from './fields.ts';
import { concatBytes, encodeHeader } from './wire.ts';

test('numbers are those of onnx.proto', () => {
  expect(fieldNumbers(GraphProtoSchema)).toMatchObject({ node: 1, name: 2, initializer: 5, valueInfo: 13 });
  expect(fieldNumbers(AttributeProtoSchema)).toMatchObject({ t: 5, g: 6, sparseTensors: 23 });
  expect(messageIn(GraphProtoSchema, 5)).toBe(TensorProtoSchema);
  expect(messageIn(GraphProtoSchema, 2)).toBe(null);
});

test.each([
  ['a message', 8, [2]],
  ['repeated varints, packed or not', 1, [0, 2]],
  ['repeated floats, packed or not', 4, [2, 5]],
  ['repeated doubles, packed or not', 10, [1, 2]],
  ['an enum', 14, [0]],
  ['a number that is not declared', 1000, [0, 1, 2, 5]],
] as const)('wire types of %s', (_, number, wireTypes) => {
  const accepted = ([0, 1, 2, 5] as const).filter((wireType) => !isMistyped(TensorProtoSchema, { number, wireType }));
  expect(accepted).toEqual(wireTypes);
});

test('mistyped fields are left out of nested messages, too', () => {
  const clean = toBinary(ValueInfoProtoSchema, value('x', 'float32', [3, 64]));
  expect(withoutMistyped(ValueInfoProtoSchema, clean)).toBe(clean);
  // A type whose tensor type is preceded by a fixed32 of the same number.
  const type = toBinary(ValueInfoProtoSchema, create(ValueInfoProtoSchema, { name: 'x' }));
  const inner = Uint8Array.of(1 * 8 + 5, 1, 2, 3, 4, 1 * 8 + 2, 2, 1 * 8, 10);
  const damaged = concatBytes([type, encodeHeader(fieldNumbers(ValueInfoProtoSchema).type, inner.length), inner]);
  const { name, type: read } = fromBinary(ValueInfoProtoSchema, withoutMistyped(ValueInfoProtoSchema, damaged));
  expect([name, read?.value.case === 'tensorType' && read.value.value.elemType]).toEqual(['x', 10]);
});

test('a length that runs past its message is an error', () => {
  expect(() => withoutMistyped(ValueInfoProtoSchema, Uint8Array.of(1 * 8 + 2, 200, 1, 0))).toThrow(RangeError);
});
