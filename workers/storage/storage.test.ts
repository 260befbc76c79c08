import { openAsBlob } from 'node:fs';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { byteTokenizer, matMulModel, randomValues, tinyLanguageModel } from '../../models/build.ts';
import { cancelled, settle } from '../contract/errors.ts';
import type { Evaluator } from '../evaluate/text/evaluate.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { blobSink } from '../onnx/writing/write.ts';
import { compare } from '../pipeline/pipeline.ts';
import type { EngineEvent } from '../contract/events.ts';
import type { Job, LevelRequest } from '../contract/job.ts';
import { localLocks } from './disk/locks.ts';
import { openReportStore } from './report-store.ts';
import { openBrowserRepository, createResultRepository, type ResultRepository } from './storage.ts';
import { memoryDisk, type MemoryDisk } from './test-disk.ts';

const MODEL = tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true });
const TEXT =
  'It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. '.repeat(
    12,
  );
const INT8: LevelRequest = { key: 'a', id: 'int8', settings: {} };
const INT4: LevelRequest = { key: 'b', id: 'int4', settings: { block: 16 } };
const files = (text = TEXT) => [
  new File([MODEL], 'tiny.onnx'),
  new File([byteTokenizer()], 'tokenizer.json'),
  new File([text], 'text.txt'),
];

/** A tab: a keeper over a disk, with the work counted. */
async function tab(disk: MemoryDisk, locks = localLocks(), memoryLimit?: number) {
  const keeper = await createResultRepository(disk, {
    locks,
    channel: () => new BroadcastChannel('nibble:test'),
    recordEvery: 100,
    ...(memoryLimit === undefined ? {} : { memoryLimit }),
  });
  const counts = { kernel: 0, evaluations: 0 };
  const evaluator = createNodeEvaluator();
  const counting: Evaluator = {
    evaluate: (...args) => {
      counts.evaluations++;
      return evaluator.evaluate(...args);
    },
    compareOutputs: (...args) => {
      counts.evaluations++;
      return evaluator.compareOutputs(...args);
    },
    checkOverflow: (...args) => evaluator.checkOverflow(...args),
  };
  const kernel = createReferenceKernel();
  const run = async (
    job: Partial<Job> = {},
    {
      signal = new AbortController().signal,
      finish,
      use = counting,
    }: { signal?: AbortSignal; finish?: AbortController; use?: Evaluator } = {},
  ) => {
    const events: EngineEvent[] = [];
    const report = await settle(() =>
      compare(
        { files: files(), levels: [INT8, INT4], maxTokens: null, ...job },
        {
          ...keeper.job((error) => {
            events.push({ type: 'warning', error });
          }),
          kernel: async () => ({
            ...kernel,
            quantize: (...args) => {
              counts.kernel++;
              return kernel.quantize(...args);
            },
          }),
          evaluator: use,
          threads: 1,
        },
        (event) => {
          events.push(event);
        },
        signal,
        finish?.signal,
      ),
    );
    return { report, events };
  };
  return { keeper, counts, run };
}

const blobs = (events: readonly EngineEvent[]) =>
  Promise.all(
    events.flatMap((event) =>
      event.type === 'written' ? event.blob.arrayBuffer().then((bytes) => Buffer.from(bytes).toString('base64')) : [],
    ),
  );

describe('a job done before', () => {
  test('is there after a reload: nothing is quantized or measured again', async () => {
    const disk = memoryDisk();
    const first = await (await tab(disk)).run();
    const later = await tab(disk);
    const second = await later.run();
    expect(first.report.ok).toBe(true);
    expect(second.report).toEqual(first.report);
    expect(later.counts).toEqual({ kernel: 0, evaluations: 0 });
    expect(await blobs(second.events)).toEqual(await blobs(first.events));
    const final = ({ events }: { events: EngineEvent[] }) =>
      events.filter((event) => event.type === 'measured' && event.final);
    expect(final(second)).toEqual(final(first));
    expect(final(second)).toHaveLength(3);
  });

  test('answers the keys of the job that asks for it', async () => {
    const disk = memoryDisk();
    await (await tab(disk)).run();
    const { run, counts } = await tab(disk);
    const { report } = await run({
      levels: [
        { ...INT8, key: 'first' },
        { ...INT4, key: 'second' },
      ],
    });
    expect(counts.evaluations).toBe(0);
    expect(report.ok && report.value.levels.map(({ id, key }) => [id, key])).toEqual([
      ['fp16', 'fp16'],
      ['int8', 'first'],
      ['int4', 'second'],
    ]);
  });

  test('gives the bytes it gives without storage', async () => {
    const stored = await (await tab(memoryDisk())).run({ files: files().slice(0, 1) });
    const events: EngineEvent[] = [];
    await compare(
      { files: files().slice(0, 1), levels: [INT8, INT4], maxTokens: null },
      {
        kernel: async () => createReferenceKernel(),
        sink: async (_, source) => blobSink(source),
        evaluator: createNodeEvaluator(),
        threads: 1,
      },
      (event) => {
        events.push(event);
      },
      new AbortController().signal,
    );
    expect(await blobs(stored.events)).toEqual(await blobs(events));
  });

  test('shares its files with a job that differs in what is measured', async () => {
    const disk = memoryDisk();
    const { run, counts } = await tab(disk);
    await run();
    const done = counts.kernel;
    for (const job of [
      { files: files(TEXT.toUpperCase()) },
      { maxTokens: 512 },
      { protocol: { name: 'gptq', context: 256 } as const },
      { levels: [INT4, INT8] },
    ]) {
      const { report } = await run(job);
      expect(report.ok).toBe(true);
    }
    expect(counts).toEqual({ kernel: done, evaluations: 5 });
    await run({ levels: [{ ...INT4, settings: { block: 64 } }] });
    expect(counts.kernel).toBeGreaterThan(done);
  });

  test('of a model of another kind is not done again either', async () => {
    const disk = memoryDisk();
    const job = { files: [new File([matMulModel(randomValues(1, 64 * 64), 64, 64)], 'm.onnx')], levels: [INT8] };
    const first = await (await tab(disk)).run(job);
    const later = await tab(disk);
    const second = await later.run(job);
    expect(first.report.ok && first.report.value.levels[1]?.outputs).toHaveLength(1);
    expect(second.report).toEqual(first.report);
    expect(later.counts).toEqual({ kernel: 0, evaluations: 0 });
  });

  test('in two tabs at once is done once', async () => {
    const disk = memoryDisk();
    const locks = localLocks();
    const [a, b, alone] = [await tab(disk, locks), await tab(disk, locks), await tab(memoryDisk())];
    const [first, second] = await Promise.all([a.run(), b.run()]);
    await alone.run();
    expect(second.report).toEqual(first.report);
    expect(a.counts.kernel + b.counts.kernel).toBe(alone.counts.kernel);
    expect(a.counts.evaluations + b.counts.evaluations).toBe(1);
  });

  test.each<[string, (run: Awaited<ReturnType<typeof tab>>['run']) => Promise<unknown>]>([
    [
      'was stopped early',
      (run) => {
        const finish = new AbortController();
        finish.abort();
        return run({}, { finish });
      },
    ],
    [
      'was cancelled',
      (run) => {
        const stop = new AbortController();
        const cancelling: Evaluator = {
          ...createNodeEvaluator(),
          async evaluate() {
            stop.abort();
            return { ok: false, error: cancelled() };
          },
        };
        return run({}, { signal: stop.signal, use: cancelling });
      },
    ],
    [
      'failed in part',
      (run) =>
        run(
          {},
          {
            use: {
              ...createNodeEvaluator(),
              evaluate: async () => ({
                ok: false,
                error: { code: 'out-of-memory', message: 'm', action: 'a', details: '' },
              }),
            },
          },
        ),
    ],
  ])('is measured again when it %s', async (_, disturbed) => {
    const { run, counts } = await tab(memoryDisk());
    await disturbed(run);
    const quantized = counts.kernel;
    const evaluations = counts.evaluations;
    const { report } = await run();
    expect(report.ok && report.value.protocol?.stoppedEarly).toBe(false);
    expect(counts).toEqual({ kernel: quantized, evaluations: evaluations + 1 });
  });
});

describe('what is stored', () => {
  async function afterOne(): Promise<{
    keeper: ResultRepository;
    disk: MemoryDisk;
    events: EngineEvent[];
    run: Awaited<ReturnType<typeof tab>>['run'];
  }> {
    const disk = memoryDisk();
    const { keeper, run } = await tab(disk);
    const { events } = await run();
    return { keeper, disk, events, run };
  }

  test('is listed, opened and deleted', async () => {
    const { keeper, disk, events } = await afterOne();
    const [line, ...rest] = await keeper.history();
    expect(rest).toEqual([]);
    expect(line).toMatchObject({
      model: { name: 'tiny.onnx', bytes: MODEL.length },
      levels: ['fp16', 'int8', 'int4:block=16'],
      protocol: { name: 'llama.cpp', text: 'text.txt' },
    });

    const opened = await keeper.openStored(line?.key ?? '');
    expect(opened.stored).toEqual(line);
    expect(opened.files.map(({ level, file }) => [level, file?.name])).toEqual([
      ['fp16', 'tiny_fp16.onnx'],
      ['int8', 'tiny_int8.onnx'],
      ['int4:block=16', 'tiny_q4_block16.onnx'],
    ]);
    const bytes = await Promise.all(
      opened.files.map(async ({ file }) =>
        Buffer.from(await (file ?? new File([], '')).arrayBuffer()).toString('base64'),
      ),
    );
    expect(bytes).toEqual(await blobs(events));

    const state = await keeper.storage();
    expect(state.results.map(({ finished }) => finished)).toEqual([true, true, true]);
    expect(state.used).toBe(state.results.reduce((sum, { bytes: size }) => sum + size, 0) + (line?.bytes ?? 0));

    const [first, ...others] = state.results;
    const left = await keeper.remove([first?.key ?? '', '../nonsense']);
    expect(left.results.map(({ key }) => key).sort()).toEqual(others.map(({ key }) => key).sort());
    expect((await keeper.openStored(line?.key ?? '')).files.filter(({ file }) => file === null)).toHaveLength(1);

    expect(await keeper.removeAll()).toMatchObject({ used: 0, results: [] });
    expect([...disk.files.keys()]).toEqual([]);
    expect(await settle(() => keeper.openStored(line?.key ?? ''))).toMatchObject({
      ok: false,
      error: { code: 'not-stored' },
    });
  });

  /** What `files` gives, and configuration; the model has fp16 weights, so that it is its own baseline. */
  const withCompanions = (config = '{"model_type":"gpt2"}') => [
    new File([tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float16', tied: true })], 'half.onnx'),
    ...files().slice(1),
    new File([config], 'config.json'),
    new File(['{}'], 'generation_config.json'),
    new File(['unrelated'], 'notes.log'),
  ];
  const contents = async (opened: readonly File[] | undefined) =>
    Object.fromEntries(await Promise.all((opened ?? []).map(async (file) => [file.name, await file.text()] as const)));

  test('has the configuration and tokenizer files that came along, and a baseline that is the dropped model', async () => {
    const disk = memoryDisk();
    const { keeper, run, counts } = await tab(disk);
    const dropped = withCompanions();
    expect((await run({ files: dropped })).report.ok).toBe(true);
    const [line] = await keeper.history();
    const opened = await keeper.openStored(line?.key ?? '');
    expect(await contents(opened.companions)).toEqual({
      'tokenizer.json': byteTokenizer(),
      'config.json': '{"model_type":"gpt2"}',
      'generation_config.json': '{}',
    });
    const baseline = opened.files.find(({ level }) => level === 'fp16')?.file;
    expect(Buffer.from(await baseline!.arrayBuffer()).equals(Buffer.from(await dropped[0]!.arrayBuffer()))).toBe(true);
    const state = await keeper.storage();
    expect(state.used).toBe(
      [...disk.files]
        .filter(([path]) => /^companions\/|^reports\/|\/data$/.test(path))
        .reduce((sum, [, bytes]) => sum + bytes.length, 0),
    );

    // The same measurement with other configuration: nothing is measured again, and the newer file is the one that is stored.
    const before = counts.evaluations;
    await run({ files: withCompanions('{"model_type":"llama"}') });
    expect(counts.evaluations).toBe(before);
    expect((await contents((await keeper.openStored(line?.key ?? '')).companions))['config.json']).toBe(
      '{"model_type":"llama"}',
    );
    expect((await keeper.history())[0]?.createdAt).toBe(line?.createdAt);
  });

  test('deletes such files with the last report that has them', async () => {
    const disk = memoryDisk();
    const { keeper, run } = await tab(disk);
    await run({ files: withCompanions() });
    await run({ files: withCompanions(), maxTokens: 512 });
    const stored = () => [...disk.files.keys()].filter((path) => path.startsWith('companions/')).length;
    const [first, second] = await keeper.history();
    expect(stored()).toBe(3);
    await keeper.remove([first?.key ?? '']);
    expect(stored()).toBe(3);
    await keeper.remove([second?.key ?? '']);
    expect(stored()).toBe(0);
  });

  test('stores the report alone where these files are more than is stored with one', async () => {
    const disk = memoryDisk();
    const { keeper, run } = await tab(disk);
    const large = (name: string, bytes: number) => new File([new Uint8Array(bytes)], name);
    for (const [round, more] of [
      [large('vocab.txt', 65 << 20)],
      [large('vocab.txt', 40 << 20), large('merges.txt', 30 << 20)],
    ].entries()) {
      await run({ files: [...withCompanions(), ...more], maxTokens: 512 + round });
      const [line] = await keeper.history();
      expect((await keeper.openStored(line?.key ?? '')).companions).toBeUndefined();
      await keeper.remove([line?.key ?? '']);
    }
    expect([...disk.files.keys()].filter((path) => path.startsWith('companions/'))).toEqual([]);
  });

  test('of an older version has no such files, and gets them when it is compared again', async () => {
    const disk = memoryDisk();
    const { keeper, run } = await tab(disk);
    await run({ files: withCompanions() });
    const [path] = [...disk.files.keys()].filter((name) => name.startsWith('reports/'));
    const old = JSON.parse(new TextDecoder().decode(disk.files.get(path ?? ''))) as Record<string, unknown>;
    delete old.companions;
    disk.files.set(path ?? '', new TextEncoder().encode(JSON.stringify(old)));
    const key = (await keeper.history())[0]?.key ?? '';
    expect((await keeper.openStored(key)).companions).toBeUndefined();
    await run({ files: withCompanions() });
    expect((await keeper.openStored(key)).companions).toHaveLength(3);
  });

  test('is not deleted while it is being made', async () => {
    const disk = memoryDisk();
    const locks = localLocks();
    const { keeper, run } = await tab(disk, locks);
    await run();
    const [inUse] = (await keeper.storage()).results;
    const release = await locks.hold(inUse?.key ?? '', new AbortController().signal);
    expect(await settle(() => keeper.removeAll())).toMatchObject({ ok: false, error: { code: 'busy' } });
    expect((await keeper.storage()).results.map(({ key }) => key)).toEqual([inUse?.key]);
    release();
    expect((await keeper.removeAll()).results).toEqual([]);
  });

  test('a stored report that is garbled is neither listed nor an answer', async () => {
    const { keeper, disk, run } = await afterOne();
    const [name] = [...disk.files.keys()].filter((path) => path.startsWith('reports/'));
    const whole = disk.files.get(name ?? '') ?? new Uint8Array();
    const text = new TextDecoder().decode(whole);
    for (const garbled of [
      whole.slice(0, -10),
      new TextEncoder().encode('{}'),
      new TextEncoder().encode(text.replace(/"bytes":\d+/, '"bytes":"<b>"')),
      new Uint8Array(10),
    ]) {
      disk.files.set(name ?? '', garbled);
      expect(await keeper.history()).toEqual([]);
    }
    const { report } = await run();
    expect(report.ok).toBe(true);
    expect(await keeper.history()).toHaveLength(1);
  });

  test('figures that are not finite come back as they are', async () => {
    const { keeper } = await afterOne();
    const [line] = await keeper.history();
    const { report } = await keeper.openStored(line?.key ?? '');
    const [, level] = report.levels;
    if (!level?.drift) throw new Error('nothing was measured');
    const disk = memoryDisk();
    const broken = {
      ...report,
      levels: [
        { ...level, perplexity: { value: Infinity, error: NaN }, drift: { ...level.drift, correlation: -Infinity } },
      ],
    };
    const store = openReportStore(disk);
    await store.keep({ key: line?.key ?? '', createdAt: new Date().toISOString(), answers: true, report: broken });
    expect((await store.read(line?.key ?? ''))?.report).toEqual(broken);
  });
});

describe('when there is no room', () => {
  test('it says which results would have to go, and deletes none', async () => {
    const disk = memoryDisk();
    const { keeper, run } = await tab(disk);
    await run({ levels: [INT8] });
    const before = (await keeper.storage()).results.map(({ key }) => key);
    disk.quota = (await disk.room()).used + 100;
    const { report, events } = await run({ levels: [INT4] });
    expect(report.ok).toBe(true);
    const warnings = events.flatMap((event) =>
      event.type === 'warning' && event.error.code === 'storage-full' ? event.error : [],
    );
    expect(warnings[0]?.action).toMatch(/Delete stored results and try again: tiny_\w+\.onnx/);
    expect(before.some((key) => warnings[0]?.details.includes(key))).toBe(true);
    expect((await keeper.storage()).results.map(({ key }) => key)).toEqual(expect.arrayContaining(before));
    // With room again, it is stored after all.
    disk.quota = Infinity;
    const again = await run({ levels: [INT4] });
    expect(await blobs(again.events)).toEqual(await blobs(events));
    expect((await keeper.storage()).results.filter(({ finished }) => finished)).toHaveLength(3);
  });
});

describe('when there is neither room nor memory', () => {
  test('the job is refused before anything is written, and done when there is room', async () => {
    const disk = memoryDisk();
    const { run, counts } = await tab(disk, localLocks(), 1000);
    disk.quota = 60_000;
    const { report, events } = await run();
    expect(report).toMatchObject({
      ok: false,
      error: {
        code: 'storage-full',
        message: expect.stringMatching(/3 files.*\d+\.\d kB.*\d+\.\d kB/),
      },
    });
    expect(events.filter(({ type }) => type === 'written')).toEqual([]);
    expect([...disk.files.keys()]).toEqual([]);
    expect(counts).toEqual({ kernel: 0, evaluations: 0 });
    disk.quota = Infinity;
    expect((await run()).report.ok).toBe(true);
  });
});

test('without a file system nothing is kept, it is said once a job, and everything else works', async () => {
  const keeper = await openBrowserRepository();
  const events: EngineEvent[] = [];
  const report = await compare(
    { files: files().slice(0, 1), levels: [INT8, INT4], maxTokens: null },
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
  expect(report.levels).toHaveLength(3);
  expect(await blobs(events)).toHaveLength(3);
  expect(events.flatMap((event) => (event.type === 'warning' ? event.error.code : []))).toEqual([
    'storage-unavailable',
    'no-tokenizer',
  ]);
  expect(await keeper.storage()).toMatchObject({ problem: { code: 'storage-unavailable' }, results: [] });
  expect(await keeper.history()).toEqual([]);
});

test.each<[string, (path: string) => Promise<void>]>([
  ['changed', (path) => appendFile(path, 'x')],
  ['deleted', (path) => rm(path)],
])('a dropped file that is %s on the way ends in a sentence; what was finished is kept', async (_, disturb) => {
  const folder = await mkdtemp(join(tmpdir(), 'nibble-'));
  const path = join(folder, 'tiny.onnx');
  await writeFile(path, MODEL);
  const { keeper, run, counts } = await tab(memoryDisk());
  const onDisk = { files: [new File([await openAsBlob(path)], 'tiny.onnx')] };
  let disturbed: Promise<void> | null = null;
  const result = await settle(() =>
    compare(
      { ...onDisk, levels: [INT8, INT4], maxTokens: null },
      {
        ...keeper.job(() => undefined),
        evaluator: createNodeEvaluator(),
        threads: 1,
        kernel: async () => {
          const kernel = createReferenceKernel();
          return {
            ...kernel,
            quantize: async (...args) => {
              await (disturbed ??= disturb(path));
              return kernel.quantize(...args);
            },
          };
        },
      },
      () => undefined,
      new AbortController().signal,
    ),
  );
  expect(result).toMatchObject({
    ok: false,
    error: { code: 'file-changed', message: expect.stringContaining('tiny.onnx') },
  });
  // fp16, which needs no kernel, was finished before.
  expect((await keeper.storage()).results.find(({ level }) => level === 'fp16')?.finished).toBe(true);
  const { report } = await run({ files: files().slice(0, 1) });
  expect(report.ok).toBe(true);
  expect(counts.kernel).toBeGreaterThan(0);
  await rm(folder, { recursive: true });
});
