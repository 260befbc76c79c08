/**
 * int8. By default weights only, MatMulNBits with 8 bits, block 32, symmetric; `mode=dequantize` stores one scale a
 * channel and puts a DequantizeLinear in front; `mode=dynamic` also quantizes activations while running. Convolutions
 * and recurrent layers have one scale a channel in all three.
 */
import { COMMON_SETTINGS, defineLevel } from './definition.ts';
import { blockedWeights, PER_CHANNEL } from './scheme.ts';

export const int8 = defineLevel({
  id: 'int8',
  help: 'Each weight becomes one of 255 whole numbers, with a scale for every 32 weights or every channel: one byte a weight and a little more.',
  slot: 1,
  bits: 8,
  element: 'int8',
  byDefault: true,
  settings: { mode: { words: { dequantize: 'per channel' } }, method: {}, ...COMMON_SETTINGS },
  // transformers.js calls what onnxruntime's quantize_dynamic makes q8.
  dtype: ({ mode }) => (mode === 'dynamic' ? 'q8' : 'int8'),
  resolve: ({ mode, method }) => ({
    form: mode,
    weights: mode === 'blocks' ? blockedWeights(8, { block: 32, asymmetric: false, method }) : null,
    linear: PER_CHANNEL,
  }),
});
