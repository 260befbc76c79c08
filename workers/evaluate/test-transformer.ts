/** For tests: a transformer of one block, small enough to try a fault in every node, with what exports are made of. */
import { encode, graph, model, node, randomValues, tensor, value, type FloatType } from '../../models/build.ts';

const WIDTH = 8;
const HEADS = 2;

export interface TinyTransformer {
  vocabulary: number;
  type?: FloatType;
  /** What is added to scores of later tokens. */
  mask?: number;
  /** Multiplies the embedding. */
  gain?: number;
  /** What norms add to the variance. */
  epsilon?: number;
  /** Whether norms end in the addition of a bias: nine operators. */
  bias?: boolean;
}

/**
 * input_ids [1, sequence] → logits [1, sequence, vocabulary]: embedding, causal attention of two heads and a gated
 * feed-forward, each behind a norm written out in single operators and with a residual around it.
 */
export function tinyTransformer({
  vocabulary,
  type = 'float32',
  mask = -10000,
  gain = 1,
  epsilon = 0.1,
  bias = false,
}: TinyTransformer): Blob {
  let seed = 10;
  const weights = (name: string, dims: number[], scale: number) =>
    tensor(
      name,
      type,
      dims,
      randomValues(
        seed++,
        dims.reduce((a, b) => a * b, 1),
        scale,
      ),
    );
  const scalar = (name: string, number: number) => tensor(name, type, [], [number]);
  const int64 = (name: string, dims: number[], values: number[]) => tensor(name, 'int64', dims, values);
  const norm = (input: string, name: string) => [
    node('ReduceMean', [input], [`${name}.mean`], { axes: [-1] }),
    node('Sub', [input, `${name}.mean`], [`${name}.centred`]),
    node('Pow', [`${name}.centred`, 'two'], [`${name}.squares`]),
    node('ReduceMean', [`${name}.squares`], [`${name}.variance`], { axes: [-1] }),
    node('Add', [`${name}.variance`, 'epsilon'], [`${name}.sum`]),
    node('Sqrt', [`${name}.sum`], [`${name}.deviation`]),
    node('Div', [`${name}.centred`, `${name}.deviation`], [`${name}.normed`]),
    ...(bias
      ? [
          node('Mul', [`${name}.normed`, `${name}.weight`], [`${name}.scaled`]),
          node('Add', [`${name}.scaled`, `${name}.bias`], [`${name}.out`]),
        ]
      : [node('Mul', [`${name}.normed`, `${name}.weight`], [`${name}.out`])]),
  ];
  const head = (part: string, perm: number[]) => [
    node('Reshape', [part, 'heads'], [`${part}.split`]),
    node('Transpose', [`${part}.split`], [`${part}.heads`], { perm }),
  ];
  return new Blob([
    encode(
      model(
        graph({
          node: [
            node('Gather', ['embed', 'input_ids'], ['embedded']),
            node('Mul', ['embedded', 'gain'], ['x']),
            // The mask, from the length of the input.
            node('Shape', ['input_ids'], ['shape']),
            node('Gather', ['shape', 'one'], ['length'], { axis: 0 }),
            node('Range', ['zero', 'length', 'one'], ['columns']),
            node('Unsqueeze', ['columns', 'last'], ['rows']),
            node('Greater', ['columns', 'rows'], ['later']),
            node('Where', ['later', 'masked', 'kept'], ['mask']),
            ...norm('x', 'norm1'),
            node('MatMul', ['norm1.out', 'qkv.weight'], ['qkv']),
            node('Split', ['qkv'], ['q', 'k', 'v'], { axis: -1 }),
            ...head('q', [0, 2, 1, 3]),
            ...head('k', [0, 2, 3, 1]),
            ...head('v', [0, 2, 1, 3]),
            node('MatMul', ['q.heads', 'k.heads'], ['scores']),
            node('Mul', ['scores', 'scale'], ['scaled']),
            node('Add', ['scaled', 'mask'], ['allowed']),
            node('Softmax', ['allowed'], ['attention'], { axis: -1 }),
            node('MatMul', ['attention', 'v.heads'], ['mixed']),
            node('Transpose', ['mixed'], ['together'], { perm: [0, 2, 1, 3] }),
            node('Reshape', ['together', 'joined'], ['joined.out']),
            node('MatMul', ['joined.out', 'out.weight'], ['attended']),
            node('Add', ['x', 'attended'], ['residual']),
            ...norm('residual', 'norm2'),
            node('MatMul', ['norm2.out', 'gate.weight'], ['gate']),
            node('Sigmoid', ['gate'], ['gate.sigmoid']),
            node('Mul', ['gate', 'gate.sigmoid'], ['gate.silu']),
            node('MatMul', ['norm2.out', 'up.weight'], ['up']),
            node('Mul', ['gate.silu', 'up'], ['gated']),
            node('MatMul', ['gated', 'down.weight'], ['down']),
            node('Add', ['residual', 'down'], ['last_hidden']),
            node('Transpose', ['head.weight'], ['head'], { perm: [1, 0] }),
            node('MatMul', ['last_hidden', 'head'], ['logits']),
          ],
          initializer: [
            weights('embed', [vocabulary, WIDTH], 1),
            weights('norm1.weight', [WIDTH], 1),
            weights('norm2.weight', [WIDTH], 1),
            ...(bias
              ? ['norm1.bias', 'norm2.bias'].map((name) =>
                  tensor(
                    name,
                    type,
                    [WIDTH],
                    Array.from({ length: WIDTH }, (_, index) => (index - 3) / 10),
                  ),
                )
              : []),
            weights('qkv.weight', [WIDTH, 3 * WIDTH], 1),
            weights('out.weight', [WIDTH, WIDTH], 0.5),
            weights('gate.weight', [WIDTH, 2 * WIDTH], 0.5),
            weights('up.weight', [WIDTH, 2 * WIDTH], 0.5),
            weights('down.weight', [2 * WIDTH, WIDTH], 0.5),
            weights('head.weight', [vocabulary, WIDTH], 1),
            scalar('two', 2),
            scalar('epsilon', epsilon),
            scalar('scale', 0.5),
            scalar('masked', mask),
            scalar('kept', 0),
            scalar('gain', gain),
            int64('zero', [], [0]),
            int64('one', [], [1]),
            int64('last', [1], [-1]),
            int64('heads', [4], [1, -1, HEADS, WIDTH / HEADS]),
            int64('joined', [3], [1, -1, WIDTH]),
          ],
          input: [value('input_ids', 'int64', [1, 'sequence'])],
          output: [value('logits', type, [1, 'sequence', vocabulary])],
        }),
      ),
    ),
  ]);
}
