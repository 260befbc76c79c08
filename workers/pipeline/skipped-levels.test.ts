/** Levels that cannot be made: the others are, and the report says which were skipped and why. */
import { describe, expect, test, vi } from 'vitest';
import { encode, graph, matMulModel, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { blobSink } from '../onnx/writing/write.ts';
import type { Platform } from './job-context.ts';
import { compare } from './pipeline.ts';
import { plan } from './preview.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { LevelRequest } from '../contract/job.ts';
import type { Report } from '../contract/report.ts';
import { parseLevel } from '../contract/levels/level.ts';
import { reportSchema } from '../contract/report.ts';

vi.setConfig({ testTimeout: 120_000 });

const SIZE = 64;

/** A product with weights, one of which is another number. */
function withWeight(weight: number, type: 'float32' | 'float16' = 'float32'): Uint8Array<ArrayBuffer> {
  const values = randomValues(1, SIZE * SIZE);
  values[2 * SIZE + 2] = weight;
  return matMulModel(values, SIZE, SIZE, type);
}

function requests(...spellings: string[]): LevelRequest[] {
  return spellings.map((text) => {
    const level = parseLevel(text);
    if (!level.ok) throw new Error(level.error.message);
    return { key: `key of ${text}`, ...level.value };
  });
}

async function run(bytes: Uint8Array<ArrayBuffer>, spellings: string[], around: Partial<Platform> = {}) {
  const events: EngineEvent[] = [];
  /** Files by name: open, finished or removed. */
  const files = new Map<string, 'open' | 'finished'>();
  const report = await compare(
    { files: [new File([bytes], 'model.onnx')], levels: requests(...spellings), maxTokens: null },
    {
      kernel: () => Promise.resolve(createReferenceKernel()),
      sink: (name, source) => {
        const sink = blobSink(source);
        files.set(name, 'open');
        return Promise.resolve({
          ...sink,
          finish: () => {
            files.set(name, 'finished');
            return sink.finish();
          },
          discard: (forGood) => {
            if (forGood) files.delete(name);
            return sink.discard();
          },
          remove: () => {
            files.delete(name);
            return Promise.resolve();
          },
        });
      },
      evaluator: createNodeEvaluator(),
      threads: 1,
      ...around,
    },
    (event) => {
      events.push(event);
    },
    new AbortController().signal,
  );
  return { report, events, files };
}

const codes = ({ skipped }: Report) => (skipped ?? []).map(({ level, error }) => [level, error.code]);

describe('a level that cannot be made', () => {
  test('one large weight: what keeps it in float32 is made', async () => {
    const { report } = await run(withWeight(1e5), ['int8', 'int4', 'q4f16']);
    expect(report.levels.map(({ level }) => level)).toEqual(['fp16', 'int8', 'int4', 'q4f16']);
    expect(report.levels.map(({ outputs }) => (outputs?.[0]?.cosine ?? 1) > 0.9)).toEqual([true, true, true, true]);
    expect(report).not.toHaveProperty('skipped');
  });

  test.each<[string, number, 'float32' | 'float16', string]>([
    ['NaN', NaN, 'float32', 'weights-not-finite'],
    ['infinity', -Infinity, 'float16', 'weights-not-finite'],
    ['a number whose range float32 cannot hold', 3e38, 'float32', 'weights-too-large'],
  ])('%s: skipped with what is true of it, and nothing of it stays', async (_, weight, type, code) => {
    const { report, events, files } = await run(withWeight(weight, type), [
      'int8',
      'int4:asymmetric',
      'int8:mode=dequantize',
    ]);
    const skipped = codes(report);
    expect(new Set(skipped.map(([, found]) => found))).toEqual(new Set([code]));
    expect(skipped.length).toBeGreaterThan(0);
    expect(new Set([...report.levels.map(({ level }) => level), ...skipped.map(([level]) => level)])).toEqual(
      new Set(['fp16', 'int4:asymmetric', 'int8', 'int8:mode=dequantize']),
    );
    expect([...files.values()].every((state) => state === 'finished')).toBe(true);
    expect([...files.keys()].sort()).toEqual(report.levels.map(({ file }) => file).sort());
    expect(
      events.flatMap((event) =>
        event.type === 'warning' && event.level !== undefined ? [[event.level, event.error.code]] : [],
      ),
    ).toEqual(skipped.map(([level, found]) => [`key of ${level}`, found]));
    if (code === 'weights-too-large') expect(report.skipped?.[0]?.error.message).not.toMatch(/NaN/);
  });

  test('a constant that the model itself casts to fp16, beyond its range', async () => {
    const values = randomValues(1, SIZE * SIZE);
    values[7] = 1e6;
    const { report } = await run(
      encode(
        model(
          graph({
            node: [node('Cast', ['w'], ['h'], { to: 10 }), node('MatMul', ['x', 'h'], ['y'])],
            initializer: [
              tensor('w', 'float32', [SIZE, SIZE], values),
              tensor('v', 'float16', [SIZE, SIZE, 2], randomValues(2, SIZE * SIZE * 2)),
            ],
            input: [value('x', 'float16', ['b', SIZE])],
            output: [value('y', 'float16', ['b', SIZE])],
          }),
        ),
      ),
      ['int4'],
    );
    expect(codes(report)).toEqual([['int4', 'weights-too-large']]);
  });

  test('of a level in two files neither stays', async () => {
    const broken = encode(
      model(
        graph({
          node: [node('MatMul', ['x', 'large'], ['h']), node('MatMul', ['h', 'small'], ['y'])],
          initializer: [
            tensor('large', 'float32', [SIZE, SIZE], randomValues(1, SIZE * SIZE)),
            tensor(
              'small',
              'float32',
              [SIZE, 8],
              randomValues(2, SIZE * 8).map((weight, i) => (i === 3 ? NaN : weight)),
            ),
          ],
          input: [value('x', 'float32', ['b', SIZE])],
          output: [value('y', 'float32', ['b', 8])],
        }),
      ),
    );
    const { report, files } = await run(broken, ['int4'], { singleFileLimit: 2048 });
    expect(codes(report)).toEqual([['int4', 'weights-not-finite']]);
    expect([...files.keys()].filter((name) => name.includes('q4'))).toEqual([]);
    expect(files.get('model_fp16.onnx')).toBe('finished');
  });

  test('of levels that are all refused there is a report, with the reasons', async () => {
    const bare = encode(
      model(
        graph({
          node: [node('Relu', ['x'], ['y'])],
          input: [value('x', 'float32', [1])],
          output: [value('y', 'float32', [1])],
        }),
      ),
    );
    const { report } = await run(bare, ['int8', 'int4']);
    expect(codes(report)).toEqual([
      ['int8', 'nothing-to-quantize'],
      ['int4', 'nothing-to-quantize'],
    ]);
    expect(report.levels.map(({ baseline, ledger }) => [baseline, ledger])).toEqual([[true, []]]);
  });

  test('the ledger of a refused level has a reason for each weight', async () => {
    const { report } = await run(matMulModel(randomValues(1, 4), 2, 2), ['int4']);
    expect(report.skipped?.[0]?.ledger?.map(({ from, to, reason }) => [from === to, reason.length > 0])).toEqual([
      [true, true],
    ]);
  });

  test('files that are made can be downloaded before anything is measured', async () => {
    const { events } = await run(withWeight(NaN), ['int4', 'fp16']);
    const { events: all } = await run(withWeight(1), ['int8', 'int4']);
    const kinds = all.flatMap((event) =>
      event.type === 'written' ? [`written ${event.level}`] : event.type === 'progress' ? [event.stage] : [],
    );
    expect(kinds.lastIndexOf('written key of int4')).toBeLessThan(kinds.indexOf('measure'));
    // Each as soon as it is written: before the next one is begun.
    const began = all.findIndex(
      (event) => event.type === 'progress' && event.stage === 'quantize' && event.level === 'key of int4',
    );
    expect(all.findIndex((event) => event.type === 'written' && event.level === 'key of int8')).toBeLessThan(began);
    expect(events.filter((event) => event.type === 'written').map(({ level, blob }) => [level, blob.size > 0])).toEqual(
      [['key of fp16', true]],
    );
  });

  test('the report is read back, and so is one that knows nothing of skipped levels', async () => {
    const { report } = await run(withWeight(NaN), ['int8']);
    const { skipped, ...old } = report;
    expect(skipped).toHaveLength(1);
    expect(reportSchema.parse(report)).toEqual(report);
    expect(reportSchema.parse(old)).toEqual(old);
  });

  test('planning goes on with the other levels', async () => {
    const plans = await plan(
      [new File([matMulModel(randomValues(1, 32 * 32), 32, 32)], 'model.onnx')],
      requests('int4:mode=dequantize', 'int8'),
    );
    expect(plans.map(({ problem }) => problem?.code ?? null)).toEqual(['nothing-to-quantize', null]);
  });
});
