import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as native from 'onnxruntime-node';
import { afterEach, describe, expect, test } from 'vitest';
import {
  encode,
  graph,
  model,
  node,
  randomValues,
  splitModel,
  tensor,
  tinyLanguageModel,
  value,
} from '../../models/build.ts';
import { readTensor } from '../onnx/tensor-data.ts';
import { bytesSource } from '../io/source.ts';
import { initializer, quantize, scanBytes } from '../test-support.ts';
import { ALIGNMENT, createDataFile, LEAST_OUTSIDE } from './data-file.ts';

const WHOLE = tinyLanguageModel({ vocabulary: 128, width: 64, hidden: 96, type: 'float32', tied: false });
const IDS = BigInt64Array.from([1n, 5n, 9n, 100n]);
const LIMIT = 20_000;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** Runs files as they lie in a folder, which is how a runtime finds external data. */
async function run(
  files: Record<string, Uint8Array>,
  name: string,
  feeds: Record<string, native.Tensor>,
): Promise<Float32Array> {
  const folder = mkdtempSync(join(tmpdir(), 'nibble-data-'));
  folders.push(folder);
  for (const [file, bytes] of Object.entries(files)) writeFileSync(join(folder, file), bytes);
  const session = await native.InferenceSession.create(join(folder, name));
  const outputs = await session.run(feeds);
  await session.release();
  return Object.values(outputs)[0]?.data as Float32Array;
}

const ids = { input_ids: new native.Tensor('int64', IDS, [1, IDS.length]) };

describe('a model too large for one file', () => {
  test.each(['fp16', 'int8', 'int4:asymmetric,embedding', 'uint8', 'int8:mode=dequantize', 'int4:head=keep'])(
    '%s: two files that compute what one does',
    async (level) => {
      const one = await quantize(WHOLE, level);
      const two = await quantize(WHOLE, level, undefined, { limit: LIMIT });
      expect(one.data).toBeNull();
      if (!two.data || !two.plan.data) throw new Error('there is one file');
      const { file } = two.plan.data;
      expect(file).toMatch(/^model_\w+(-\w+)*\.onnx_data$/);
      expect(two.plan.data.bytes).toBe(two.data.length);
      expect(two.plan.bytes).toBe(two.bytes.length + two.data.length);
      expect(two.plan.weightBytes + two.plan.graphBytes).toBe(two.plan.bytes);
      expect(two.plan.ledger).toEqual(one.plan.ledger);
      expect(two.bytes.length).toBeLessThan(LIMIT);

      const { externalTensors: outside, source } = await scanBytes(two.bytes);
      const external = new Map([[file, bytesSource(file, two.data)]]);
      expect(outside.length).toBeGreaterThan(2);
      for (const placed of outside) {
        expect(placed.data.offset % ALIGNMENT).toBe(0);
        expect(await readTensor(source, placed, external), placed.name).toEqual(
          (await initializer(one.bytes, placed.name)).data,
        );
      }
      expect(await run({ 'm.onnx': two.bytes, [file]: two.data }, 'm.onnx', ids)).toEqual(
        await run({ 'm.onnx': one.bytes }, 'm.onnx', ids),
      );
    },
  );

  test('what is small stays in the model', async () => {
    const { bytes } = await quantize(WHOLE, 'fp16', undefined, { limit: LIMIT });
    const { graph: written, externalTensors: outside } = await scanBytes(bytes);
    expect(written.initializers.filter(({ data }) => data.kind !== 'external').map(({ name }) => name)).toEqual([
      'layers.0.norm.weight',
    ]);
    expect(outside.every((placed) => placed.bytes >= LEAST_OUTSIDE)).toBe(true);
  });

  test('no task is carried out for both', async () => {
    const { plan } = await quantize(WHOLE, 'int4:asymmetric', undefined, { limit: LIMIT });
    const inside = new Set(plan.pieces.flatMap((piece) => (piece.kind === 'made' ? [piece.task] : [])));
    expect(plan.data?.pieces.some((piece) => piece.kind === 'made' && inside.has(piece.task))).toBe(false);
  });

  test('weights of bodies and of Constant nodes', async () => {
    const body = (out: string, weights: string) =>
      graph({
        name: out,
        node: [node('MatMul', ['x', weights], [out])],
        initializer: [tensor(weights, 'float32', [32, 32], randomValues(weights.length, 1024))],
        output: [value(out, 'float32', ['n', 32])],
      });
    const whole = encode(
      model(
        graph({
          node: [
            node('Constant', [], ['c'], { value: tensor('', 'float32', [32, 32], randomValues(9, 1024)) }),
            node('If', ['flag'], ['a'], { then_branch: body('t', 'wt'), else_branch: body('e', 'wel') }),
            node('MatMul', ['a', 'c'], ['y']),
          ],
          input: [value('x', 'float32', ['n', 32]), value('flag', 'bool', [1])],
          output: [value('y', 'float32', ['n', 32])],
        }),
      ),
    );
    const feeds = {
      x: new native.Tensor('float32', randomValues(3, 64), [2, 32]),
      flag: new native.Tensor('bool', Uint8Array.from([1]), [1]),
    };
    const { bytes, data, plan } = await quantize(whole, 'int4:exclude=w*', undefined, { limit: 100 });
    if (!data || !plan.data) throw new Error('there is one file');
    expect((await scanBytes(bytes)).externalTensors.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['wt', 'wel']),
    );
    expect(await run({ 'm.onnx': bytes, [plan.data.file]: data }, 'm.onnx', feeds)).toEqual(
      await run({ 'm.onnx': (await quantize(whole, 'int4:exclude=w*')).bytes }, 'm.onnx', feeds),
    );
  });
});

test('external data of the source goes to the one data file of the result', async () => {
  const { model: bytes, files } = splitModel(WHOLE, (name) => `${name}.bin`);
  const { planLevel, preparePlan } = await import('./plan.ts');
  const { scanModel } = await import('../onnx/scan.ts');
  const { SCHEMES } = await import('../contract/levels/registry.ts');
  const external = new Map([...files].map(([location, file]) => [location, bytesSource(location, file)]));
  const plan = planLevel(
    preparePlan(await scanModel(bytesSource('model.onnx', bytes), external)),
    SCHEMES.int4,
    { head: 'keep', source: 'original' },
    new Map(),
    { limit: LIMIT },
  );
  const copies = plan.data?.pieces.flatMap((piece) => (piece.kind === 'copy' ? [piece.location] : []));
  expect(copies).toEqual(['embed.weight.bin', 'head.weight.bin']);
});

test('places are aligned, and the gaps filled', () => {
  const data = createDataFile('d');
  const piece = (length: number) => [{ kind: 'bytes' as const, bytes: new Uint8Array(length).fill(1) }];
  expect(data.add(piece(10))).toEqual({ location: 'd', offset: 0, length: 10 });
  expect(data.add(piece(ALIGNMENT))).toEqual({ location: 'd', offset: ALIGNMENT, length: ALIGNMENT });
  expect(data.add(piece(1))).toEqual({ location: 'd', offset: 2 * ALIGNMENT, length: 1 });
  expect(data.bytes()).toBe(2 * ALIGNMENT + 1);
});
