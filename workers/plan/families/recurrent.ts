/** LSTM, GRU and RNN: input and recurrence weights [directions, gates·hidden, inputs] behind a DequantizeLinear. */
import { viewConstant } from '../../onnx/graph/constant-view.ts';
import { behindDequantize } from './behind-dequantize.ts';
import { skipped, type Family } from './family.ts';

const WEIGHTS = [1, 2];
const CHANNELS = 1;

export const recurrent: Family = {
  operators: ['LSTM', 'GRU', 'RNN'],
  find: (node, scope) =>
    WEIGHTS.flatMap((input) => {
      const seen = viewConstant(scope, node.inputs[input] ?? '');
      if (!seen) return [];
      return [
        seen.view.dims.length === 3
          ? behindDequantize(node, scope, input, seen, CHANNELS)
          : skipped(seen.constant, `${node.type} takes it in other than three dimensions`),
      ];
    }),
};
