/** Names that files bring along are text: never paths, and never keys of prototypes. */
import { describe, expect, test } from 'vitest';
import { encode, graph, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { compare } from '../pipeline/pipeline.ts';
import type { EngineEvent } from '../contract/events.ts';
import { localLocks } from './disk/locks.ts';
import { createResultRepository } from './storage.ts';
import { memoryDisk } from './test-disk.ts';

const NAMES = ['__proto__', 'constructor', 'toString', '../../x', '<img src=x onerror=alert(1)>'];
const SIZE = 32;

/** A chain of matrices with these names, as are the values between them. */
function chain(names: readonly string[]): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: names.map((name, i) =>
          node(
            'MatMul',
            [i === 0 ? 'hasOwnProperty' : `${names[i - 1] ?? ''}/out`, name],
            [i === names.length - 1 ? 'valueOf' : `${name}/out`],
          ),
        ),
        initializer: names.map((name, i) =>
          tensor(name, 'float32', [SIZE, SIZE], randomValues(i + 1, SIZE * SIZE, 0.3)),
        ),
        input: [value('hasOwnProperty', 'float32', ['__proto__', SIZE])],
        output: [value('valueOf', 'float32', ['__proto__', SIZE])],
      }),
    ),
  );
}

async function run(name: string, exclude: string[] = []) {
  const disk = memoryDisk();
  const keeper = await createResultRepository(disk, {
    locks: localLocks(),
    channel: () => new BroadcastChannel('nibble:names'),
  });
  const events: EngineEvent[] = [];
  const report = await compare(
    {
      files: [new File([chain(NAMES)], name)],
      levels: [
        { key: '__proto__', id: 'int8', settings: {} },
        { key: 'constructor', id: 'int4', settings: { exclude } },
      ],
      maxTokens: null,
    },
    {
      ...keeper.job((error) => {
        events.push({ type: 'warning', error });
      }),
      kernel: async () => createReferenceKernel(),
      evaluator: createNodeEvaluator(),
      threads: 1,
    },
    (event) => {
      events.push(event);
    },
    new AbortController().signal,
  );
  return { disk, keeper, events, report };
}

describe('names of tensors', () => {
  test('are in the ledger as they are, and in the report that is stored', async () => {
    const { disk, keeper, events, report } = await run('m.onnx', ['__proto__']);
    const [, int8, int4] = report.levels;
    expect(int8?.ledger.map((line) => line.tensor)).toEqual(expect.arrayContaining(NAMES));
    expect(int8?.outputs?.map(({ output }) => output)).toEqual(['valueOf']);
    // Left out by name, and nothing else is.
    expect(int4?.ledger.filter(({ to }) => to !== 'int4').map((line) => line.tensor)).toEqual(['__proto__']);
    expect(events.flatMap((event) => (event.type === 'written' ? event.level : [])).sort()).toEqual([
      '__proto__',
      'constructor',
      'fp16',
    ]);

    const [stored] = await keeper.history();
    expect((await keeper.openStored(stored?.key ?? '')).report).toEqual(report);
    for (const path of disk.files.keys())
      expect(path).toMatch(
        /^(results\/[0-9a-f]{64}\/(about\.json|data|journal|last-used)|reports\/[0-9a-f]{64}(\.json)?)$/,
      );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe('names of files', () => {
  test.each([
    ['__proto__.onnx', '__proto___q4.onnx'],
    ['../../etc/x.onnx', 'x_q4.onnx'],
    ['..\\x.onnx', 'x_q4.onnx'],
  ])('%s', async (name, written) => {
    const { disk, report } = await run(name);
    expect(report.levels[2]?.file).toEqual(written);
    for (const path of disk.files.keys()) expect(path).toMatch(/^(results|reports)\/[0-9a-f]{64}/);
  });
});
