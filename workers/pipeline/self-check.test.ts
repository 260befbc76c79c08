/** A level whose planned file is not valid is skipped with an error before anything of it is written. */
import { afterEach, expect, test, vi } from 'vitest';
import { matMulModel, randomValues } from '../../models/build.ts';
import { settle } from '../contract/errors.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { encodeInt64Initializer } from '../onnx/writing/encode.ts';
import { blobSink, type Sink } from '../onnx/writing/write.ts';
import { splice } from '../onnx/writing/splice.ts';
import { compare } from './pipeline.ts';
import type * as PlanHalf from '../plan/half/plan-half.ts';

/** Adds a second initializer of the weight's name to every level but the baseline. */
vi.mock('../plan/half/plan-half.ts', async (original) => {
  const actual = await original<typeof PlanHalf>();
  return {
    ...actual,
    planAnyLevel: async (...given: Parameters<typeof PlanHalf.planAnyLevel>) => {
      const plan = await actual.planAnyLevel(...given);
      const [{ model }, scheme] = given;
      if (scheme.id === 'fp16') return plan;
      const { span } = model.graph;
      const pieces = splice(model.source.size, [
        {
          start: span.end,
          end: span.end,
          within: [span],
          pieces: [{ kind: 'bytes' as const, bytes: encodeInt64Initializer('w', [1]) }],
        },
      ]);
      return { ...plan, pieces };
    },
  };
});
afterEach(() => {
  vi.restoreAllMocks();
});

test('no sink is opened for it', async () => {
  const opened: string[] = [];
  const sink = (name: string, source: File): Promise<Sink> => {
    opened.push(name);
    return Promise.resolve(blobSink(source));
  };
  const result = await settle(() =>
    compare(
      {
        files: [new File([matMulModel(randomValues(1, 64 * 64), 64, 64)], 'm.onnx')],
        levels: [{ key: 'a', id: 'int8', settings: {} }],
        maxTokens: null,
      },
      {
        kernel: () => Promise.resolve(createReferenceKernel()),
        sink,
        evaluator: createNodeEvaluator(),
        threads: 1,
      },
      () => undefined,
      new AbortController().signal,
    ),
  );
  const skipped = result.ok ? result.value.skipped : [];
  expect(skipped?.map(({ level, error }) => [level, error.code])).toEqual([['int8', 'internal']]);
  expect(skipped?.[0]?.error.details).toContain('"w"');
  expect(opened).toEqual(['m_fp16.onnx']);
}, 120_000);
