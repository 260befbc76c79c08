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
  type TinyLanguageModel,
} from '../../models/build.ts';
import { concatBytes, encodeHeader } from '../onnx/wire.ts';
import { initializer, quantize, scanBytes } from '../test-support.ts';

const TIED: TinyLanguageModel = { vocabulary: 96, width: 64, hidden: 128, type: 'float32', tied: true };

const operators = async (bytes: Uint8Array) => (await scanBytes(bytes)).graph.nodes.map(({ type }) => type);
const line = (plan: Awaited<ReturnType<typeof quantize>>['plan'], tensorName: string) =>
  plan.ledger.find(({ tensor: name }) => name === tensorName);

describe('a tied embedding', () => {
  test('is stored twice when only the projection is quantized, and the ledger says why', async () => {
    const { bytes, plan } = await quantize(tinyLanguageModel(TIED), 'int4');
    expect(await operators(bytes)).toEqual([
      'Gather',
      'Mul',
      'MatMulNBits',
      'Tanh',
      'MatMulNBits',
      'Add',
      'MatMulNBits',
    ]);
    expect(line(plan, 'embed.weight')).toMatchObject({
      from: 'float32',
      to: 'float32 and int4',
      bytesBefore: 96 * 64 * 4,
      bytesAfter: 96 * 64 * 4 + 96 * (32 + 8),
      reason:
        '4 bits in blocks of 32, symmetric; stored twice, because Gather still needs it as float32 (embedding table; the embedding setting quantizes it)',
    });
  });

  test('makes a file larger than fp16, which says why; one of an fp16 model has nothing to say', async () => {
    const large = { ...TIED, vocabulary: 256, width: 128 };
    const { bytes, plan } = await quantize(tinyLanguageModel(large), 'int4');
    expect(bytes.length).toBeGreaterThan((await quantize(tinyLanguageModel(large), 'fp16')).bytes.length);
    expect(plan.summary).toMatch(/ Larger than fp16: 131\.\d kB not quantized \(.*embedding table; .*\)\.$/);
    for (const smaller of [
      await quantize(tinyLanguageModel(large), 'int4:embedding'),
      await quantize(tinyLanguageModel({ ...large, type: 'float16' }), 'int4'),
    ]) {
      expect(smaller.plan.summary).not.toMatch(/larger/i);
    }
  });

  test('keeps being one initializer when the table is quantized too', async () => {
    const { bytes, plan } = await quantize(tinyLanguageModel(TIED), 'int4:embedding');
    const { graph: written } = await scanBytes(bytes);
    expect(written.nodes.map(({ type }) => type)).toEqual([
      'GatherBlockQuantized',
      'Mul',
      'MatMulNBits',
      'Tanh',
      'MatMulNBits',
      'Add',
      'Reshape',
      'MatMulNBits',
    ]);
    const codes = written.initializers.filter(
      ({ name }) => name.startsWith('embed.weight_Q4') && name !== 'embed.weight_Q4_shape',
    );
    expect(codes.map(({ dims }) => dims)).toEqual([[96, 32]]);
    expect(written.nodes[0]?.inputs).toEqual(['embed.weight_Q4', 'input_ids', 'embed.weight_scales']);
    expect(written.nodes.at(-2)?.inputs).toEqual(['embed.weight_Q4', 'embed.weight_Q4_shape']);
    expect(line(plan, 'embed.weight')).toMatchObject({ to: 'int4', bytesAfter: 96 * (32 + 8) });
  });

  test('needs two forms when the block does not divide its width', async () => {
    const { bytes } = await quantize(tinyLanguageModel(TIED), 'int4:block=128,embedding');
    const { graph: written } = await scanBytes(bytes);
    expect(written.initializers.filter(({ name }) => name.startsWith('embed.weight')).map(({ dims }) => dims)).toEqual([
      [96, 32],
      [96, 1, 64],
      [96, 1],
    ]);
  });

  test('stays in floating point for head=keep', async () => {
    const { bytes, plan } = await quantize(tinyLanguageModel(TIED), 'int4:head=keep');
    expect(await operators(bytes)).toEqual([
      'Gather',
      'Mul',
      'MatMulNBits',
      'Tanh',
      'MatMulNBits',
      'Add',
      'Transpose',
      'MatMul',
    ]);
    expect(line(plan, 'embed.weight')).toMatchObject({ to: 'float32', reason: 'output projection, kept as asked' });
  });
});

describe('the file around the weights', () => {
  test('keeps opset, IR version, names, unknown fields, and everything else byte for byte', async () => {
    const stranger = concatBytes([encodeHeader(777, 5), new TextEncoder().encode('hello')]);
    const original = concatBytes([tinyLanguageModel({ ...TIED, opset: 15 }), stranger]);
    const { bytes } = await quantize(original, 'int4');
    const before = await scanBytes(original);
    const after = await scanBytes(bytes);
    expect(after.irVersion).toBe(before.irVersion);
    expect(after.opsets).toEqual([
      { domain: 'com.microsoft', version: 1 },
      { domain: '', version: 15 },
    ]);
    expect(bytes.subarray(-stranger.length)).toEqual(stranger);
    for (const kept of ['Gather', 'Mul', 'Tanh', 'Add']) {
      const [from, to] = [before, after].map(({ graph: { nodes } }) => nodes.find(({ type }) => type === kept)?.span);
      if (!from || !to) throw new Error(kept);
      expect(bytes.subarray(to.start, to.end)).toEqual(original.subarray(from.start, from.end));
    }
    expect(after.graph.outputs.map(({ proto }) => proto)).toEqual(before.graph.outputs.map(({ proto }) => proto));
  });

  test('com.microsoft is added for levels that use it and not for fp16', async () => {
    const { bytes } = await quantize(tinyLanguageModel(TIED), 'fp16');
    const { opsets, graph: written } = await scanBytes(bytes);
    expect(opsets).toEqual([{ domain: '', version: 17 }]);
    expect(written.nodes.filter(({ type }) => type === 'Cast').map(({ outputs }) => outputs[0])).toEqual([
      'embed.weight',
      'layers.0.up.weight',
      'layers.0.down.weight',
    ]);
  });

  test('initializers listed as inputs, as IR version 3 asks, leave no input behind', async () => {
    const w = tensor('w', 'float32', [64, 8], randomValues(1, 512));
    const original = encode(
      model(
        graph({
          node: [node('MatMul', ['x', 'w'], ['y'])],
          initializer: [w],
          input: [value('x', 'float32', ['rows', 64]), value('w', 'float32', [64, 8])],
          output: [value('y', 'float32', ['rows', 8])],
        }),
        9,
        3,
      ),
    );
    for (const level of ['int4', 'fp16']) {
      const { bytes } = await quantize(original, level);
      expect((await scanBytes(bytes)).graph.inputs.map(({ proto }) => proto.name)).toEqual(['x']);
    }
  });

  test('a weight used twice is quantized once; one used elsewhere too stays as well', async () => {
    const original = encode(
      model(
        graph({
          node: [
            node('MatMul', ['x', 'w'], ['a']),
            node('MatMul', ['x', 'w'], ['b']),
            node('Add', ['a', 'b'], ['s']),
            node('MatMul', ['s', 'v'], ['t']),
            node('Relu', ['v'], ['r']),
          ],
          initializer: [
            tensor('w', 'float32', [64, 64], randomValues(1, 4096)),
            tensor('v', 'float32', [64, 64], randomValues(2, 4096)),
          ],
          input: [value('x', 'float32', ['rows', 64])],
          output: [value('t', 'float32', ['rows', 64]), value('r', 'float32', [64, 64])],
        }),
      ),
    );
    const { bytes, plan } = await quantize(original, 'int8');
    const { graph: written } = await scanBytes(bytes);
    expect(written.initializers.map(({ name }) => name)).toEqual(['w_Q8', 'w_scales', 'v', 'v_Q8', 'v_scales']);
    expect(line(plan, 'v')?.reason).toContain('stored twice, because Relu still needs it as float32');
  });

  test('names already taken are avoided', async () => {
    const original = encode(
      model(
        graph({
          node: [node('MatMul', ['x', 'w'], ['w_Q4']), node('Identity', ['w_Q4'], ['y'])],
          initializer: [tensor('w', 'float32', [64, 8], randomValues(1, 512))],
          input: [value('x', 'float32', ['rows', 64])],
          output: [value('y', 'float32', ['rows', 8])],
        }),
      ),
    );
    const { bytes } = await quantize(original, 'int4');
    expect((await scanBytes(bytes)).graph.initializers.map(({ name }) => name)).toEqual(['w_Q4_2', 'w_scales']);
  });
});

describe('what is not quantized has a reason', () => {
  test('by tensor', async () => {
    const original = encode(
      model(
        graph({
          node: [
            node('MatMul', ['x', 'w'], ['m']),
            node('Add', ['m', 'bias'], ['a']),
            node('Gemm', ['a', 'g'], ['y']),
            node('Gather', ['positions', 'position_ids'], ['p']),
            node('Gather', ['table', 'token_ids'], ['e']),
          ],
          initializer: [
            tensor('w', 'float32', [64, 64], randomValues(1, 4096)),
            tensor('bias', 'float32', [64], randomValues(2, 64)),
            tensor('g', 'float32', [64, 8], randomValues(3, 512)),
            tensor('positions', 'float32', [16, 64], randomValues(4, 1024)),
            tensor('table', 'float32', [16, 64], randomValues(5, 1024)),
            tensor('shape', 'int64', [2], [1, 2]),
          ],
          input: [
            value('x', 'float32', ['rows', 64]),
            value('position_ids', 'int64', [1, 4]),
            value('token_ids', 'int64', [1, 4]),
          ],
          output: [
            value('y', 'float32', ['rows', 8]),
            value('p', 'float32', [1, 4, 64]),
            value('e', 'float32', [1, 4, 64]),
          ],
        }),
      ),
    );
    const { plan } = await quantize(original, 'int4');
    expect(Object.fromEntries(plan.ledger.map(({ tensor: name, reason }) => [name, reason]))).toEqual({
      w: '4 bits in blocks of 32, symmetric',
      bias: 'a vector or a number: small, and kept exact',
      g: '4 bits in blocks of 32, symmetric',
      positions: 'table looked up by something else than tokens, such as positions: kept exact',
      table: 'embedding table; the embedding setting quantizes it',
      shape: 'int64: shapes, indices and flags stay exact',
    });
    const { plan: withTable } = await quantize(original, 'int4:embedding=tokens');
    expect(withTable.ledger.filter(({ to }) => to === 'int4').map(({ tensor: name }) => name)).toEqual([
      'w',
      'g',
      'table',
    ]);
    const { plan: withAll } = await quantize(original, 'int4:embedding');
    expect(withAll.ledger.filter(({ to }) => to === 'int4').map(({ tensor: name }) => name)).toEqual([
      'w',
      'g',
      'positions',
      'table',
    ]);
  });

  test.each<[string, Uint8Array, string]>([
    [
      'nothing to quantize',
      encode(
        model(
          graph({
            node: [node('Relu', ['x'], ['y'])],
            input: [value('x', 'float32', [1])],
            output: [value('y', 'float32', [1])],
          }),
        ),
      ),
      'nothing-to-quantize',
    ],
    [
      'quantized already',
      encode(
        model(
          graph({
            node: [node('MatMulNBits', ['x', 'q', 's'], ['y'], {}, 'com.microsoft')],
            input: [value('x', 'float32', [1]), value('q', 'uint8', [1]), value('s', 'float32', [1])],
            output: [value('y', 'float32', [1])],
          }),
        ),
      ),
      'already-quantized',
    ],
    ['too small to gain', matMulModel(randomValues(1, 4), 2, 2), 'nothing-to-quantize'],
  ])('%s', async (_, bytes, code) => {
    expect((await quantize(bytes, 'int4')).plan.problem?.code).toBe(code);
  });

  test('weights beyond fp16 stay float32 in the baseline', async () => {
    const values = randomValues(1, 64 * 8);
    values[5] = 1e6;
    const { plan, bytes } = await quantize(matMulModel(values, 64, 8), 'fp16');
    expect(line(plan, 'w')).toMatchObject({
      to: 'float32',
      reason: 'holds values beyond 65,504, the largest fp16 number',
    });
    expect(await operators(bytes)).toEqual(['MatMul']);
  });
});

test('weights seen through a Cast, as the fp16 file of a float32 model has them, are quantized all the same', async () => {
  const original = tinyLanguageModel(TIED);
  const { bytes: half } = await quantize(original, 'fp16');
  for (const level of ['int4', 'int4:embedding', 'int8:head=keep']) {
    const [direct, again] = [await quantize(original, level), await quantize(half, level)];
    expect((await operators(again.bytes)).filter((type) => type !== 'Cast')).toEqual(await operators(direct.bytes));
    for (const { name } of (await scanBytes(direct.bytes)).graph.initializers.filter(({ name: any }) =>
      /_Q\d$|_scales$/.test(any),
    )) {
      const suffix = name.replace(/^.*weight/, '');
      const theirs = name.replace(suffix, `_fp16${suffix}`);
      expect((await initializer(again.bytes, theirs)).data, theirs).toEqual(
        (await initializer(direct.bytes, name)).data,
      );
    }
  }
});

test("a level is made of the baseline's weights unless the original's are asked for", async () => {
  const bytes = matMulModel(
    Float32Array.from({ length: 64 * 8 }, (_, i) => 1 + i * 1e-5),
    64,
    8,
  );
  const [fromBaseline, fromOriginal] = [await quantize(bytes, 'int8'), await quantize(bytes, 'int8:source=original')];
  expect(fromBaseline.bytes).not.toEqual(fromOriginal.bytes);
  const rounded = matMulModel(
    Float32Array.from({ length: 64 * 8 }, (_, i) => Math.round((1 + i * 1e-5) * 1024) / 1024),
    64,
    8,
  );
  expect((await quantize(rounded, 'int8:source=original')).bytes).toEqual(fromBaseline.bytes);
});
