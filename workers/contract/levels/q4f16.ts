/**
 * q4f16: weights as int4 has them, everything else in fp16. A float32 model is turned to fp16 for it, but for its inputs
 * and outputs; one that is fp16 already comes out as at int4.
 */
import { commonSettings, settingsSuffix, type Scheme } from './scheme.ts';

export const q4f16: Scheme = {
  id: 'q4f16',
  element: 'int4',
  keys: ['block', 'asymmetric', 'head', 'embedding', 'exclude', 'override'],
  resolve: (settings) => ({
    id: 'q4f16',
    form: 'blocks',
    weights: { bits: 4, block: settings.block ?? 32, symmetric: !settings.asymmetric },
    linear: null,
    halfActivations: true,
    ...commonSettings(settings),
  }),
  suffix: (settings) => `_q4f16${settingsSuffix(settings, 32)}`,
  dtypeSuffix: () => '_q4f16',
};
