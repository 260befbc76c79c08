/**
 * int4, weights only: MatMulNBits with 4 bits, blocks of 16 to 256, symmetric or with uint8 zero points;
 * `mode=dequantize` stores them as ONNX's own 4-bit types behind a DequantizeLinear, which takes operator set 21.
 */
import { COMMON_SETTINGS, defineLevel } from './definition.ts';
import { blockedWeights } from './scheme.ts';

export const int4 = defineLevel({
  id: 'int4',
  help: 'Each weight becomes one of 16 whole numbers, with a scale for every block: half a byte a weight and a little more.',
  slot: 2,
  bits: 4,
  element: 'int4',
  byDefault: true,
  settings: {
    mode: { values: ['blocks', 'dequantize'] },
    block: {},
    asymmetric: {},
    method: {},
    ...COMMON_SETTINGS,
  },
  dtype: 'q4',
  resolve: (settings) => ({
    form: settings.mode,
    weights: blockedWeights(4, settings),
    linear: null,
  }),
});
