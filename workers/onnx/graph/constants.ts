/** Constants of a graph: initializers and what `Constant` nodes hold. */
import { FLOAT32, INT64 } from '../numbers/element-types.ts';
import type { Attribute, Node, Span, Tensor, ValueInfo } from '../model.ts';

/** The value of a `Constant` node, under the name of its output. Null for other nodes, sparse tensors and strings. */
export function constantNodeValue(node: Node): Tensor | null {
  const name = node.outputs[0] ?? '';
  if (node.type !== 'Constant' || node.domain !== '' || name === '') return null;
  const given = node.attributes.find(
    ({ proto, tensors }) =>
      tensors.length > 0 || (proto.refAttrName === '' && /^value_(float|int)s?$/.test(proto.name)),
  );
  const tensor = given && (given.tensors[0] ?? numbersOf(given, node.span));
  return tensor ? { ...tensor, name } : null;
}

function numbersOf({ proto }: Attribute, span: Span): Tensor {
  const list = proto.name.endsWith('s');
  if (proto.name.startsWith('value_float')) {
    const values = Float32Array.from(list ? proto.floats : [proto.f]);
    return {
      name: '',
      type: FLOAT32,
      dims: list ? [values.length] : [],
      data: { kind: 'values', bytes: new Uint8Array(values.buffer) },
      bytes: values.byteLength,
      ints: null,
      span,
    };
  }
  const values = BigInt64Array.from(list ? proto.ints : [proto.i]);
  const bytes = values.reduce((sum, value) => sum + varintLength(value), 0);
  return {
    name: '',
    type: INT64,
    dims: list ? [values.length] : [],
    data: { kind: 'values', bytes: new Uint8Array(values.buffer) },
    bytes,
    ints: Array.from(values, Number),
    span,
  };
}

/** Bytes that protobuf uses for an int64. */
function varintLength(value: bigint): number {
  return Math.max(1, Math.ceil(BigInt.asUintN(64, value).toString(2).length / 7));
}

/** Whether a tensor has the type and shape that a graph states for it. */
export function matchesStatement({ proto }: ValueInfo, { type, dims }: Tensor): boolean {
  const stated = proto.type?.value;
  if (stated?.case !== 'tensorType' || stated.value.elemType !== type) return false;
  const { shape } = stated.value;
  return (
    !shape ||
    (shape.dim.length === dims.length &&
      shape.dim.every(({ value }, axis) => value.case !== 'dimValue' || Number(value.value) === dims[axis]))
  );
}
