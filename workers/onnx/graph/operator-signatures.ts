/**
 * Whether a node is one its operator set has, for the operators that levels replace or work out beforehand: what a
 * runtime would refuse must not disappear with the node. Inputs and attributes as in ONNX's Operators.md and
 * Changelog.md and onnxruntime's ContribOperators.md.
 */
import { AttributeProto_AttributeType } from 'onnx-buf';
import type { Attribute, Node } from '../model.ts';

const { FLOAT, INT, STRING, TENSOR, FLOATS, INTS, STRINGS, SPARSE_TENSOR } = AttributeProto_AttributeType;

interface Form {
  /** At least and at most. */
  inputs: readonly [number, number];
  attributes: Readonly<Record<string, AttributeProto_AttributeType>>;
}

const CONVOLUTION = { auto_pad: STRING, dilations: INTS, group: INT, kernel_shape: INTS, pads: INTS, strides: INTS };

const FORMS: ReadonlyMap<string, (opset: number) => Form> = new Map(
  Object.entries<(opset: number) => Form>({
    MatMul: () => ({ inputs: [2, 2], attributes: {} }),
    'com.microsoft:FusedMatMul': () => ({
      inputs: [2, 2],
      attributes: { alpha: FLOAT, transA: INT, transB: INT, transBatchA: INT, transBatchB: INT },
    }),
    Gemm: (opset) => ({
      inputs: [opset < 11 ? 3 : 2, 3],
      attributes: { alpha: FLOAT, beta: FLOAT, transA: INT, transB: INT, ...(opset < 7 ? { broadcast: INT } : {}) },
    }),
    Gather: () => ({ inputs: [2, 2], attributes: { axis: INT } }),
    Conv: () => ({ inputs: [2, 3], attributes: CONVOLUTION }),
    Identity: () => ({ inputs: [1, 1], attributes: {} }),
    Cast: (opset) => ({
      inputs: [1, 1],
      attributes: {
        to: opset < 6 ? STRING : INT,
        ...(opset < 19 ? {} : { saturate: INT }),
        ...(opset < 24 ? {} : { round_mode: STRING }),
      },
    }),
    Transpose: () => ({ inputs: [1, 1], attributes: { perm: INTS } }),
    Reshape: (opset) =>
      opset < 5
        ? { inputs: [1, 1], attributes: { shape: INTS, consumed_inputs: INTS } }
        : { inputs: [2, 2], attributes: opset < 14 ? {} : { allowzero: INT } },
    Squeeze: (opset) =>
      opset < 13 ? { inputs: [1, 1], attributes: { axes: INTS } } : { inputs: [1, 2], attributes: {} },
    Unsqueeze: (opset) =>
      opset < 13 ? { inputs: [1, 1], attributes: { axes: INTS } } : { inputs: [2, 2], attributes: {} },
    Constant: (opset) => ({
      inputs: [0, 0],
      attributes: {
        value: TENSOR,
        ...(opset < 11 ? {} : { sparse_value: SPARSE_TENSOR }),
        ...(opset < 12
          ? {}
          : {
              value_int: INT,
              value_ints: INTS,
              value_float: FLOAT,
              value_floats: FLOATS,
              value_string: STRING,
              value_strings: STRINGS,
            }),
      },
    }),
  }),
);

/** @param opset Version of ONNX's own operators; null where the model is too old to say. */
export function isWellFormed({ domain, type, inputs, outputs, attributes }: Node, opset: number | null): boolean {
  if (domain === '' && opset !== null && opset < 1) return false;
  const form = FORMS.get(domain === '' ? type : `${domain}:${type}`)?.(opset ?? 1);
  if (!form) return true;
  const [least, most] = form.inputs;
  return (
    inputs.length >= least &&
    inputs.length <= most &&
    inputs.slice(0, least).every((name) => name !== '') &&
    outputs.length === 1 &&
    outputs[0] !== '' &&
    new Set(attributes.map(({ proto }) => proto.name)).size === attributes.length &&
    attributes.every(
      (attribute) =>
        Object.hasOwn(form.attributes, attribute.proto.name) &&
        attribute.proto.type === form.attributes[attribute.proto.name] &&
        holdsOnly(attribute),
    ) &&
    (type !== 'Constant' || attributes.length === 1)
  );
}

/** Whether an attribute holds values of its type alone. Single numbers and strings cannot be told from their defaults. */
function holdsOnly({ proto, tensors, sparse, graphs }: Attribute): boolean {
  const held = [
    [FLOATS, proto.floats.length],
    [INTS, proto.ints.length],
    [STRINGS, proto.strings.length],
    [TENSOR, tensors.length],
    [SPARSE_TENSOR, sparse.length],
    [null, graphs.length],
    [FLOAT, proto.f === 0 ? 0 : 1],
    [INT, proto.i === 0n ? 0 : 1],
    [STRING, proto.s.length === 0 ? 0 : 1],
  ] as const;
  return held.every(([type, count]) => count === 0 || type === proto.type) && tensors.length < 2 && sparse.length < 2;
}
