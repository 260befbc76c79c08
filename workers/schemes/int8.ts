/** int8, weights only: MatMulNBits with 8 bits, block 32, symmetric; activations stay floating point. */
import { settingsSuffix, tablesOf, type Scheme } from './scheme.ts';

export const int8: Scheme = {
  id: 'int8',
  element: 'int8',
  keys: ['head', 'embedding', 'source'],
  resolve: (settings) => ({
    id: 'int8', baseline: false, weights: { bits: 8, block: 32, symmetric: true },
    head: settings.head !== 'keep', tables: tablesOf(settings), source: settings.source ?? 'baseline',
  }),
  suffix: (settings) => `_int8${settingsSuffix(settings, 32)}`,
};
