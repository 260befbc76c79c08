/**
 * int4, weights only: MatMulNBits with 4 bits, blocks of 16 to 256, symmetric or with uint8 zero points;
 * `mode=dequantize` stores them as ONNX's own 4-bit types behind a DequantizeLinear, which takes operator set 21.
 */
import { commonSettings, settingsSuffix, type Scheme } from './scheme.ts';

export const int4: Scheme = {
  id: 'int4',
  element: 'int4',
  keys: ['block', 'asymmetric', 'mode', 'head', 'embedding', 'source', 'exclude', 'override'],
  modes: ['dequantize'],
  resolve: (settings) => ({
    id: 'int4',
    form: settings.mode ?? 'blocks',
    weights: { bits: 4, block: settings.block ?? 32, symmetric: !settings.asymmetric },
    linear: null,
    ...commonSettings(settings),
  }),
  suffix: (settings) => `_q4${settings.mode ? '_dequantize' : ''}${settingsSuffix(settings, 32)}`,
  dtypeSuffix: () => '_q4',
};
