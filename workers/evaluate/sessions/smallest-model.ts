/** A model that is as good as nothing: its sessions are opened for what comes with a session. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type ValueInfoProto,
} from 'onnx-buf';
import { FLOAT32 } from '../../onnx/numbers/element-types.ts';

/** y = |x|, of one number. */
export function smallestModel(): Blob {
  return new Blob([
    toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 8n,
        opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: 17n })],
        graph: create(GraphProtoSchema, {
          name: 'smallest',
          node: [create(NodeProtoSchema, { opType: 'Abs', input: ['x'], output: ['y'] })],
          input: [oneNumber('x')],
          output: [oneNumber('y')],
        }),
      }),
    ),
  ]);
}

function oneNumber(name: string): ValueInfoProto {
  const shape = create(TensorShapeProtoSchema, {
    dim: [create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: 1n } })],
  });
  const value = create(TypeProto_TensorSchema, { elemType: FLOAT32, shape });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value } }),
  });
}
