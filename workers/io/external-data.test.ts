import { describe, expect, test } from 'vitest';
import { byteTokenizer, splitModel, tinyLanguageModel } from '../../models/build.ts';
import { settle } from '../contract/errors.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { blobSink } from '../onnx/writing/write.ts';
import { compare } from '../pipeline/pipeline.ts';
import { open, plan } from '../pipeline/preview.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Job, LevelRequest } from '../contract/job.ts';
import { initializer, scanBytes } from '../test-support.ts';

/** Several levels are made and run, by a kernel written to be read. */
const WHOLE = tinyLanguageModel({ vocabulary: 128, width: 64, hidden: 96, type: 'float32', tied: false });
const ONE = () => 'model.onnx_data';
const EACH = (name: string) => `weights/${name}`;
const INT4: LevelRequest = { key: 'a', id: 'int4', settings: {} };

const file = (path: string, bytes: Uint8Array) => new File([bytes as Uint8Array<ArrayBuffer>], path);

function split(locate: (name: string) => string | null, folder = ''): { model: File; data: File[] } {
  const { model, files } = splitModel(WHOLE, locate);
  return {
    model: file(`${folder}model.onnx`, model),
    data: [...files].map(([location, bytes]) => file(`${folder}${location}`, bytes)),
  };
}

async function write(
  files: File[],
  levels = [INT4],
  more: Partial<Job> = {},
  limits: { singleFileLimit?: number } = {},
) {
  const written = new Map<string, Uint8Array>();
  const report = await settle(() =>
    compare(
      { files, levels, maxTokens: null, ...more },
      {
        ...limits,
        kernel: () => Promise.resolve(createReferenceKernel()),
        sink: (_, source, { external }) => Promise.resolve(blobSink(source, external)),
        evaluator: createNodeEvaluator(),
        threads: 1,
      },
      (event: EngineEvent) => {
        if (event.type !== 'written') return;
        blobs.push([event.level, event.blob]);
        if (event.data) blobs.push([event.data.file, event.data.blob]);
      },
      new AbortController().signal,
    ),
  );
  for (const [level, blob] of blobs.splice(0)) written.set(level, new Uint8Array(await blob.arrayBuffer()));
  return { report, written };
}
const blobs: [string, Blob][] = [];

describe('found by name', () => {
  test.each<[string, () => { model: File; data: File[] }]>([
    ['one file beside the model', () => split(ONE)],
    ['a file for each weight, in a folder below', () => split(EACH, 'export/')],
    [
      'the same, each dropped by itself',
      () => {
        const { model, data } = split(EACH);
        return { model, data: data.map((one) => new File([one], one.name.split('/').at(-1) ?? '')) };
      },
    ],
    [
      'the model by itself, its data in a folder',
      () => {
        const { model, data } = split(ONE);
        return { model, data: data.map((one) => new File([one], `folder/${one.name}`)) };
      },
    ],
    ['some weights in the model', () => split((name) => (name.includes('up') ? 'up.bin' : null))],
    [
      'files called as what every object has',
      () => split((name) => (name.includes('up') ? '__proto__' : name.includes('down') ? 'constructor' : null)),
    ],
    [
      'a spelling with a dot',
      () => {
        const { model, data } = split(() => './model.onnx_data');
        return { model, data: data.map((one) => new File([one], 'model.onnx_data')) };
      },
    ],
  ])('%s', async (_, make) => {
    const { model, data } = make();
    const opened = await open([...data, model]);
    expect(opened.problems).toEqual([]);
    expect(opened.missing).toBeUndefined();
    expect(opened.files.map(({ kind }) => kind)).toEqual([...data.map(() => 'external-data'), 'onnx']);
    expect(opened.model?.parameters).toBe((await open([file('model.onnx', WHOLE)])).model?.parameters);
    expect(opened.model?.bytes).toBe(data.reduce((sum, { size }) => sum + size, model.size));
  });

  test('of two folders the one the model is in', async () => {
    const here = split(ONE, 'here/');
    const there = split(ONE, 'there/');
    const cut = there.data.map((one) => new File([one.slice(0, 10)], one.name));
    expect((await open([...cut, here.model, ...here.data, ...cut])).problems).toEqual([]);
    expect((await open([here.model, ...there.data, ...split(ONE, 'elsewhere/').data])).missing).toEqual([
      { location: 'model.onnx_data', tensors: 5, bytes: here.data[0]?.size },
    ]);
  });

  test('six hundred files', async () => {
    const { model, data } = split(EACH);
    const others = Array.from({ length: 600 }, (_, i) =>
      file(`weights/layer.${i}`, Uint8Array.from([8, i & 127, 0x12, 255, 255, 3, 1])),
    );
    const opened = await open([model, ...others, ...data]);
    expect([opened.model?.name, opened.missing]).toEqual(['model.onnx', undefined]);
  });

  test('weights that look like a model by their first bytes are not taken for one', async () => {
    const bytes = new Uint8Array(9000);
    bytes.set([0x12, 0xff, 0xff, 0x03]);
    const { model, data } = split(ONE);
    expect((await open([...data, model, file('noise.bin', bytes)])).model?.name).toBe('model.onnx');
  });
});

describe('missing', () => {
  test('each file is named with what lies in it, and the levels can be planned to the byte', async () => {
    const { model, data } = split((name) => (name.startsWith('layers') ? 'layers.bin' : 'rest.bin'));
    const opened = await open([model, ...data.filter(({ name }) => name !== 'rest.bin')]);
    expect(opened.model).toBeNull();
    expect(opened.missing).toEqual([{ location: 'rest.bin', tensors: 2, bytes: 2 * 128 * 64 * 4 }]);
    expect(opened.problems).toEqual([
      expect.objectContaining({
        code: 'onnx-external-data',
        message: expect.stringMatching(
          /model\.onnx keeps 2 of its weights in other files, and rest\.bin is missing/,
        ) as string,
      }),
    ]);
    const [without] = await plan([model], [INT4]);
    const [complete] = await plan([model, ...data], [INT4]);
    expect(without?.problem?.code).toBe('onnx-external-data');
    expect(without?.bytes).toBe(complete?.bytes);
    const { report } = await write([model]);
    expect(report.ok ? 'ok' : report.error.code).toBe('onnx-external-data');
  });

  test('a file that is too short is said to be', async () => {
    const { model, data } = split(ONE);
    const cut = data.map((one) => new File([one.slice(0, one.size - 1)], one.name));
    expect((await open([model, ...cut])).problems).toEqual([
      expect.objectContaining({
        code: 'onnx-external-data',
        message: expect.stringMatching(/model\.onnx_data is too short: the weight .* ends at byte/) as string,
      }),
    ]);
  });

  test.each(['../weights.bin', '/etc/passwd', 'C:\\weights.bin', 'a\\b'])(
    '%s is refused whatever is there',
    async (location) => {
      const { model, data } = split(() => location);
      expect((await open([model, ...data])).problems.map(({ code }) => code)).toContain('onnx-external-data');
    },
  );
});

test('what is written is the same as of the model in one file, but for its order and origin', async () => {
  const { model, data } = split(EACH);
  const levels: LevelRequest[] = [
    INT4,
    { key: 'b', id: 'int8', settings: { mode: 'dequantize', source: 'original', embedding: true } },
  ];
  const apart = await write([model, ...data], levels);
  const whole = await write([file('model.onnx', WHOLE)], levels);
  if (!apart.report.ok || !whole.report.ok) throw new Error('not written');
  expect([...apart.written.keys()]).toEqual(['fp16', 'a', 'b']);
  for (const [level, bytes] of apart.written) {
    const same = whole.written.get(level) ?? new Uint8Array();
    const { graph, externalTensors: outside } = await scanBytes(bytes);
    expect(outside).toEqual([]);
    for (const { name } of (await scanBytes(same)).graph.initializers)
      expect((await initializer(bytes, name)).data, `${level} ${name}`).toEqual((await initializer(same, name)).data);
    expect(graph.nodes.map(({ type }) => type)).toEqual((await scanBytes(same)).graph.nodes.map(({ type }) => type));
    expect(bytes.length).toBe(
      apart.report.value.levels.find((entry) =>
        entry.level.startsWith({ fp16: 'fp16', a: 'int4', b: 'int8' }[level] ?? '?'),
      )?.bytes,
    );
  }
  const drift = ({ outputs }: { outputs?: unknown }) => outputs;
  expect(apart.report.value.levels.map(drift)).toEqual(whole.report.value.levels.map(drift));
});

test('the fingerprint covers the data, whatever order it comes in', async () => {
  const fingerprint = async (files: File[]) => {
    const { report } = await write(files);
    if (!report.ok) throw new Error(report.error.message);
    return report.value.model.fingerprint;
  };
  const { model, data } = split(EACH);
  const [first, ...rest] = data;
  if (!first) throw new Error('no data');
  const changed = new Uint8Array(await first.arrayBuffer());
  changed[0] = (changed[0] ?? 0) ^ 1;
  const known = await fingerprint([model, ...data]);
  expect(await fingerprint([...data.toReversed(), model])).toBe(known);
  expect(await fingerprint([model, file(first.name, changed), ...rest])).not.toBe(known);
});

test('a model too large for one file is written as two, and measured as if it were one', async () => {
  const { model, data } = split(EACH);
  const { report, written } = await write([model, ...data], [INT4], {}, { singleFileLimit: 20_000 });
  const one = await write([model, ...data], [INT4]);
  if (!report.ok || !one.report.ok) throw new Error('not measured');
  expect([...written.keys()]).toEqual(['fp16', 'model_fp16.onnx_data', 'a', 'model_q4.onnx_data']);
  for (const [i, key] of ['fp16', 'a'].entries()) {
    const level = report.value.levels[i];
    expect(level?.data?.bytes).toBe(written.get(level?.data?.file ?? '')?.length);
    expect(level?.bytes).toBe((written.get(key)?.length ?? 0) + (level?.data?.bytes ?? 0));
    expect(level?.outputs).toEqual(one.report.value.levels[i]?.outputs);
  }
  expect(report.value.levels[1]?.outputs?.length).toBe(1);
});

test('perplexity of a model in two files is that of one', async () => {
  const tokens = new File([byteTokenizer()], 'tokenizer.json');
  const text = new File(['It was the best of times, it was the worst of times. '.repeat(30)], 'text.txt');
  const whole = file(
    'model.onnx',
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false }),
  );
  const two = await write(
    [whole, tokens, text],
    [INT4, { key: 'h', id: 'q4f16', settings: {} }],
    {},
    { singleFileLimit: 30_000 },
  );
  const one = await write([whole, tokens, text], [INT4, { key: 'h', id: 'q4f16', settings: {} }]);
  if (!two.report.ok || !one.report.ok) throw new Error('not measured');
  expect(two.report.value.levels[0]?.data?.file).toBe('model_fp16.onnx_data');
  expect(two.report.value.levels.map(({ perplexity }) => perplexity)).toEqual(
    one.report.value.levels.map(({ perplexity }) => perplexity),
  );
  expect(two.report.value.levels[1]?.perplexity).not.toBeNull();
});

test('the original in float32, for the noise floor, is put together from its files', async () => {
  const tokens = new File([byteTokenizer()], 'tokenizer.json');
  const text = new File(['It was the best of times, it was the worst of times. '.repeat(30)], 'text.txt');
  const whole = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false });
  const { model, files } = splitModel(whole, ONE);
  const extras = { noiseFloor: true };
  const apart = await write(
    [file('model.onnx', model), ...[...files].map(([name, bytes]) => file(name, bytes)), tokens, text],
    [INT4],
    { extras },
  );
  const one = await write([file('model.onnx', whole), tokens, text], [INT4], { extras });
  if (!apart.report.ok || !one.report.ok) throw new Error('not measured');
  expect(apart.report.value.noiseFloor).toMatchObject({ reference: 'original' });
  expect(apart.report.value.noiseFloor).toEqual(one.report.value.noiseFloor);
  expect(apart.report.value.levels[1]?.perplexity).toEqual(one.report.value.levels[1]?.perplexity);
});
