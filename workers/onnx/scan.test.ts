import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ModelProtoSchema, TensorProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import {
  encode,
  graph,
  matMulModel,
  model,
  node,
  randomValues,
  tensor,
  tinyLanguageModel,
  value,
} from '../../models/build.ts';
import { toEngineError } from '../contract/errors.ts';
import { bytesSource } from '../io/source.ts';
import { concatBytes, encodeHeader, encodeVarint } from './wire.ts';
import { scanModel } from './scan.ts';

const scan = (bytes: Uint8Array) => scanModel(bytesSource('model.onnx', bytes));
const codeOf = (bytes: Uint8Array) =>
  scan(bytes).then(
    () => 'ok',
    (thrown: unknown) => toEngineError(thrown).code,
  );

describe('scanModel', () => {
  test('finds every tensor where it lies', async () => {
    const weights = randomValues(1, 6 * 5);
    const bytes = matMulModel(weights, 6, 5);
    const { graph: scanned, opsets, irVersion } = await scan(bytes);
    expect({ opsets, irVersion }).toEqual({ opsets: [{ domain: '', version: 17 }], irVersion: 8 });
    const [w] = scanned.initializers;
    expect(w).toMatchObject({ name: 'w', dims: [6, 5], type: 1, bytes: 120 });
    if (w?.data.kind !== 'inline') throw new Error('not inline');
    expect(new Float32Array(bytes.slice(w.data.offset, w.data.offset + w.data.length).buffer)).toEqual(weights);
  });

  test('reads far less than the file', async () => {
    const bytes = matMulModel(new Float32Array(1024 * 1024), 1024, 1024);
    let read = 0;
    const source = bytesSource('model.onnx', bytes);
    await scanModel({
      ...source,
      read: (offset, length) => {
        read += length;
        return source.read(offset, length);
      },
    });
    expect(read).toBeLessThan(bytes.length / 10);
  });

  test('takes packed float_data for what it is', async () => {
    const proto = model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [create(TensorProtoSchema, { name: 'w', dataType: 1, dims: [2n, 2n], floatData: [1, 2, 3, 4] })],
        input: [value('x', 'float32', [1, 2])],
        output: [value('y', 'float32', [1, 2])],
      }),
    );
    const {
      graph: {
        initializers: [w],
      },
    } = await scan(encode(proto));
    expect(w).toMatchObject({ bytes: 16, data: { kind: 'inline', length: 16 } });
  });

  test('goes into the bodies of control flow', async () => {
    const body = graph({
      node: [node('Add', ['outer', 'inner'], ['sum'])],
      initializer: [tensor('inner', 'float32', [1], [1])],
      output: [value('sum', 'float32', [1])],
    });
    const bytes = encode(
      model(
        graph({
          node: [node('If', ['condition'], ['y'], { then_branch: body, else_branch: body })],
          input: [value('outer', 'float32', [1])],
          output: [value('y', 'float32', [1])],
        }),
      ),
    );
    const { graph: scanned } = await scan(bytes);
    const bodies = scanned.nodes[0]?.attributes.flatMap(({ graphs }) => graphs) ?? [];
    expect(bodies.map(({ nodes: [inner], initializers: [constant] }) => [inner?.type, constant?.name])).toEqual([
      ['Add', 'inner'],
      ['Add', 'inner'],
    ]);
    expect(bodies[0]?.within.length).toBe(3);
  });

  test('every cut of a file is refused as truncated or invalid, never taken for a model', async () => {
    const bytes = tinyLanguageModel({ vocabulary: 8, width: 4, hidden: 4, type: 'float32', tied: true });
    const codes = new Set<string>();
    for (let length = 0; length < bytes.length; length++) codes.add(await codeOf(bytes.subarray(0, length)));
    expect([...codes].sort()).toEqual(['onnx-invalid', 'onnx-truncated']);
  });

  test.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['noise', () => Uint8Array.from(randomValues(3, 500, 255))],
    ['no graph', () => toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n }))],
    [
      'a tensor whose shape lies',
      () => encode(model(graph({ initializer: [{ ...tensor('w', 'float32', [4], [1, 2, 3, 4]), dims: [5n] }] }))),
    ],
    [
      'a negative dimension',
      () => encode(model(graph({ initializer: [{ ...tensor('w', 'float32', [4], [1, 2, 3, 4]), dims: [-4n] }] }))),
    ],
    [
      'a length of exabytes',
      (bytes) =>
        concatBytes([
          bytes.subarray(0, bytes.length),
          encodeVarint(7 * 8 + 2),
          Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 127]),
        ]),
    ],
  ])('refuses %s', async (_, damage) => {
    expect(await codeOf(damage(matMulModel(randomValues(1, 4), 2, 2)))).toMatch(/^onnx-(invalid|truncated)$/);
  });

  test('flipped bits give a model or an error for people, nothing else', async () => {
    const bytes = tinyLanguageModel({ vocabulary: 8, width: 4, hidden: 4, type: 'float32', tied: true });
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), fc.nat(bytes.length * 8 - 1), async (...flips) => {
        const damaged = bytes.slice();
        for (const bit of flips) damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(await codeOf(damaged)).toMatch(/^(ok|onnx-invalid|onnx-truncated)$/);
      }),
      { numRuns: 2000 },
    );
  });

  test('skips fields nobody has defined', async () => {
    const known = matMulModel(randomValues(1, 4), 2, 2);
    const bytes = concatBytes([known, encodeHeader(9999, 3), Uint8Array.from([1, 2, 3])]);
    expect((await scan(bytes)).graph.nodes).toHaveLength(1);
  });
});
