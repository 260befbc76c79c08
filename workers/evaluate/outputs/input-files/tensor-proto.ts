/** A tensor as ONNX's test data sets have it: one TensorProto a file, `input_0.pb` (onnx.proto, onnx/backend/test). */
import { fromBinary } from '@bufbuild/protobuf';
import { TensorProto_DataLocation, TensorProtoSchema, type TensorProto } from 'onnx-buf';
import { fieldNumbers, isDeclared } from '../../../onnx/fields.ts';
import { readVarint } from '../../../onnx/wire.ts';
import { elementType } from '../../../onnx/numbers/element-types.ts';
import type { Result } from '../../../contract/errors.ts';
import type { HostTensor, TensorValues } from '../../sessions/graph-session.ts';
import { convert, countElements, elementBytes, invalid, valuesOf } from './file-tensor.ts';

const { dataType: DATA_TYPE } = fieldNumbers(TensorProtoSchema);
const STRING = 8;

/**
 * Whether a file is laid out as a TensorProto: no field that is none of its own, none that runs past the end, and an
 * element type, a number where a model has its producer's name.
 * @param head The first bytes of the file, all of them when it is shorter. @param size Bytes of the whole file.
 */
export function looksLikeTensor(head: Uint8Array, size: number): boolean {
  let typeKnown = false;
  // A tag and a number take at most twenty bytes: nearer to where the head ends, the rest may be beyond it.
  const cut = (at: number) => size > head.length && head.length - at < 20;
  for (let at = 0; at < head.length;) {
    const tag = readVarint(head, at);
    if (!tag) return typeKnown && cut(at);
    const [number, wireType] = [Number(tag.value >> 3n), Number(tag.value & 7n)];
    if (!isDeclared(TensorProtoSchema, { number, wireType })) return false;
    const value =
      wireType === 0 || wireType === 2
        ? readVarint(head, tag.next)
        : { value: 0n, next: tag.next + (wireType === 1 ? 8 : 4) };
    if (!value) return typeKnown && cut(at);
    if (number === DATA_TYPE) {
      const type = Number(value.value);
      typeKnown = elementType(type).bits > 0 || type === STRING;
      if (!typeKnown) return false;
    }
    at = wireType === 2 ? value.next + Number(value.value) : value.next;
    if (at > size) return false;
  }
  return typeKnown;
}

const FORMAT = 'Save it with onnx.numpy_helper.from_array(array).SerializeToString().';

/** `tensorName` is the name in the file; empty when it has none. Errors: `input-invalid`. */
export function readTensorProto(name: string, bytes: Uint8Array): Result<{ tensor: HostTensor; tensorName: string }> {
  let proto: TensorProto;
  try {
    proto = fromBinary(TensorProtoSchema, bytes, { readUnknownFields: false });
  } catch (thrown) {
    return invalid(name, 'is not a tensor as ONNX stores it', FORMAT, String(thrown));
  }
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL || proto.externalData.length > 0) {
    return invalid(name, 'keeps its values in another file', FORMAT);
  }
  if (proto.segment) return invalid(name, 'holds a part of a tensor', FORMAT);
  const dims = proto.dims.map(Number);
  const count = countElements(dims);
  if (count === null)
    return invalid(name, `states a shape of [${proto.dims.slice(0, 8).join(', ')}], which cannot be`, FORMAT);
  const { name: type } = elementType(proto.dataType);
  const tensor = type === 'bfloat16' ? widened(name, proto, dims, count) : values(name, proto, type, dims, count);
  return tensor.ok ? { ok: true, value: { tensor: tensor.value, tensorName: proto.name } } : tensor;
}

function values(name: string, proto: TensorProto, type: string, dims: number[], count: number): Result<HostTensor> {
  const size = elementBytes(type);
  if (size === null)
    return invalid(
      name,
      `holds elements of type ${type}, which cannot be read`,
      'Save it as a tensor of numbers, float32 for example.',
    );
  const tensor = (data: TensorValues): Result<HostTensor> => ({ ok: true, value: { type, dims, data } });
  if (proto.rawData.length > 0 || (count === 0 && typed(proto, type).length === 0)) {
    if (proto.rawData.length !== count * size)
      return wrongLength(name, dims, type, count * size, proto.rawData.length, 'bytes');
    return tensor(valuesOf(type, proto.rawData));
  }
  const given = typed(proto, type);
  if (given.length !== count) return wrongLength(name, dims, type, count, given.length, 'values');
  if (type === 'float32') return tensor(Float32Array.from(given as number[]));
  if (type === 'float64') return tensor(Float64Array.from(given as number[]));
  // In int32_data a float16 is its bits.
  if (type === 'float16') {
    const bits = convert(name, { type: 'float64', dims, data: Float64Array.from(given as number[]) }, 'uint16');
    return bits.ok ? tensor(bits.value.data) : bits;
  }
  if (type === 'int64') return tensor(BigInt64Array.from(given as bigint[]));
  if (type === 'uint64') return tensor(BigUint64Array.from(given as bigint[]));
  return convert(name, { type: 'float64', dims, data: Float64Array.from(given as (number | bigint)[], Number) }, type);
}

/** bfloat16 is the upper half of a float32. */
function widened(name: string, proto: TensorProto, dims: number[], count: number): Result<HostTensor> {
  const halves = values(name, proto, 'uint16', dims, count);
  if (!halves.ok) return halves;
  const bits = Uint32Array.from(halves.value.data as Uint16Array, (half) => half << 16);
  return { ok: true, value: { type: 'float32', dims, data: new Float32Array(bits.buffer) } };
}

/** The typed field elements of `type` are kept in (onnx.proto, TensorProto). */
function typed(proto: TensorProto, type: string): readonly (number | bigint)[] {
  switch (type) {
    case 'float32':
      return proto.floatData;
    case 'float64':
      return proto.doubleData;
    case 'int64':
      return proto.int64Data;
    case 'uint32':
    case 'uint64':
      return proto.uint64Data;
    default:
      return proto.int32Data;
  }
}

function wrongLength(
  name: string,
  dims: readonly number[],
  type: string,
  expected: number,
  given: number,
  unit: string,
) {
  return invalid(
    name,
    `of shape [${dims.join(', ')}] and type ${type} needs ${expected.toLocaleString('en')} ${unit} and holds ${given.toLocaleString('en')}`,
    FORMAT,
  );
}
