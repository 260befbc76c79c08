import { filesSize } from '../onnx/model-files.ts';
import { describe, expect, test } from 'vitest';
import {
  byteTokenizer,
  encode,
  graph,
  imageModel,
  matMulModel,
  model,
  node,
  randomValues,
  tensor,
  tinyLanguageModel,
  twoOutputModel,
  value,
} from '../../models/build.ts';
import { settle } from '../contract/errors.ts';
import type { Evaluator } from '../evaluate/text/evaluate.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { blobSink } from '../onnx/writing/write.ts';
import type { Platform } from './job-context.ts';
import { compare } from './pipeline.ts';
import { open, plan } from './preview.ts';
import { notMeasured, type SpeedMeter } from '../evaluate/speed/speed-meter.ts';
import { fileName } from '../contract/levels/file-name.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Job, LevelRequest } from '../contract/job.ts';
import type { Provider } from '../contract/capabilities.ts';

const MODEL = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true });
const TEXT =
  'It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. '.repeat(
    20,
  );
const modelFile = new File([MODEL], 'tiny.onnx');
const tokenizerFile = new File([byteTokenizer()], 'tokenizer.json');
const textFile = new File([TEXT], 'text.txt');
const INT8: LevelRequest = { key: 'a', id: 'int8', settings: {} };
const INT4: LevelRequest = { key: 'b', id: 'int4', settings: { block: 16 } };

function surroundings(evaluator: Evaluator = createNodeEvaluator()): Platform {
  return {
    kernel: () => Promise.resolve(createReferenceKernel()),
    sink: (_, source) => Promise.resolve(blobSink(source)),
    evaluator,
    threads: 1,
  };
}

async function run(job: Partial<Job>, around = surroundings(), signal = new AbortController().signal) {
  const events: EngineEvent[] = [];
  const report = await settle(() =>
    compare(
      { files: [modelFile, tokenizerFile, textFile], levels: [INT8, INT4], maxTokens: null, ...job },
      around,
      (event) => {
        events.push(event);
      },
      signal,
    ),
  );
  return { report, events };
}

describe('open', () => {
  test('says what the files amount to', async () => {
    const opened = await open([modelFile, tokenizerFile, textFile]);
    expect(opened.problems).toEqual([]);
    expect(opened.model).toMatchObject({
      name: 'tiny.onnx',
      parameters: 256 * 64 + 2 * 64 * 96 + 64,
      baseline: 'rounded-to-fp16',
      languageModel: { vocabulary: 256 },
      cacheBytesPerToken: null,
    });
    expect(opened.tokenizer).toMatchObject({ vocabulary: 256, addsBos: false });
    expect(opened.text).toMatchObject({ tokens: TEXT.length });
  });

  test('a tokenizer of another model is named as that', async () => {
    const small = new File(
      [tinyLanguageModel({ vocabulary: 100, width: 64, hidden: 96, type: 'float32', tied: true })],
      'small.onnx',
    );
    expect((await open([small, tokenizerFile])).problems.map(({ code }) => code)).toEqual(['tokenizer-mismatch']);
  });

  test('one broken file leaves the others in use', async () => {
    const opened = await open([
      modelFile,
      new File([], 'empty.txt'),
      new File([MODEL.subarray(0, 5000)], 'cut.onnx'),
      modelFile,
    ]);
    expect(opened.model?.name).toBe('tiny.onnx');
    expect(opened.problems.map(({ code }) => code)).toContain('file-empty');
  });
});

/** A decoder that also takes the hidden states of an encoder. */
function crossAttention(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('Gather', ['e', 'input_ids'], ['x']),
          node('Add', ['x', 'encoder_hidden_states'], ['s']),
          node('MatMul', ['s', 'w'], ['logits']),
        ],
        initializer: [
          tensor('e', 'float32', [256, 64], randomValues(1, 256 * 64)),
          tensor('w', 'float32', [64, 256], randomValues(2, 64 * 256)),
        ],
        input: [
          value('input_ids', 'int64', ['batch', 'sequence']),
          value('encoder_hidden_states', 'float32', ['batch', 'sequence', 64]),
        ],
        output: [value('logits', 'float32', ['batch', 'sequence', 256])],
      }),
    ),
  );
}

/** Each position sees the mean of all, as in an encoder. */
function maskedLanguageModel(): Uint8Array<ArrayBuffer> {
  return encode(
    model(
      graph({
        node: [
          node('Gather', ['e', 'input_ids'], ['x']),
          node('ReduceMean', ['x'], ['m'], { axes: [1], keepdims: 1 }),
          node('Add', ['x', 'm'], ['s']),
          node('MatMul', ['s', 'w'], ['logits']),
        ],
        initializer: [
          tensor('e', 'float32', [256, 64], randomValues(1, 256 * 64)),
          tensor('w', 'float32', [64, 256], randomValues(2, 64 * 256)),
        ],
        input: [value('input_ids', 'int64', ['batch', 'sequence'])],
        output: [value('logits', 'float32', ['batch', 'sequence', 256])],
      }),
    ),
  );
}

describe('compare', () => {
  test('goes from files to a report, by way of events', async () => {
    const { report, events } = await run({});
    if (!report.ok) throw new Error(report.error.message);
    const { levels, protocol, model } = report.value;
    expect(model.sha256).toBe(Buffer.from(await crypto.subtle.digest('SHA-256', MODEL)).toString('hex'));
    expect(levels.map(({ level, baseline, file }) => ({ level, baseline, file }))).toEqual([
      { level: 'fp16', baseline: true, file: 'tiny_fp16.onnx' },
      { level: 'int8', baseline: false, file: 'tiny_int8.onnx' },
      { level: 'int4:block=16', baseline: false, file: 'tiny_q4_block16.onnx' },
    ]);
    expect(protocol).toMatchObject({ name: 'llama.cpp', context: 512, textTokens: TEXT.length, provider: 'wasm' });
    const [fp16, int8, int4] = levels;
    expect(fp16?.drift).toBeNull();
    expect(fp16?.perplexity?.value).toBeGreaterThan(1);
    expect(int8?.drift?.kld.mean).toBeGreaterThan(0);
    expect(int4?.drift?.kld.mean).toBeGreaterThan(int8?.drift?.kld.mean ?? Infinity);
    for (const level of levels)
      expect(level.ledger.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0)).toBe(level.weightBytes);

    const stages = events.flatMap((event) => (event.type === 'progress' ? event.stage : []));
    expect(stages.filter((stage, i) => stage !== stages[i - 1])).toEqual(['open', 'quantize', 'measure']);
    const written = events.flatMap((event) => (event.type === 'written' ? event : []));
    expect(written.map(({ level, blob, bytes }) => [level, blob.size === bytes])).toEqual([
      ['fp16', true],
      ['a', true],
      ['b', true],
    ]);
    expect(events.filter((event) => event.type === 'measured' && event.final)).toHaveLength(3);
  });

  test('what is planned is what is written', async () => {
    const planned = await plan([modelFile], [INT8, INT4]);
    const { report } = await run({ files: [modelFile] });
    if (!report.ok) throw new Error(report.error.message);
    expect(report.value.levels.slice(1).map(({ bytes, weightBytes }) => ({ bytes, weightBytes }))).toEqual(
      planned.map(({ bytes, weightBytes }) => ({ bytes, weightBytes })),
    );
  });

  test('levels with the same content are written each and measured once', async () => {
    const half = new File(
      [tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float16', tied: false })],
      'half.onnx',
    );
    const levels: LevelRequest[] = [
      { key: 'b', id: 'int4', settings: {} },
      { key: 'q', id: 'q4f16', settings: {} },
      { key: 'n', id: 'int4', settings: { exclude: ['nothing of this name'] } },
      { key: 'a', id: 'int8', settings: {} },
    ];
    const planned = await plan([half], levels);
    expect(planned.map(({ sameFileAs }) => sameFileAs)).toEqual([undefined, 'b', 'b', undefined]);
    const evaluator = createNodeEvaluator();
    const asked: string[][] = [];
    const watched: Evaluator = {
      ...evaluator,
      evaluate: (job, ...rest) => {
        asked.push(job.levels.map(({ key }) => key));
        return evaluator.evaluate(job, ...rest);
      },
    };
    const { report, events } = await run({ files: [half, tokenizerFile, textFile], levels }, surroundings(watched));
    if (!report.ok) throw new Error(report.error.message);
    expect(asked).toEqual([['int4', 'int8']]);
    const [, int4, q4f16, excluded, int8] = report.value.levels;
    expect([int4?.sameFileAs, q4f16?.sameFileAs, excluded?.sameFileAs, int8?.sameFileAs]).toEqual([
      undefined,
      'int4',
      'int4',
      undefined,
    ]);
    expect(int4?.drift?.kld.mean).toBeGreaterThan(0);
    for (const twin of [q4f16, excluded])
      expect([twin?.perplexity, twin?.drift]).toEqual([int4?.perplexity, int4?.drift]);
    expect(int8?.drift).not.toEqual(int4?.drift);
    expect(events.flatMap((event) => (event.type === 'measured' && event.final ? event.level : [])).sort()).toEqual([
      'a',
      'b',
      'fp16',
      'n',
      'q',
    ]);
    expect(events.filter((event) => event.type === 'written')).toHaveLength(5);
  });

  test('levels that differ in as little as one weight are measured each', async () => {
    const planned = await plan(
      [modelFile],
      [
        INT4,
        { key: 'c', id: 'int4', settings: { block: 16, exclude: ['layers.0.down.weight'] } },
        { key: 'd', id: 'int4', settings: { block: 16, asymmetric: true } },
        { key: 'e', id: 'int4', settings: { block: 16, source: 'original' } },
      ],
    );
    expect(planned.map(({ sameFileAs, problem }) => [sameFileAs, problem])).toEqual(
      planned.map(() => [undefined, null]),
    );
  });

  test('every level says what memory it will take on each provider, before it is measured', async () => {
    const { report, events } = await run({ files: [modelFile] });
    if (!report.ok) throw new Error(report.error.message);
    const written = events.flatMap((event) => (event.type === 'written' ? [event.memory] : []));
    expect(written).toEqual(report.value.levels.map(({ memory }) => memory));
    const [fp16, int8] = written;
    expect(fp16?.webgpu.fixed.weights).toBe(report.value.levels[0]?.weightBytes);
    expect(int8?.webgpu.fixed.weights).toBeGreaterThan(0);
    expect(fp16?.wasm.perToken.activations).toBe(256 * 4);
  });

  test('equal levels are made once and answer every request', async () => {
    let kernelCalls = 0;
    const kernel = createReferenceKernel();
    const counting = {
      ...surroundings(),
      kernel: () =>
        Promise.resolve({
          ...kernel,
          quantize: (...args: Parameters<typeof kernel.quantize>) => {
            kernelCalls++;
            return kernel.quantize(...args);
          },
        }),
    };
    const { report, events } = await run({ files: [modelFile], levels: [INT8, { ...INT8, key: 'twin' }] }, counting);
    expect(kernelCalls).toBe(3);
    expect(report.ok && report.value.levels.map(({ level }) => level)).toEqual(['fp16', 'int8', 'int8']);
    expect(report.ok && report.value.levels.map(({ key }) => key)).toEqual(['fp16', INT8.key, 'twin']);
    expect(events.flatMap((event) => (event.type === 'written' ? event.level : []))).toEqual(['fp16', 'a', 'twin']);
  });

  test.each<[string, File[], string]>([
    ['a text that is too short', [modelFile, tokenizerFile, new File(['short'], 'text.txt')], 'text-too-short'],
    [
      'a tokenizer that does not fit',
      [
        new File(
          [tinyLanguageModel({ vocabulary: 100, width: 64, hidden: 96, type: 'float32', tied: true })],
          's.onnx',
        ),
        tokenizerFile,
        textFile,
      ],
      'tokenizer-mismatch',
    ],
    [
      'an input that does not fit',
      [new File([twoOutputModel()], 'two.onnx'), new File(['[[1, 2]]'], 'features.json')],
      'input-invalid',
    ],
  ])('%s: sizes are compared all the same', async (_, files, code) => {
    const { report, events } = await run({ files });
    if (!report.ok) throw new Error(report.error.message);
    expect(report.value.protocol).toBeNull();
    expect(report.value.inputs).toBeNull();
    expect(report.value.levels.map(({ bytes, perplexity, outputs }) => [bytes > 0, perplexity, outputs])).toEqual([
      [true, null, null],
      [true, null, null],
      [true, null, null],
    ]);
    expect(events.flatMap((event) => (event.type === 'warning' ? event.error.code : []))).toEqual([code]);
    expect(report.value.notes).toEqual([expect.stringMatching(/Only sizes were compared/)]);
  });

  test.each<[string, File[], string[]]>([
    ['no tokenizer', [modelFile, textFile], ['no-tokenizer']],
    ['no text', [modelFile, tokenizerFile], ['no-text']],
    ['a model that is no language model', [new File([matMulModel(randomValues(1, 4096), 64, 64)], 'm.onnx')], []],
    [
      'the same with tokenizer and text',
      [new File([matMulModel(randomValues(1, 4096), 64, 64)], 'm.onnx'), tokenizerFile, textFile],
      ['not-a-language-model'],
    ],
    [
      'a decoder that asks for what a text does not give',
      [new File([crossAttention()], 'd.onnx'), tokenizerFile, textFile],
      ['inputs-unknown'],
    ],
    ['an image model', [new File([imageModel({ size: 32 })], 'i.onnx')], []],
  ])('%s: outputs are compared on random inputs, and that is said', async (_, files, codes) => {
    const { report, events } = await run({ files });
    if (!report.ok) throw new Error(report.error.message);
    const { protocol, inputs, levels, notes } = report.value;
    expect(protocol).toBeNull();
    expect(inputs).toMatchObject({ kind: 'random', seed: 1, samples: 8, provider: 'wasm' });
    const [fp16, int8, int4] = levels.map(({ outputs }) => outputs);
    expect(fp16).toBeNull();
    expect(int8?.[0]?.sqnr).toBeGreaterThan(20);
    expect(int8?.[0]?.sqnr).toBeGreaterThan(int4?.[0]?.sqnr ?? Infinity);
    expect(notes).toEqual([expect.stringMatching(/on 8 samples of random inputs \(seed 1\)/)]);
    expect(events.flatMap((event) => (event.type === 'warning' ? event.error.code : []))).toEqual(codes);
    expect(events.filter((event) => event.type === 'progress' && event.stage === 'measure').at(-1)).toMatchObject({
      unit: 'runs',
      done: 24,
      total: 24,
    });
  });

  test('a language model is compared by its logits', async () => {
    const { report } = await run({ files: [modelFile] });
    expect(report.ok && report.value.levels[1]?.outputs).toEqual([
      expect.objectContaining({
        output: 'logits',
        shape: [1, 16, 256],
        top1: expect.objectContaining({ value: expect.any(Number) }),
      }),
    ]);
    expect(report.ok && report.value.inputs?.inputs).toEqual([
      { name: 'input_ids', type: 'int64', shape: [1, 16], from: 'random whole numbers from 0 to 255' },
    ]);
  });

  test('an encoder with logits for every token has no perplexity, and its outputs are compared', async () => {
    const { report, events } = await run({
      files: [new File([maskedLanguageModel()], 'mlm.onnx'), tokenizerFile, textFile],
      levels: [INT8],
    });
    if (!report.ok) throw new Error(report.error.message);
    expect(events.flatMap((event) => (event.type === 'warning' ? event.error.code : []))).toEqual([
      'not-a-language-model',
    ]);
    expect(report.value.notes).toEqual([
      expect.stringMatching(/reads the whole text .* Outputs were compared instead/),
    ]);
    expect(report.value.levels[1]?.outputs?.[0]?.cosine).toBeGreaterThan(0.99);
  });

  test('dropped inputs are used, and told among the files', async () => {
    const input = new File(
      [JSON.stringify({ features: Array.from({ length: 3 }, (_, row) => Array.from(randomValues(row + 1, 48))) })],
      'features.json',
    );
    const files = [new File([twoOutputModel()], 'two.onnx'), input];
    expect((await open(files)).files.map(({ kind }) => kind)).toEqual(['onnx', 'input']);
    const { report } = await run({ files });
    if (!report.ok) throw new Error(report.error.message);
    expect(report.value.inputs).toMatchObject({ kind: 'files', seed: null, samples: 3 });
    expect(report.value.levels[2]?.outputs?.map(({ output }) => output)).toEqual(['embedding', 'label']);
  });

  test('finished early while outputs are compared', async () => {
    const finish = new AbortController();
    finish.abort();
    const report = await compare(
      { files: [new File([twoOutputModel()], 'two.onnx')], levels: [INT8], maxTokens: null },
      surroundings(),
      () => undefined,
      new AbortController().signal,
      finish.signal,
    );
    expect(report.inputs?.samples).toBe(1);
    expect(report.notes.join()).toMatch(/Stopped early: 1 of 8 samples/);
  });

  test.each<[string, File[], string]>([
    ['no model', [textFile], 'no-model'],
    ['an empty model', [new File([], 'model.onnx')], 'file-empty'],
    ['a truncated model', [new File([MODEL.subarray(0, MODEL.length / 2)], 'model.onnx')], 'onnx-truncated'],
  ])('%s ends in a sentence', async (_, files, code) => {
    const { report } = await run({ files });
    expect(report.ok ? 'ok' : report.error.code).toBe(code);
  });

  test.each<['open' | 'quantize' | 'measure']>([['open'], ['quantize'], ['measure']])(
    'stops when cancelled while it %ss',
    async (stage) => {
      const stop = new AbortController();
      const report = await settle(() =>
        compare(
          { files: [modelFile, tokenizerFile, textFile], levels: [INT8, INT4], maxTokens: null },
          surroundings(),
          (event) => {
            if (event.type === 'progress' && event.stage === stage) stop.abort();
          },
          stop.signal,
        ),
      );
      expect(report.ok ? 'ok' : report.error.code).toBe('cancelled');
    },
  );
});

test('a level with fp16 activations names the nodes that overflow in them', async () => {
  const loud = encode(
    model(
      graph({
        node: [
          node('MatMul', ['x', 'loud'], ['h']),
          node('Pow', ['x', 'power'], ['p']),
          node('ReduceMean', ['p'], ['m'], { axes: [1] }),
          node('Sqrt', ['m'], ['r']),
          node('Tanh', ['h'], ['t']),
          node('Mul', ['t', 'r'], ['s']),
          node('MatMul', ['s', 'w'], ['y']),
        ],
        initializer: [
          tensor('loud', 'float32', [64, 64], randomValues(1, 64 * 64, 30_000)),
          tensor('w', 'float32', [64, 64], randomValues(2, 64 * 64, 0.2)),
          tensor('power', 'float32', [], [12]),
        ],
        input: [value('x', 'float32', [3, 64])],
        output: [value('y', 'float32', [3, 64])],
      }),
    ),
  );
  const { report } = await run({
    files: [new File([loud], 'loud.onnx')],
    levels: [{ key: 'q', id: 'q4f16', settings: {} }, INT4],
  });
  if (!report.ok) throw new Error(report.error.message);
  expect(report.value.overflow?.map(({ tensor: name }) => name)).toEqual(expect.arrayContaining(['h', 'p']));
  expect(report.value.notes.filter((note) => note.startsWith('q4f16'))).toEqual([
    expect.stringMatching(
      /^q4f16: a node gives numbers beyond 65,504, which fp16 activations cannot hold: h\/MatMul \(MatMul, /,
    ),
  ]);
});

test('a weight beyond fp16 keeps no level from being made, and the baseline is fair', async () => {
  const weights = randomValues(1, 64 * 64, 0.2);
  weights[130] = 1e5;
  const one = encode(
    model(
      graph({
        node: [node('MatMul', ['x', 'w'], ['h']), node('MatMul', ['h', 'v'], ['y'])],
        initializer: [
          tensor('w', 'float32', [64, 64], weights),
          tensor('v', 'float32', [64, 64], randomValues(2, 64 * 64, 0.2)),
        ],
        input: [value('x', 'float32', [3, 64])],
        output: [value('y', 'float32', [3, 64])],
      }),
    ),
  );
  const { report } = await run({
    files: [new File([one], 'one.onnx')],
    levels: [INT8, INT4, { key: 'q', id: 'q4f16', settings: {} }],
    extras: { noiseFloor: true },
  });
  if (!report.ok) throw new Error(report.error.message);
  expect(report.value.levels.map(({ id, outputs }) => [id, outputs === null])).toEqual([
    ['fp16', true],
    ['int8', false],
    ['int4', false],
    ['q4f16', false],
  ]);
  expect(report.value.levels.map(({ ledger }) => ledger.find(({ tensor: name }) => name === 'w')?.to)).toEqual([
    'float32',
    'int8',
    'int4',
    'int4',
  ]);
  expect(report.value.notes.filter((note) => note.startsWith('fp16 is no fair baseline'))).toEqual([]);
});

test('finished early, the report is of what was measured, and says so', async () => {
  const finish = new AbortController();
  // Long enough that it is not over when the first event is told.
  const long = new File([TEXT.repeat(200)], 'text.txt');
  const report = await compare(
    { files: [modelFile, tokenizerFile, long], levels: [INT8], maxTokens: null },
    surroundings(),
    (event) => {
      if (event.type === 'progress' && event.stage === 'measure') finish.abort();
    },
    new AbortController().signal,
    finish.signal,
  );
  expect(report.protocol).toMatchObject({ stoppedEarly: true, plannedChunks: Math.floor((TEXT.length * 200) / 512) });
  expect(report.protocol?.chunks).toBeLessThan(report.protocol?.plannedChunks ?? 0);
  expect(report.notes.join()).toMatch(/Stopped early/);
  expect(report.levels.every(({ perplexity }) => perplexity !== null)).toBe(true);
});

test('words are in the report when they are asked for', async () => {
  const { report } = await run({ maxTokens: 512, extras: { words: true } });
  if (!report.ok) throw new Error(report.error.message);
  expect(report.value.words?.passages[0]?.levels.map(({ level }) => level)).toEqual(['int8', 'int4:block=16']);
  expect(report.value.words?.passages[0]?.tokens.join('')).toBe(TEXT.slice(0, 512));
  expect(report.value.words?.worst.length).toBeGreaterThan(11);
  const without = await run({ maxTokens: 512 });
  expect(without.report.ok && 'words' in without.report.value).toBe(false);
});

test('the protocol asked for is the one measured by', async () => {
  const { report } = await run({ levels: [INT8], protocol: { name: 'gptq', context: 256 } });
  if (!report.ok) throw new Error(report.error.message);
  expect(report.value.protocol).toMatchObject({
    name: 'gptq',
    context: 256,
    tokens: Math.floor(TEXT.length / 256) * 255,
  });
});

test.each([
  ['model.onnx', 'model_q4.onnx'],
  ['model_fp16.onnx', 'model_q4.onnx'],
  ['onnx/decoder.ONNX', 'decoder_q4.onnx'],
  ['_fp16.onnx', 'model_q4.onnx'],
])('%s at int4 is called %s', (from, to) => {
  expect(fileName(from, '_q4')).toBe(to);
});

describe('speed', () => {
  const problem = { code: 'device-lost' as const, message: 'The GPU went away.', action: '', details: '' };
  /** Loads at a second a byte, which tells whose figures they are; the GPU goes away. */
  function meter(onMeasure: (provider: Provider) => void = () => undefined): SpeedMeter {
    return {
      providers: () => Promise.resolve(['wasm', 'webgpu']),
      measure(model, provider, threads) {
        onMeasure(provider);
        const load = { median: filesSize(model), low: filesSize(model), high: filesSize(model), runs: 3 };
        return Promise.resolve(
          provider === 'webgpu'
            ? notMeasured(provider, threads, problem)
            : { ...notMeasured(provider, threads, problem), load, problem: null },
        );
      },
    };
  }
  const around = (speedMeter: SpeedMeter): Platform => ({ ...surroundings(), speedMeter });

  test('is measured for each level on each provider, last of all', async () => {
    const { report, events } = await run({ extras: { speed: true } }, around(meter()));
    if (!report.ok) throw new Error(report.error.message);
    const { levels, notes, seconds } = report.value;
    expect(
      levels.map(({ speed, bytes }) =>
        speed?.map(({ provider, load, problem: wrong }) => [provider, load?.median === bytes, wrong?.code]),
      ),
    ).toEqual(
      levels.map(() => [
        ['wasm', true, undefined],
        ['webgpu', false, 'device-lost'],
      ]),
    );
    expect(notes).toEqual(['Speed on WebGPU: The GPU went away.']);
    expect(seconds?.check).toBeGreaterThanOrEqual(0);
    const checks = events.flatMap((event) => (event.type === 'progress' && event.stage === 'check' ? event : []));
    expect(checks.at(-1)).toMatchObject({ level: 'b', done: 6, total: 6, unit: 'runs' });
    expect(
      events
        .slice(events.findIndex((event) => event === checks[0]))
        .every((event) => event.type === 'timing' || (event.type === 'progress' && event.stage === 'check')),
    ).toBe(true);
    // What failed is nothing to predict from.
    expect(
      events.flatMap((event) =>
        event.type === 'timing' && event.step === 'speed' ? [[event.level, event.provider, event.amount]] : [],
      ),
    ).toEqual(['fp16', 'a', 'b', 'fp16', 'a', 'b'].map((key) => [key, 'wasm', 0.5]));
    // Two rounds of three runs each.
    expect(levels.map(({ speed }) => speed?.[0]?.load?.runs)).toEqual([6, 6, 6]);
  });

  test('is measured only when asked for', async () => {
    const measured: Provider[] = [];
    const { report } = await run(
      {},
      around(
        meter((provider) => {
          measured.push(provider);
        }),
      ),
    );
    expect(measured).toEqual([]);
    expect(report.ok && report.value.levels.every((level) => !('speed' in level))).toBe(true);
  });

  test('can be cancelled, and finished early', async () => {
    const stop = new AbortController();
    const cancelled = await run(
      { extras: { speed: true } },
      around(
        meter(() => {
          stop.abort();
        }),
      ),
      stop.signal,
    );
    expect(cancelled.report.ok ? 'ok' : cancelled.report.error.code).toBe('cancelled');

    const finish = new AbortController();
    const report = await compare(
      { files: [modelFile, tokenizerFile, textFile], levels: [INT8], maxTokens: null, extras: { speed: true } },
      around(
        meter((provider) => {
          if (provider === 'webgpu') finish.abort();
        }),
      ),
      () => undefined,
      new AbortController().signal,
      finish.signal,
    );
    expect(report.levels.map(({ speed }) => speed?.length)).toEqual([2, 1]);
    expect(report.notes).toContain('Speed measured for 3 of 4 pairs of level and provider (stopped).');
  });
});
