/** A planned file that breaks a rule of ONNX is an error before it is written. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { toEngineError } from '../contract/errors.ts';
import { encodeInt64Initializer, encodeIrVersion } from '../onnx/writing/encode.ts';
import { INT4 } from '../onnx/numbers/element-types.ts';
import { scanModel } from '../onnx/scan.ts';
import type { Graph, Model, Span } from '../onnx/model.ts';
import { splice, type Edit, type Piece } from '../onnx/writing/splice.ts';
import { concatBytes, encodeHeader } from '../onnx/wire.ts';
import { bytesSource } from '../io/source.ts';
import { quantize, scanBytes } from '../test-support.ts';
import { planLevel, preparePlan, type Plan } from './plan.ts';
import { NO_MISFITS } from './precision/fits.ts';
import type { QuantizeTask } from './quantize-task.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import { checkPlannedFile } from './self-check.ts';

const w = (name = 'w') => tensor(name, 'float32', [64, 64], randomValues(1, 4096, 0.3));
const y = value('y', 'float32', [3, 64]);
const body = (output: string) =>
  graph({
    node: [node('MatMul', ['x', 'w'], [output])],
    initializer: [tensor(`${output}_c`, 'float32', [1], [1])],
    output: [value(output, 'float32', [3, 64])],
  });

function source(irVersion = 8): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('MatMul', ['x', 'w'], ['h']),
          node('If', ['flag'], ['i'], { then_branch: body('t'), else_branch: body('e') }),
          node('Dense', ['i'], ['d'], {}, 'local'),
          node('Add', ['h', 'd'], ['y']),
        ],
        initializer: [w()],
        input: [value('x', 'float32', [3, 64]), value('flag', 'bool', [1])],
        output: [y],
      }),
      17,
      irVersion,
      [localFunction('local', 'Dense', ['a'], ['b'], [node('Tanh', ['a'], ['b'])])],
    ),
  );
}

const field = (number: number, message: Uint8Array): Piece<QuantizeTask>[] => [
  { kind: 'bytes', bytes: concatBytes([encodeHeader(number, message.length), message]) },
];
const nodeField = (inputs: string[], outputs: string[], name: string, number = 1, domain = '') =>
  field(number, toBinary(NodeProtoSchema, { ...node('Add', inputs, outputs, {}, domain), name }));
const inside = (of: Graph) => [...of.within, of.span];
const append = (of: Graph, pieces: Piece<QuantizeTask>[]): Edit<QuantizeTask> => ({
  start: of.span.end,
  end: of.span.end,
  within: inside(of),
  pieces,
});
const remove = ({ start, end }: Pick<Span, 'start' | 'end'>, of: Graph): Edit<QuantizeTask> => ({
  start,
  end,
  within: inside(of),
  pieces: [],
});
const bodyOf = ({ graph: { nodes } }: Model) => nodes[1]!.attributes[0]!.graphs[0]!;
const metadata = (key: string) =>
  field(
    14,
    toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, { metadataProps: [create(StringStringEntryProtoSchema, { key, value: '' })] }),
    ).subarray(2),
  );
const at = (start: number, pieces: Piece<QuantizeTask>[]): Edit<QuantizeTask> => ({
  start,
  end: start,
  within: [],
  pieces,
});

/** The details of the error a plan ends in; null when there is none. */
async function checked(scanned: Model, plan: Pick<Plan, 'pieces' | 'data'>): Promise<string | null> {
  const error = await checkPlannedFile(scanned, plan).then(() => null, toEngineError);
  if (error) expect(error.code).toBe('internal');
  return error && error.details;
}

describe('a planted violation is found', () => {
  test.each<[string, (of: Model) => Edit<QuantizeTask>[], RegExp]>([
    ['a value made twice', ({ graph: g }) => [append(g, nodeField(['h', 'h'], ['h'], 'n'))], /two nodes make "h"/],
    [
      'a node name given twice',
      ({ graph: g }) => [append(g, nodeField(['h', 'h'], ['z'], g.nodes[0]!.name))],
      /called "h\/MatMul"/,
    ],
    [
      'an initializer given twice',
      ({ graph: g }) => [append(g, [{ kind: 'bytes', bytes: encodeInt64Initializer('w', [1]) }])],
      /two initializers called "w"/,
    ],
    [
      'an initializer that is made, too',
      ({ graph: g }) => [append(g, [{ kind: 'bytes', bytes: encodeInt64Initializer('h', [1]) }])],
      /"h" is an initializer and made/,
    ],
    ['a value that nothing defines', ({ graph: g }) => [remove(g.initializers[0]!.span, g)], /uses the value "w"/],
    [
      'a value that is made too late',
      ({ graph: g }) => [
        {
          start: g.nodes[0]!.span.start,
          end: g.nodes[0]!.span.start,
          within: inside(g),
          pieces: nodeField(['h', 'h'], ['z'], 'n'),
        },
      ],
      /"h" before it is made/,
    ],
    ['an output that nothing makes', ({ graph: g }) => [remove(g.nodes[3]!.span, g)], /nothing makes the output "y"/],
    ['an output that is gone', ({ graph: g }) => [remove(g.outputs[0]!.span, g)], /outputs are/],
    ['an input that is gone', ({ graph: g }) => [remove(g.inputs[1]!.span, g)], /required inputs are/],
    [
      'an input more',
      ({ graph: g }) => [append(g, field(11, toBinary(ValueInfoProtoSchema, value('more', 'float32', [1]))))],
      /required inputs are/,
    ],
    [
      'a type of nothing',
      ({ graph: g }) => [append(g, field(13, toBinary(ValueInfoProtoSchema, value('nothing', 'float32', [1]))))],
      /"nothing"/,
    ],
    [
      'a domain nobody imports',
      ({ graph: g }) => [append(g, nodeField(['h', 'h'], ['z'], 'n', 1, 'foreign'))],
      /"foreign"/,
    ],
    [
      'a type newer than the IR version',
      ({ graph: g }) => [
        append(
          g,
          field(
            5,
            toBinary(
              TensorProtoSchema,
              create(TensorProtoSchema, { name: 'n', dataType: INT4, dims: [2n], rawData: Uint8Array.of(1) }),
            ),
          ),
        ),
      ],
      /"n"/,
    ],
    [
      'a value of a body that nothing defines',
      (of) => [append(bodyOf(of), nodeField(['t', 'gone'], ['z'], 'n'))],
      /"gone"/,
    ],
    [
      'a value of a body that is defined outside',
      (of) => [append(bodyOf(of), nodeField(['t', 't'], ['h'], 'n'))],
      /"h", which is defined outside/,
    ],
    [
      'a value of a body made twice',
      (of) => [append(bodyOf(of), nodeField(['x', 'x'], ['t'], 'n'))],
      /two nodes in then_branch of i\/If make "t"/,
    ],
    [
      'a value of a function that nothing defines',
      ({ functions: [f] }) => [
        { start: f!.span.end, end: f!.span.end, within: [f!.span], pieces: nodeField(['b', 'h'], ['z'], 'n', 7) },
      ],
      /function local\.Dense uses the value "h"/,
    ],
    [
      'a key of the metadata given twice',
      ({ source: { size } }) => [at(size, [...metadata('k'), ...metadata('k')])],
      /key "k" twice/,
    ],
    [
      'an older IR version',
      ({ irVersionAt }) => [{ ...irVersionAt!, within: [], pieces: [{ kind: 'bytes', bytes: encodeIrVersion(3) }] }],
      /"w" is not an input[^]*IR version 3/,
    ],
    [
      'another graph, cut off',
      ({ graph: g }) => [append(g, [{ kind: 'bytes', bytes: encodeHeader(1, 100) }])],
      /cannot be read/,
    ],
  ])('%s', async (_, plant, expected) => {
    const bytes = source();
    const scanned = await scanBytes(bytes);
    expect(await checked(scanned, { pieces: splice(bytes.length, plant(scanned)), data: null })).toMatch(expected);
  });

  test('data behind the end of the second file, or in a file that is not written', async () => {
    const bytes = source();
    const scanned = await scanBytes(bytes);
    const input = preparePlan(scanned);
    const plan = planLevel(input, SCHEMES.int8, {}, NO_MISFITS, { limit: 4000 });
    expect(plan.data).not.toBeNull();
    expect(await checked(scanned, plan)).toBeNull();
    expect(
      await checked(scanned, { pieces: plan.pieces, data: { ...plan.data!, bytes: plan.data!.bytes - 1 } }),
    ).toMatch(/ends at byte/);
    expect(await checked(scanned, { pieces: plan.pieces, data: null })).toMatch(/which is not written/);
  });
});

describe('no false alarm', () => {
  test('what the model broke before is passed on', async () => {
    const proto = graph({
      node: [node('MatMul', ['x', 'w'], ['h']), node('Tanh', ['h'], ['y'])],
      initializer: [w(), w('u')],
      valueInfo: [value('h', 'float32', [3, 64]), value('h', 'float32', [3, 64]), value('nothing', 'float32', [1])],
      input: [value('x', 'float32', [3, 64])],
      output: [y, y],
    });
    for (const irVersion of [3, 8]) {
      const { plan } = await quantize(encode(model(proto, 9, irVersion)), 'int8');
      expect(plan.problem).toBeNull();
    }
  });

  test('a file that is the model as it is, is not looked at', async () => {
    const bytes = source();
    const scanned = await scanBytes(bytes);
    await expect(
      checkPlannedFile(
        { ...scanned, source: { ...scanned.source, read: () => Promise.reject(new Error('read')) } },
        { pieces: [{ kind: 'copy', start: 0, end: bytes.length }], data: null },
      ),
    ).resolves.toBeUndefined();
  });
});

test('a graph of 20,000 nodes is read, its weights are not', async () => {
  const count = 20_000;
  const size = 512;
  const large = encode(
    model(
      graph({
        node: Array.from({ length: count }, (_, i) =>
          node(i % 10 === 0 ? 'MatMul' : 'Tanh', i % 10 === 0 ? [`v${i}`, `w${i % 8}`] : [`v${i}`], [`v${i + 1}`]),
        ),
        initializer: Array.from({ length: 8 }, (_, i) =>
          tensor(`w${i}`, 'float32', [size, size], new Float32Array(size * size)),
        ),
        input: [value('v0', 'float32', [3, size])],
        output: [value(`v${count}`, 'float32', [3, size])],
      }),
    ),
  );
  const scanned = await scanModel(bytesSource('large.onnx', large));
  const weights = 8 * size * size * 4;
  let read = 0;
  const counting: Model = {
    ...scanned,
    source: {
      ...scanned.source,
      read: (offset, length) => {
        read += length;
        return scanned.source.read(offset, length);
      },
    },
  };
  // Half of the weights stay where they are.
  const plan = planLevel(preparePlan(counting), SCHEMES.int8, { exclude: ['w0', 'w1', 'w2', 'w3'] }, NO_MISFITS);
  read = 0;
  await checkPlannedFile(counting, plan);
  // What is read for the head of a tensor reaches into its data.
  expect(read).toBeLessThan(large.length - weights + 16 * (1 << 16));
}, 120_000);
