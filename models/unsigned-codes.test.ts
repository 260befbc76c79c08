/** Runtimes whose integer products tests rely on compute what integer arithmetic does, on every CPU. */
import { create } from '@bufbuild/protobuf';
import { TensorProtoSchema } from 'onnx-buf';
import * as native from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { encode, graph, model, node, tensor, value } from './build.ts';
import { unsignedCodes } from './unsigned-codes.ts';

web.env.wasm.numThreads = 1;

const [M, K, N] = [5, 71, 37];
const INT8 = 3;

/** Codes at the ends of their ranges, where two products reach 2 · 255 · 127, twice what 16 bits hold. */
const ACTIVATIONS = Uint8Array.from({ length: M * K }, (_, i) => (i % 3 === 0 ? 255 - (i % 7) : 250));
const WEIGHTS = Int8Array.from({ length: K * N }, (_, i) => (i % N < N / 2 ? 127 - (i % 5) : i % 4 === 0 ? -127 : 120));

function product(activationZero: number): number[] {
  return Array.from({ length: M * N }, (_, i) => {
    const [row, column] = [Math.floor(i / N), i % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += (ACTIVATIONS[row * K + k]! - activationZero) * WEIGHTS[k * N + column]!;
    return sum;
  });
}

const bytes = encode(
  model(
    graph({
      node: [node('MatMulInteger', ['a', 'w', 'zero', 'w_zero'], ['y'])],
      initializer: [
        create(TensorProtoSchema, {
          name: 'w',
          dataType: INT8,
          dims: [BigInt(K), BigInt(N)],
          rawData: new Uint8Array(WEIGHTS.buffer),
        }),
        create(TensorProtoSchema, { name: 'w_zero', dataType: INT8, dims: [BigInt(N)], rawData: new Uint8Array(N) }),
        tensor('zero', 'uint8', [], [3]),
      ],
      input: [value('a', 'uint8', ['rows', K])],
      output: [value('y', 'int32', ['rows', N])],
    }),
  ),
);

describe('MatMulInteger of uint8 by int8 is exact', () => {
  test('where it would saturate 16 bits', () => {
    expect(Math.max(...product(3))).toBeGreaterThan((2 ** 15 * K) / 2);
  });

  test.each([
    ['onnxruntime-node with uint8 codes', native, unsignedCodes(bytes), { executionProviders: ['cpu'] }],
    ['onnxruntime-web', web, bytes, { executionProviders: ['wasm'] }],
    [
      'onnxruntime-web without graph optimizations',
      web,
      bytes,
      { executionProviders: ['wasm'], graphOptimizationLevel: 'disabled' },
    ],
  ] as const)('in %s', async (_, runtime, file, options) => {
    const session = await runtime.InferenceSession.create(file, options);
    const { y } = await session.run({ a: new runtime.Tensor('uint8', ACTIVATIONS, [M, K]) });
    await session.release();
    expect(Array.from(y?.data as Int32Array)).toEqual(product(3));
  });
});
