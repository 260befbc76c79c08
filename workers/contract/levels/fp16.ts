/** fp16, the baseline: weights rounded to half precision, arithmetic left as the model has it. */
import type { Scheme } from './scheme.ts';

export const fp16: Scheme = {
  id: 'fp16',
  element: 'float16',
  keys: [],
  resolve: () => ({
    id: 'fp16',
    baseline: true,
    form: 'blocks',
    weights: null,
    linear: null,
    head: false,
    tables: 'none',
    source: 'original',
    exclude: [],
    override: [],
  }),
  suffix: () => '_fp16',
  dtypeSuffix: () => '_fp16',
};
