/** What a level's patterns apply to. */
import { describe, expect, test } from 'vitest';
import { encode, graph, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { compare } from '../pipeline/pipeline.ts';
import { plan } from '../pipeline/preview.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { blobSink } from '../onnx/writing/write.ts';
import { parseLevel } from '../contract/levels/level.ts';
import { quantize } from '../test-support.ts';
import { describePattern } from './patterns.ts';

const w = (name: string) => tensor(name, 'float32', [64, 64], randomValues(1, 4096, 0.1));
const names = [
  'model.layers.0.up.weight',
  'model.layers.0.down.weight',
  'model.layers.1.up.weight',
  'model.layers.1.down.weight',
  'lm_head.weight',
];
const bytes = encode(
  model(
    graph({
      node: [
        ...names.map((name, i) => ({
          ...node('MatMul', [`v${i}`, name], [`v${i + 1}`]),
          name: `/${name.replace('.weight', '').replaceAll('.', '/')}/MatMul`,
        })),
        node('Mul', ['v5', 'norm.weight'], ['v6']),
      ],
      initializer: [...names.map(w), tensor('norm.weight', 'float32', [64], randomValues(2, 64))],
      input: [value('v0', 'float32', [3, 64])],
      output: [value('v6', 'float32', [3, 64])],
    }),
  ),
);

describe('patterns of a level', () => {
  test.each([
    ['int4:exclude=lm_head*', 'exclude', 'lm_head*', 1],
    ['int4:exclude=model.layers.0.*', 'exclude', 'model.layers.0.*', 2],
    ['int8:exclude=/model/layers/*', 'exclude', '/model/layers/*', 4],
    ['int4:override=*=int8', 'override', '*', 5],
    ['q4f16:exclude=*.1.up.*', 'exclude', '*.1.up.*', 1],
  ])('%s fits weights', async (level, setting, pattern, matched) => {
    const { plan: made } = await quantize(bytes, level);
    expect(made.patterns).toEqual([{ setting, pattern, matched, nearest: [] }]);
    expect(made.summary).toContain(describePattern(made.patterns![0]!));
  });

  test.each([
    ['int4:exclude=lm_haed*', 'lm_head.weight'],
    ['int4:exclude=lm_head', 'lm_head.weight'],
    ['uint8:exclude=LM_HEAD.weight', 'lm_head.weight'],
    ['int8:exclude=layers.1.up', 'model.layers.1.up.weight'],
    ['int8:override=model.layer.0.down.weight=int4', 'model.layers.0.down.weight'],
    ['int4:mode=dequantize,exclude=lm_head', null],
  ])('%s fits none', async (level, nearest) => {
    const { plan: made } = await quantize(bytes, level);
    const [only, ...others] = made.patterns!;
    expect(others).toEqual([]);
    expect(only!.matched).toBe(0);
    expect(only!.nearest).toHaveLength(3);
    if (nearest === null) return;
    expect(only!.nearest[0]).toBe(nearest);
    expect(made.summary).toContain(nearest);
  });

  test('several have an entry each, in their order', async () => {
    const { plan: made } = await quantize(bytes, 'int4:exclude=lm_head*|nothing|*norm*,override=*up*=int8|*none*=int8');
    expect(made.patterns!.map(({ setting, pattern, matched }) => [setting, pattern, matched])).toEqual([
      ['exclude', 'lm_head*', 1],
      ['exclude', 'nothing', 0],
      ['exclude', '*norm*', 0],
      ['override', '*up*', 2],
      ['override', '*none*', 0],
    ]);
  });

  test('a level without patterns has none', async () => {
    expect((await quantize(bytes, 'int4')).plan.patterns).toBeUndefined();
    expect((await quantize(bytes, 'fp16')).plan.patterns).toBeUndefined();
  });

  test('a level that keeps everything says what its pattern applies to', async () => {
    const { plan: made } = await quantize(bytes, 'int4:exclude=*');
    expect(made.problem?.code).toBe('nothing-to-quantize');
    expect(made.patterns).toEqual([{ setting: 'exclude', pattern: '*', matched: 5, nearest: [] }]);
  });
});

test('plan and report have them, and a note for each', async () => {
  const parsed = parseLevel('int4:exclude=lm_haed*|lm_head*');
  if (!parsed.ok) throw new Error(parsed.error.message);
  const levels = [{ key: 'a', ...parsed.value }];
  const file = new File([bytes], 'm.onnx');
  const [planned] = await plan([file], levels);
  expect(planned?.patterns).toMatchObject([{ matched: 0 }, { matched: 1 }]);
  const report = await compare(
    { files: [file], levels, maxTokens: null },
    {
      kernel: () => Promise.resolve(createReferenceKernel()),
      sink: (_, source, { external }) => Promise.resolve(blobSink(source, external)),
      threads: 1,
      evaluator: createNodeEvaluator(),
    },
    () => undefined,
    new AbortController().signal,
  );
  expect(report.levels.find(({ id }) => id === 'int4')?.patterns).toEqual(planned?.patterns);
  expect(report.levels.find(({ id }) => id === 'fp16')?.patterns).toBeUndefined();
  for (const use of planned?.patterns ?? [])
    expect(report.notes.filter((note) => note.endsWith(describePattern(use)))).toHaveLength(1);
}, 120_000);
