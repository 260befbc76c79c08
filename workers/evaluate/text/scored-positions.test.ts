import { readFile } from 'node:fs/promises';
import { inOneFile } from '../../onnx/model-files.ts';
import { create } from '@bufbuild/protobuf';
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import { encode, graph, model, node, randomValues, tensor, tinyLanguageModel, value } from '../../../models/build.ts';
import { fromFloat16Array } from '../../onnx/numbers/float16.ts';
import { OperatorSetIdProtoSchema, type NodeProto, type ValueInfoProto } from 'onnx-buf';
import { quantize, scanBytes } from '../../test-support.ts';
import { evaluate, type EvaluationJob } from './evaluate.ts';
import { sliceToScored, type SlicedModel } from './scored-positions.ts';
import { wasmRuntime } from '../sessions/graph-session.ts';
import { languageModels, type LanguageModel } from './language-model.ts';
import { tinyModel } from '../test-models.ts';

const blobOf = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>]);

const opened = async (model: Blob): Promise<LanguageModel> => {
  const result = await languageModels(wasmRuntime(ort, 1)).open(inOneFile(model));
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
};

/** Logits of a model that is only ids in, logits out, straight from the runtime. */
async function run(model: Blob, ids: Int32Array, range: Record<string, number> = {}): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(new Uint8Array(await model.arrayBuffer()), { logSeverityLevel: 3 });
  const int64 = (values: bigint[], dims: number[]) => new ort.Tensor('int64', BigInt64Array.from(values), dims);
  const { logits } = await session.run({
    input_ids: int64(Array.from(ids, BigInt), [1, ids.length]),
    ...Object.fromEntries(Object.entries(range).map(([name, value]) => [name, int64([BigInt(value)], [1])])),
  });
  await session.release();
  const data = logits?.data as Float32Array | Uint16Array;
  return data instanceof Float32Array
    ? data
    : fromFloat16Array(new Uint16Array(data.buffer, data.byteOffset, data.length));
}

/** The way that saves most. */
const sliceBest = async (model: Blob): Promise<SlicedModel | null> =>
  (await sliceToScored(inOneFile(model)))[0] ?? null;

const IDS = Int32Array.from({ length: 48 }, (_, index) => (index * 37) % 256);

describe.each(['float32', 'float16'] as const)('logits of scored positions only, %s', (type) => {
  it.each([true, false])('are those of the whole window, bit for bit, at every level (tied: %s)', async (tied) => {
    const original = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type, tied });
    const levels = await Promise.all(
      ['fp16', 'int8', 'int8:head=keep', 'int4:block=16,asymmetric', 'int4:embedding'].map(
        async (level) => (await quantize(original, level)).bytes,
      ),
    );
    for (const bytes of [original, ...levels]) {
      expect(await sliceBest(blobOf(bytes))).not.toBeNull();
      const whole = await run(blobOf(bytes), IDS);
      const language = await opened(blobOf(bytes));
      for (const [first, rows] of [
        [24, 23],
        [0, 48],
        [47, 1],
        [0, 1],
      ] as const) {
        expect(await language.logits(IDS, first, rows)).toEqual({
          ok: true,
          value: whole.slice(first * 256, (first + rows) * 256),
        });
      }
      await language.release();
    }
  });
});

describe('the sliced graph', () => {
  it.each(['fp16', 'int8', 'int4'])("gives the sample model's logits bit for bit, at %s, each way", async (level) => {
    const sample = await readFile(new URL('../../../models/sample/model_fp16.onnx', import.meta.url));
    const ids = Int32Array.from({ length: 192 }, (_, index) => (index * 997) % 4096);
    const { bytes } = await quantize(sample, level);
    const ways = await sliceToScored(inOneFile(blobOf(bytes)));
    // Behind the last attention's residual, and before the output projection.
    expect(
      await Promise.all(
        ways.map(async ({ model }) => {
          const {
            graph: { nodes },
          } = await scanBytes(new Uint8Array(await model.model.arrayBuffer()));
          return nodes[nodes.findIndex(({ name }) => name === 'scored_hidden') - 1]?.inputs;
        }),
      ),
    ).toEqual([['model.layers.5.attn_res'], ['model.norm/out']]);
    const logits = async (model: Blob, how: 'asked' | 'all') => {
      const graphs = wasmRuntime(ort, 2);
      let opens = 0;
      const language = await languageModels(
        {
          ...graphs,
          open: (blob) => {
            opens++;
            return graphs.open(blob);
          },
        },
        how,
      ).open(inOneFile(model));
      if (!language.ok) throw new Error(language.error.details);
      // The first way has passed its trial.
      expect(opens).toBe(1);
      const result = await language.value.logits(ids, 96, 95);
      await language.value.release();
      if (!result.ok) throw new Error(result.error.details);
      return result.value;
    };
    const whole = await logits(blobOf(bytes), 'all');
    const asked = await logits(blobOf(bytes), 'asked');
    expect(asked).toHaveLength(95 * 4096);
    // Counted: so many numbers take minutes to print.
    expect(asked.filter((value, index) => value !== whole[index])).toHaveLength(0);
  });

  it('differs from the model by the slice and by nothing else', async () => {
    const bytes = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true });
    const sliced = await sliceBest(blobOf(bytes));
    const before = await scanBytes(bytes);
    const after = await scanBytes(new Uint8Array((await sliced?.model.model.arrayBuffer()) ?? new ArrayBuffer(0)));
    expect(after.graph.nodes.map(({ type }) => type)).toEqual(
      before.graph.nodes.flatMap(({ type }) => (type === 'Gather' ? [type, 'Slice'] : [type])),
    );
    expect(after.graph.inputs.map(({ proto }) => proto.name)).toEqual(['input_ids', sliced?.first, sliced?.end]);
    expect(after.graph.initializers.map(({ name, bytes: size }) => [name, size])).toEqual([
      ...before.graph.initializers.map(({ name, bytes: size }) => [name, size]),
      ['scored_axes', 8],
    ]);
    expect(after.opsets).toEqual(before.opsets);
  });
});

describe('statistics', () => {
  it('of the sample model and its int4 level are those of an evaluation that computes all logits', async () => {
    const sample = (name: string) => readFile(new URL(`../../../models/sample/${name}`, import.meta.url));
    const baseline = await sample('model_fp16.onnx');
    const job: EvaluationJob = {
      baseline: { key: 'fp16', model: inOneFile(blobOf(baseline)) },
      levels: [{ key: 'int4', model: inOneFile(blobOf((await quantize(baseline, 'int4')).bytes)) }],
      tokenizerJson: (await sample('tokenizer.json')).toString('utf8'),
      tokenizerConfig: (await sample('tokenizer_config.json')).toString('utf8'),
      text: 'It was a clear steel-blue day. The firmaments of air and sea were hardly separable in that all-pervading azure. '.repeat(
        60,
      ),
      textName: 'text',
      maxTokens: 1024,
      threads: 1,
    };
    const [asked, all] = [
      await evaluate(languageModels(wasmRuntime(ort, 1), 'asked'), job, () => undefined),
      await evaluate(languageModels(wasmRuntime(ort, 1), 'all'), job, () => undefined),
    ];
    expect(asked.ok && asked.value.protocol.chunks).toBe(2);
    expect(asked).toEqual(all);
  });
});

const V = 32;
const D = 8;

interface Head {
  /** Shape of the logits. */
  output?: (number | string)[];
  more?: { output?: ValueInfoProto[]; valueInfo?: ValueInfoProto[] };
  opset?: number;
}

/** ids → Gather → `nodes`, which make `logits` of `hidden` [batch, sequence, 8]. */
function withHead(
  nodes: NodeProto[],
  { output = ['batch', 'sequence', V], more = {}, opset = 17 }: Head = {},
): Uint8Array {
  const body = graph({
    node: [node('Gather', ['table', 'input_ids'], ['embedded']), node('Tanh', ['embedded'], ['hidden']), ...nodes],
    initializer: [
      tensor('table', 'float32', [V, D], randomValues(1, V * D)),
      tensor('head', 'float32', [D, V], randomValues(2, V * D)),
      tensor('bias', 'float32', [V], randomValues(3, V)),
      tensor('cap', 'float32', [], [3]),
      tensor('batched_head', 'float32', [1, D, V], randomValues(2, V * D)),
      tensor('by_position', 'float32', [1, 6, 1], [1, 2, 3, 4, 5, 6]),
      tensor('flat', 'int64', [2], [-1, D]),
      tensor('rows', 'int64', [3], [1, -1, V]),
    ],
    input: [value('input_ids', 'int64', ['batch', 'sequence'])],
    output: [value('logits', 'float32', output)],
  });
  return encode(
    model(
      Object.assign(body, { output: [...body.output, ...(more.output ?? [])], valueInfo: more.valueInfo ?? [] }),
      opset,
    ),
  );
}

const SOFT_CAPPED = [
  node('MatMul', ['hidden', 'head'], ['projected']),
  node('Add', ['projected', 'bias'], ['biased']),
  node('Div', ['biased', 'cap'], ['scaled']),
  node('Tanh', ['scaled'], ['capped']),
  node('Mul', ['cap', 'capped'], ['logits']),
];

describe('a head is sliced', () => {
  it.each<{ when: string; bytes: Uint8Array }>([
    { when: 'it has a bias and a soft cap', bytes: withHead(SOFT_CAPPED) },
    {
      when: 'shapes are noted for values behind it',
      bytes: withHead(SOFT_CAPPED, {
        more: {
          valueInfo: [
            value('projected', 'float32', ['batch', 'sequence', V]),
            value('hidden', 'float32', ['batch', 'sequence', D]),
          ],
        },
      }),
    },
    { when: 'the sequence is of fixed length', bytes: withHead(SOFT_CAPPED, { output: [1, 48, V] }) },
    {
      when: 'another output shows the hidden states',
      bytes: withHead(SOFT_CAPPED, { more: { output: [value('hidden', 'float32', ['batch', 'sequence', D])] } }),
    },
    {
      when: 'a Cast in front has other uses',
      bytes: withHead(
        [
          node('Cast', ['hidden'], ['half'], { to: 10 }),
          node('Cast', ['half'], ['again'], { to: 1 }),
          node('Cast', ['half'], ['other'], { to: 1 }),
          node('MatMul', ['again', 'head'], ['logits']),
        ],
        { more: { output: [value('other', 'float32', ['batch', 'sequence', D])] } },
      ),
    },
    {
      when: 'it is multiplied by another of the same positions',
      bytes: withHead([
        node('MatMul', ['hidden', 'head'], ['projected']),
        node('MatMul', ['hidden', 'head'], ['gate']),
        node('Mul', ['projected', 'gate'], ['logits']),
      ]),
    },
    {
      when: 'the names of its inputs are taken',
      bytes: withHead([
        node('Tanh', ['hidden'], ['scored_first']),
        node('MatMul', ['scored_first', 'head'], ['logits']),
      ]),
    },
  ])('when $when', async ({ bytes }) => {
    const sliced = await sliceBest(blobOf(bytes));
    if (!sliced) throw new Error('not sliced');
    const ids = IDS.map((id) => id % V);
    const whole = await run(blobOf(bytes), ids);
    expect(await run(sliced.model.model, ids, { [sliced.first]: 24, [sliced.end]: 47 })).toEqual(
      whole.slice(24 * V, 47 * V),
    );
    expect(await (await opened(blobOf(bytes))).logits(ids, 24, 23)).toEqual({
      ok: true,
      value: whole.slice(24 * V, 47 * V),
    });
  });
});

describe('the Slice stands as far up as positions are apart', () => {
  const scale = tensor('scale', 'float32', [D], randomValues(5, D));
  const more = [
    scale,
    tensor('up', 'float32', [D, 2 * D], randomValues(6, 2 * D * D)),
    tensor('down', 'float32', [D, D], randomValues(7, D * D)),
    tensor('o', 'float32', [D, D], randomValues(8, D * D)),
    tensor('last', 'int64', [1], [-1]),
    tensor('sequence', 'int64', [1], [1]),
    tensor('halves', 'int64', [2], [D, D]),
    tensor('one', 'int64', [], [1]),
    tensor('eps', 'float32', [], [1e-5]),
    tensor('two', 'float32', [], [2]),
  ];
  /** A sum over earlier positions for attention, and what comes behind. */
  const behindMixing = (nodes: NodeProto[], { contrib = false, opset = 18 } = {}) => {
    const body = graph({
      node: [
        node('Gather', ['table', 'input_ids'], ['embedded']),
        node('CumSum', ['embedded', 'one'], ['mixed']),
        ...nodes,
      ],
      initializer: [
        tensor('table', 'float32', [V, D], randomValues(1, V * D)),
        tensor('head', 'float32', [D, V], randomValues(2, V * D)),
        ...more,
      ],
      input: [value('input_ids', 'int64', ['batch', 'sequence'])],
      output: [value('logits', 'float32', ['batch', 'sequence', V])],
    });
    const proto = model(body, opset);
    if (contrib) proto.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }));
    return encode(proto);
  };
  const slicedValues = async (bytes: Blob) => {
    const {
      graph: { nodes },
    } = await scanBytes(new Uint8Array(await bytes.arrayBuffer()));
    return nodes.filter(({ inputs }) => inputs[1] === 'scored_first').map(({ inputs }) => inputs[0] ?? '');
  };
  const RMS = [
    node('Pow', ['attended', 'two'], ['square']),
    node('ReduceMean', ['square', 'last'], ['variance'], { keepdims: 1 }),
    node('Add', ['variance', 'eps'], ['above']),
    node('Sqrt', ['above'], ['deviation']),
    node('Div', ['attended', 'deviation'], ['unit']),
    node('Mul', ['unit', 'scale'], ['normed']),
  ];
  const FEED_FORWARD = [
    node('MatMul', ['normed', 'up'], ['both']),
    node('Split', ['both', 'halves'], ['gate', 'value'], { axis: -1 }),
    node('Sigmoid', ['gate'], ['open']),
    node('Mul', ['gate', 'open'], ['silu']),
    node('Mul', ['silu', 'value'], ['gated']),
    node('MatMul', ['gated', 'down'], ['fed']),
  ];
  const HEAD = node('MatMul', ['hidden', 'head'], ['logits']);
  const RESIDUALS = [
    node('MatMul', ['mixed', 'o'], ['projected']),
    node('Add', ['embedded', 'projected'], ['attended']),
    ...RMS,
    ...FEED_FORWARD,
    node('Add', ['attended', 'fed'], ['hidden']),
    HEAD,
  ];
  const SKIP_NORMS = [
    node('MatMul', ['mixed', 'o'], ['projected']),
    node(
      'SkipSimplifiedLayerNormalization',
      ['embedded', 'projected', 'scale'],
      ['normed', '', '', 'attended'],
      {},
      'com.microsoft',
    ),
    ...FEED_FORWARD,
    node('SkipSimplifiedLayerNormalization', ['attended', 'fed', 'scale'], ['hidden'], {}, 'com.microsoft'),
    HEAD,
  ];
  /** A mean over all positions, which would let them see each other. */
  const GLOBAL = [
    node('ReduceMean', ['mixed', 'sequence'], ['overall'], { keepdims: 1 }),
    node('Sub', ['mixed', 'overall'], ['hidden']),
    HEAD,
  ];

  it.each<{ when: string; bytes: Uint8Array; values: string[][] }>([
    {
      when: 'at the residual behind attention, through norm, gates and a second residual',
      bytes: behindMixing(RESIDUALS),
      values: [['attended'], ['hidden']],
    },
    {
      when: 'at two values where residual and norm are one operator',
      bytes: behindMixing(SKIP_NORMS, { contrib: true }),
      values: [['mixed', 'embedded'], ['hidden']],
    },
    { when: 'behind a mean over positions', bytes: behindMixing(GLOBAL), values: [['hidden']] },
    {
      when: 'behind a norm over another axis',
      bytes: behindMixing([node('LayerNormalization', ['mixed', 'scale'], ['hidden'], { axis: 1 }), HEAD]),
      values: [['hidden']],
    },
    {
      when: 'behind what an output shows',
      bytes: behindMixing([node('Tanh', ['mixed'], ['hidden']), HEAD]),
      values: [['mixed'], ['hidden']],
    },
  ])('$when', async ({ bytes, values }) => {
    const ways = await sliceToScored(inOneFile(blobOf(bytes)));
    expect(await Promise.all(ways.map(async ({ model }) => (await slicedValues(model.model)).sort()))).toEqual(
      values.map((names) => [...names].sort()),
    );
    const ids = IDS.map((id) => id % V);
    const whole = await run(blobOf(bytes), ids);
    for (const { model, first, end } of ways)
      expect(await run(model.model, ids, { [first]: 24, [end]: 47 })).toEqual(whole.slice(24 * V, 47 * V));
  });

  it('and where it cannot, the model is opened the next way, or as it is', async () => {
    // A number computed from the input, which has no positions to take out.
    const bytes = behindMixing([
      node('ReduceMean', ['mixed'], ['level'], { keepdims: 0 }),
      node('Mul', ['mixed', 'level'], ['scaled']),
      node('MatMul', ['scaled', 'o'], ['hidden']),
      HEAD,
    ]);
    const ids = IDS.map((id) => id % V);
    const ways = await sliceToScored(inOneFile(blobOf(bytes)));
    expect(ways).toHaveLength(2);
    const result = await languageModels(wasmRuntime(ort, 1)).open(inOneFile(blobOf(bytes)));
    // Every position sees all others here, so it is no language model, and that is what is said.
    expect(result).toMatchObject({ ok: false, error: { code: 'not-a-language-model' } });
    const whole = await run(blobOf(bytes), ids);
    expect(await run(ways.at(-1)!.model.model, ids, { scored_first: 24, scored_end: 47 })).toEqual(
      whole.slice(24 * V, 47 * V),
    );
  });
});

describe('a head is left alone', () => {
  it.each<{ when: string; bytes: Uint8Array | Blob }>([
    {
      when: 'its result is an output too',
      bytes: withHead(SOFT_CAPPED, { more: { output: [value('projected', 'float32', ['batch', 'sequence', V])] } }),
    },
    {
      when: 'something else uses its result',
      bytes: withHead([...SOFT_CAPPED, node('Tanh', ['projected'], ['other'])], {
        more: { output: [value('other', 'float32', ['batch', 'sequence', V])] },
      }),
    },
    {
      when: 'something else uses the logits',
      bytes: withHead([...SOFT_CAPPED, node('Tanh', ['logits'], ['other'])], {
        more: { output: [value('other', 'float32', ['batch', 'sequence', V])] },
      }),
    },
    {
      when: 'the matrix is not constant',
      bytes: withHead([node('Tanh', ['head'], ['made']), node('MatMul', ['hidden', 'made'], ['logits'])]),
    },
    { when: 'the matrix has a batch axis', bytes: withHead([node('MatMul', ['hidden', 'batched_head'], ['logits'])]) },
    {
      when: 'positions are scaled each by their own',
      bytes: withHead([
        node('MatMul', ['hidden', 'head'], ['projected']),
        node('Mul', ['projected', 'by_position'], ['logits']),
      ]),
    },
    {
      when: 'positions see each other behind it',
      bytes: withHead([
        node('MatMul', ['hidden', 'head'], ['projected']),
        node('Softmax', ['projected'], ['logits'], { axis: 1 }),
      ]),
    },
    {
      when: 'batch and sequence are folded together',
      bytes: withHead([
        node('Reshape', ['hidden', 'flat'], ['folded']),
        node('MatMul', ['folded', 'head'], ['projected']),
        node('Reshape', ['projected', 'rows'], ['logits']),
      ]),
    },
    {
      when: 'the logits have no sequence axis of their own',
      bytes: withHead(
        [node('Reshape', ['hidden', 'flat'], ['folded']), node('MatMul', ['folded', 'head'], ['logits'])],
        { output: ['rows', V] },
      ),
    },
    { when: 'the operator set is too old for a Slice with inputs', bytes: withHead(SOFT_CAPPED, { opset: 9 }) },
    { when: 'the file is no model', bytes: new Blob(['not a model']) },
    { when: 'the model is cut off', bytes: tinyModel({ vocabulary: 50 }).slice(0, 300) },
  ])('when $when', async ({ bytes }) => {
    expect(await sliceBest(bytes instanceof Blob ? bytes : blobOf(bytes))).toBeNull();
  });

  it('and its logits are cut to what is asked for', async () => {
    const bytes = withHead([
      node('Reshape', ['hidden', 'flat'], ['folded']),
      node('MatMul', ['folded', 'head'], ['projected']),
      node('Reshape', ['projected', 'rows'], ['logits']),
    ]);
    const ids = IDS.map((id) => id % V);
    const whole = await run(blobOf(bytes), ids);
    expect(await (await opened(blobOf(bytes))).logits(ids, 24, 23)).toEqual({
      ok: true,
      value: whole.slice(24 * V, 47 * V),
    });
  });
});
