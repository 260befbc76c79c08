/** Initializers that are inputs, too: callers may give other values, which has to stay so at every level. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import * as native from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { encode, graph, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { elementType } from '../onnx/numbers/element-types.ts';
import { quantize, scanBytes } from '../test-support.ts';

const size = 64;
const w = (name: string, seed = 1) => tensor(name, 'float32', [size, size], randomValues(seed, size * size, 0.1));
const square = (name: string) => value(name, 'float32', [size, size]);
const x = value('x', 'float32', [3, size]);
const y = value('y', 'float32', [3, size]);
const LEVELS = [
  'fp16',
  'int8',
  'int4',
  'int4:asymmetric,embedding',
  'int8:mode=dequantize',
  'int8:mode=dynamic',
  'uint8',
  'q4f16',
  'int4:source=original',
];

/** A weight, and an adapter beside it that is 0 unless a caller gives another. */
const adapted = (irVersion = 8) =>
  encode(
    model(
      graph({
        node: [
          node('MatMul', ['x', 'w'], ['a']),
          node('MatMul', ['x', 'adapter'], ['b']),
          node('Add', ['a', 'b'], ['y']),
        ],
        initializer: [w('w'), tensor('adapter', 'float32', [size, size], new Float32Array(size * size))],
        input: [x, square('adapter')],
        output: [y],
      }),
      17,
      irVersion,
    ),
  );

const MODELS: Record<string, { bytes: Uint8Array<ArrayBuffer>; names: string[] }> = {
  'an adapter': { bytes: adapted(), names: ['adapter'] },
  'a bias': {
    bytes: encode(
      model(
        graph({
          node: [node('Gemm', ['x', 'w', 'bias'], ['y'])],
          initializer: [w('w'), tensor('bias', 'float32', [size], randomValues(2, size))],
          input: [x, value('bias', 'float32', [size])],
          output: [y],
        }),
      ),
    ),
    names: ['bias'],
  },
  'a weight seen through a Transpose': {
    bytes: encode(
      model(
        graph({
          node: [
            node('Transpose', ['v'], ['t'], { perm: [1, 0] }),
            node('MatMul', ['x', 't'], ['h']),
            node('MatMul', ['h', 'w'], ['y']),
          ],
          initializer: [w('w'), w('v', 2)],
          input: [square('v'), x],
          output: [y],
        }),
      ),
    ),
    names: ['v'],
  },
  'the shape a weight is seen in': {
    bytes: encode(
      model(
        graph({
          node: [
            node('Reshape', ['v', 'shape'], ['r']),
            node('MatMul', ['x', 'r'], ['h']),
            node('MatMul', ['h', 'w'], ['y']),
          ],
          initializer: [
            w('w'),
            tensor('v', 'float32', [size * size], randomValues(2, size * size, 0.1)),
            tensor('shape', 'int64', [2], [size, size]),
          ],
          input: [x, value('shape', 'int64', [2])],
          output: [y],
        }),
      ),
    ),
    names: ['shape'],
  },
  'a table': {
    bytes: encode(
      model(
        graph({
          node: [node('Gather', ['table', 'ids'], ['e']), node('MatMul', ['e', 'w'], ['y'])],
          initializer: [w('table'), w('w', 2)],
          input: [value('ids', 'int64', [3]), square('table')],
          output: [y],
        }),
      ),
    ),
    names: ['table'],
  },
  'a weight used in a body': {
    bytes: encode(
      model(
        graph({
          node: [
            node('If', ['flag'], ['i'], {
              then_branch: graph({
                node: [node('MatMul', ['x', 'v'], ['t'])],
                output: [value('t', 'float32', [3, size])],
              }),
              else_branch: graph({
                node: [node('MatMul', ['x', 'w'], ['e'])],
                output: [value('e', 'float32', [3, size])],
              }),
            }),
            node('MatMul', ['i', 'w'], ['y']),
          ],
          initializer: [w('w'), w('v', 2)],
          input: [x, value('flag', 'bool', [1]), square('v')],
          output: [y],
        }),
      ),
    ),
    names: ['v'],
  },
};

describe.each(Object.entries(MODELS))('%s stays overridable', (_, { bytes, names }) => {
  test.each(LEVELS)('%s', async (level) => {
    const before = await scanBytes(bytes);
    const { bytes: written, plan } = await quantize(bytes, level);
    expect(plan.problem).toBeNull();
    const after = await scanBytes(written);
    const inputs = ({ graph: { inputs: all } }: typeof after) => all.map(({ proto }) => proto);
    // Names, types and places.
    expect(inputs(after)).toEqual(inputs(before));
    for (const name of names) {
      const [then, now] = [before, after].map(({ graph: { initializers } }) =>
        initializers.find((one) => one.name === name)!,
      );
      expect([now!.type, now!.dims]).toEqual([then!.type, then!.dims]);
      expect(plan.ledger.find(({ tensor: of }) => of === name)).toMatchObject({
        from: elementType(then!.type).name,
        to: elementType(then!.type).name,
      });
    }
    await (
      await native.InferenceSession.create(written, {
        executionProviders: ['cpu'],
        graphOptimizationLevel: 'disabled',
        logSeverityLevel: 4,
      })
    ).release();
  });

  test('the ledger says so', async () => {
    const reasons = await Promise.all(
      ['fp16', 'int8', 'int4', 'uint8'].map(async (level) => {
        const { plan } = await quantize(bytes, level);
        return names.map((name) => plan.ledger.find(({ tensor: of }) => of === name)?.reason);
      }),
    );
    expect(new Set(reasons.flat()).size).toBe(1);
    expect(reasons.flat()[0]).toMatch(/input .* default/);
  });
});

test('a caller may give another value', async () => {
  const proto = fromBinary(ModelProtoSchema, (await quantize(adapted(), 'int8')).bytes);
  // onnxruntime's JavaScript takes no values for defaults: without its own the input is one that must be given.
  proto.graph!.initializer = proto.graph!.initializer.filter(({ name }) => name !== 'adapter');
  const session = await native.InferenceSession.create(toBinary(ModelProtoSchema, proto), {
    executionProviders: ['cpu'],
    logSeverityLevel: 4,
  });
  const run = async (each: number) =>
    (
      await session.run({
        x: new native.Tensor('float32', new Float32Array(3 * size).fill(1), [3, size]),
        adapter: new native.Tensor('float32', new Float32Array(size * size).fill(each), [size, size]),
      })
    ).y!.data as Float32Array;
  const [plain, other] = [await run(0), await run(1)];
  await session.release();
  other.forEach((number, i) => {
    expect(number - plain[i]!).toBeCloseTo(size, 3);
  });
});

describe('override takes one in by its name', () => {
  test.each([
    ['int8:override=adapter=int8', 'int8'],
    ['int4:override=adapter=int8', 'int8'],
    ['int4:override=adap*=int4', 'int4'],
    ['q4f16:override=adapter=int4', 'int4'],
    ['int8:mode=dequantize,override=adapter=int8', 'int8'],
    ['uint8:override=adapter=int8', 'int8'],
  ])('%s', async (level, to) => {
    const { bytes, plan } = await quantize(adapted(), level);
    expect(plan.ledger.find(({ tensor: of }) => of === 'adapter')).toMatchObject({ to });
    const after = await scanBytes(bytes);
    expect(after.graph.inputs.map(({ proto }) => proto.name)).toEqual(['x']);
    expect(plan.patterns).toEqual([
      { setting: 'override', pattern: level.includes('adap*') ? 'adap*' : 'adapter', matched: 1, nearest: [] },
    ]);
    for (const graphOptimizationLevel of ['disabled', 'all'] as const)
      await (
        await native.InferenceSession.create(bytes, {
          executionProviders: ['cpu'],
          graphOptimizationLevel,
          logSeverityLevel: 4,
        })
      ).release();
  });

  test.each(['int4:override=*=int8', 'int4:override=a/*=int8', 'int4:override=w=int8'])(
    '%s does not',
    async (level) => {
      const { bytes, plan } = await quantize(adapted(), level);
      expect(plan.ledger.find(({ tensor: of }) => of === 'adapter')).toMatchObject({ from: 'float32', to: 'float32' });
      expect((await scanBytes(bytes)).graph.inputs.map(({ proto }) => proto.name)).toEqual(['x', 'adapter']);
    },
  );
});

test('before IR version 4 all initializers are inputs, and weights', async () => {
  const bytes = encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['a']), node('MatMul', ['a', 'v'], ['y'])],
        initializer: [w('w'), w('v', 2)],
        input: [x, square('w'), square('v')],
        output: [y],
      }),
      9,
      3,
    ),
  );
  for (const level of ['fp16', 'int8', 'int4']) {
    const { bytes: written, plan } = await quantize(bytes, level);
    expect(plan.changed).toBe(2);
    expect((await scanBytes(written)).graph.inputs.map(({ proto }) => proto.name)).toEqual(['x']);
  }
});
