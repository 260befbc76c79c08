/**
 * q4f16: weights as at int4, everything else in fp16. A float32 model is turned to fp16 for it, except for its inputs
 * and outputs; a model that is fp16 already comes out as at int4.
 */
import { COMMON_SETTINGS, defineLevel } from './definition.ts';
import { blockedWeights } from './scheme.ts';

const { head, embedding, exclude, override } = COMMON_SETTINGS;

export const q4f16 = defineLevel({
  id: 'q4f16',
  help: 'Weights as at int4, everything else in 16-bit floating point: what flows through the model, too.',
  slot: 4,
  bits: 4,
  element: 'int4',
  settings: { block: {}, asymmetric: {}, method: {}, head, embedding, exclude, override },
  dtype: 'q4f16',
  resolve: (settings) => ({
    form: 'blocks',
    weights: blockedWeights(4, settings),
    linear: null,
    halfActivations: true,
  }),
});
