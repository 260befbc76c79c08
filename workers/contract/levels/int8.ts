/**
 * int8. By default weights only, MatMulNBits with 8 bits, block 32, symmetric; `mode=dequantize` stores one scale a
 * channel and puts a DequantizeLinear in front; `mode=dynamic` also quantizes activations while running. Convolutions
 * and recurrent layers have one scale a channel in all three.
 */
import { commonSettings, PER_CHANNEL, settingsSuffix, type Scheme } from './scheme.ts';

/** transformers.js takes `_quantized` for what onnxruntime's quantize_dynamic makes. */
const SUFFIX = { blocks: '_int8', dequantize: '_int8_dequantize', dynamic: '_quantized' };

export const int8: Scheme = {
  id: 'int8',
  element: 'int8',
  keys: ['mode', 'head', 'embedding', 'source', 'exclude', 'override'],
  modes: ['dequantize', 'dynamic'],
  resolve: (settings) => ({
    id: 'int8',
    form: settings.mode ?? 'blocks',
    weights: settings.mode ? null : { bits: 8, block: 32, symmetric: true },
    linear: PER_CHANNEL,
    ...commonSettings(settings),
  }),
  suffix: (settings) => `${SUFFIX[settings.mode ?? 'blocks']}${settingsSuffix(settings, 32)}`,
  dtypeSuffix: ({ mode }) => (mode === 'dynamic' ? SUFFIX.dynamic : SUFFIX.blocks),
};
