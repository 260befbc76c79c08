/** The same model with uint8 codes for its int8 ones: onnxruntime's products of these are exact on every CPU. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType, type GraphProto, type NodeProto, type TensorProto } from 'onnx-buf';

/**
 * Adds 128 to every int8 constant, weights and zero points alike, so that code minus zero point stays what it was.
 *
 * On x86 CPUs without VNNI, onnxruntime multiplies uint8 activations by int8 weights with `vpmaddubsw`, which saturates
 * sums of two products at 16 bits; uint8 by uint8 is summed in 32 bits. onnxruntime's own rewrite of this kind
 * (`session.x64quantprecision`) is no use to tests: it takes optimizations that round activations elsewhere, leaves
 * weights of outer scopes out, and fails where two nodes share a weight.
 * A zero point that is not written out is 0 for both types, which this would get wrong.
 */
export function unsignedCodes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, bytes);
  if (model.graph) convertGraph(model.graph);
  model.functions.forEach(({ node }) => {
    node.forEach(convertNode);
  });
  return toBinary(ModelProtoSchema, model);
}

/** Whether onnxruntime multiplies uint8 by int8 in a model with nodes of these types. */
export function multipliesIntegers(types: Iterable<string>): boolean {
  return [...types].some((type) => INTEGER_PRODUCTS.has(type));
}

const INTEGER_PRODUCTS: ReadonlySet<string> = new Set([
  'MatMulInteger',
  'ConvInteger',
  'QAttention',
  'DynamicQuantizeLSTM',
]);

function convertGraph({ initializer, node }: GraphProto): void {
  initializer.forEach(convertTensor);
  node.forEach(convertNode);
}

function convertNode({ attribute }: NodeProto): void {
  for (const { t, g, graphs } of attribute) {
    if (t) convertTensor(t);
    [g, ...graphs].forEach((graph) => {
      if (graph) convertGraph(graph);
    });
  }
}

function convertTensor(tensor: TensorProto): void {
  if (tensor.dataType !== (TensorProto_DataType.INT8 as number)) return;
  tensor.dataType = TensorProto_DataType.UINT8;
  tensor.rawData = tensor.rawData.map((code) => code ^ 0x80);
  tensor.int32Data = tensor.int32Data.map((code) => code + 128);
}
