/** int2, weights only: MatMulNBits with 2 bits, blocks of 16 to 256, symmetric or with uint8 zero points. */
import { COMMON_SETTINGS, defineLevel } from './definition.ts';
import { blockedWeights } from './scheme.ts';

const { head, source, exclude, override } = COMMON_SETTINGS;

export const int2 = defineLevel({
  id: 'int2',
  help: 'Each weight becomes one of 4 whole numbers, with a scale for every block: a quarter of a byte a weight and a little more.',
  slot: 5,
  bits: 2,
  element: 'int2',
  // Tables stay: GatherBlockQuantized takes 4 and 8 bits.
  settings: { block: {}, asymmetric: {}, method: {}, head, source, exclude, override },
  dtype: 'q2',
  resolve: (settings) => ({ form: 'blocks', weights: blockedWeights(2, settings), linear: null }),
});
