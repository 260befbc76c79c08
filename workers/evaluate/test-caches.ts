/** For tests: one attention layer with caches laid out as various exports have them, small enough to be written out. */
import { encode, graph, model, node, randomValues, tensor, value } from '../../models/build.ts';
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from 'onnx-buf';

const HEADS = 4;
const DIM = 4;
const WIDTH = HEADS * DIM;

/**
 * How the cache lies: `bloom` has batch and heads in one axis and keys turned round; `multi-query` one head for keys and
 * values; `rows` the same without an axis for it; `fused` keys and values in one tensor; `merged` both branches behind a
 * switch; `pair` is for two sequences at once; `plain` as most exports.
 */
export type CacheLayout = 'plain' | 'bloom' | 'multi-query' | 'rows' | 'fused' | 'merged' | 'pair';

export const CACHE_LAYOUTS: readonly CacheLayout[] = [
  'plain',
  'bloom',
  'multi-query',
  'rows',
  'fused',
  'merged',
  'pair',
];

export interface CachedAttention {
  vocabulary: number;
  layout: CacheLayout;
  /** Element type of ids and mask. */
  ids?: 'int64' | 'int32';
  /** Whether later tokens are left out, as they have to be. */
  causal?: boolean;
}

/** input_ids, attention_mask and the cache → logits and the cache with the new tokens. */
export function cachedAttention({ vocabulary, layout, ids = 'int64', causal = true }: CachedAttention): Blob {
  const single = layout === 'multi-query' || layout === 'rows';
  const heads = single ? 1 : HEADS;
  let seed = 3;
  const weight = (name: string, dims: number[], scale = 0.5) =>
    tensor(
      name,
      'float32',
      dims,
      randomValues(
        seed++,
        dims.reduce((a, b) => a * b, 1),
        scale,
      ),
    );
  const int64 = (name: string, values: number[]) => tensor(name, 'int64', [values.length], values);
  const number = (name: string, of: number) => tensor(name, 'int64', [], [of]);
  const batch = layout === 'pair' ? 2 : 'batch_size';
  const past = 'past_sequence_length';
  const total = 'past_sequence_length + sequence_length';

  /** Keys and values [batch, heads, tokens, width] of new tokens, and how the cache joins them. */
  const split = (part: string, count: number) => [
    node('MatMul', ['e', `w${part}`], [part]),
    node('Reshape', [part, `shape${count}`], [`${part}.heads`]),
    node('Transpose', [`${part}.heads`], [`${part}.new`], { perm: [0, 2, 1, 3] }),
  ];
  const { nodes, inputs, outputs, initializers } = cacheOf(layout, { batch, past, total, int64 });
  const causality = causal
    ? [node('Greater', ['key.at', 'query.at'], ['later']), node('Where', ['later', 'masked', 'kept'], ['mask'])]
    : [node('Mul', ['kept', 'kept'], ['mask'])];
  const proto = graph({
    node: [
      node('Gather', ['embed', 'input_ids'], ['e']),
      node('Shape', ['input_ids'], ['ids.shape']),
      node('Gather', ['ids.shape', 'one'], ['new']),
      node('Shape', ['attention_mask'], ['mask.shape']),
      node('Gather', ['mask.shape', 'one'], ['all']),
      node('Sub', ['all', 'new'], ['before']),
      node('Range', ['before', 'all', 'one'], ['queries']),
      node('Unsqueeze', ['queries', 'last'], ['query.at']),
      node('Range', ['zero', 'all', 'one'], ['key.at']),
      ...causality,
      ...split('q', HEADS),
      ...split('k', heads),
      ...split('v', heads),
      ...nodes,
      node('Transpose', ['keys'], ['keys.turned'], { perm: [0, 1, 3, 2] }),
      node('MatMul', ['q.new', 'keys.turned'], ['scores']),
      node('Add', ['scores', 'mask'], ['allowed']),
      node('Softmax', ['allowed'], ['p'], { axis: -1 }),
      node('MatMul', ['p', 'values'], ['mixed']),
      node('Transpose', ['mixed'], ['together'], { perm: [0, 2, 1, 3] }),
      node('Reshape', ['together', 'joined'], ['joined.out']),
      node('MatMul', ['joined.out', 'wo'], ['attended']),
      node('Add', ['e', 'attended'], ['hidden']),
      node('MatMul', ['hidden', 'head'], ['logits']),
    ],
    initializer: [
      weight('embed', [vocabulary, WIDTH], 1),
      weight('wq', [WIDTH, WIDTH]),
      weight('wk', [WIDTH, heads * DIM]),
      weight('wv', [WIDTH, heads * DIM]),
      weight('wo', [WIDTH, WIDTH], 1),
      weight('head', [WIDTH, vocabulary], 1),
      int64(`shape${HEADS}`, [0, 0, HEADS, DIM]),
      ...(single ? [int64('shape1', [0, 0, 1, DIM])] : []),
      int64('joined', [0, 0, WIDTH]),
      number('one', 1),
      number('zero', 0),
      int64('last', [-1]),
      tensor('masked', 'float32', [], [-1e4]),
      tensor('kept', 'float32', [], [0]),
      ...initializers,
    ],
    input: [
      value('input_ids', ids, ['batch_size', 'sequence_length']),
      value('attention_mask', ids, ['batch_size', total]),
      ...inputs,
    ],
    output: [value('logits', 'float32', ['batch_size', 'sequence_length', vocabulary]), ...outputs],
  });
  return new Blob([encode(model(proto))]);
}

interface CachePart {
  nodes: NodeProto[];
  inputs: ValueInfoProto[];
  outputs: ValueInfoProto[];
  initializers: TensorProto[];
}
interface CacheNames {
  batch: number | string;
  past: string;
  total: string;
  int64: (name: string, values: number[]) => TensorProto;
}

const KEY = { past: 'past_key_values.0.key', present: 'present.0.key' };
const VALUE = { past: 'past_key_values.0.value', present: 'present.0.value' };

/** From `k.new` and `v.new` and what came before to `keys` and `values`, [batch, heads, tokens, width]. */
function cacheOf(layout: CacheLayout, { batch, past, total, int64 }: CacheNames): CachePart {
  const both = (
    shape: (tokens: string) => (number | string)[],
    nodes: NodeProto[],
    initializers: TensorProto[] = [],
  ): CachePart => ({
    nodes,
    initializers,
    inputs: [KEY, VALUE].map((names) => value(names.past, 'float32', shape(past))),
    outputs: [KEY, VALUE].map((names) => value(names.present, 'float32', shape(total))),
  });
  const join = (axis: number) => [
    node('Concat', [KEY.past, 'k.new'], [KEY.present], { axis }),
    node('Concat', [VALUE.past, 'v.new'], [VALUE.present], { axis }),
  ];
  const name = (of: { present: string }, as: string) => node('Identity', [of.present], [as]);
  switch (layout) {
    case 'plain':
    case 'pair':
    case 'multi-query': {
      const heads = layout === 'multi-query' ? 1 : HEADS;
      return both((tokens) => [batch, heads, tokens, DIM], [...join(2), name(KEY, 'keys'), name(VALUE, 'values')]);
    }
    case 'rows':
      return both(
        (tokens) => [batch, tokens, DIM],
        [
          node('Squeeze', ['k.new', 'axis1'], ['k.rows']),
          node('Squeeze', ['v.new', 'axis1'], ['v.rows']),
          node('Concat', [KEY.past, 'k.rows'], [KEY.present], { axis: 1 }),
          node('Concat', [VALUE.past, 'v.rows'], [VALUE.present], { axis: 1 }),
          node('Unsqueeze', [KEY.present, 'axis1'], ['keys']),
          node('Unsqueeze', [VALUE.present, 'axis1'], ['values']),
        ],
        [int64('axis1', [1])],
      );
    case 'bloom': {
      const merged = 'batch_size x num_heads';
      return {
        nodes: [
          node('Reshape', ['v.new', 'flat'], ['v.flat']),
          node('Reshape', ['k.new', 'flat'], ['k.flat']),
          node('Transpose', ['k.flat'], ['k.turned'], { perm: [0, 2, 1] }),
          node('Concat', [KEY.past, 'k.turned'], [KEY.present], { axis: 2 }),
          node('Concat', [VALUE.past, 'v.flat'], [VALUE.present], { axis: 1 }),
          node('Transpose', [KEY.present], ['k.back'], { perm: [0, 2, 1] }),
          node('Unsqueeze', ['all', 'axis0'], ['all1']),
          node('Concat', ['parted', 'all1', 'width'], ['unflat'], { axis: 0 }),
          node('Reshape', ['k.back', 'unflat'], ['keys']),
          node('Reshape', [VALUE.present, 'unflat'], ['values']),
        ].flatMap((made, index) =>
          index === 0
            ? [
                node('Unsqueeze', ['new', 'axis0'], ['new1']),
                node('Concat', ['minus', 'new1', 'width'], ['flat'], { axis: 0 }),
                made,
              ]
            : [made],
        ),
        inputs: [value(KEY.past, 'float32', [merged, DIM, past]), value(VALUE.past, 'float32', [merged, past, DIM])],
        outputs: [
          value(KEY.present, 'float32', [merged, DIM, total]),
          value(VALUE.present, 'float32', [merged, total, DIM]),
        ],
        initializers: [int64('axis0', [0]), int64('minus', [-1]), int64('width', [DIM]), int64('parted', [-1, HEADS])],
      };
    }
    case 'fused':
      return {
        nodes: [
          node('Unsqueeze', ['k.new', 'axis0'], ['k.one']),
          node('Unsqueeze', ['v.new', 'axis0'], ['v.one']),
          node('Concat', ['k.one', 'v.one'], ['kv.new'], { axis: 0 }),
          node('Concat', ['past_0', 'kv.new'], ['present_0'], { axis: 3 }),
          node('Gather', ['present_0', 'zero'], ['keys'], { axis: 0 }),
          node('Gather', ['present_0', 'one'], ['values'], { axis: 0 }),
        ],
        inputs: [value('past_0', 'float32', [2, batch, HEADS, past, DIM])],
        outputs: [value('present_0', 'float32', [2, batch, HEADS, total, DIM])],
        initializers: [int64('axis0', [0])],
      };
    case 'merged': {
      const shape = ['batch_size', HEADS, total, DIM];
      const branch = (tag: string, nodes: NodeProto[]): GraphProto =>
        graph({
          name: tag,
          node: nodes,
          output: [value(`${tag}.k`, 'float32', shape), value(`${tag}.v`, 'float32', shape)],
        });
      const part = both(
        (tokens) => [batch, HEADS, tokens, DIM],
        [
          node('If', ['use_cache_branch'], [KEY.present, VALUE.present], {
            then_branch: branch('with', [
              node('Concat', [KEY.past, 'k.new'], ['with.k'], { axis: 2 }),
              node('Concat', [VALUE.past, 'v.new'], ['with.v'], { axis: 2 }),
            ]),
            else_branch: branch('without', [
              node('Identity', ['k.new'], ['without.k']),
              node('Identity', ['v.new'], ['without.v']),
            ]),
          }),
          name(KEY, 'keys'),
          name(VALUE, 'values'),
        ],
      );
      return { ...part, inputs: [...part.inputs, value('use_cache_branch', 'bool', [1])] };
    }
  }
}
