/** uint8 with activations quantized while running: one scale a tensor, as onnxruntime's quantize_dynamic with QUInt8; convolutions too become ConvInteger. */
import { commonSettings, settingsSuffix, type Scheme } from './scheme.ts';

export const uint8: Scheme = {
  id: 'uint8',
  element: 'uint8',
  keys: ['head', 'embedding', 'source', 'exclude', 'override'],
  resolve: (settings) => ({
    id: 'uint8',
    form: 'dynamic',
    weights: null,
    linear: { type: 'uint8', symmetric: false, perChannel: false },
    ...commonSettings(settings),
  }),
  suffix: (settings) => `_uint8${settingsSuffix(settings, 32)}`,
  dtypeSuffix: () => '_uint8',
};
