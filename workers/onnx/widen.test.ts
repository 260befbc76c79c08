import { readFileSync } from 'node:fs';
import { inOneFile } from './model-files.ts';
import { create, fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  type GraphProto,
  type ModelProto,
  type TensorProto,
  type TypeProto,
} from 'onnx-buf';
import * as native from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import {
  encode,
  graph,
  matMulModel,
  model,
  node,
  randomValues,
  splitModel,
  tensor,
  tinyLanguageModel,
  value,
} from '../../models/build.ts';
import { quantize } from '../test-support.ts';
import { fromFloat16Array, toFloat16Array } from './numbers/float16.ts';
import { widenModel } from './widen.ts';

async function widened(bytes: Uint8Array<ArrayBuffer>, chunkBytes?: number): Promise<Uint8Array<ArrayBuffer>> {
  const wide = await widenModel(inOneFile(new Blob([bytes])), chunkBytes);
  if (!wide) throw new Error('nothing was float16');
  return new Uint8Array(await wide.model.arrayBuffer());
}

const decode = (bytes: Uint8Array): ModelProto => fromBinary(ModelProtoSchema, bytes);

/** Every element type the model states anywhere. */
function elementTypes(proto: ModelProto): Set<number> {
  const found = new Set<number>();
  const inType = (type: TypeProto | undefined): void => {
    if (type?.value.case === 'tensorType' || type?.value.case === 'sparseTensorType')
      found.add(type.value.value.elemType);
    else if (type?.value.case === 'sequenceType' || type?.value.case === 'optionalType')
      inType(type.value.value.elemType);
    else if (type?.value.case === 'mapType') inType(type.value.value.valueType);
  };
  const inNodes = (nodes: GraphProto['node']): void => {
    for (const { attribute } of nodes) {
      for (const a of attribute) {
        for (const t of [...a.tensors, ...(a.t ? [a.t] : [])]) found.add(t.dataType);
        for (const g of [...a.graphs, ...(a.g ? [a.g] : [])]) inGraph(g);
        inType(a.tp);
        if (a.name === 'to' || a.name === 'dtype') found.add(Number(a.i));
      }
    }
  };
  const inGraph = (body: GraphProto): void => {
    for (const { dataType } of body.initializer) found.add(dataType);
    for (const { values } of body.sparseInitializer) if (values) found.add(values.dataType);
    for (const { type } of [...body.input, ...body.output, ...body.valueInfo]) inType(type);
    inNodes(body.node);
  };
  if (proto.graph) inGraph(proto.graph);
  for (const body of proto.functions) {
    inNodes(body.node);
    for (const { type } of body.valueInfo) inType(type);
  }
  return found;
}

const withTensor = (opType: string, inputs: string[], output: string, held: TensorProto) => {
  const made = node(opType, inputs, [output]);
  made.attribute.push(create(AttributeProtoSchema, { name: 'value', type: AttributeType.TENSOR, t: held }));
  return made;
};
/** A tensor whose halves are in int32_data, as onnx.helper.make_tensor writes them. */
const typedHalves = (values: number[]) =>
  create(TensorProtoSchema, {
    dataType: DataType.FLOAT16,
    dims: [BigInt(values.length)],
    int32Data: [...toFloat16Array(Float32Array.from(values))],
  });

/** float16 wherever a graph can have it: y = twice((sum of x > 0 ? x·w : x·w + fill) + bias). */
function everywhere(): Uint8Array<ArrayBuffer> {
  const then = graph({
    name: 'then',
    node: [node('Identity', ['product'], ['then_y'])],
    output: [value('then_y', 'float16', ['rows', 3])],
  });
  const otherwise = graph({
    name: 'else',
    initializer: [tensor('shape', 'int64', [1], [3])],
    node: [
      withTensor('ConstantOfShape', ['shape'], 'fill', tensor('', 'float16', [1], [0.25])),
      node('Add', ['product', 'fill'], ['else_y']),
    ],
    output: [value('else_y', 'float16', ['rows', 3])],
  });
  const proto = model(
    graph({
      node: [
        node('Cast', ['x'], ['x16'], { to: DataType.FLOAT16 }),
        node('MatMul', ['x16', 'w'], ['product']),
        node('ReduceSum', ['x'], ['total'], { keepdims: 0 }),
        node('Greater', ['total', 'zero'], ['positive']),
        node('If', ['positive'], ['chosen'], { then_branch: then, else_branch: otherwise }),
        withTensor('Constant', [], 'bias', typedHalves([0.5, -1.5, 3])),
        node('Add', ['chosen', 'bias'], ['sum']),
        node('Twice', ['sum'], ['y'], {}, 'local'),
      ],
      initializer: [
        tensor('w', 'float16', [4, 3], randomValues(5, 12)),
        tensor('zero', 'float32', [], [0]),
        tensor('empty', 'float16', [0], []),
      ],
      input: [value('x', 'float32', ['rows', 4])],
      output: [value('y', 'float16', ['rows', 3])],
      valueInfo: [value('product', 'float16', ['rows', 3])],
    }),
  );
  proto.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'local', version: 1n }));
  proto.functions.push(
    create(FunctionProtoSchema, {
      name: 'Twice',
      domain: 'local',
      input: ['a'],
      output: ['b'],
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: 17n })],
      node: [withTensor('Constant', [], 'two', typedHalves([2])), node('Mul', ['a', 'two'], ['b'])],
    }),
  );
  return encode(proto);
}

async function outputs(bytes: Uint8Array, feeds: Record<string, native.Tensor>): Promise<Float32Array[]> {
  const session = await native.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const results = await session.run(feeds);
  await session.release();
  return session.outputNames.map((name) => {
    const { data } = results[name]!;
    if (data instanceof Float32Array) return data;
    const halves = data as unknown as Uint16Array;
    return fromFloat16Array(new Uint16Array(halves.buffer, halves.byteOffset, halves.length));
  });
}

function expectClose(actual: Float32Array, expected: Float32Array, within: number): void {
  const scale = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  const worst = actual.reduce((most, each, index) => Math.max(most, Math.abs(each - expected[index]!)), 0);
  expect(actual.length).toBe(expected.length);
  expect(worst / scale).toBeLessThan(within);
}

describe('widening a float16 model', () => {
  it('leaves nothing float16: tensors, constants, fills, types, casts, bodies, functions', async () => {
    const wide = decode(await widened(everywhere()));
    expect(elementTypes(decode(everywhere()))).toContain(DataType.FLOAT16);
    expect(elementTypes(wide)).toEqual(new Set([DataType.FLOAT, DataType.INT64]));
  });

  it.each([
    ['one branch', 1],
    ['the other', -1],
  ])('computes the same, %s', async (_name, sign) => {
    const x = new native.Tensor(
      'float32',
      randomValues(9, 8).map((each) => sign * Math.abs(each)),
      [2, 4],
    );
    const [expected] = await outputs(everywhere(), { x });
    const [actual] = await outputs(await widened(everywhere()), { x });
    expectClose(actual!, expected!, 2e-3);
  });

  it('keeps every value and every other byte, however it is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .uint16Array({ minLength: 1, maxLength: 60 })
          .filter((bits) => bits.every((half) => (half & 0x7c00) !== 0x7c00)),
        fc.integer({ min: 1, max: 20 }),
        async (bits, chunk) => {
          const values = fromFloat16Array(bits);
          const proto = (type: 'float16' | 'float32') =>
            encode(
              model(
                graph({
                  initializer: [tensor('w', type, [bits.length], values), tensor('other', 'float32', [2], [1, 2])],
                  output: [value('w', type, [bits.length])],
                }),
              ),
            );
          expect(await widened(proto('float16'), chunk * 2)).toEqual(proto('float32'));
        },
      ),
    );
  });

  it('widens halves kept as packed and as single integers', async () => {
    const bytes = encode(model(graph({ initializer: [typedHalves([1.5, -2, 65504, 2 ** -24])] })));
    const [packed] = decode(await widened(bytes)).graph!.initializer;
    expect([...new Float32Array(packed!.rawData.slice().buffer)]).toEqual([1.5, -2, 65504, 2 ** -24]);
    expect(packed!.int32Data).toEqual([]);
    // A tensor [2] of float16, its int32_data unpacked: fields 1, 2, then twice 5.
    const held = Uint8Array.of(0x08, 2, 0x10, 10, 0x28, 0x80, 0x78, 0x28, 0x80, 0xf8, 0x02);
    const unpacked = Uint8Array.of(0x3a, held.length + 2, 0x2a, held.length, ...held);
    const [wide] = decode(await widened(unpacked)).graph!.initializer;
    expect([...new Float32Array(wide!.rawData.slice().buffer)]).toEqual([1, -1]);
  });

  it('is null where nothing is float16', async () => {
    expect(await widenModel(inOneFile(new Blob([matMulModel(randomValues(1, 6), 2, 3)])))).toBeNull();
  });

  it('says so when the weights lie elsewhere', async () => {
    const proto = model(
      graph({
        initializer: [
          create(TensorProtoSchema, {
            name: 'w',
            dataType: DataType.FLOAT16,
            dims: [4n],
            dataLocation: TensorProto_DataLocation.EXTERNAL,
            externalData: [{ key: 'location', value: 'w.bin' }],
          }),
        ],
      }),
    );
    await expect(widenModel(inOneFile(new Blob([encode(proto)])))).rejects.toMatchObject({
      engineError: { code: 'onnx-external-data' },
    });
  });

  it.each(['int4', 'int4:asymmetric,embedding', 'int8'])(
    'takes a quantized model, scales included: %s',
    async (level) => {
      const { bytes } = await quantize(
        tinyLanguageModel({ vocabulary: 64, width: 32, hidden: 64, type: 'float16', tied: false }),
        level,
      );
      const wide = await widened(bytes as Uint8Array<ArrayBuffer>);
      expect(elementTypes(decode(wide))).not.toContain(DataType.FLOAT16);
      const feeds = { input_ids: new native.Tensor('int64', BigInt64Array.from([3n, 1n, 4n, 1n, 5n]), [1, 5]) };
      const [expected] = await outputs(bytes, feeds);
      const [actual] = await outputs(wide, feeds);
      expectClose(actual!, expected!, 5e-3);
    },
  );

  it('takes what lies in the data file', async () => {
    const half = tinyLanguageModel({ vocabulary: 64, width: 32, hidden: 64, type: 'float16', tied: false });
    const { model: graphOnly, files } = splitModel(half, (name) => (name.startsWith('layers') ? 'm.onnx_data' : null));
    const two = {
      model: new Blob([graphOnly]),
      data: { file: 'm.onnx_data', blob: new Blob([files.get('m.onnx_data')!]) },
    };
    const wide = await widenModel(two, 1000);
    const { model: inOne, data } = wide!;
    expect(data?.file).toBe('m.onnx_data');
    const feeds = { input_ids: new native.Tensor('int64', BigInt64Array.from([3n, 1n, 4n, 1n, 5n]), [1, 5]) };
    expect((await outputs(new Uint8Array(await inOne.arrayBuffer()), feeds))[0]).toEqual(
      (await outputs(await widened(half), feeds))[0],
    );
    await expect(widenModel(inOneFile(new Blob([graphOnly])))).rejects.toMatchObject({
      engineError: { code: 'onnx-external-data' },
    });
  });

  it('gives the sample model in float32, its cache included', async () => {
    const bytes = new Uint8Array(readFileSync(new URL('../../models/sample/model_fp16.onnx', import.meta.url)));
    const wide = await widened(bytes);
    expect(elementTypes(decode(wide))).not.toContain(DataType.FLOAT16);
    const tokens = 12;
    const int64 = (each: (index: number) => number) =>
      new native.Tensor(
        'int64',
        BigInt64Array.from({ length: tokens }, (_, index) => BigInt(each(index))),
        [1, tokens],
      );
    const feeds = async (model: Uint8Array) => {
      const session = await native.InferenceSession.create(model, { logSeverityLevel: 3 });
      const cache = session.inputMetadata.flatMap((input) => {
        if (!input.isTensor || !input.name.startsWith('past')) return [];
        const dims = input.shape.map((size, axis) => (typeof size === 'number' ? size : axis === 0 ? 1 : 0));
        return [
          [
            input.name,
            new native.Tensor(input.type, input.type === 'float16' ? new Uint16Array(0) : new Float32Array(0), dims),
          ] as const,
        ];
      });
      expect(cache.length).toBeGreaterThan(0);
      await session.release();
      return {
        input_ids: int64((index) => (index * 37) % 500),
        attention_mask: int64(() => 1),
        position_ids: int64((index) => index),
        ...Object.fromEntries(cache),
      };
    };
    const expected = await outputs(bytes, await feeds(bytes));
    const actual = await outputs(wide, await feeds(wide));
    expectClose(actual[0]!, expected[0]!, 5e-3);
  });
});
