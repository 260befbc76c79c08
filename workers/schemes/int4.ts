/** int4, weights only: MatMulNBits with 4 bits, blocks of 16 to 256, symmetric or with uint8 zero points. */
import { settingsSuffix, tablesOf, type Scheme } from './scheme.ts';

export const int4: Scheme = {
  id: 'int4',
  element: 'int4',
  keys: ['block', 'asymmetric', 'head', 'embedding', 'source'],
  resolve: (settings) => ({
    id: 'int4', baseline: false, weights: { bits: 4, block: settings.block ?? 32, symmetric: !settings.asymmetric },
    head: settings.head !== 'keep', tables: tablesOf(settings), source: settings.source ?? 'baseline',
  }),
  suffix: (settings) => `_q4${settingsSuffix(settings, 32)}`,
};
