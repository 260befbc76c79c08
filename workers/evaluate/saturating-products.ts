/**
 * Whether onnxruntime's CPU provider multiplies uint8 activations by int8 weights for a model. On x86 CPUs with AVX2 or
 * AVX-512 and without VNNI it does so with VPMADDUBSW, which saturates sums of two products at 16 bits; WebAssembly, ARM
 * and CPUs with VNNI give the exact sums. uint8 weights have no such problem.
 * Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "When and why do I need to try U8U8?"
 */
import { elementType } from '../onnx/numbers/element-types.ts';
import { scanModel } from '../onnx/scan.ts';
import { findScopes } from '../onnx/graph/scopes.ts';
import { blobSource } from '../io/source.ts';

/** Where an operator has its weights among its inputs. */
const WEIGHTS: Readonly<Record<string, readonly number[]>> = {
  MatMulInteger: [1],
  ConvInteger: [1],
  QAttention: [1],
  DynamicQuantizeMatMul: [1],
  DynamicQuantizeLSTM: [1, 2],
};

/** False for what cannot be scanned: the runtime says what is wrong with it. */
export async function mayOverflow16Bits(model: Blob): Promise<boolean> {
  try {
    const scopes = findScopes(await scanModel(blobSource('model', model)));
    const signed = new Set(
      scopes.flatMap(({ constants }) =>
        [...constants.values()]
          .filter(({ tensor }) => elementType(tensor.type).name === 'int8')
          .map(({ name }) => name),
      ),
    );
    return scopes.some(({ nodes }) =>
      nodes.some(({ type, inputs }) => WEIGHTS[type]?.some((index) => signed.has(inputs[index] ?? ''))),
    );
  } catch {
    return false;
  }
}
