/**
 * What operators take and give when a graph is turned from float32 to fp16: which have an fp16 form at all
 * (ONNX's Operators.md and Changelog.md, onnxruntime's ContribOperators.md), and which better compute in float32.
 */
import { hasAttribute } from '../../onnx/graph/attributes.ts';
import type { Node } from '../../onnx/model.ts';

/** Of ONNX's own, those that take float16 wherever they take float32, in every operator set that has them. */
const HALF = new Set([
  'Abs',
  'Add',
  'And',
  'ArgMax',
  'ArgMin',
  'Attention',
  'AveragePool',
  'BatchNormalization',
  'BitShift',
  'BitwiseAnd',
  'BitwiseNot',
  'BitwiseOr',
  'BitwiseXor',
  'Cast',
  'Ceil',
  'Clip',
  'Compress',
  'Concat',
  'Constant',
  'ConstantOfShape',
  'Conv',
  'ConvTranspose',
  'DepthToSpace',
  'Div',
  'Dropout',
  'Einsum',
  'Elu',
  'Equal',
  'Erf',
  'Exp',
  'Expand',
  'EyeLike',
  'Flatten',
  'Floor',
  'GRU',
  'Gather',
  'GatherElements',
  'GatherND',
  'Gelu',
  'Gemm',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Greater',
  'GreaterOrEqual',
  'GroupNormalization',
  'HardSigmoid',
  'HardSwish',
  'Hardmax',
  'Identity',
  'InstanceNormalization',
  'IsNaN',
  'LRN',
  'LSTM',
  'LayerNormalization',
  'LeakyRelu',
  'Less',
  'LessOrEqual',
  'Log',
  'LogSoftmax',
  'MatMul',
  'Max',
  'MaxPool',
  'Mean',
  'Min',
  'Mish',
  'Mod',
  'Mul',
  'Neg',
  'NonZero',
  'Not',
  'OneHot',
  'Or',
  'PRelu',
  'Pad',
  'RMSNormalization',
  'RNN',
  'Reciprocal',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceSum',
  'Relu',
  'Reshape',
  'ReverseSequence',
  'RotaryEmbedding',
  'Round',
  'Scatter',
  'ScatterElements',
  'ScatterND',
  'Selu',
  'Shape',
  'Shrink',
  'Sigmoid',
  'Sign',
  'SimplifiedLayerNormalization',
  'Size',
  'Slice',
  'Softmax',
  'Softplus',
  'Softsign',
  'SpaceToDepth',
  'Split',
  'Squeeze',
  'Sub',
  'Sum',
  'Swish',
  'Tan',
  'Tanh',
  'ThresholdedRelu',
  'Tile',
  'TopK',
  'Transpose',
  'Trilu',
  'Unsqueeze',
  'Where',
  'Xor',
  ...[
    'BiasGelu',
    'EmbedLayerNormalization',
    'FastGelu',
    'FusedConv',
    'FusedMatMul',
    'Gelu',
    'GroupQueryAttention',
    'MoE',
    'MultiHeadAttention',
    'QuickGelu',
    'RotaryEmbedding',
    'SkipLayerNormalization',
    'SkipSimplifiedLayerNormalization',
  ].map((type) => `com.microsoft:${type}`),
]);

/**
 * Stay in float32: what fp16 has no form of (Resize's scales, Range, CumSum before operator set 14 …), and where fp16
 * loses what matters: angles of positions, squares, and roots of sums of them, of which norms are made. What bodies of
 * control flow take and give is float32, too: a counter or a sum that a loop carries on may be among it.
 */
const FLOAT = new Set([
  'CumSum',
  'IsInf',
  'NonMaxSuppression',
  'Range',
  'Resize',
  'RoiAlign',
  'Upsample',
  'GridSample',
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'Cos',
  'Cosh',
  'Sin',
  'Sinh',
  'Pow',
  'Sqrt',
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceProd',
  'ReduceSumSquare',
  'LpNormalization',
  'MeanVarianceNormalization',
  'Det',
  'If',
  'Loop',
  'Scan',
  'CastLike',
  'Celu',
  'Col2Im',
  'AffineGrid',
  'DFT',
  'STFT',
  'DeformConv',
  'GlobalLpPool',
  'LpPool',
  'MaxRoiPool',
  'MaxUnpool',
  'Unique',
  // onnxruntime's CPU provider has a kernel for float32 alone, and optimizers that fuse norms into a node of another type.
  'com.microsoft:Attention',
]);

/** Make numbers of another type than those they take, float32 when an attribute says so or by default. */
const MAKES_NUMBERS: Readonly<Record<string, string>> = {
  Cast: 'to',
  ConstantOfShape: 'value',
  RandomNormal: 'dtype',
  RandomUniform: 'dtype',
  RandomNormalLike: 'dtype',
  RandomUniformLike: 'dtype',
  EyeLike: 'dtype',
  Multinomial: 'dtype',
  Bernoulli: 'dtype',
  HannWindow: 'output_datatype',
  HammingWindow: 'output_datatype',
  BlackmanWindow: 'output_datatype',
  MelWeightMatrix: 'output_datatype',
};

/** Of those, the ones whose type is that of their input when they state none. */
const FOLLOWS_INPUT = new Set(['RandomNormalLike', 'RandomUniformLike', 'EyeLike', 'Bernoulli']);
const DRAWS = new Set(['Bernoulli', 'Multinomial', 'MelWeightMatrix']);

export type Float16Handling = 'half' | 'float' | 'makes' | 'unknown';

function nameOf({ domain, type }: Node): string {
  return domain === '' ? type : `${domain}:${type}`;
}

/** How a node is handled, as far as the node alone tells. */
export function float16Handling(node: Node): Float16Handling {
  const name = nameOf(node);
  if (Object.hasOwn(MAKES_NUMBERS, name)) return 'makes';
  // x · x is a square; means and deviations beside the result are float32 whatever is normalized.
  if (
    FLOAT.has(name) ||
    (name === 'Mul' && node.inputs[0] === node.inputs[1]) ||
    (/(^|Skip|Simplified)LayerNormalization$/.test(node.type) &&
      node.outputs.slice(1, 3).some((output) => output !== ''))
  )
    return 'float';
  return HALF.has(name) ? 'half' : 'unknown';
}

/** The attribute that says what type a node makes. */
export function typeAttributeOf(node: Node): string {
  return MAKES_NUMBERS[nameOf(node)] ?? '';
}

/**
 * Whether a node that makes numbers wants its floating-point inputs in float32: where no attribute states the type, that of
 * its input counts, and onnxruntime draws and samples from float32 only.
 */
export function makesFromFloats(node: Node): boolean {
  const stated = hasAttribute(node, typeAttributeOf(node));
  return DRAWS.has(nameOf(node)) || (!stated && FOLLOWS_INPUT.has(nameOf(node)));
}
