/** Models with very many of one thing, and nothing large: what takes time or stack in proportion to their square shows. */
import { create } from '@bufbuild/protobuf';
import {
  SparseTensorProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  StringStringEntryProtoSchema,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf';
import { encode, graph, localFunction, model, node, randomValues, tensor, value, type FloatType } from './build.ts';

const K = 64;
const N = 16;

function weights(count: number, type: FloatType, name: (i: number) => string = (i) => `w${i}`): TensorProto[] {
  const some = Array.from({ length: 7 }, (_, i) => tensor('', type, [K, N], randomValues(i + 1, K * N)).rawData);
  return Array.from({ length: count }, (_, i) =>
    create(TensorProtoSchema, {
      name: name(i),
      dataType: type === 'float16' ? 10 : 1,
      dims: [BigInt(K), BigInt(N)],
      rawData: some[i % some.length]!,
    }),
  );
}

const range = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

function around(
  nodes: NodeProto[],
  initializer: TensorProto[],
  type: FloatType,
  more: Partial<GraphProto> = {},
  functions: Parameters<typeof model>[3] = [],
): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: nodes,
        initializer,
        input: [value('x', type, ['rows', K])],
        output: [value('y', type, ['rows', N])],
        ...more,
      }),
      17,
      8,
      functions,
    ),
  );
}

/** `count` weights, each with a product and two more nodes: x → MatMul → Relu → Tanh, and a sum of all. */
export function manyWeights(
  count: number,
  type: FloatType = 'float16',
  name?: (i: number) => string,
): Uint8Array<ArrayBuffer> {
  const initializer = weights(count, type, name);
  const nodes = initializer.flatMap(({ name: weight }, i) => [
    node('MatMul', ['x', weight], [`m${i}`]),
    node('Relu', [`m${i}`], [`r${i}`]),
    node('Tanh', [`r${i}`], [`t${i}`]),
  ]);
  return around(
    [
      ...nodes,
      node(
        'Sum',
        range(count, (i) => `t${i}`),
        ['y'],
      ),
    ],
    initializer,
    type,
  );
}

/** The same with the type and shape of every value stated. */
export function manyStatedValues(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const initializer = weights(count, type);
  return around(
    [
      ...initializer.map(({ name }, i) => node('MatMul', ['x', name], [`m${i}`])),
      node(
        'Sum',
        range(count, (i) => `m${i}`),
        ['y'],
      ),
    ],
    initializer,
    type,
    { valueInfo: range(count, (i) => value(`m${i}`, type, ['rows', N])) },
  );
}

/** One weight that `count` products use. */
export function manyUses(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  return around(
    [
      ...range(count, (i) => node('MatMul', ['x', 'w0'], [`m${i}`])),
      node(
        'Sum',
        range(count, (i) => `m${i}`),
        ['y'],
      ),
    ],
    weights(1, type),
    type,
  );
}

/** One weight that `count` products use, each through a Transpose of its own. */
export function manyViews(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const turned = tensor('w', type, [N, K], randomValues(1, K * N));
  return around(
    [
      ...range(count, (i) => [
        node('Transpose', ['w'], [`v${i}`], { perm: [1, 0] }),
        node('MatMul', ['x', `v${i}`], [`m${i}`]),
      ]).flat(),
      node(
        'Sum',
        range(count, (i) => `m${i}`),
        ['y'],
      ),
    ],
    [turned],
    type,
  );
}

/** `count` weights in `Constant` nodes. */
export function manyConstants(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const held = weights(count, type, () => '');
  return around(
    [
      ...held.flatMap((weight, i) => [
        node('Constant', [], [`w${i}`], { value: weight }),
        node('MatMul', ['x', `w${i}`], [`m${i}`]),
      ]),
      node(
        'Sum',
        range(count, (i) => `m${i}`),
        ['y'],
      ),
    ],
    [],
    type,
  );
}

/** A chain of `count` nodes behind a product, and another product at its end. */
export function longChain(count: number, operator = 'Tanh', type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const last = tensor('last', type, [N, N], randomValues(3, N * N));
  return around(
    [
      node('MatMul', ['x', 'w0'], ['c0']),
      ...range(count, (i) => node(operator, [`c${i}`], [`c${i + 1}`])),
      node('MatMul', [`c${count}`, 'last'], ['y']),
    ],
    [...weights(1, type), last],
    type,
  );
}

/** A chain of `count` products. */
export function deepProducts(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const square = range(count, (i) => tensor(`s${i}`, type, [N, N], randomValues(i + 1, N * N)));
  return around(
    [
      node('MatMul', ['x', 'w0'], ['c0']),
      ...range(count, (i) => node('MatMul', [`c${i}`, `s${i}`], [i === count - 1 ? 'y' : `c${i + 1}`])),
    ],
    [...weights(1, type), ...square],
    type,
  );
}

/** A chain of `count` nodes between a weight and its product, which no view follows. */
export function longView(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  return around(
    [
      ...range(count, (i) => node('Identity', [i === 0 ? 'w0' : `v${i}`], [`v${i + 1}`])),
      node('MatMul', ['x', `v${count}`], ['y']),
    ],
    weights(1, type),
    type,
  );
}

/** `If` in `If`, `depth` deep, with `count` products of weights of the main graph in each body. */
export function nestedBodies(depth: number, count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const body = (level: number, side: string): GraphProto => {
    const id = `${side}${level}`;
    const products = range(count, (i) => node('MatMul', ['x', `w${i}`], [`${id}_m${i}`]));
    const inner =
      level < depth
        ? [
            node('If', ['condition'], [`${id}_inner`], {
              then_branch: body(level + 1, `${side}t`),
              else_branch: level + 1 < depth ? leaf(`${id}_e`) : body(level + 1, `${side}e`),
            }),
          ]
        : [];
    return graph({
      name: id,
      node: [
        ...products,
        ...inner,
        node('Sum', [...range(count, (i) => `${id}_m${i}`), ...(level < depth ? [`${id}_inner`] : [])], [`${id}_y`]),
      ],
      output: [value(`${id}_y`, type, ['rows', N])],
    });
  };
  const leaf = (id: string): GraphProto =>
    graph({
      name: id,
      node: [node('MatMul', ['x', 'w0'], [`${id}_y`])],
      output: [value(`${id}_y`, type, ['rows', N])],
    });
  return around(
    [node('If', ['condition'], ['y'], { then_branch: body(1, 't'), else_branch: leaf('e') })],
    weights(Math.max(count, 1), type),
    type,
    { input: [value('x', type, ['rows', K]), value('condition', 'bool', [])] },
  );
}

/** `count` `If` nodes after one another, with bodies that use a weight of the main graph and hold one of their own, of the same name in all. */
export function manyBodies(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const body = (id: string, own: TensorProto) =>
    graph({
      name: id,
      node: [
        node('MatMul', ['x', 'w0'], [`${id}_a`]),
        node('MatMul', ['x', 'own'], [`${id}_b`]),
        node('Add', [`${id}_a`, `${id}_b`], [`${id}_y`]),
      ],
      initializer: [own],
      output: [value(`${id}_y`, type, ['rows', N])],
    });
  const [own] = weights(1, type, () => 'own');
  return around(
    [
      ...range(count, (i) =>
        node('If', ['condition'], [`i${i}`], { then_branch: body(`t${i}`, own!), else_branch: body(`e${i}`, own!) }),
      ),
      node(
        'Sum',
        range(count, (i) => `i${i}`),
        ['y'],
      ),
    ],
    weights(1, type),
    type,
    { input: [value('x', type, ['rows', K]), value('condition', 'bool', [])] },
  );
}

/** `count` local functions, each called once with a weight. */
export function manyFunctions(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const functions = range(count, (i) =>
    localFunction('local', `f${i}`, ['a', 'b'], ['c'], [node('MatMul', ['a', 'b'], ['m']), node('Relu', ['m'], ['c'])]),
  );
  return around(
    [
      ...range(count, (i) => node(`f${i}`, ['x', `w${i}`], [`m${i}`], {}, 'local')),
      node(
        'Sum',
        range(count, (i) => `m${i}`),
        ['y'],
      ),
    ],
    weights(count, type),
    type,
    {},
    functions,
  );
}

/** `count` graph inputs and outputs, each behind a product. */
export function manyOutputs(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const initializer = weights(count, type);
  return around(
    initializer.map(({ name }, i) => node('MatMul', [`x${i}`, name], [`y${i}`])),
    initializer,
    type,
    {
      input: range(count, (i) => value(`x${i}`, type, ['rows', K])),
      output: range(count, (i) => value(`y${i}`, type, ['rows', N])),
    },
  );
}

/** A node with `count` outputs, each behind a product. */
export function wideNode(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const initializer = weights(1, type);
  return around(
    [
      node(
        'Split',
        ['x'],
        range(count, (i) => `s${i}`),
        { axis: 0 },
      ),
      ...range(count, (i) => node('MatMul', [`s${i}`, 'w0'], [`m${i}`])),
      node(
        'Concat',
        range(count, (i) => `m${i}`),
        ['y'],
        { axis: 0 },
      ),
    ],
    initializer,
    type,
  );
}

/** `count` sparse initializers beside `count` products. */
export function manySparse(count: number, type: FloatType = 'float32'): Uint8Array<ArrayBuffer> {
  const sparseInitializer = range(count, (i) =>
    create(SparseTensorProtoSchema, {
      dims: [BigInt(K), BigInt(N)],
      values: tensor(`sparse${i}`, 'float32', [1], [1]),
      indices: tensor('', 'int64', [1], [3]),
    }),
  );
  const initializer = weights(count, type);
  return around(
    [
      ...range(count, (i) => [
        node('MatMul', ['x', `w${i}`], [`m${i}`]),
        node('MatMul', ['x', `sparse${i}`], [`p${i}`]),
      ]).flat(),
      node(
        'Sum',
        range(count, (i) => `m${i}`),
        ['y'],
      ),
    ],
    initializer,
    type,
    { sparseInitializer },
  );
}

/** `count` weights whose data lies in other files, a file for each or one for all. */
export function manyOutside(
  count: number,
  files: 'each' | 'one',
  type: FloatType = 'float32',
): { model: Uint8Array<ArrayBuffer>; files: Map<string, Uint8Array<ArrayBuffer>> } {
  const inside = weights(count, type);
  const data = new Map<string, Uint8Array<ArrayBuffer>>();
  const bytes = inside[0]?.rawData.length ?? 0;
  if (files === 'one') data.set('all.bin', new Uint8Array(count * bytes));
  const outside = inside.map(({ name, rawData, dataType, dims }, i) => {
    const location = files === 'each' ? `w${i}.bin` : 'all.bin';
    if (files === 'each') data.set(location, new Uint8Array(rawData));
    else data.get(location)?.set(rawData, i * bytes);
    const entries = { location, offset: String(files === 'each' ? 0 : i * bytes), length: String(bytes) };
    return create(TensorProtoSchema, {
      name,
      dataType,
      dims,
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, text]) =>
        create(StringStringEntryProtoSchema, { key, value: text }),
      ),
    });
  });
  return {
    model: around(
      [
        ...range(count, (i) => node('MatMul', ['x', `w${i}`], [`m${i}`])),
        node(
          'Sum',
          range(count, (i) => `m${i}`),
          ['y'],
        ),
      ],
      outside,
      type,
    ),
    files: data,
  };
}
