/** The rules of a model's structure, held against what onnxruntime loads. */
import { create } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  NodeProtoSchema,
  SparseTensorProtoSchema,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
} from 'onnx-buf';
import * as native from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { BUILT } from '../../models/zoo-cases.ts';
import { toEngineError } from '../contract/errors.ts';
import { findScopes } from './graph/scopes.ts';
import { quantize, scanBytes } from '../test-support.ts';
import { bytesSource } from '../io/source.ts';
import { fieldNumbers } from './fields.ts';
import { scanModel } from './scan.ts';
import { findViolations, type Rule } from './structure.ts';
import { concatBytes, encodeHeader, encodeVarint } from './wire.ts';
import { createLayer } from './writing/layers.ts';
import { splice } from './writing/splice.ts';

const w = (name = 'w', k = 64, n = 48, seed = 1) => tensor(name, 'float32', [k, n], randomValues(seed, k * n, 0.3));
const x = value('x', 'float32', [3, 64]);
const out = (name: string) => value(name, 'float32', [3, 48]);
const flag = value('flag', 'bool', [1]);
const product = (output = 'y', weight = 'w', input = 'x') => node('MatMul', [input, weight], [output]);
const called = (name: string, one: NodeProto): NodeProto => ({ ...one, name });
const constant = (output: string, name = '', of = tensor('', 'float32', [1], [1])) =>
  called(name, node('Constant', [], [output], { value: of }));
const sparse = (name: string) =>
  create(SparseTensorProtoSchema, {
    dims: [64n, 64n],
    values: tensor(name, 'float32', [2], [1, 2]),
    indices: tensor('', 'int64', [2], [1, 70]),
  });
const build = (
  change: Partial<Pick<GraphProto, 'node' | 'initializer' | 'sparseInitializer' | 'input' | 'output' | 'valueInfo'>>,
  irVersion = 8,
  functions: FunctionProto[] = [],
) =>
  encode(
    model(
      graph({ node: [product()], initializer: [w()], input: [x], output: [out('y')], ...change }),
      irVersion < 4 ? 9 : 17,
      irVersion,
      functions,
    ),
  );
const branches = (
  then: Partial<Pick<GraphProto, 'node' | 'initializer' | 'input' | 'output'>>,
  before: NodeProto[] = [],
) =>
  build({
    node: [
      ...before,
      node('If', ['flag'], ['y'], {
        then_branch: graph({ node: [product('t')], output: [out('t')], ...then }),
        else_branch: graph({ node: [product('e')], output: [out('e')] }),
      }),
    ],
    input: [x, flag],
  });
const dense = (body: NodeProto[]) =>
  build({ node: [product('h'), node('Dense', ['h'], ['y'], {}, 'local')] }, 8, [
    localFunction('local', 'Dense', ['a'], ['b'], body),
  ]);
const listed = (name = 'w') => value(name, 'float32', [64, 48]);

async function isLoaded(bytes: Uint8Array): Promise<boolean> {
  try {
    await (await native.InferenceSession.create(bytes, { executionProviders: ['cpu'], logSeverityLevel: 4 })).release();
    return true;
  } catch {
    return false;
  }
}

describe('what onnxruntime refuses is refused by name', () => {
  test.each<[string, Rule, string, Uint8Array]>([
    ['an input listed twice', 'input-twice', 'x', build({ input: [x, x] })],
    ['an input listed twice that nobody uses', 'input-twice', 'u', build({ input: [x, out('u'), out('u')] })],
    ['an input of a body listed twice', 'input-twice', 'i', branches({ input: [out('i'), out('i')] })],
    ['initializers of one name and two shapes', 'initializer-twice', 'w', build({ initializer: [w('w', 32), w()] })],
    [
      'initializers of one name in a body',
      'initializer-twice',
      'v',
      branches({ node: [product('t', 'v')], initializer: [w('v'), w('v')] }),
    ],
    [
      'sparse initializers of one name',
      'initializer-twice',
      's',
      build({ node: [product('h', 's'), product('y', 'w', 'h')], sparseInitializer: [sparse('s'), sparse('s')] }),
    ],
    [
      'an initializer without an element type',
      'type-missing',
      'u',
      build({ initializer: [w(), { ...w('u'), dataType: 0 }] }),
    ],
    [
      'a value two nodes make',
      'made-twice',
      'h',
      build({ node: [product('h'), called('b', product('h')), node('Tanh', ['h'], ['y'])] }),
    ],
    [
      'a value a node makes twice',
      'made-twice',
      't',
      build({
        node: [product(), node('TopK', ['y', 'k'], ['t', 't'])],
        initializer: [w(), tensor('k', 'int64', [1], [1])],
      }),
    ],
    [
      'a value a node and a constant make',
      'made-twice',
      'h',
      build({ node: [constant('h'), product('h'), node('Tanh', ['h'], ['y'])] }),
    ],
    [
      'a value two constants of a body make',
      'made-twice',
      'c',
      branches({ node: [constant('c'), constant('c'), product('m'), node('Add', ['m', 'c'], ['t'])] }),
    ],
    [
      'an initializer that is made, too',
      'initializer-made',
      'h',
      build({
        node: [product('h'), node('Tanh', ['h'], ['y'])],
        initializer: [w(), tensor('h', 'float32', [3, 48], new Float32Array(144))],
      }),
    ],
    [
      'a sparse initializer that is made, too',
      'initializer-made',
      's',
      build({
        node: [product('s', 'v'), product('y', 'w', 's')],
        initializer: [w(), w('v', 64, 64)],
        sparseInitializer: [sparse('s')],
      }),
    ],
    ['an input that is made, too', 'input-made', 'x', build({ node: [product('x'), node('Tanh', ['x'], ['y'])] })],
    [
      'a value of a body that is defined outside',
      'value-shadowed',
      'h',
      branches({ node: [product('h'), node('Tanh', ['h'], ['t'])] }, [product('h')]),
    ],
    [
      'a value that nothing defines',
      'value-undefined',
      'gone',
      build({ node: [product(), node('Add', ['y', 'gone'], ['z'])] }),
    ],
    ['a value of another body', 'value-undefined', 'e', branches({ node: [node('Neg', ['e'], ['t'])] })],
    [
      'a value that is made too late in a body',
      'value-unsorted',
      'q',
      branches({ node: [node('Tanh', ['q'], ['t']), product('q')] }),
    ],
    ['an output that nothing makes', 'output-undefined', 'gone', build({ output: [out('y'), out('gone')] })],
    ['an output of a body that nothing makes', 'output-undefined', 'gone', branches({ output: [out('gone')] })],
    ['an output of a function that nothing makes', 'output-undefined', 'b', dense([node('Tanh', ['a'], ['c'])])],
    [
      'nodes of one name',
      'node-name-twice',
      'n',
      build({ node: [called('n', product('h')), called('n', node('Tanh', ['h'], ['y']))] }),
    ],
    [
      'nodes of one name in a body',
      'node-name-twice',
      'n',
      branches({ node: [called('n', product('h')), called('n', node('Tanh', ['h'], ['t']))] }),
    ],
    [
      'nodes of one name in a function',
      'node-name-twice',
      'n',
      dense([called('n', node('Tanh', ['a'], ['c'])), called('n', node('Tanh', ['c'], ['b']))]),
    ],
    [
      'a value of a function that nothing defines',
      'value-undefined',
      'gone',
      dense([node('Add', ['a', 'gone'], ['b'])]),
    ],
    [
      'an attribute given twice',
      'attribute-twice',
      'perm',
      build({
        node: [
          {
            ...node('Transpose', ['x'], ['t']),
            attribute: [1, 2].flatMap(() => node('Transpose', [], [], { perm: [0, 1] }).attribute),
          },
          product('y', 'w', 't'),
        ],
      }),
    ],
    [
      'a node without an operator',
      'operator-missing',
      'z',
      build({ node: [product(), called('z', node('', ['y'], ['z']))] }),
    ],
  ])('%s', async (_, rule, name, bytes) => {
    expect(await isLoaded(bytes)).toBe(false);
    const scanned = await scanBytes(bytes);
    expect(findViolations(scanned).find(({ refused }) => refused)).toMatchObject({ rule, name });
    const error = await scanBytes(bytes)
      .then((again) => findScopes(again))
      .then(() => null, toEngineError);
    expect(error?.code).toBe('onnx-invalid');
    expect(error?.message).toContain(`"${name}"`);
  });
});

describe('what onnxruntime loads is opened and comes out as something it loads', () => {
  test.each<[string, Uint8Array]>([
    [
      'constants of one node name',
      build({
        node: [
          constant('c', 'n'),
          constant('d', 'n'),
          product('h'),
          node('Add', ['h', 'c'], ['i']),
          node('Add', ['i', 'd'], ['y']),
        ],
      }),
    ],
    [
      'weights in constants of one node name',
      build({
        node: [constant('w', 'n', w('')), constant('d', 'n'), product('h'), node('Add', ['h', 'd'], ['y'])],
        initializer: [],
      }),
    ],
    [
      'a constant called like another node',
      build({ node: [constant('c', 'n'), product('h'), called('n', node('Add', ['h', 'c'], ['y']))] }),
    ],
    [
      'constants of one node name in a body',
      branches({
        node: [
          constant('c', 'n'),
          constant('d', 'n'),
          product('h'),
          node('Add', ['h', 'c'], ['i']),
          node('Add', ['i', 'd'], ['t']),
        ],
      }),
    ],
    [
      'constants of one node name in a function',
      dense([constant('c', 'n'), constant('d', 'n'), node('Add', ['a', 'c'], ['i']), node('Add', ['i', 'd'], ['b'])]),
    ],
    ['nodes without names', build({ node: [called('', product('h')), called('', node('Tanh', ['h'], ['y']))] })],
    [
      'nodes of one name in two bodies and outside',
      build({
        node: [
          called('n', product('h')),
          node('If', ['flag'], ['y'], {
            then_branch: graph({ node: [called('n', product('t'))], output: [out('t')] }),
            else_branch: graph({ node: [called('n', node('Neg', ['h'], ['e']))], output: [out('e')] }),
          }),
        ],
        input: [x, flag],
      }),
    ],
    [
      'a value two constants make',
      build({ node: [constant('c'), constant('c'), product('h'), node('Add', ['h', 'c'], ['y'])] }),
    ],
    [
      'a weight two constants make',
      build({ node: [constant('w', '', w('')), constant('w', '', w('', 64, 48, 2)), product()], initializer: [] }),
    ],
    ['a constant called like an initializer', build({ node: [constant('w', '', w('', 64, 48, 2)), product()] })],
    ['initializers of one name', build({ initializer: [w(), w('w', 64, 48, 2)] })],
    [
      'a sparse and a dense initializer of one name',
      build({
        node: [product('h', 's'), product('y', 'w', 'h')],
        initializer: [w(), w('s', 64, 64)],
        sparseInitializer: [sparse('s')],
      }),
    ],
    ['an output listed twice', build({ output: [out('y'), out('y')] })],
    ['an output that is an input', build({ output: [out('y'), x] })],
    ['an output that is a weight', build({ output: [out('y'), listed()] })],
    ['a weight listed twice as an input', build({ input: [x, listed(), listed()] })],
    ['a weight listed twice as an input before IR version 4', build({ input: [x, listed(), listed()] }, 3)],
    ['nodes in any order', build({ node: [node('Tanh', ['h'], ['y']), product('h')] })],
    [
      'a type stated twice',
      build({ node: [product('h'), node('Tanh', ['h'], ['y'])], valueInfo: [out('h'), out('h')] }),
    ],
    ['a type stated of nothing', build({ valueInfo: [out('q')] })],
    [
      'a function that nobody calls and nothing defines a value of',
      build({}, 8, [localFunction('local', 'Dense', ['a'], ['b'], [node('Add', ['a', 'gone'], ['b'])])]),
    ],
    [
      'a function that nobody calls and makes a value twice',
      build({}, 8, [
        localFunction(
          'local',
          'Dense',
          ['a'],
          ['b'],
          [node('Tanh', ['a'], ['b']), called('n', node('Tanh', ['a'], ['b']))],
        ),
      ]),
    ],
    ['an initializer of a body called like one outside', branches({ initializer: [w('w', 64, 48, 2)] })],
  ])(
    '%s',
    async (_, bytes) => {
      expect(await isLoaded(bytes)).toBe(true);
      for (const level of ['fp16', 'int8', 'int4', 'int8:mode=dequantize', 'uint8', 'q4f16']) {
        const { bytes: written, plan } = await quantize(bytes, level);
        if (!plan.problem) expect(await isLoaded(written), level).toBe(true);
      }
    },
    120_000,
  );

  test('an operator set imported twice has the version of its last entry', async () => {
    const twice = model(graph({ node: [product()], initializer: [w()], input: [x], output: [out('y')] }));
    twice.opsetImport = [...twice.opsetImport, { ...twice.opsetImport[0]!, domain: 'ai.onnx', version: 9n }];
    const bytes = encode(twice);
    expect((await scanBytes(bytes)).opsets).toEqual([{ domain: '', version: 9 }]);
    // Operator set 9 has no DynamicQuantizeLinear.
    const { bytes: written, plan } = await quantize(bytes, 'uint8');
    if (!plan.problem) expect(await isLoaded(written)).toBe(true);
  });
});

describe('a field in another wire type than the schema declares is skipped, as in onnxruntime', () => {
  /** A field that holds eight zero bytes, wire type 1. */
  const fixed64 = (number: number) => Uint8Array.of(...encodeVarint(number * 8 + 1), 0, 0, 0, 0, 0, 0, 0, 0);
  const { input, output, opType, name } = fieldNumbers(NodeProtoSchema);
  const nodeOf = (...fields: Uint8Array[]) => {
    const message = concatBytes(fields);
    return concatBytes([encodeHeader(fieldNumbers(GraphProtoSchema).node, message.length), message]);
  };
  const text = (number: number, value: string) =>
    concatBytes([encodeHeader(number, value.length), new TextEncoder().encode(value)]);
  /** A model whose node "made" has the given fields. */
  const withNode = async (...fields: Uint8Array[]) => {
    const bytes = build({ node: [], output: [out('y')] });
    const { span } = (await scanBytes(bytes)).graph;
    const pieces = splice<never>(bytes.length, [
      { start: span.end, end: span.end, within: [span], pieces: [{ kind: 'bytes', bytes: nodeOf(...fields) }] },
    ]);
    const layer = createLayer('model.onnx', pieces, bytesSource('model.onnx', bytes)).source;
    return (await layer.read(0, layer.size)).slice();
  };
  const whole = [text(input, 'x'), text(input, 'w'), text(output, 'y'), text(opType, 'MatMul')];

  test('beside the declared ones', async () => {
    const bytes = await withNode(fixed64(name), ...whole, fixed64(output));
    expect(await isLoaded(bytes)).toBe(true);
    const { graph: scanned } = await scanBytes(bytes);
    expect(scanned.nodes).toMatchObject([{ name: '', inputs: ['x', 'w'], outputs: ['y'] }]);
    expect(scanned.nodes[0]!.outputSpans).toHaveLength(1);
    expect(await isLoaded((await quantize(bytes, 'int8')).bytes)).toBe(true);
  });

  test('in place of the only output', async () => {
    const bytes = await withNode(...whole.filter((_, i) => i !== 2), fixed64(output));
    expect(await isLoaded(bytes)).toBe(false);
    const error = await quantize(bytes, 'int8').then(() => null, toEngineError);
    expect(error?.code).toBe('onnx-invalid');
  });
});

describe('a file that is planned', () => {
  test.each([...BUILT])('has the structure that is scanned from its pieces: %s', async (_, build) => {
    const bytes = build();
    const { bytes: written, plan } = await quantize(bytes, 'int8').catch(() => ({ bytes: null, plan: null }));
    if (!plan || plan.problem) return;
    const { source } = createLayer('model.onnx', plan.pieces, bytesSource('model.onnx', bytes));
    expect({ ...(await scanModel(source)), source: null }).toEqual({ ...(await scanBytes(written)), source: null });
  });
});
