/** Models with very many of one thing. `npm run bench:many` has larger ones, and their time. */
import { describe, expect, test } from 'vitest';
import { encode, graph, model, node, value } from '../../models/build.ts';
import * as many from '../../models/many.ts';
import { maskTest } from '../evaluate/runtimes/activation-range.ts';
import { computedValues } from '../onnx/graph/walk.ts';
import { findCuts } from '../evaluate/text/row-wise.ts';
import { findData } from '../io/external-data.ts';
import { scanModel } from '../onnx/scan.ts';
import { parseLevel } from '../contract/levels/level.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { bytesSource } from '../io/source.ts';
import { summarizeModel } from '../pipeline/summarize-model.ts';
import { quantize, scanBytes } from '../test-support.ts';
import { uniqueNames } from '../onnx/graph/unique-names.ts';
import { mainScope } from '../onnx/graph/scopes.ts';
import { planAnyLevel } from './half/plan-half.ts';
import { preparePlan, type Plan, type PlanInput } from './plan.ts';
import { NO_MISFITS } from './precision/fits.ts';

async function planned(input: PlanInput, spelling: string): Promise<Plan> {
  const level = parseLevel(spelling);
  if (!level.ok) throw new Error(level.error.message);
  return planAnyLevel(input, SCHEMES[level.value.id], level.value.settings, NO_MISFITS, {
    fingerprint: '0'.repeat(64),
  });
}

test('4,000 weights are written, each with a node of its own', async () => {
  const { bytes, plan } = await quantize(many.manyWeights(4000, 'float16'), 'int4');
  expect([plan.changed, plan.ledger.length, plan.bytes]).toEqual([4000, 4000, bytes.length]);
  const { graph: written } = await scanBytes(bytes);
  expect(written.nodes.filter(({ type }) => type === 'MatMulNBits').length).toBe(4000);
  expect(written.nodes.length).toBe(12_001);
  expect(new Set(written.initializers.map(({ name }) => name)).size).toBe(8000);
});

describe('at every level', () => {
  const prepared = scanBytes(many.manyWeights(5000, 'float32')).then((scanned) => preparePlan(scanned));
  test.each(['fp16', 'int8', 'int4', 'q4f16', 'int8:mode=dynamic', 'int8:mode=dequantize', 'uint8'])(
    '5,000 weights and 15,000 nodes are planned: %s',
    async (spelling) => {
      const plan = await planned(await prepared, spelling);
      expect([plan.problem, plan.changed]).toEqual([null, 5000]);
      expect(plan.ledger.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0) + plan.graphBytes).toBe(plan.bytes);
    },
  );
});

/** Weights that change at int4, and whether the model can have fp16 activations. */
const SHAPES: readonly (readonly [name: string, build: () => Uint8Array, changed: number, half: boolean])[] = [
  [
    'weights of names that wish for one another',
    () => many.manyWeights(1500, 'float32', (i) => `w_${i % 3}${'_scales'.repeat(i % 2)}_${i}`),
    1500,
    true,
  ],
  ['values with a stated type', () => many.manyStatedValues(1500), 1500, true],
  ['uses of one weight', () => many.manyUses(5000), 1, true],
  ['views of one weight', () => many.manyViews(5000), 1, true],
  ['Constant nodes', () => many.manyConstants(1500), 1500, true],
  ['nodes in a chain', () => many.longChain(15_000), 2, true],
  ['products in a chain', () => many.deepProducts(1500), 1501, true],
  ['bodies in bodies', () => many.nestedBodies(12, 50), 50, true],
  ['bodies', () => many.manyBodies(300), 601, true],
  ['functions', () => many.manyFunctions(1500), 0, false],
  ['inputs and outputs', () => many.manyOutputs(1500), 1500, true],
  ['outputs of one node', () => many.wideNode(5000), 1, true],
  ['sparse initializers', () => many.manySparse(1500), 1500, false],
];

describe('thousands of', () => {
  test.each(SHAPES)('%s', async (_, build, changed, half) => {
    const input = preparePlan(await scanBytes(build()));
    const [int4, q4f16] = await Promise.all(
      [SCHEMES.int4, SCHEMES.q4f16].map((scheme) => planAnyLevel(input, scheme, {}, NO_MISFITS)),
    );
    expect(int4?.changed).toBe(changed);
    expect(q4f16?.problem === null).toBe(half);
    expect(summarizeModel(input).operators.length).toBeGreaterThan(0);
  });

  test('files of external data, a folder each or all in one', async () => {
    const { model: bytes, files } = many.manyOutside(5000, 'each');
    const scanned = await scanModel(bytesSource('model.onnx', bytes));
    const modelFile = new File([bytes], 'model.onnx');
    for (const folder of [(_: number) => '', (i: number) => `${i}/`]) {
      const given = [...files].map(([location, data], i) => new File([data], `${folder(i)}${location}`));
      const { files: found, missing } = findData(scanned, modelFile, [modelFile, ...given]);
      expect([found.size, missing.length]).toEqual([5000, 0]);
    }
    expect(findData(scanned, modelFile, [modelFile]).missing.length).toBe(5000);
  });

  test('tensors in one file of external data', async () => {
    const { model: bytes, files } = many.manyOutside(5000, 'one');
    const external = new Map([...files].map(([location, data]) => [location, bytesSource(location, data)]));
    const plan = await planAnyLevel(
      preparePlan(await scanModel(bytesSource('model.onnx', bytes), external)),
      SCHEMES.int4,
      {},
      NO_MISFITS,
    );
    expect([plan.problem, plan.changed]).toEqual([null, 5000]);
  });

  test('wishes for one name', async () => {
    const unique = uniqueNames(preparePlan(await scanBytes(many.manyUses(1))).scopes);
    const names = Array.from({ length: 50_000 }, () => unique('w0'));
    expect([new Set(names).size, names[0], names[49_999]]).toEqual([50_000, 'w0_2', 'w0_50001']);
  });
});

describe('measuring looks at', () => {
  test('a chain of 30,000 nodes behind a projection', async () => {
    const scanned = await scanBytes(many.longChain(30_000));
    const [output] = scanned.graph.outputs;
    const cuts = findCuts(mainScope(scanned), output!.proto.name);
    // All of it; and up to the values of which a few steps tell the type.
    expect(cuts.map(({ nodes, values }) => [nodes.size, [...values.keys()]])).toEqual([
      [30_002, ['x']],
      [29_994, ['c7']],
    ]);
  });

  test('a mask that 50,000 nodes pass on', async () => {
    const count = 50_000;
    const scanned = await scanBytes(
      encode(
        model(
          graph({
            node: [
              ...Array.from({ length: count }, (_, i) => node('Identity', [i === 0 ? 'x' : `m${i}`], [`m${i + 1}`])),
              node('Softmax', [`m${count}`], ['y']),
            ],
            input: [value('x', 'float32', ['n'])],
            output: [value('y', 'float32', ['n'])],
          }),
        ),
      ),
    );
    const softened = maskTest(computedValues(scanned.graph), new Set(['y']));
    expect([softened('m1'), softened(`m${count}`), softened('y')]).toEqual([true, true, false]);
  });
});
