import { create } from '@bufbuild/protobuf';
import {
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TrainingInfoProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from '../../../models/build.ts';
import { toEngineError } from '../../contract/errors.ts';
import { quantize, scanBytes } from '../../test-support.ts';
import { findScopes } from './scopes.ts';

const W = () => tensor('w', 'float32', [64, 64], randomValues(1, 4096));
const x = value('x', 'float32', [3, 64]);
const y = value('y', 'float32', [3, 64]);

describe('graphs that contradict themselves are refused', () => {
  const sentence = async (bytes: Uint8Array) =>
    scanBytes(bytes)
      .then(findScopes)
      .then(
        () => 'ok',
        (thrown: unknown) => toEngineError(thrown).message,
      );
  test.each<[string, ReturnType<typeof node>[], string]>([
    ['two makers', [node('Relu', ['x'], ['y']), node('Tanh', ['x'], ['y'])], 'two nodes make "y"'],
    [
      'a cycle',
      [node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['a'], ['y'])],
      "nodes of its graph need each other's results",
    ],
    ['a node that needs itself', [node('Add', ['x', 'y'], ['y'])], "need each other's results"],
    [
      'an initializer that is made, too',
      [node('Relu', ['x'], ['w']), node('Relu', ['w'], ['y'])],
      '"w" is an initializer and made by a node, too',
    ],
    [
      'a cycle through the body of an If',
      [
        node('If', ['b'], ['a'], {
          then_branch: graph({ node: [node('Relu', ['b'], ['t'])], output: [value('t', 'float32', [1])] }),
        }),
        node('Relu', ['a'], ['b']),
        node('Relu', ['x'], ['y']),
      ],
      "need each other's results",
    ],
  ])('%s', async (_, nodes, why) => {
    expect(
      await sentence(encode(model(graph({ node: nodes, initializer: [W()], input: [x], output: [y] })))),
    ).toContain(why);
  });

  test('a body may use a name of its own that others use elsewhere', async () => {
    const body = graph({ node: [node('Relu', ['x'], ['t'])], output: [value('t', 'float32', [3, 64])] });
    const bytes = encode(
      model(
        graph({
          node: [node('If', ['c'], ['y'], { then_branch: body, else_branch: body })],
          input: [x, value('c', 'bool', [1])],
          output: [y],
        }),
      ),
    );
    expect(await sentence(bytes)).toBe('ok');
  });

  test('nodes in any order are no cycle', async () => {
    const bytes = encode(
      model(graph({ node: [node('Relu', ['a'], ['y']), node('Relu', ['x'], ['a'])], input: [x], output: [y] })),
    );
    expect(await sentence(bytes)).toBe('ok');
  });
});

const reasons = (plan: Awaited<ReturnType<typeof quantize>>['plan']) =>
  Object.fromEntries(
    plan.ledger.map(({ tensor: name, where, reason }) => [where ? `${name} in ${where}` : name, reason]),
  );

describe('every constant is accounted for', () => {
  test('in bodies, functions, Constant nodes, sparse, and twice by one name', async () => {
    const bytes = encode(
      model(
        graph({
          node: [
            node('If', ['c'], ['i'], {
              then_branch: graph({
                node: [node('MatMul', ['x', 'inner'], ['t'])],
                initializer: [tensor('inner', 'float32', [64, 64], randomValues(2, 4096))],
                output: [value('t', 'float32', [3, 64])],
              }),
              else_branch: graph({ node: [node('Identity', ['x'], ['e'])], output: [value('e', 'float32', [3, 64])] }),
            }),
            node('Constant', [], ['numbers'], { value_floats: { floats: [1, 2, 3] } }),
            node('Constant', [], ['k'], { value_int: 300 }),
            node('Dense', ['i'], ['d'], {}, 'local'),
            node('MatMul', ['d', 'w'], ['y']),
          ],
          initializer: [
            tensor('w', 'float32', [64, 64], randomValues(4, 4096)),
            W(),
            create(TensorProtoSchema, {
              name: 'words',
              dataType: 8,
              dims: [2n],
              stringData: [Uint8Array.of(65), Uint8Array.of(66, 67)],
            }),
          ],
          sparseInitializer: [
            create(SparseTensorProtoSchema, {
              dims: [10n],
              values: tensor('few', 'float32', [2], [1, 2]),
              indices: create(TensorProtoSchema, { dataType: 7, dims: [2n], int64Data: [3n, 5n] }),
            }),
          ],
          input: [x, value('c', 'bool', [1])],
          output: [y],
        }),
        17,
        8,
        [
          localFunction(
            'local',
            'Dense',
            ['v'],
            ['o'],
            [
              node('Constant', [], ['f'], { value: tensor('', 'float32', [64, 64], randomValues(3, 4096)) }),
              node('MatMul', ['v', 'f'], ['o']),
            ],
          ),
        ],
      ),
    );
    const { plan, bytes: written } = await quantize(bytes, 'int8');
    expect(reasons(plan)).toEqual({
      w: 'another tensor of the same name comes after it, which is the one that counts',
      words: 'string: shapes, indices and flags stay exact',
      numbers: 'a vector or a number: small, and kept exact',
      k: 'int64: shapes, indices and flags stay exact',
      'inner in then_branch of i/If': '8 bits in blocks of 32, symmetric',
      'f in function local.Dense': '8 bits in blocks of 32, symmetric',
      few: 'sparse: only what is not zero is stored, and left as it is',
    });
    expect(plan.ledger.find(({ tensor: name, shape }) => name === 'w' && shape.length === 2)?.reason).toBe(
      'another tensor has the same name',
    );
    expect(plan.ledger.find(({ tensor: name }) => name === 'k')?.bytesAfter).toBe(2);
    expect(plan.ledger.find(({ tensor: name }) => name === 'words')?.bytesAfter).toBe(3);
    expect(plan.bytes).toBe(written.length);
    expect(plan.weightBytes + plan.graphBytes).toBe(written.length);
    const [function_] = (await scanBytes(written)).functions;
    expect(function_?.opsets).toEqual([
      { domain: 'com.microsoft', version: 1 },
      { domain: '', version: 17 },
    ]);
  });

  test('what training information mentions stays', async () => {
    const proto = model(
      graph({ node: [node('MatMul', ['x', 'w'], ['y'])], initializer: [W()], input: [x], output: [y] }),
    );
    proto.trainingInfo = [
      create(TrainingInfoProtoSchema, {
        algorithm: graph({
          node: [node('Sub', ['w', 'gradient'], ['w_new'])],
          output: [value('w_new', 'float32', [64, 64])],
        }),
        updateBinding: [create(StringStringEntryProtoSchema, { key: 'w', value: 'w_new' })],
      }),
    ];
    const { plan, bytes } = await quantize(encode(proto), 'int8');
    expect(reasons(plan)).toEqual({
      w: '8 bits in blocks of 32, symmetric; stored twice, because the graph still needs it as float32',
    });
    expect((await scanBytes(bytes)).trainingNames.has('w')).toBe(true);
  });
});

describe('what was quantized before passes through', () => {
  const nodes = [
    node('DequantizeLinear', ['q', 's'], ['dq']),
    node('MatMul', ['x', 'dq'], ['a']),
    node('MatMulNBits', ['a', 'codes', 'scales'], ['b'], { K: 64, N: 64, bits: 8, block_size: 32 }, 'com.microsoft'),
    node('MatMul', ['b', 'w'], ['y']),
  ];
  const initializer = [
    tensor('q', 'uint8', [64, 64], randomValues(1, 4096, 20).map(Math.abs)),
    tensor('s', 'float32', [], [0.01]),
    tensor('codes', 'uint8', [64, 2, 32], randomValues(2, 4096, 20).map(Math.abs)),
    tensor('scales', 'float32', [64, 2], randomValues(3, 128)),
  ];

  test('and the rest is quantized', async () => {
    const { plan } = await quantize(
      encode(model(graph({ node: nodes, initializer: [...initializer, W()], input: [x], output: [y] }))),
      'int4',
    );
    expect(plan.problem).toBeNull();
    expect(reasons(plan)).toEqual({
      q: 'belongs to a weight that is quantized already: used by DequantizeLinear',
      s: 'belongs to a weight that is quantized already: used by DequantizeLinear',
      codes: 'belongs to a weight that is quantized already: used by MatMulNBits',
      scales: 'belongs to a weight that is quantized already: used by MatMulNBits',
      w: '4 bits in blocks of 32, symmetric',
    });
  });

  test('fp16 leaves its scales alone', async () => {
    const { plan } = await quantize(
      encode(model(graph({ node: nodes, initializer: [...initializer, W()], input: [x], output: [y] }))),
      'fp16',
    );
    expect(plan.ledger.filter(({ from, to }) => from !== to).map(({ tensor: name }) => name)).toEqual(['w']);
  });
});

describe('by name', () => {
  const bytes = encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'layers.0.w'], ['a']), node('MatMul', ['a', 'layers.1.w'], ['y'])],
        initializer: [
          { ...W(), name: 'layers.0.w' },
          { ...W(), name: 'layers.1.w' },
        ],
        input: [x],
        output: [y],
      }),
    ),
  );
  test.each([
    ['layers.0.*', ['layers.1.w']],
    ['y/MatMul', ['layers.0.w']],
    ['nothing*', ['layers.0.w', 'layers.1.w']],
  ])('exclude=%s', async (pattern, quantized) => {
    const { plan } = await quantize(bytes, `int8:exclude=${pattern}`);
    expect(plan.ledger.filter(({ to }) => to === 'int8').map(({ tensor: name }) => name)).toEqual(quantized);
    expect(plan.ledger.filter(({ to }) => to !== 'int8').map(({ reason }) => reason)).toEqual(
      quantized.length === 2 ? [] : ['left as it is, as asked for by name'],
    );
  });
});

describe('other integers by name', () => {
  const bytes = encode(
    model(
      graph({
        node: [
          node('Gather', ['table', 'ids'], ['r']),
          node('MatMul', ['r', 'a'], ['p']),
          node('MatMul', ['p', 'a'], ['q']),
          node('MatMul', ['q', 'b'], ['y']),
        ],
        initializer: [
          { ...W(), name: 'a' },
          { ...W(), name: 'b' },
          { ...W(), name: 'table' },
        ],
        input: [value('ids', 'int64', [3])],
        output: [y],
      }),
    ),
  );
  const forms = async (level: string) =>
    Object.fromEntries((await quantize(bytes, level)).plan.ledger.map(({ tensor: name, to }) => [name, to]));
  test.each([
    ['int4:override=a=int8', { a: 'int8', b: 'int4', table: 'float32' }],
    ['int4:override=table=int8|*=int4', { a: 'int4', b: 'int4', table: 'int8' }],
    // A node's name, as good as its weight's: one product has it in 8 bits, the other in 4.
    ['int4:override=p/*=int8', { a: 'int8 and int4', b: 'int4', table: 'float32' }],
    ['int4:head=keep,override=b=int8', { a: 'int4', b: 'int8', table: 'float32' }],
    ['int8:mode=dynamic,override=b=int4', { a: 'int8', b: 'int4', table: 'float32' }],
    ['uint8:override=a=int8', { a: 'int8', b: 'uint8', table: 'float32' }],
    ['int4:exclude=a,override=a=int8', { a: 'float32', b: 'int4', table: 'float32' }],
  ])('%s', async (level, expected) => {
    expect(await forms(level)).toEqual(expected);
  });
});

test('a name that nothing has is said', async () => {
  const bytes = encode(
    model(graph({ node: [node('MatMul', ['x', 'w'], ['y'])], initializer: [W()], input: [x], output: [y] })),
  );
  expect((await quantize(bytes, 'int4:override=lm_head*=int8')).plan.summary).toMatch(
    / Nothing to quantize is called lm_head\*\./,
  );
});

describe('reasons', () => {
  test.each<[string, ReturnType<typeof node>, Parameters<typeof tensor>[2], string, string]>([
    [
      'alpha',
      node('Gemm', ['x', 'w'], ['y'], { alpha: { float: 0.5 } }),
      [64, 64],
      'int4',
      'Gemm scales the product (alpha), which MatMulNBits does not',
    ],
    [
      'a stack',
      node('MatMul', ['x', 'w'], ['y']),
      [2, 64, 32],
      'int4',
      'a stack of matrices [2, 64, 32], for which there is no product in blocks',
    ],
    [
      'a convolution at int4',
      node('Conv', ['x', 'w'], ['y']),
      [16, 16, 16],
      'int4',
      'used by Conv, which int4 does not cover here',
    ],
    [
      'an operator nobody covers',
      node('LongformerAttention', ['x', 'w', 'b'], ['y'], {}, 'com.microsoft'),
      [64, 64],
      'int8',
      'used by LongformerAttention, which int8 does not cover here',
    ],
    [
      'a fused operator at int4',
      node('Attention', ['x', 'w', 'b'], ['y'], {}, 'com.microsoft'),
      [64, 64],
      'int4',
      'used by Attention, which int4 does not cover here',
    ],
    [
      'hardly any bytes',
      node('MatMul', ['x', 'w'], ['y']),
      [8, 2],
      'int8:mode=dequantize',
      'would not get smaller: scales and a node take what the weights save',
    ],
  ])('%s', async (_, used, dims, level, reason) => {
    const w = tensor(
      'w',
      'float32',
      dims,
      randomValues(
        1,
        dims.reduce((a, b) => a * b, 1),
      ),
    );
    const bias = value('b', 'float32', [64]);
    const { plan } = await quantize(
      encode(model(graph({ node: [used], initializer: [w], input: [x, bias], output: [y] }))),
      level,
    );
    expect(reasons(plan)).toEqual({ w: reason });
    expect(plan.problem?.code).toBe('nothing-to-quantize');
  });

  test('a file that hardly gets smaller says where its bytes are', async () => {
    const table = tensor('table', 'float32', [512, 64], randomValues(1, 512 * 64));
    const { plan } = await quantize(
      encode(
        model(
          graph({
            node: [node('Gather', ['table', 'ids'], ['e']), node('MatMul', ['e', 'w'], ['y'])],
            initializer: [table, W()],
            input: [value('ids', 'int64', [3])],
            output: [y],
          }),
        ),
      ),
      'int8',
    );
    expect(plan.summary).toBe(
      '1 weight with 4,096 parameters becomes int8, 8 bits in blocks of 32, symmetric. ' +
        'Larger than fp16: 131.1 kB not quantized (embedding table; the embedding setting quantizes it).',
    );
  });
});
