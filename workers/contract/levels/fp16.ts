/** fp16, the baseline: weights rounded to half precision, arithmetic left as the model has it. */
import { defineLevel } from './definition.ts';

export const fp16 = defineLevel({
  id: 'fp16',
  help: '16-bit floating point: the baseline that every other level is measured against.',
  slot: 0,
  bits: 16,
  element: 'float16',
  byDefault: true,
  settings: {},
  dtype: 'fp16',
  resolve: () => ({
    baseline: true,
    form: 'blocks',
    weights: null,
    linear: null,
    head: false,
    tables: 'none',
    source: 'original',
  }),
});
