/** Written files keep to the rules of their IR version, and load wherever the model does. */
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type GraphProto } from 'onnx-buf';
import * as native from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { encode, graph, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { checkModel } from '../../models/check-model.ts';
import { randomModel } from '../../models/random-models.ts';
import { BUILT } from '../../models/zoo-cases.ts';
import { toEngineError } from '../contract/errors.ts';
import { quantize, scanBytes } from '../test-support.ts';

const LEVELS = [
  'fp16',
  'int8',
  'int4',
  'int4:asymmetric,embedding',
  'int8:mode=dequantize',
  'int8:mode=dynamic',
  'uint8',
  'q4f16',
  'int4:mode=dequantize',
  'int4:override=w*=int8',
];
const w = (name = 'w', k = 64, n = 64) => tensor(name, 'float32', [k, n], randomValues(1, k * n, 0.1));
const x = value('x', 'float32', [3, 64]);
const y = value('y', 'float32', [3, 64]);
const flag = value('flag', 'bool', [1]);
const listed = (name = 'w') => value(name, 'float32', [64, 64]);
const product = (weight = 'w', output = 'y', input = 'x') => node('MatMul', [input, weight], [output]);
const branch = (weight: string, output: string, init: ReturnType<typeof w>[] = []) =>
  graph({ node: [product(weight, output)], initializer: init, output: [value(output, 'float32', [3, 64])] });

const OLD: Record<string, (irVersion: number) => Uint8Array<ArrayBuffer>> = {
  'a weight of the graph': (ir) =>
    encode(model(graph({ node: [product()], initializer: [w()], input: [x, listed()], output: [y] }), 9, ir)),
  'a weight used in an If': (ir) =>
    encode(
      model(
        graph({
          node: [node('If', ['flag'], ['y'], { then_branch: branch('w', 't'), else_branch: branch('w', 'e') })],
          initializer: [w()],
          input: [x, flag, listed()],
          output: [y],
        }),
        9,
        ir,
      ),
    ),
  'a weight used in the body of a Loop': (ir) =>
    encode(
      model(
        graph({
          node: [
            node('Loop', ['trips', 'go', 'x'], ['y'], {
              body: graph({
                node: [node('Identity', ['c'], ['again']), product('w', 'm', 'state'), node('Tanh', ['m'], ['next'])],
                input: [value('i', 'int64', []), value('c', 'bool', []), value('state', 'float32', [3, 64])],
                output: [value('again', 'bool', []), value('next', 'float32', [3, 64])],
              }),
            }),
          ],
          initializer: [w(), tensor('trips', 'int64', [], [3]), tensor('go', 'bool', [], [1])],
          input: [x, listed(), value('trips', 'int64', []), value('go', 'bool', [])],
          output: [y],
        }),
        9,
        ir,
      ),
    ),
  'a weight that is an input of the body of a Loop': (ir) =>
    encode(
      model(
        graph({
          node: [
            node('Loop', ['trips', 'go', 'x'], ['y'], {
              body: graph({
                node: [node('Identity', ['c'], ['again']), product('v', 'm', 'state'), node('Tanh', ['m'], ['next'])],
                initializer: [w('v')],
                input: [
                  value('i', 'int64', []),
                  value('c', 'bool', []),
                  value('state', 'float32', [3, 64]),
                  listed('v'),
                ],
                output: [value('again', 'bool', []), value('next', 'float32', [3, 64])],
              }),
            }),
            product('w', 'z', 'y'),
          ],
          initializer: [w(), tensor('trips', 'int64', [], [3]), tensor('go', 'bool', [], [1])],
          input: [x, listed(), value('trips', 'int64', []), value('go', 'bool', [])],
          output: [y, value('z', 'float32', [3, 64])],
        }),
        9,
        ir,
      ),
    ),
  'a weight in a Constant node of a body': (ir) =>
    encode(
      model(
        graph({
          node: [
            node('If', ['flag'], ['y'], {
              then_branch: graph({
                node: [node('Constant', [], ['v'], { value: w('') }), product('v', 't')],
                output: [value('t', 'float32', [3, 64])],
              }),
              else_branch: branch('w', 'e'),
            }),
          ],
          initializer: [w()],
          input: [x, flag, listed()],
          output: [y],
        }),
        9,
        ir,
      ),
    ),
  'a table, and a shape that stays': (ir) =>
    encode(
      model(
        graph({
          node: [node('Gather', ['w', 'ids'], ['g']), node('Reshape', ['g', 'shape'], ['r']), product('v', 'y', 'r')],
          initializer: [w(), w('v'), tensor('shape', 'int64', [2], [3, 64])],
          input: [value('ids', 'int64', [3, 1]), listed(), listed('v'), value('shape', 'int64', [2])],
          output: [y],
        }),
        9,
        ir,
      ),
    ),
};

async function whyNotLoaded(bytes: Uint8Array, graphOptimizationLevel: 'disabled' | 'all'): Promise<string | null> {
  try {
    await (
      await native.InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        graphOptimizationLevel,
        logSeverityLevel: 4,
      })
    ).release();
    return null;
  } catch (thrown) {
    return String(thrown);
  }
}

/** Every level that can be made of a model loads wherever the model does, and breaks no rule that it did not. */
async function checkLevels(bytes: Uint8Array, levels = LEVELS): Promise<number> {
  const known = checkModel(bytes);
  let written = 0;
  const loads = {
    disabled: (await whyNotLoaded(bytes, 'disabled')) === null,
    all: (await whyNotLoaded(bytes, 'all')) === null,
  };
  for (const level of levels) {
    const made = await quantize(bytes, level);
    if (made.plan.problem) continue;
    written++;
    expect(
      checkModel(made.bytes).filter((problem) => !known.includes(problem)),
      level,
    ).toEqual([]);
    for (const optimization of ['disabled', 'all'] as const)
      if (loads[optimization])
        expect(await whyNotLoaded(made.bytes, optimization), `${level}, ${optimization}`).toBeNull();
  }
  return written;
}

describe('a model older than IR version 4', () => {
  test.each(Object.entries(OLD).flatMap(([name, build]) => [0, 2, 3].map((ir) => [name, ir, build(ir)] as const)))(
    '%s, version %i',
    async (_, irVersion, bytes) => {
      const before = await scanBytes(bytes);
      expect(await checkLevels(bytes)).toBeGreaterThan(4);
      for (const level of LEVELS) {
        const { bytes: written, plan } = await quantize(bytes, level);
        if (plan.problem) continue;
        const after = await scanBytes(written);
        const changes = plan.changed > 0;
        expect(after.irVersion).toBe(changes ? 4 : irVersion);
        // What is listed as an input must be given by the caller; weights are none.
        if (changes)
          expect(inputsOf(written)).toEqual(
            before.graph.inputs
              .map(({ proto }) => proto.name)
              .filter((name) => before.graph.initializers.every((one) => one.name !== name)),
          );
        expect(plan.bytes).toBe(written.length);
      }
    },
    120_000,
  );

  test('needs no operator set before version 3; the new file has the one it means', async () => {
    const old = model(graph({ node: [product()], initializer: [w()], input: [x, listed()], output: [y] }), 1, 2);
    old.opsetImport = [];
    const { bytes, plan } = await quantize(encode(old), 'int4');
    expect(plan.problem).toBeNull();
    expect((await scanBytes(bytes)).opsets).toEqual(
      expect.arrayContaining([
        { domain: '', version: 1 },
        { domain: 'com.microsoft', version: 1 },
      ]),
    );
    expect(await whyNotLoaded(bytes, 'all')).toBeNull();
  });

  test('one that does not state its version states it then', async () => {
    // The field is the first of the file, of two bytes.
    const bytes = encode(
      model(graph({ node: [product()], initializer: [w()], input: [x, listed()], output: [y] }), 9, 3),
    ).slice(2);
    expect((await scanBytes(bytes)).irVersionAt).toBeNull();
    const { bytes: written } = await quantize(bytes, 'int8');
    expect(fromBinary(ModelProtoSchema, written).irVersion).toBe(4n);
    expect(await whyNotLoaded(written, 'all')).toBeNull();
  });
});

describe('a model of IR version 4 or newer', () => {
  test.each([
    [4, 9],
    [7, 13],
    [8, 17],
    [8, 21],
    [10, 21],
    [11, 24],
  ])(
    'of version %i and operator set %i keeps it, but for 4-bit types',
    async (irVersion, opset) => {
      const bytes = encode(
        model(graph({ node: [product()], initializer: [w()], input: [x], output: [y] }), opset, irVersion),
      );
      expect(await checkLevels(bytes)).toBeGreaterThan(4);
      for (const level of ['fp16', 'int8', 'int4', 'uint8', 'q4f16']) {
        const { bytes: written, plan } = await quantize(bytes, level);
        if (!plan.problem) expect((await scanBytes(written)).irVersion).toBe(irVersion);
      }
      for (const level of ['int4:mode=dequantize', 'int4:mode=dequantize,asymmetric']) {
        const { bytes: written, plan } = await quantize(bytes, level);
        expect(plan.problem === null).toBe(opset >= 21);
        if (!plan.problem) expect((await scanBytes(written)).irVersion).toBe(Math.max(irVersion, 10));
      }
    },
    120_000,
  );
});

describe('what is written loads wherever the model does', () => {
  const all = [...BUILT].map(([name, build]) => [name, build] as const);
  test.each(all)(
    '%s',
    async (_, build) => {
      const bytes = build();
      const opened = await quantize(bytes, 'fp16').then(() => null, toEngineError);
      if (opened) expect(opened.code).toMatch(/^onnx-/);
      else
        await checkLevels(bytes, [
          'fp16',
          'int4:embedding,asymmetric',
          'int8:mode=dequantize',
          'int8:mode=dynamic,embedding',
          'q4f16:embedding',
        ]);
    },
    120_000,
  );

  test.each(Array.from({ length: 10 }, (_, i) => [i + 1]))(
    'random model %i',
    async (seed) => {
      const { bytes, overridable } = randomModel(seed);
      expect(await whyNotLoaded(bytes, 'all')).toBeNull();
      expect(await checkLevels(bytes, LEVELS.slice(0, -1))).toBeGreaterThan(4);
      const { bytes: written, plan } = await quantize(bytes, 'int8');
      expect(plan.problem).toBeNull();
      for (const name of overridable) expect(inputsOf(written)).toContain(name);
      // An own file is a model like any other.
      expect((await quantize(written, 'fp16')).plan.problem).toBeNull();
    },
    120_000,
  );
});

const inputsOf = (bytes: Uint8Array): string[] =>
  (fromBinary(ModelProtoSchema, bytes).graph as GraphProto).input.map(({ name }) => name);
