/** The operators whose weights levels can quantize, and those that say weights were quantized before. */
import type { Node } from '../../onnx/model.ts';
import { convolution } from './convolution.ts';
import type { Family } from './family.ts';
import { fused } from './fused.ts';
import { gather } from './gather.ts';
import { gemm } from './gemm.ts';
import { matMul } from './matmul.ts';
import { recurrent } from './recurrent.ts';
import { reordered } from './reordered.ts';

const FAMILIES = new Map<string, Family>(
  [matMul, gemm, gather, convolution, recurrent, reordered, fused].flatMap((family) =>
    family.operators.map((operator): [string, Family] => [operator, family]),
  ),
);

/** Without their domains. */
export const OPERATORS_WITH_WEIGHTS: readonly string[] = [
  ...new Set([...FAMILIES.keys()].map((operator) => operator.split(':').at(-1) ?? operator)),
];

/** The family of an operator; null where no family has it. */
export function familyOf({ domain, type }: Node): Family | null {
  return FAMILIES.get(domain === '' ? type : `${domain}:${type}`) ?? null;
}

/**
 * Operators that take or make integers in place of weights: what goes into them is part of a weight quantized before.
 */
const QUANTIZED = new Set([
  'MatMulNBits',
  'GatherBlockQuantized',
  'QuantizeLinear',
  'DequantizeLinear',
  'QLinearMatMul',
  'MatMulInteger',
  'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat',
  'QLinearConv',
  'ConvInteger',
  'QAttention',
  'QGemm',
  'MatMulBnb4',
  'QMoE',
  'DynamicQuantizeLSTM',
  'QEmbedLayerNormalization',
  'QOrderedMatMul',
  'MatMulFpQ4',
  'QLinearAdd',
  'QLinearMul',
  'QLinearConcat',
  'QLinearSigmoid',
  'QLinearLeakyRelu',
  'QLinearAveragePool',
  'QLinearGlobalAveragePool',
  'QLinearReduceMean',
  'QLinearSoftmax',
  'QLinearWhere',
  'QLinearConvTranspose',
]);

/** Whether an operator takes or makes quantized weights. */
export function isQuantizedOperator({ type }: Node): boolean {
  return QUANTIZED.has(type);
}
