/** Tiny models that are unlike what most exporters write, for tests. */
import { toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { encode, graph, model, node, randomValues, tensor, value } from './build.ts';

const weights = (seed: number, k: number, n: number) => randomValues(seed, k * n, 0.3);
const matrix = (name: string, seed: number, k = 64, n = 48) => tensor(name, 'float32', [k, n], weights(seed, k, n));
const X = value('x', 'float32', [3, 64]);
const Y = value('y', 'float32', [3, 48]);

/** A recurrence over the rows of x, with the weight of the graph in the body of a Scan. */
export function scanBody(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [node('Scan', ['start', 'x'], ['last', 'y'], {
      num_scan_inputs: 1,
      body: graph({
        node: [node('Add', ['state', 'row'], ['sum']), node('MatMul', ['sum', 'w'], ['product']), node('Tanh', ['product'], ['next']), node('Identity', ['next'], ['out'])],
        input: [value('state', 'float32', [1, 64]), value('row', 'float32', [1, 64])],
        output: [value('next', 'float32', [1, 64]), value('out', 'float32', [1, 64])],
      }),
    })],
    initializer: [matrix('w', 1, 64, 64), tensor('start', 'float32', [1, 64], new Float32Array(64))],
    input: [value('x', 'float32', [5, 1, 64])],
    output: [value('y', 'float32', [5, 1, 64])],
  })));
}

/** An If in a branch of an If, the weight at the very inside and one more outside of all. */
export function nestedIf(): Uint8Array<ArrayBuffer> {
  const out = [value('out', 'float32', [3, 48])];
  const inner = (name: string) => graph({ node: [node('MatMul', ['x', name], ['out'])], initializer: name === 'inside' ? [matrix('inside', 2)] : [], output: out });
  return encode(model(graph({
    node: [node('If', ['flag'], ['y'], {
      then_branch: graph({ node: [node('If', ['flag'], ['out'], { then_branch: inner('inside'), else_branch: inner('outside') })], output: out }),
      else_branch: graph({ node: [node('MatMul', ['x', 'outside'], ['p']), node('Neg', ['p'], ['out'])], output: out }),
    })],
    initializer: [matrix('outside', 3)],
    input: [value('flag', 'bool', [1]), X],
    output: [Y],
  })));
}

/** bfloat16 weights a Cast brings to float32, as exports that keep the checkpoint's type have them. */
export function bfloat16Weights(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [node('Cast', ['w'], ['wide'], { to: 1 }), node('MatMul', ['x', 'wide'], ['y'])],
    initializer: [tensor('w', 'bfloat16', [64, 48], weights(4, 64, 48))], input: [X], output: [Y],
  })));
}

/** float64 weights a Cast brings to float32. */
export function doubleWeights(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [node('Cast', ['w'], ['narrow'], { to: 1 }), node('MatMul', ['x', 'narrow'], ['y'])],
    initializer: [tensor('w', 'float64', [64, 48], weights(5, 64, 48))], input: [X], output: [Y],
  })));
}

/** Computes in float64, which no quantized operator does. */
export function doubleArithmetic(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [node('MatMul', ['x', 'w'], ['y'])],
    initializer: [tensor('w', 'float64', [64, 48], weights(6, 64, 48))],
    input: [value('x', 'float64', [3, 64])], output: [value('y', 'float64', [3, 48])],
  })));
}

/** One product is quantized already, the other is not. */
export function partlyQuantized(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [node('DequantizeLinear', ['codes', 'scale', 'zero'], ['w1'], { axis: 1 }), node('MatMul', ['x', 'w1'], ['h']), node('MatMul', ['h', 'w2'], ['y'])],
    initializer: [
      tensor('codes', 'uint8', [64, 64], weights(7, 64, 64).map((code) => Math.round(128 + 200 * code))), tensor('scale', 'float32', [64], new Float32Array(64).fill(0.01)),
      tensor('zero', 'uint8', [64], new Uint8Array(64).fill(128)), matrix('w2', 8),
    ],
    input: [X], output: [Y],
  })));
}

/** All there is, is quantized. */
export function whollyQuantized(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [node('DequantizeLinear', ['codes', 'scale'], ['w']), node('MatMul', ['x', 'w'], ['y'])],
    initializer: [tensor('codes', 'uint8', [64, 48], weights(9, 64, 48).map((code) => Math.round(100 + 100 * code))), tensor('scale', 'float32', [], [0.01])],
    input: [X], output: [Y],
  })));
}

/** Two products of one weight, one of them sees it turned round; and the weight is given out, too. */
export function sharedWeight(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({
    node: [
      node('MatMul', ['x', 'w'], ['a']), node('Transpose', ['w'], ['t'], { perm: [1, 0] }), node('MatMul', ['a', 't'], ['b']), node('MatMul', ['b', 'w'], ['y']),
    ],
    initializer: [matrix('w', 10)], input: [X], output: [Y],
  })));
}

/** No operator of it has a weight. */
export function withoutWeights(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({ node: [node('Tanh', ['x'], ['y'])], input: [X], output: [value('y', 'float32', [3, 64])] })));
}

/** Two nodes that need each other. */
export function cyclicNodes(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({ node: [node('Add', ['x', 'y'], ['a']), node('MatMul', ['a', 'w'], ['y'])], initializer: [matrix('w', 11)], input: [X], output: [Y] })));
}

/** A weight with fewer bytes than its shape takes. */
export function lyingShape(): Uint8Array<ArrayBuffer> {
  return encode(model(graph({ node: [node('MatMul', ['x', 'w'], ['y'])], initializer: [{ ...matrix('w', 12), dims: [64n, 4800n] }], input: [X], output: [Y] })));
}

/** A weight that says it lies above the model's folder. */
export function escapingLocation(): Uint8Array<ArrayBuffer> {
  const body = model(graph({ node: [node('MatMul', ['x', 'w'], ['y'])], initializer: [matrix('w', 13)], input: [X], output: [Y] }));
  const [weight] = body.graph?.initializer ?? [];
  if (weight) Object.assign(weight, { rawData: new Uint8Array(), dataLocation: 1, externalData: [{ $typeName: 'onnx.StringStringEntryProto', key: 'location', value: '../../etc/passwd' }] });
  return toBinary(ModelProtoSchema, body);
}

/** Ends in the middle of its weight. */
export function cutOff(): Uint8Array<ArrayBuffer> {
  return scanBody().slice(0, 9000);
}
