/** uint8 with activations quantized while running: one scale a tensor, as onnxruntime's quantize_dynamic with QUInt8; convolutions become ConvInteger too. */
import { COMMON_SETTINGS, defineLevel } from './definition.ts';

export const uint8 = defineLevel({
  id: 'uint8',
  help: 'Each weight becomes one of 256 whole numbers, with one scale for the whole tensor; what flows through the model is rounded to 256 steps, too, while running.',
  slot: 3,
  bits: 8,
  element: 'uint8',
  settings: COMMON_SETTINGS,
  dtype: 'uint8',
  resolve: () => ({
    form: 'dynamic',
    weights: null,
    linear: { type: 'uint8', symmetric: false, perChannel: false },
  }),
});
