/** What operators do with numbers, as far as their precision goes (ONNX's Operators.md, onnxruntime's ContribOperators.md). */
import type { Node } from '../../onnx/model.ts';

/** The operator, with its domain in front where it has one. */
export function operatorOf({ domain, type }: Node): string {
  return domain === '' || domain === 'ai.onnx' ? type : `${domain}:${type}`;
}

/** Inputs that are weights: multiplied with, looked up, or added to such a product by the operator itself. */
const WEIGHT_INPUTS: Readonly<Record<string, readonly number[]>> = {
  MatMul: [0, 1],
  Gemm: [0, 1, 2],
  Einsum: [0, 1, 2, 3],
  Conv: [1],
  ConvTranspose: [1],
  DeformConv: [1],
  LayerNormalization: [1, 2],
  RMSNormalization: [1],
  LSTM: [1, 2, 3, 7],
  GRU: [1, 2, 3],
  RNN: [1, 2, 3],
  'com.microsoft:FusedMatMul': [0, 1],
  'com.microsoft:TransposeMatMul': [0, 1],
  'com.microsoft:FusedGemm': [0, 1, 2],
  'com.microsoft:FusedConv': [1],
  'com.microsoft:GemmFloat8': [0, 1],
  'com.microsoft:NhwcConv': [1],
  'com.microsoft:NhwcFusedConv': [1],
  'com.microsoft:GemmFastGelu': [1],
  'com.microsoft:FusedMatMulActivation': [0, 1],
  'com.microsoft:Attention': [1],
  'com.microsoft:PackedAttention': [1],
  'com.microsoft:LongformerAttention': [1, 4],
  'com.microsoft:DecoderAttention': [2, 3],
  'com.microsoft:EmbedLayerNormalization': [2, 3, 4],
  'com.microsoft:MoE': [1, 2, 3, 4, 5, 6, 7],
  'com.microsoft:RelativePositionBias': [0],
  'com.microsoft:GatedRelativePositionBias': [3],
};

export function takesWeight(node: Node, input: number): boolean {
  return WEIGHT_INPUTS[operatorOf(node)]?.includes(input) ?? false;
}

/** Products of two values, either of which may be a vector of frequencies. */
export const PRODUCTS: ReadonlySet<string> = new Set([
  'MatMul',
  'Gemm',
  'Einsum',
  'com.microsoft:FusedMatMul',
  'com.microsoft:TransposeMatMul',
  'com.microsoft:FusedGemm',
]);

/** Give numbers of their first input on as they are, or some of them. */
export const MOVES: ReadonlySet<string> = new Set([
  'Identity',
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Slice',
  'Split',
  'Expand',
  'Tile',
  'Dropout',
  'Trilu',
  'Pad',
  'Compress',
  'DepthToSpace',
  'SpaceToDepth',
  'ReverseSequence',
  'GatherElements',
  'GatherND',
]);
/** Give numbers of all of their floating-point inputs on. */
export const JOINS: ReadonlySet<string> = new Set(['Concat', 'Where', 'ScatterElements', 'ScatterND', 'Scatter']);
export const SUMS: ReadonlySet<string> = new Set(['Add', 'Sub', 'Sum', 'Mean', 'Min', 'Max', 'Clip', 'Mod']);
export const SCALES: ReadonlySet<string> = new Set(['Mul', 'Div']);
/** Work on each number by itself, with results as far apart as those numbers may be. */
export const UNARY: ReadonlySet<string> = new Set([
  'Abs',
  'Ceil',
  'Exp',
  'Floor',
  'Log',
  'Neg',
  'Pow',
  'Reciprocal',
  'Relu',
  'LeakyRelu',
  'PRelu',
  'Round',
  'Shrink',
  'Softplus',
  'Sqrt',
  'ThresholdedRelu',
  'Elu',
  'Selu',
  'Celu',
]);
export const REDUCES: ReadonlySet<string> = new Set([
  'CumSum',
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSum',
  'ReduceSumSquare',
]);
export const COMPARES: ReadonlySet<string> = new Set([
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'IsInf',
  'IsNaN',
]);
/** Of an angle. */
export const ANGLES: ReadonlySet<string> = new Set(['Sin', 'Cos', 'Tan']);
/** Inputs that are positions or sizes, though they are floating-point numbers; all inputs where none is named. */
const PLACES: Readonly<Record<string, readonly number[] | null>> = {
  Range: null,
  Resize: [1, 2, 3],
  Upsample: [1],
  GridSample: [1],
  AffineGrid: [0],
  RoiAlign: [1],
  MaxRoiPool: [1],
  NonMaxSuppression: [0, 2, 3],
  OneHot: [0, 1],
  NonZero: null,
};

/** Whether an input says where something is, or how large. */
export function takesPlace(node: Node, input: number): boolean {
  const places = PLACES[operatorOf(node)];
  return places === null || (places?.includes(input) ?? false);
}

/** Cheap operators through which a value is followed to what is made of it. */
export function isPassThrough(node: Node): boolean {
  const operator = operatorOf(node);
  return (
    MOVES.has(operator) ||
    JOINS.has(operator) ||
    SUMS.has(operator) ||
    SCALES.has(operator) ||
    UNARY.has(operator) ||
    REDUCES.has(operator) ||
    operator === 'Cast' ||
    operator === 'CastLike' ||
    operator === 'Gather' ||
    operator === 'Sigmoid'
  );
}

/** Carry numbers far below zero on their way to a softmax. */
const CARRIES_MASKS: ReadonlySet<string> = new Set([
  'Add',
  'Cast',
  'Concat',
  'Div',
  'Expand',
  'Gather',
  'GatherND',
  'Identity',
  'Max',
  'Min',
  'Mul',
  'Pad',
  'Reshape',
  'ScatterElements',
  'ScatterND',
  'Slice',
  'Split',
  'Squeeze',
  'Sub',
  'Sum',
  'Tile',
  'Transpose',
  'Trilu',
  'Unsqueeze',
  'Where',
]);
/** Inputs that masks go to. */
const TAKES_MASKS: Readonly<Record<string, readonly number[]>> = {
  Attention: [3],
  LogSoftmax: [0],
  Softmax: [0],
  'com.microsoft:Attention': [5],
  'com.microsoft:DecoderMaskedMultiHeadAttention': [4],
  'com.microsoft:GroupQueryAttention': [10],
  'com.microsoft:MultiHeadAttention': [5],
  'com.microsoft:PackedMultiHeadAttention': [6],
};

export function carriesMask(node: Node): boolean {
  return CARRIES_MASKS.has(operatorOf(node));
}

/** Whether a mask ends at an input, or does not matter there. */
export function endsMask(node: Node, input: number): boolean {
  const operator = operatorOf(node);
  return (
    (TAKES_MASKS[operator]?.includes(input) ?? false) ||
    COMPARES.has(operator) ||
    operator === 'Shape' ||
    operator === 'Size'
  );
}
