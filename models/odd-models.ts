/** Tiny models that are unlike what most exporters write, for tests. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  SparseTensorProtoSchema,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type FunctionProto,
  type ValueInfoProto,
} from 'onnx-buf';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from './build.ts';

const weights = (seed: number, k: number, n: number) => randomValues(seed, k * n, 0.3);
const matrix = (name: string, seed: number, k = 64, n = 48) => tensor(name, 'float32', [k, n], weights(seed, k, n));
const X = value('x', 'float32', [3, 64]);
const Y = value('y', 'float32', [3, 48]);

/** A recurrence over the rows of x, with the weight of the graph in the body of a Scan. */
export function scanBody(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('Scan', ['start', 'x'], ['last', 'y'], {
            num_scan_inputs: 1,
            body: graph({
              node: [
                node('Add', ['state', 'row'], ['sum']),
                node('MatMul', ['sum', 'w'], ['product']),
                node('Tanh', ['product'], ['next']),
                node('Identity', ['next'], ['out']),
              ],
              input: [value('state', 'float32', [1, 64]), value('row', 'float32', [1, 64])],
              output: [value('next', 'float32', [1, 64]), value('out', 'float32', [1, 64])],
            }),
          }),
        ],
        initializer: [matrix('w', 1, 64, 64), tensor('start', 'float32', [1, 64], new Float32Array(64))],
        input: [value('x', 'float32', [5, 1, 64])],
        output: [value('y', 'float32', [5, 1, 64])],
      }),
    ),
  );
}

/** An If in a branch of an If, the weight at the very inside and one more outside of all. */
export function nestedIf(): Uint8Array<ArrayBuffer> {
  const out = [value('out', 'float32', [3, 48])];
  const inner = (name: string) =>
    graph({
      node: [node('MatMul', ['x', name], ['out'])],
      initializer: name === 'inside' ? [matrix('inside', 2)] : [],
      output: out,
    });
  return encode(
    model(
      graph({
        node: [
          node('If', ['flag'], ['y'], {
            then_branch: graph({
              node: [node('If', ['flag'], ['out'], { then_branch: inner('inside'), else_branch: inner('outside') })],
              output: out,
            }),
            else_branch: graph({
              node: [node('MatMul', ['x', 'outside'], ['p']), node('Neg', ['p'], ['out'])],
              output: out,
            }),
          }),
        ],
        initializer: [matrix('outside', 3)],
        input: [value('flag', 'bool', [1]), X],
        output: [Y],
      }),
    ),
  );
}

/** bfloat16 weights a Cast brings to float32, as exports that keep the checkpoint's type have them. */
export function bfloat16Weights(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('Cast', ['w'], ['wide'], { to: 1 }), node('MatMul', ['x', 'wide'], ['y'])],
        initializer: [tensor('w', 'bfloat16', [64, 48], weights(4, 64, 48))],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** float64 weights a Cast brings to float32. */
export function doubleWeights(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('Cast', ['w'], ['narrow'], { to: 1 }), node('MatMul', ['x', 'narrow'], ['y'])],
        initializer: [tensor('w', 'float64', [64, 48], weights(5, 64, 48))],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** Computes in float64, which no quantized operator does. */
export function doubleArithmetic(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [tensor('w', 'float64', [64, 48], weights(6, 64, 48))],
        input: [value('x', 'float64', [3, 64])],
        output: [value('y', 'float64', [3, 48])],
      }),
    ),
  );
}

/** One product is quantized already, the other is not. */
export function partlyQuantized(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('DequantizeLinear', ['codes', 'scale', 'zero'], ['w1'], { axis: 1 }),
          node('MatMul', ['x', 'w1'], ['h']),
          node('MatMul', ['h', 'w2'], ['y']),
        ],
        initializer: [
          tensor(
            'codes',
            'uint8',
            [64, 64],
            weights(7, 64, 64).map((code) => Math.round(128 + 200 * code)),
          ),
          tensor('scale', 'float32', [64], new Float32Array(64).fill(0.01)),
          tensor('zero', 'uint8', [64], new Uint8Array(64).fill(128)),
          matrix('w2', 8),
        ],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** All there is, is quantized. */
export function whollyQuantized(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('DequantizeLinear', ['codes', 'scale'], ['w']), node('MatMul', ['x', 'w'], ['y'])],
        initializer: [
          tensor(
            'codes',
            'uint8',
            [64, 48],
            weights(9, 64, 48).map((code) => Math.round(100 + 100 * code)),
          ),
          tensor('scale', 'float32', [], [0.01]),
        ],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** Two products of one weight, one of them sees it turned round; and the weight is given out, too. */
export function sharedWeight(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('MatMul', ['x', 'w'], ['a']),
          node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
          node('MatMul', ['a', 't'], ['b']),
          node('MatMul', ['b', 'w'], ['y']),
        ],
        initializer: [matrix('w', 10)],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** No operator of it has a weight. */
export function withoutWeights(): Uint8Array<ArrayBuffer> {
  return encode(
    model(graph({ node: [node('Tanh', ['x'], ['y'])], input: [X], output: [value('y', 'float32', [3, 64])] })),
  );
}

/** Two nodes that need each other. */
export function cyclicNodes(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('Add', ['x', 'y'], ['a']), node('MatMul', ['a', 'w'], ['y'])],
        initializer: [matrix('w', 11)],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** A weight with fewer bytes than its shape takes. */
export function lyingShape(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [{ ...matrix('w', 12), dims: [64n, 4800n] }],
        input: [X],
        output: [Y],
      }),
    ),
  );
}

/** A weight that says it lies above the model's folder. */
export function escapingLocation(): Uint8Array<ArrayBuffer> {
  const body = model(
    graph({ node: [node('MatMul', ['x', 'w'], ['y'])], initializer: [matrix('w', 13)], input: [X], output: [Y] }),
  );
  const [weight] = body.graph?.initializer ?? [];
  if (weight)
    Object.assign(weight, {
      rawData: new Uint8Array(),
      dataLocation: 1,
      externalData: [{ $typeName: 'onnx.StringStringEntryProto', key: 'location', value: '../../etc/passwd' }],
    });
  return toBinary(ModelProtoSchema, body);
}

/** Ends in the middle of its weight. */
export function cutOff(): Uint8Array<ArrayBuffer> {
  return scanBody().slice(0, 9000);
}

/** x is a vector, which a product takes as a row. */
export function vectorByMatrix(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [matrix('w', 14)],
        input: [value('x', 'float32', [64])],
        output: [value('y', 'float32', [48])],
      }),
    ),
  );
}

/** A weight, a table and an input without an element beside some that have them. */
export function emptyTensors(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('MatMul', ['x', 'w'], ['y']),
          node('MatMul', ['none', 'empty'], ['zeros']),
          node('Gather', ['table', 'indices'], ['rows']),
        ],
        initializer: [
          matrix('w', 15),
          matrix('empty', 16, 0, 48),
          matrix('table', 17, 0, 16),
          tensor('indices', 'int64', [0], []),
        ],
        input: [X, value('none', 'float32', [3, 0])],
        output: [Y, value('zeros', 'float32', [3, 48]), value('rows', 'float32', [0, 16])],
      }),
    ),
  );
}

/** Two initializers of one name, of which the later counts. */
export function twoOfAName(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y']), node('MatMul', ['x', 'v'], ['z'])],
        initializer: [matrix('w', 18), matrix('w', 19), matrix('v', 20)],
        input: [X],
        output: [Y, value('z', 'float32', [3, 48])],
      }),
    ),
  );
}

/** A body has a weight of the name of one outside. */
export function shadowingBody(): Uint8Array<ArrayBuffer> {
  const branch = (name: string, initializer: ReturnType<typeof matrix>[]) =>
    graph({ node: [node('MatMul', ['x', 'w'], [name])], initializer, output: [value(name, 'float32', [3, 48])] });
  return encode(
    model(
      graph({
        node: [
          node('If', ['flag'], ['p'], {
            then_branch: branch('inner', [matrix('w', 21)]),
            else_branch: branch('outer', []),
          }),
          node('MatMul', ['x', 'v'], ['q']),
          node('Add', ['p', 'q'], ['y']),
        ],
        initializer: [matrix('w', 22), matrix('v', 23)],
        input: [X, value('flag', 'bool', [])],
        output: [Y],
      }),
    ),
  );
}

/** Weights in 4 bits and in float8, quantized before, and one that is not. */
export function narrowTypes(): Uint8Array<ArrayBuffer> {
  const codes = (name: string, dataType: number, bytes: number) =>
    create(TensorProtoSchema, {
      name,
      dataType,
      dims: [64n, 64n],
      rawData: Uint8Array.from({ length: bytes }, (_, i) => (i * 37) % 100),
    });
  return encode(
    model(
      graph({
        node: [
          node('DequantizeLinear', ['nibbles', 'scales'], ['a'], { axis: 0, block_size: 32 }),
          node('MatMul', ['x', 'a'], ['h']),
          node('DequantizeLinear', ['eighths', 'scale'], ['b']),
          node('MatMul', ['h', 'b'], ['i']),
          node('MatMul', ['i', 'w'], ['y']),
        ],
        initializer: [
          codes('nibbles', 22, 2048),
          codes('eighths', 17, 4096),
          tensor('scales', 'float32', [2, 64], new Float32Array(128).fill(0.05)),
          tensor('scale', 'float32', [], [0.01]),
          matrix('w', 24),
        ],
        input: [X],
        output: [Y],
      }),
      21,
      10,
    ),
  );
}

/** A weight of which only three elements are stored, and one that is whole. */
export function sparseWeight(): Uint8Array<ArrayBuffer> {
  const body = graph({
    node: [node('MatMul', ['x', 'sparse'], ['h']), node('MatMul', ['h', 'w'], ['y'])],
    initializer: [matrix('w', 25)],
    input: [X],
    output: [Y],
  });
  body.sparseInitializer.push(
    create(SparseTensorProtoSchema, {
      dims: [64n, 64n],
      values: tensor('sparse', 'float32', [3], [1, 2, 3]),
      indices: tensor('', 'int64', [3], [1, 70, 4000]),
    }),
  );
  return encode(model(body));
}

function sequence(name: string): ValueInfoProto {
  const elemType = create(TypeProtoSchema, { value: { case: 'tensorType', value: { elemType: 1 } } });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'sequenceType', value: { elemType } } }),
  });
}

/** A Loop gathers products in a sequence; an optional value beside it. */
export function sequences(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('SequenceEmpty', [], ['none']),
          node('Loop', ['trips', 'go', 'none'], ['all'], {
            body: graph({
              node: [
                node('Identity', ['condition'], ['again']),
                node('MatMul', ['x', 'w'], ['product']),
                node('SequenceInsert', ['before', 'product'], ['after']),
              ],
              input: [value('i', 'int64', []), value('condition', 'bool', []), sequence('before')],
              output: [value('again', 'bool', []), sequence('after')],
            }),
          }),
          node('ConcatFromSequence', ['all'], ['joined'], { axis: 0 }),
          node('Optional', ['joined'], ['maybe']),
          node('OptionalGetElement', ['maybe'], ['y']),
        ],
        initializer: [matrix('w', 26), tensor('trips', 'int64', [], [2]), tensor('go', 'bool', [], [1])],
        input: [X],
        output: [value('y', 'float32', [6, 48])],
      }),
      18,
    ),
  );
}

/** Two functions of one name, told apart by their overload alone, which the calls name. */
export function overloadedFunctions(): Uint8Array<ArrayBuffer> {
  const body = (overload: string, operator: string): FunctionProto => ({
    ...localFunction('local', 'Combine', ['a', 'b'], ['c'], [node(operator, ['a', 'b'], ['c'])]),
    overload,
  });
  const call = (overload: string, inputs: string[], output: string) => ({
    ...node('Combine', inputs, [output], {}, 'local'),
    overload,
  });
  return encode(
    model(
      graph({
        node: [call('add', ['x', 'shift'], 'a'), call('times', ['a', 'w'], 'b'), node('MatMul', ['b', 'v'], ['y'])],
        initializer: [matrix('w', 27, 64, 64), matrix('shift', 28, 3, 64), matrix('v', 29)],
        input: [X],
        output: [Y],
      }),
      18,
      10,
      [body('add', 'Add'), body('times', 'MatMul')],
    ),
  );
}

/** A function that calls a function, with an attribute handed through. */
export function nestedFunctions(): Uint8Array<ArrayBuffer> {
  const gemm = node('Gemm', ['a', 'b'], ['c']);
  gemm.attribute.push(
    create(AttributeProtoSchema, { name: 'transB', type: AttributeProto_AttributeType.INT, refAttrName: 'turned' }),
  );
  const inner: FunctionProto = { ...localFunction('local', 'Inner', ['a', 'b'], ['c'], [gemm]), attribute: ['turned'] };
  const outer = localFunction(
    'local',
    'Outer',
    ['a', 'b'],
    ['c'],
    [node('Inner', ['a', 'b'], ['c'], { turned: 1 }, 'local')],
  );
  outer.opsetImport.push(...inner.opsetImport.map((opset) => ({ ...opset, domain: 'local', version: 1n })));
  return encode(
    model(
      graph({
        node: [node('Outer', ['x', 'w'], ['h'], {}, 'local'), node('MatMul', ['h', 'v'], ['y'])],
        initializer: [matrix('w', 30, 48, 64), matrix('v', 31, 48, 48)],
        input: [X],
        output: [Y],
      }),
      17,
      8,
      [inner, outer],
    ),
  );
}

/** A norm that gives out its means and deviations, too, and a mask of a Dropout. */
export function normWithMeans(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('MatMul', ['x', 'w'], ['h']),
          node('LayerNormalization', ['h', 'gamma', 'beta'], ['y', 'mean', 'inverse'], { axis: -1 }),
          node('Dropout', ['y'], ['z', 'mask']),
        ],
        initializer: [
          matrix('w', 32),
          tensor('gamma', 'float32', [48], weights(33, 48, 1)),
          tensor('beta', 'float32', [48], weights(34, 48, 1)),
        ],
        input: [X],
        output: [
          Y,
          value('mean', 'float32', [3, 1]),
          value('inverse', 'float32', [3, 1]),
          value('mask', 'bool', [3, 48]),
        ],
      }),
    ),
  );
}
