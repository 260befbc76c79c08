/** A product with a constant matrix, as MatMul and Gemm have it, in every form a level may ask for. */
import { elementCount, FLOAT16, FLOAT32 } from '../../onnx/numbers/element-types.ts';
import { int64Tensor, type NewNode } from '../../onnx/writing/encode.ts';
import type { Node } from '../../onnx/model.ts';
import type { BlockedWeights, LinearWeights, ResolvedLevel } from '../../contract/levels/scheme.ts';
import { CONTRIB, type Draft } from '../draft.ts';
import { blockedShape } from '../quantize-task.ts';
import { hasReferences } from '../../onnx/graph/attributes.ts';
import { opsetOf, type Scope } from '../../onnx/graph/scopes.ts';
import { whyNotBlocked, whyNotLinear, whyNotInt4, type Matrix, type Store } from '../store.ts';
import type { ConstantView } from '../../onnx/graph/constant-view.ts';
import type { Candidate, Rewrite, RewriteTarget } from './family.ts';

export interface Product {
  node: Node;
  scope: Scope;
  /** The constant as the node sees it, and which input it is. */
  seen: ConstantView;
  input: number;
  matrix: Matrix;
  /** Whether the node sees [N, K] and turns it round itself. */
  turned: boolean;
  /** The other factor. */
  activation: string;
  /** Permutations of the other factor before, and of the result after; null for none. */
  before: number[] | null;
  after: number[] | null;
  /** What is added; `fits` when it is a constant [N] of the arithmetic's type, which MatMulNBits adds itself. */
  bias: { name: string; fits: boolean } | null;
  /** Why the node has to stay, so that its weight can at most stand behind a DequantizeLinear; null when it need not. */
  stays: string | null;
}

/** The constant as [K, N] where all other dimensions are 1; null for others. `turn`: it is seen as [N, K]. */
export function matrixOf(seen: ConstantView, turn: boolean): Matrix | null {
  const { dims, strides, casts } = seen.view;
  if (dims.length < 2 || elementCount(dims.slice(0, -2)) !== 1) return null;
  const last = (list: readonly number[]): [number, number] => {
    const [first = 0, second = 0] = list.slice(-2);
    return turn ? [second, first] : [first, second];
  };
  const [[k, n], [alongK, alongN]] = [last(dims), last(strides)];
  const view = { dims: [k, n], strides: [alongK, alongN], casts };
  const matrix = { seen: { ...seen, view }, k, n, view: null };
  const follows = (size: number, stride: number, expected: number) => size <= 1 || stride === expected;
  if (follows(k, alongK, n) && follows(n, alongN, 1)) return { ...matrix, layout: 'kn' };
  if (follows(k, alongK, 1) && follows(n, alongN, k)) return { ...matrix, layout: 'nk' };
  return { ...matrix, layout: 'kn', view };
}

export function productCandidate(product: Product): Candidate {
  const { node, scope, seen, matrix } = product;
  return {
    kind: 'candidate',
    node,
    scope,
    seen,
    role: 'weight',
    outputs: matrix.n,
    offer: (level) => offer(product, level),
  };
}

function offer(product: Product, level: ResolvedLevel): Rewrite | string {
  const { weights, linear, form } = level;
  if (hasReferences(product.node)) return 'an attribute is given by the function around it';
  // Where the node has to stay, its weight can still stand behind a DequantizeLinear, if the level has such weights.
  const stays = product.stays ?? (form === 'dynamic' ? whyNotDynamic(product.scope) : null);
  if (stays !== null && linear) return offerDequantized(product, linear);
  if (weights) return form === 'dequantize' ? offerNibbles(product, weights) : (stays ?? offerBlocks(product, weights));
  if (!linear) return `${level.id} does not cover it`;
  return form === 'dequantize' ? offerDequantized(product, linear) : offerDynamic(product, linear);
}

function whyNotDynamic(scope: Scope): string | null {
  return opsetOf(scope) < 11 ? 'DynamicQuantizeLinear came with operator set 11' : null;
}

function offerBlocks(product: Product, weights: BlockedWeights): Rewrite | string {
  return (
    whyNotBlocked(product.matrix, weights) ?? {
      write: (to) => {
        writeBlocks(product, weights, to);
      },
    }
  );
}

function offerNibbles(product: Product, weights: BlockedWeights): Rewrite | string {
  const { matrix, scope, seen } = product;
  if (seen.view.dims.length !== 2) return 'has more than two dimensions';
  return (
    whyNotBlocked(matrix, weights) ??
    whyNotInt4(matrix, scope, weights) ??
    rewired(product, ({ store }) => store.dequantizedBlocks(matrix, product.turned ? 'rows' : 'columns', weights))
  );
}

function offerDequantized(product: Product, linear: LinearWeights): Rewrite | string {
  const { seen, turned } = product;
  const axis = linear.perChannel ? seen.view.dims.length - (turned ? 2 : 1) : null;
  return whyNotLinear(seen, axis) ?? rewired(product, ({ store }) => store.dequantized(seen, axis, linear));
}

function offerDynamic(product: Product, linear: LinearWeights): Rewrite | string {
  const axis = linear.perChannel ? 1 : null;
  return (
    whyNotLinear(product.matrix.seen, axis) ?? {
      write: (to) => {
        writeDynamic(product, axis, linear, to);
      },
    }
  );
}

/** The node stays, with another value for its weight. */
function rewired({ node, scope, input, seen }: Product, value: (to: RewriteTarget) => string): Rewrite {
  return {
    write(to) {
      to.draft.rename(scope, node, input, value(to));
      to.draft.markBypassed(seen.via);
    },
  };
}

function writeBlocks(product: Product, weights: BlockedWeights, { draft, store }: RewriteTarget): void {
  const { node, scope, seen, matrix, bias } = product;
  const made = store.blocked(matrix, weights);
  const { name: codes, nodes } = codesOf(product, weights, draft, store);
  const inputs = (a: string) => [a, codes, made.scales, ...(made.zeroPoints === null ? [] : [made.zeroPoints])];
  const fits = bias?.fits ? [...(made.zeroPoints === null ? [''] : []), '', bias.name] : [];
  draft.replace(scope, node, [
    ...nodes,
    ...around(
      product,
      draft,
      (a, y) => [
        {
          type: 'MatMulNBits',
          domain: CONTRIB,
          name: node.name,
          inputs: [...inputs(a), ...fits],
          outputs: [y],
          attributes: { K: matrix.k, N: matrix.n, bits: weights.bits, block_size: weights.block },
        },
      ],
      bias?.fits === true,
    ),
  ]);
  draft.markBypassed(seen.via);
}

/** Codes as MatMulNBits takes them. A table's are the same bytes: the product sees the table's tensor through a Reshape. */
function codesOf(
  { matrix, scope, seen }: Product,
  weights: BlockedWeights,
  draft: Draft,
  store: Store,
): { name: string; nodes: NewNode[] } {
  const made = store.blocked(matrix, weights);
  const shape = blockedShape(matrix.k, matrix.n, weights);
  if (made.rows !== null && matrix.k % weights.block === 0) {
    const known = made.reshaped.get(scope);
    if (known !== undefined) return { name: known, nodes: [] };
    const name = draft.unique(`${made.rows}_blocked`);
    const target = draft.unique(`${made.rows}_shape`);
    draft.replacementOf(seen.constant).extras.push({
      tensor: int64Tensor(target, shape.codes),
      why: 'shape through which the output projection sees the embedding table',
    });
    made.reshaped.set(scope, name);
    return {
      name,
      nodes: [{ type: 'Reshape', domain: '', name, inputs: [made.rows, target], outputs: [name], attributes: {} }],
    };
  }
  return { name: made.codes ?? store.addCodes(made, 'codes', shape.codes), nodes: [] };
}

/** DynamicQuantizeLinear → MatMulInteger → Cast → Mul, as onnxruntime's quantize_dynamic writes it. */
function writeDynamic(
  product: Product,
  axis: number | null,
  weights: LinearWeights,
  { draft, store, activations }: RewriteTarget,
): void {
  const {
    node,
    scope,
    matrix: { seen },
  } = product;
  const linear = store.linear(seen, axis, weights);
  const { type } = seen;
  const made = around(
    product,
    draft,
    (a, y) => {
      const { activation, nodes } = activations.quantized(scope, a, type);
      return [
        ...nodes,
        ...integerProduct('MatMulInteger', { activation, linear, type, output: y, name: node.name }, draft),
      ];
    },
    false,
  );
  draft.replace(scope, node, made);
  draft.markBypassed(product.seen.via);
}

/** An integer operator and what brings its int32 result back: Cast, and Mul by the product of both scales. */
export function integerProduct(
  type: 'MatMulInteger' | 'ConvInteger',
  {
    activation,
    linear,
    type: arithmetic,
    output,
    name,
    taken = [],
  }: {
    activation: { value: string; scale: string; zeroPoint: string };
    linear: { codes: string; scales: string; zeroPoints: string };
    type: number;
    output: string;
    name: string;
    taken?: NonNullable<NewNode['taken']>;
  },
  draft: Draft,
): NewNode[] {
  const [scales, integers, floats] = [
    draft.unique(`${output}_scales`),
    draft.unique(`${output}_int32`),
    draft.unique(`${output}_unscaled`),
  ];
  const wide = arithmetic === FLOAT32 ? output : draft.unique(`${output}_float32`);
  return [
    {
      type: 'Mul',
      domain: '',
      name: scales,
      inputs: [activation.scale, linear.scales],
      outputs: [scales],
      attributes: {},
    },
    {
      type,
      domain: '',
      name,
      inputs: [activation.value, linear.codes, activation.zeroPoint, linear.zeroPoints],
      outputs: [integers],
      attributes: {},
      taken,
    },
    { type: 'Cast', domain: '', name: floats, inputs: [integers], outputs: [floats], attributes: { to: FLOAT32 } },
    { type: 'Mul', domain: '', name: wide, inputs: [floats, scales], outputs: [wide], attributes: {} },
    ...(arithmetic === FLOAT16
      ? [{ type: 'Cast', domain: '', name: output, inputs: [wide], outputs: [output], attributes: { to: FLOAT16 } }]
      : []),
  ];
}

/** What stands around the product itself: the other factor turned round before, bias and result after. */
function around(
  { node, activation, before, after, bias }: Product,
  draft: Draft,
  inner: (a: string, y: string) => NewNode[],
  withBias: boolean,
): NewNode[] {
  const [output = ''] = node.outputs;
  const adds = bias !== null && !withBias;
  const a = before ? draft.unique(`${activation}_transposed`) : activation;
  const product = adds || after ? draft.unique(`${output}_product`) : output;
  const sum = adds && after ? draft.unique(`${output}_sum`) : output;
  return [
    ...(before
      ? [{ type: 'Transpose', domain: '', name: a, inputs: [activation], outputs: [a], attributes: { perm: before } }]
      : []),
    ...inner(a, product),
    ...(adds
      ? [{ type: 'Add', domain: '', name: sum, inputs: [product, bias.name], outputs: [sum], attributes: {} }]
      : []),
    ...(after
      ? [
          {
            type: 'Transpose',
            domain: '',
            name: output,
            inputs: [adds ? sum : product],
            outputs: [output],
            attributes: { perm: after },
          },
        ]
      : []),
  ];
}
