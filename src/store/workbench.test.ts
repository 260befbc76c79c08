import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Result } from '../../workers/contract/errors.ts';
import type { EngineEvent, Timing } from '../../workers/contract/events.ts';
import type { Job, LevelRequest } from '../../workers/contract/job.ts';
import type { LevelPlan } from '../../workers/contract/level-plan.ts';
import type { OpenedReport, Storage } from '../../workers/contract/storage.ts';
import type { Report } from '../../workers/contract/report.ts';
import type { EngineClient, StorageClient } from '../engine/client.ts';
import type { Folders } from '../features/folder/picker.ts';
import type { PaceStore } from './forecast/pace-store.ts';
import type { Paces } from './forecast/paces.ts';
import { figuresOf, provenance, staleness } from './run.ts';
import { describeFiles, emptyPlan, error, inertEngine } from './test-engine.ts';
import type { Session } from './session/session.ts';
import { testTab } from './session/test-session.ts';
import { createWorkbench } from './workbench.ts';

interface Comparison {
  job: Job;
  send: (event: EngineEvent) => void;
  settle: (result: Result<Report>) => void;
}

function setUp({
  folders,
  paceStore,
  calibration,
  planOf,
  session,
  capabilities,
}: {
  folders?: Folders;
  paceStore?: PaceStore;
  calibration?: readonly Timing[];
  planOf?: (level: LevelRequest) => Partial<LevelPlan>;
  session?: Session;
  capabilities?: EngineClient['capabilities'];
} = {}) {
  let calibrated = 0;
  const comparisons: Comparison[] = [];
  const plans: string[][] = [];
  const opened: string[][] = [];
  let finished = 0;
  /** Reports by key, and the keys of every result file there is. */
  const shelf = { reports: new Map<string, OpenedReport>(), results: new Set<string>(), unreadable: new Set<string>() };
  const space = (): Storage => ({
    problem: null,
    used: shelf.reports.size + shelf.results.size,
    quota: null,
    free: null,
    persisted: false,
    results: [],
  });
  const remove = (keys: string[]): Promise<Result<Storage>> => {
    keys.forEach((key) => {
      shelf.reports.delete(key);
      shelf.results.delete(key);
    });
    return Promise.resolve({ ok: true, value: space() });
  };
  const engine: EngineClient & StorageClient = {
    ...inertEngine,
    ...(capabilities && { capabilities }),
    history: () => Promise.resolve({ ok: true, value: [...shelf.reports.values()].map(({ stored }) => stored) }),
    openStored: (key) => {
      const opened = shelf.reports.get(key);
      if (shelf.unreadable.has(key)) return Promise.resolve({ ok: false, error: error('internal') });
      return Promise.resolve(opened ? { ok: true, value: opened } : { ok: false, error: error('not-stored') });
    },
    storage: () => Promise.resolve({ ok: true, value: space() }),
    remove,
    removeAll: () => remove([...shelf.reports.keys(), ...shelf.results]),
    open: (files) => {
      opened.push(files.map(({ name }) => name));
      return Promise.resolve({ ok: true, value: describeFiles(files) });
    },
    plan: (_, levels) => {
      plans.push(levels.map(({ id, settings }) => `${id}${settings.block ?? ''}`));
      return Promise.resolve({
        ok: true,
        value: levels.map((level) => ({ ...emptyPlan(level.key), ...planOf?.(level) })),
      });
    },
    ...(calibration && {
      calibrate: () => {
        calibrated++;
        return Promise.resolve({ ok: true as const, value: [...calibration] });
      },
    }),
    compare: (job, send) =>
      new Promise((resolve) => {
        comparisons.push({ job, send, settle: resolve });
      }),
    cancel: () => {
      comparisons.at(-1)?.settle({ ok: false, error: error('cancelled') });
      return Promise.resolve();
    },
    finish: () => {
      finished++;
      return Promise.resolve();
    },
  };
  let count = 0;
  const store = createWorkbench({
    ...(session && { session }),
    engine,
    origin: { uid: () => `id${++count}`, now: () => Date.now() },
    fetchSample: () =>
      Promise.resolve({ ok: true, value: [file('sample.onnx'), file('tokenizer.json'), file('held-out.txt')] }),
    ...(folders && { folders }),
    ...(paceStore && { paceStore }),
  });
  const last = (): Comparison => {
    const comparison = comparisons.at(-1);
    if (!comparison) throw new Error('nothing is being compared');
    return comparison;
  };
  return { calibrated: () => calibrated, store, comparisons, plans, opened, last, shelf, finished: () => finished };
}

const file = (name: string) => new File(['12345678'], name);
const names = (store: ReturnType<typeof setUp>['store']) => store.getState().files.map((kept) => kept.file.name);

/** The report an engine would make of a job. */
function reportOf(job: Job): Report {
  return {
    schema: 'nibble.report/1',
    model: { name: 'm', sha256: '', bytes: 8, parameters: 1000, cacheBytesPerToken: 8 },
    backend: 'wasm',
    notes: [],
    protocol: {
      name: 'llama.cpp',
      context: 512,
      tokens: 2550,
      chunks: 10,
      textTokens: 50_000,
      textBytes: 1,
      provider: 'wasm',
      threads: 2,
      text: 't.txt',
    },
    levels: job.levels.map(({ key, id, settings }, index) => ({
      id,
      key,
      level: id,
      baseline: id === 'fp16',
      settings: { block: 32, head: 'quantize', ...settings },
      file: `${id}.onnx`,
      bytes: 100 - index,
      weightBytes: 90 - index,
      perplexity: { value: 10 + index, error: 0.5 },
      drift: null,
      ledger: [],
    })),
  };
}

const flush = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('files', () => {
  it('come one by one and add up', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('tokenizer.json')]);
    expect(store.getState().opened?.model).toBeNull();
    await store.getState().addFiles([file('a.onnx')]);
    await store.getState().addFiles([file('t.txt')]);
    expect(names(store)).toEqual(['tokenizer.json', 'a.onnx', 't.txt']);
    expect(store.getState().opened).toMatchObject({
      model: { name: 'a.onnx' },
      tokenizer: { name: 'tokenizer.json' },
      text: { name: 't.txt' },
    });
  });

  it('of another model replace the model and its tokenizer but not the text', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    await store.getState().addFiles([file('b.onnx')]);
    expect(names(store)).toEqual(['t.txt', 'b.onnx']);
    await store.getState().addFiles([file('u.txt')]);
    expect(names(store)).toEqual(['b.onnx', 'u.txt']);
  });

  it('that cannot be read leave what was open as it was', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('t.txt')]);
    for (const [name, code] of [
      ['empty.onnx', 'file-empty'],
      ['broken.onnx', 'onnx-truncated'],
    ] as const) {
      await store.getState().addFiles([file(name)]);
      expect(names(store)).toEqual(['a.onnx', 't.txt']);
      expect(store.getState().opened?.model?.name).toBe('a.onnx');
      expect(store.getState().notices.map((notice) => notice.error.code)).toEqual([code]);
    }
    store.getState().notices.forEach(({ id }) => {
      store.getState().dismiss(id);
    });
    expect(store.getState().notices).toEqual([]);
  });

  it('that cannot be read, alone, leave the page empty', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('broken.onnx')]);
    expect(store.getState()).toMatchObject({ files: [], opened: null });
    expect(store.getState().notices.map((notice) => notice.error.code)).toEqual(['onnx-truncated']);
    await store.getState().addFiles([file('a.onnx')]);
    expect(store.getState()).toMatchObject({ opened: { model: { name: 'a.onnx' } }, notices: [] });
  });

  it('nobody knows are left out with one notice for all of them', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('x.png'), file('y.md')]);
    expect(names(store)).toEqual(['a.onnx']);
    expect(store.getState().notices).toHaveLength(1);
    expect(store.getState().notices[0]?.error.details).toBe('x.png\ny.md');
  });

  it('with several models ask which', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('b.onnx'), file('tokenizer.json')]);
    expect(store.getState().choices.map(({ name }) => name)).toEqual(['a.onnx', 'b.onnx']);
    await store.getState().chooseModel(1);
    expect(names(store)).toEqual(['b.onnx', 'tokenizer.json']);
    expect(store.getState()).toMatchObject({ choices: [], opened: { model: { name: 'b.onnx' } } });
  });

  it('of the sample take the same path', async () => {
    const { store } = setUp();
    await store.getState().loadSample();
    expect(store.getState()).toMatchObject({
      download: null,
      opened: { model: { name: 'sample.onnx' }, text: { tokens: 50_000 } },
    });
  });

  it('dropped during a comparison wait for its end', async () => {
    const { store, last, opened } = setUp();
    await store.getState().addFiles([file('a.onnx')]);
    const comparing = store.getState().compare();
    await store.getState().addFiles([file('b.onnx')]);
    expect(opened).toHaveLength(1);
    last().settle({ ok: true, value: reportOf(last().job) });
    await comparing;
    expect(store.getState().opened?.model?.name).toBe('b.onnx');
    expect(store.getState().run?.report).not.toBeNull();
  });
});

describe('plans', () => {
  it('follow the levels, once they have settled', async () => {
    const { store, plans } = setUp();
    await store.getState().addFiles([file('a.onnx')]);
    await vi.advanceTimersByTimeAsync(500);
    const int4 = store.getState().levels[2]?.uid ?? '';
    for (const block of [64, 128, 256] as const) store.getState().editLevel(int4, { block });
    await vi.advanceTimersByTimeAsync(500);
    expect(plans).toEqual([
      ['fp16', 'int8', 'int4'],
      ['fp16', 'int8', 'int4256'],
    ]);
    expect(store.getState().plans.get(int4)?.forLevel).toBe('int4 block 256');
  });
});

describe('a comparison', () => {
  it('shows what comes, in steps, and keeps the settings that made it', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    const int4 = store.getState().levels[2]?.uid ?? '';
    const comparing = store.getState().compare();
    let shown = 0;
    const stop = store.subscribe(() => {
      shown++;
    });
    for (let done = 0; done < 50; done++)
      last().send({
        type: 'progress',
        stage: 'measure',
        level: null,
        done,
        total: 100,
        unit: 'tokens',
        tensor: null,
        secondsLeft: null,
      });
    expect(shown).toBe(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(shown).toBe(1);
    stop();
    const blob = new Blob(['x']);
    last().send({ type: 'written', level: int4, file: 'int4.onnx', blob, bytes: 98, weightBytes: 88 });
    last().settle({ ok: true, value: reportOf(last().job) });
    await vi.advanceTimersByTimeAsync(2000);
    await comparing;

    const { run } = store.getState();
    expect(run).toMatchObject({ status: 'done', subject: 'text' });
    if (!run) throw new Error('no run');
    expect(figuresOf(run).map(({ name, bytes }) => [name, bytes])).toEqual([
      ['fp16', 100],
      ['int8', 99],
      ['int4', 98],
    ]);
    expect(figuresOf(run)[2]).toMatchObject({ blob, file: 'int4.onnx', final: true });

    store.getState().editLevel(int4, { block: 128 });
    const after = store.getState();
    expect(after.run && figuresOf(after.run).map(({ name }) => name)).toEqual(['fp16', 'int8', 'int4']);
    const made = after.run?.levels[2];
    expect(made && staleness(made, after.levels)).toBe('changed');
    store.getState().removeLevel(int4);
    expect(made && staleness(made, store.getState().levels)).toBe('removed');
  });

  describe('learns how fast this machine is', () => {
    const timing = (change: Partial<Timing>): Timing => ({
      type: 'timing',
      step: 'run',
      level: null,
      provider: 'wasm',
      amount: 512,
      seconds: 1,
      ...change,
    });

    it('from what each step took, in a run that was cancelled too, and remembers it', async () => {
      let kept: Paces = [];
      const paceStore: PaceStore = {
        read: () => kept,
        write: (paces) => {
          kept = paces;
        },
        onChange: () => undefined,
      };
      const { store, last } = setUp({ paceStore });
      await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
      const comparing = store.getState().compare();
      const predicted = store.getState().run?.forecast;
      expect(predicted?.basis).toBe('assumed');
      const [fp16, , int4] = last().job.levels;
      last().send(timing({ step: 'start', amount: 1, seconds: 2 }));
      last().send(timing({ level: fp16?.key ?? null, seconds: 3 }));
      last().send(timing({ level: int4?.key ?? null, seconds: 9 }));
      await store.getState().cancel();
      await comparing;
      expect(kept.map(({ step, kind, amount, seconds }) => [step, kind, amount, seconds])).toEqual([
        ['start', '', 1, 2],
        ['run', 'fp16', 512, 3],
        ['run', 'int4', 512, 9],
      ]);

      const another = setUp({ paceStore });
      await another.store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
      void another.store.getState().compare();
      const steps = another.store.getState().run?.forecast?.steps ?? [];
      const seconds = (kind: string) => steps.find((step) => step.step === 'run' && step.kind === kind)?.seconds;
      expect(another.store.getState().run?.forecast?.basis).toBe('measured');
      expect(seconds('fp16')).toBeCloseTo((3 / 512) * 16_384, 6);
      expect(seconds('int4')).toBeCloseTo((9 / 512) * 16_384, 6);
      await another.store.getState().cancel();
    });

    it('by a moment’s run before the first comparison of a model of such a size, once', async () => {
      const calibration = [timing({ step: 'start', amount: 1, seconds: 4 }), timing({ seconds: 7 })];
      const { store, calibrated } = setUp({ calibration });
      await store.getState().addFiles([file('a.onnx')]);
      expect(calibrated()).toBe(0);
      await store.getState().addFiles([file('tokenizer.json'), file('t.txt')]);
      await flush();
      expect(calibrated()).toBe(1);
      expect(store.getState().paces.map(({ step, kind, size, seconds }) => [step, kind, size, seconds])).toEqual([
        ['start', '', 1000, 4],
        ['run', 'fp16', 1000, 7],
      ]);
      await store.getState().addFiles([file('b.onnx')]);
      expect(calibrated()).toBe(1);
    });

    it('and how much single tokens vary, of this model only', async () => {
      const { store, last } = setUp();
      await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
      const comparing = store.getState().compare();
      last().settle({ ok: true, value: reportOf(last().job) });
      await comparing;
      expect(store.getState().measurement?.spread).toBeCloseTo(0.05 * Math.sqrt(2550), 9);
      await store.getState().addFiles([file('b.onnx')]);
      expect(store.getState().measurement).toBeNull();
    });
  });

  describe('gives new levels the settings that suit the model', () => {
    const TWICE = { tensors: [{ tensor: 'e', forms: [], bytes: 60, extra: 50 }], bytes: 50 };
    const tied = ({ settings }: LevelRequest): Partial<LevelPlan> => ({
      bytes: settings.embedding ? 40 : 100,
      baselineBytes: 90,
      ...(settings.embedding
        ? {}
        : {
            storedTwice: TWICE,
            alternatives: [{ settings: { ...settings, embedding: 'tokens' }, bytes: 40, storedTwiceBytes: 0 }],
          }),
    });
    const settingsOf = (store: ReturnType<typeof setUp>['store']) =>
      store.getState().levels.map(({ id, settings }) => [id, settings]);

    it('where a table would be stored twice, for levels added later too', async () => {
      const { store } = setUp({ planOf: (level) => (level.id === 'fp16' ? {} : tied(level)) });
      await store.getState().addFiles([file('a.onnx')]);
      await vi.advanceTimersByTimeAsync(200);
      expect(settingsOf(store)).toEqual([
        ['fp16', {}],
        ['int8', { embedding: 'tokens' }],
        ['int4', { embedding: 'tokens' }],
      ]);
      store.getState().addLevel('uint8');
      await vi.advanceTimersByTimeAsync(200);
      expect(settingsOf(store).at(-1)).toEqual(['uint8', { embedding: 'tokens' }]);
    });

    it('to files that are opened before the engine has said what it can do, too', async () => {
      let answer: (value: Awaited<ReturnType<EngineClient['capabilities']>>) => void = () => undefined;
      const { store } = setUp({
        planOf: (level) => (level.id === 'fp16' ? {} : tied(level)),
        session: testTab().reload(),
        capabilities: () =>
          new Promise((resolve) => {
            answer = resolve;
          }),
      });
      const started = store.getState().start();
      await store.getState().addFiles([file('a.onnx')]);
      answer({ ok: false, error: error('internal') });
      await started;
      await vi.advanceTimersByTimeAsync(200);
      expect(settingsOf(store).map(([, settings]) => settings)).toEqual([
        {},
        { embedding: 'tokens' },
        { embedding: 'tokens' },
      ]);
    });

    it('but never against what a person has chosen, and not on a model that has no need of it', async () => {
      let model = 'tied';
      const { store } = setUp({ planOf: (level) => (level.id === 'fp16' || model !== 'tied' ? {} : tied(level)) });
      await store.getState().addFiles([file('a.onnx')]);
      await vi.advanceTimersByTimeAsync(200);
      const int4 = store.getState().levels[2]?.uid ?? '';
      store.getState().editLevel(int4, {});
      await vi.advanceTimersByTimeAsync(200);
      expect(settingsOf(store).at(-1)).toEqual(['int4', {}]);
      model = 'other';
      await store.getState().addFiles([file('b.onnx')]);
      await vi.advanceTimersByTimeAsync(200);
      expect(settingsOf(store)).toEqual([
        ['fp16', {}],
        ['int8', {}],
        ['int4', {}],
      ]);
    });

    it('nor where the target would not have them', async () => {
      const { store } = setUp({
        planOf: (level) =>
          level.id === 'fp16'
            ? {}
            : {
                ...tied(level),
                notOn: level.settings.embedding
                  ? (['wasm', 'both'] as const).map((target) => ({ target, reason: 'No.' }))
                  : [],
              },
      });
      await store.getState().addFiles([file('a.onnx')]);
      await vi.advanceTimersByTimeAsync(200);
      expect(settingsOf(store)).toEqual([
        ['fp16', {}],
        ['int8', {}],
        ['int4', {}],
      ]);
    });
  });

  it('says how far a run is while nothing happens, and never goes back', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    const comparing = store.getState().compare();
    const shares: number[] = [];
    const lefts: number[] = [];
    for (let second = 0; second < 5; second++) {
      await vi.advanceTimersByTimeAsync(1000);
      const { progress } = store.getState().run ?? {};
      shares.push(progress?.share ?? NaN);
      lefts.push(progress?.secondsLeft ?? NaN);
    }
    expect(shares.every((share, index) => share > (shares[index - 1] ?? 0) && share < 1)).toBe(true);
    expect(lefts.every(Number.isFinite)).toBe(true);
    last().settle({ ok: true, value: reportOf(last().job) });
    await comparing;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('asks for whole windows, and for everything when all of it is wanted', async () => {
    const { store, comparisons } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    void store.getState().compare();
    await store.getState().cancel();
    await flush();
    store.getState().setMaxTokens(null);
    void store.getState().compare();
    expect(comparisons.map(({ job }) => job.maxTokens)).toEqual([16_384, null]);
  });

  it('stopped while measuring is done with what it has, and may still be cancelled', async () => {
    const { store, last, finished } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    const comparing = store.getState().compare();
    await store.getState().finish();
    expect(store.getState().run?.status).toBe('running');
    last().send({
      type: 'progress',
      stage: 'measure',
      level: null,
      done: 1,
      total: 10,
      unit: 'tokens',
      tensor: null,
      secondsLeft: null,
    });
    await vi.advanceTimersByTimeAsync(100);
    await store.getState().finish();
    await store.getState().finish();
    expect(store.getState().run?.status).toBe('finishing');
    expect(finished()).toBe(1);
    last().settle({ ok: true, value: reportOf(last().job) });
    await comparing;
    expect(store.getState().run?.status).toBe('done');

    void store.getState().compare();
    last().send({
      type: 'progress',
      stage: 'measure',
      level: null,
      done: 1,
      total: 10,
      unit: 'tokens',
      tensor: null,
      secondsLeft: null,
    });
    await vi.advanceTimersByTimeAsync(100);
    await store.getState().finish();
    await store.getState().cancel();
    await flush();
    expect(store.getState().run?.status).toBe('done');
    expect(finished()).toBe(2);
  });

  it('measures by the protocol chosen, and its results keep theirs', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    store.getState().setProtocol({ name: 'gptq' });
    store.getState().setMaxTokens(5000);
    const comparing = store.getState().compare();
    expect(last().job).toMatchObject({ protocol: { name: 'gptq' }, maxTokens: 4096 });
    store.getState().setProtocol({ name: 'lm-eval' });
    const { run } = store.getState();
    expect(run && provenance(run)?.tag).toBe('gptq, windows of 2,048');
    expect(run && figuresOf(run)[0]?.unit).toBe('token');
    const report = reportOf(last().job);
    last().settle({
      ok: true,
      value: { ...report, protocol: report.protocol && { ...report.protocol, name: 'gptq', context: 2048 } },
    });
    await comparing;
    const ended = store.getState().run;
    expect(ended && provenance(ended)?.tag).toBe('gptq, windows of 2,048');
  });

  it('asks for what is switched on, and keeps what it asked for', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    store.getState().setExtra('speed', false);
    void store.getState().compare();
    expect(last().job.extras).toEqual({ noiseFloor: true, runtimeDrift: true, words: true, speed: false });
    store.getState().setExtra('words', false);
    expect(store.getState().run?.extras).toEqual({ noiseFloor: true, runtimeDrift: true, words: true, speed: false });
  });

  it('asks for the window, stride and provider set', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx'), file('tokenizer.json'), file('t.txt')]);
    store.getState().setProtocol({ name: 'huggingface', context: 256, stride: 64 });
    store.getState().setMaxTokens(1000);
    store.getState().setProvider('faster');
    void store.getState().compare();
    expect(last().job).toMatchObject({
      protocol: { name: 'huggingface', context: 256, stride: 64 },
      maxTokens: 960,
      provider: 'faster',
    });
  });

  it('cancelled before anything was found leaves the page as it was', async () => {
    const { store } = setUp();
    await store.getState().addFiles([file('a.onnx')]);
    void store.getState().compare();
    await store.getState().cancel();
    await flush();
    expect(store.getState()).toMatchObject({ run: null, notices: [] });
  });

  it('that fails is said, and earlier results stay', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx')]);
    let comparing = store.getState().compare();
    last().settle({ ok: true, value: reportOf(last().job) });
    await comparing;
    const first = store.getState().run;
    comparing = store.getState().compare();
    last().send({
      type: 'written',
      level: store.getState().levels[0]?.uid ?? '',
      file: 'f',
      blob: new Blob(),
      bytes: 1,
      weightBytes: 1,
    });
    last().settle({ ok: false, error: error('out-of-memory') });
    await comparing;
    expect(store.getState().run).toBe(first);
    expect(store.getState().notices.map((notice) => notice.error.code)).toEqual(['out-of-memory']);
  });

  it('that breaks off for the first time keeps what it found', async () => {
    const { store, last } = setUp();
    await store.getState().addFiles([file('a.onnx')]);
    const comparing = store.getState().compare();
    last().send({
      type: 'written',
      level: store.getState().levels[1]?.uid ?? '',
      file: 'f.onnx',
      blob: new Blob(),
      bytes: 1,
      weightBytes: 1,
    });
    last().settle({ ok: false, error: error('session-failed') });
    await comparing;
    const { run } = store.getState();
    expect(run?.status).toBe('failed');
    expect(run && figuresOf(run)[1]?.file).toBe('f.onnx');
  });

  it('does not start twice', async () => {
    const { store, comparisons } = setUp();
    await store.getState().addFiles([file('a.onnx')]);
    void store.getState().compare();
    void store.getState().compare();
    expect(comparisons).toHaveLength(1);
  });
});

/** A report with a file for each level, kept as `key`; `lost` levels have no file any more. */
function keep(
  { shelf }: ReturnType<typeof setUp>,
  key: string,
  levels: Job['levels'],
  lost: readonly number[] = [],
): void {
  const report = reportOf({ files: [], levels, maxTokens: null });
  const files = report.levels.map(({ level }, index) => ({
    level,
    result: `result of ${level}`,
    file: lost.includes(index) ? null : file(`${level}.onnx`),
  }));
  shelf.reports.set(key, {
    stored: {
      key,
      createdAt: '2026-03-04T05:06:07.000Z',
      bytes: 1,
      model: { name: 'm', bytes: 8 },
      levels: levels.map(({ id }) => id),
      protocol: null,
    },
    report: { ...report, seconds: { measure: 2 } },
    files,
  });
  files.forEach(({ result }) => shelf.results.add(result));
}

const FP16 = { key: 'x', id: 'fp16', settings: {} } as const;
const INT8 = { key: 'y', id: 'int8', settings: { mode: 'dynamic' } } as const;
const INT4 = { key: 'z', id: 'int4', settings: { block: 64 } } as const;

describe('a folder for files', () => {
  const folder = (name: string) => ({ kind: 'directory', name }) as FileSystemDirectoryHandle;
  /** Answers with one folder after the other. */
  const withFolders = (...answers: Result<FileSystemDirectoryHandle | null>[]) => {
    const permissions = { may: true, asked: 0 };
    const context = setUp({
      folders: {
        pick: () => Promise.resolve(answers.shift() ?? { ok: true, value: null }),
        mayWrite: () => {
          permissions.asked++;
          return Promise.resolve(permissions.may);
        },
      },
    });
    return { ...context, permissions };
  };
  const codes = ({ store }: Pick<ReturnType<typeof setUp>, 'store'>) =>
    store.getState().notices.map((notice) => notice.error.code);

  it('is not offered where there are none, and nothing is asked', async () => {
    const { store, last } = setUp();
    expect(store.getState().foldersOffered).toBe(false);
    expect(await store.getState().chooseFolder()).toBe(false);
    await store.getState().addFiles([file('a.onnx')]);
    void store.getState().compare();
    expect(last().job).not.toHaveProperty('folder');
  });

  it('goes with the job once it is chosen, until it is left', async () => {
    const models = folder('models');
    const { store, last, comparisons, permissions } = withFolders(
      { ok: true, value: models },
      { ok: true, value: null },
    );
    await store.getState().addFiles([file('a.onnx')]);
    expect(await store.getState().chooseFolder()).toBe(true);
    expect(await store.getState().chooseFolder()).toBe(false);
    expect(store.getState().folder).toBe(models);
    void store.getState().compare();
    void store.getState().compare();
    await flush();
    expect(comparisons).toHaveLength(1);
    expect(last().job.folder).toBe(models);
    last().send({
      type: 'written',
      level: last().job.levels[1]?.key ?? '',
      file: 'a_q4 (2).onnx',
      folder: 'models',
      blob: new Blob(['12']),
      bytes: 2,
      weightBytes: 1,
    });
    last().settle({ ok: true, value: reportOf(last().job) });
    await flush();
    const { run } = store.getState();
    expect(run && figuresOf(run).map((figure) => figure.folder)).toEqual([null, 'models', null]);
    store.getState().leaveFolder();
    void store.getState().compare();
    expect(last().job).not.toHaveProperty('folder');
    expect(permissions.asked).toBe(2);
  });

  it('that may not be written to stops a comparison before it begins', async () => {
    const { store, comparisons, permissions, last } = withFolders({ ok: true, value: folder('models') });
    await store.getState().addFiles([file('a.onnx')]);
    await store.getState().chooseFolder();
    permissions.may = false;
    await store.getState().compare();
    expect(comparisons).toHaveLength(0);
    expect(store.getState().run).toBeNull();
    expect(codes({ store })).toEqual(['write-failed']);
    permissions.may = true;
    void store.getState().compare();
    await flush();
    expect(last().job.folder?.name).toBe('models');
    expect(codes({ store })).toEqual([]);
  });

  it('is the way out of a full storage', async () => {
    const context = withFolders(
      { ok: true, value: null },
      { ok: false, error: error('write-failed') },
      { ok: true, value: folder('big disk') },
    );
    const { store, comparisons, last } = context;
    await store.getState().addFiles([file('a.onnx')]);
    void store.getState().compare();
    last().settle({ ok: false, error: error('storage-full') });
    await flush();
    expect(codes(context)).toEqual(['storage-full']);
    await store.getState().compareIntoFolder();
    await store.getState().compareIntoFolder();
    expect(comparisons).toHaveLength(1);
    expect(codes(context)).toEqual(['storage-full', 'write-failed']);
    void store.getState().compareIntoFolder();
    await flush();
    expect(comparisons).toHaveLength(2);
    expect(last().job.folder?.name).toBe('big disk');
    expect(codes(context)).toEqual([]);
  });
});

it('keeps a target that is chosen while a plan of the model just opened is under way', async () => {
  const { store } = setUp();
  await store.getState().addFiles([file('a.onnx')]);
  store.getState().setTarget('cuda');
  await vi.advanceTimersByTimeAsync(200);
  expect(store.getState()).toMatchObject({ target: 'cuda', plans: expect.objectContaining({ size: 3 }) });
});

describe('removing a level', () => {
  it('can be undone: the level comes back where it was, as it was', () => {
    const { store } = setUp();
    const { levels, editLevel, removeLevel } = store.getState();
    editLevel(levels[1]?.uid ?? '', { exclude: ['*head*'] });
    const before = store.getState().levels;
    removeLevel(levels[1]?.uid ?? '');
    expect(store.getState().levels).toHaveLength(2);
    store.getState().undoRemove();
    expect(store.getState()).toMatchObject({ levels: before, removed: null });
    store.getState().undoRemove();
    expect(store.getState().levels).toEqual(before);
  });

  it('is no longer offered once the levels have changed in another way, and never of the baseline', () => {
    const { store } = setUp();
    const [fp16, int8] = store.getState().levels;
    store.getState().removeLevel(fp16?.uid ?? '');
    expect(store.getState().removed).toBeNull();
    store.getState().removeLevel(int8?.uid ?? '');
    expect(store.getState().removed?.level.id).toBe('int8');
    store.getState().addLevel('uint8');
    expect(store.getState().removed).toBeNull();
  });
});

describe('earlier results', () => {
  it('open as a finished run with the files that are still there', async () => {
    const page = setUp();
    keep(page, 'r', [FP16, INT8, INT4], [0]);
    await page.store.getState().openStored('r');
    const { run, stored, storageBusy } = page.store.getState();
    expect(storageBusy).toBe(false);
    expect(stored.map(({ key }) => key)).toEqual(['r']);
    expect(run).toMatchObject({
      status: 'done',
      storedAt: '2026-03-04T05:06:07.000Z',
      model: { name: 'm' },
      subject: 'text',
      protocol: { name: 'llama.cpp' },
    });
    expect((run?.endedAt ?? 0) - (run?.startedAt ?? 0)).toBe(2000);
    const figures = run ? figuresOf(run) : [];
    expect(figures.map(({ name, bytes, blob, final }) => [name, bytes, blob?.size ?? null, final])).toEqual([
      ['fp16', 100, null, true],
      ['int8 dynamic', 99, 8, true],
      ['int4 block 64', 98, 8, true],
    ]);
  });

  it('have the configuration and the tokenizer that were stored with them', async () => {
    const page = setUp();
    keep(page, 'r', [FP16, INT8]);
    await page.store.getState().openStored('r');
    expect(page.store.getState().run).toMatchObject({ companions: [], tokenizer: [], companionsStored: false });
    const kept = page.shelf.reports.get('r');
    if (kept)
      page.shelf.reports.set('r', {
        ...kept,
        companions: [file('tokenizer.json'), file('config.json'), file('tokenizer_config.json')],
      });
    await page.store.getState().openStored('r');
    const { run } = page.store.getState();
    expect(run?.companions.map(({ name }) => name)).toEqual(['tokenizer.json', 'config.json', 'tokenizer_config.json']);
    expect(run?.tokenizer.map(({ name }) => name)).toEqual(['tokenizer.json', 'tokenizer_config.json']);
    expect(run?.companionsStored).toBe(true);
  });

  it('say so when they are gone, and are not listed any more', async () => {
    const page = setUp();
    keep(page, 'r', [FP16]);
    await page.store.getState().removeStored('r');
    await page.store.getState().openStored('r');
    expect(page.store.getState()).toMatchObject({ run: null, stored: [] });
    expect(page.store.getState().notices.map((notice) => notice.error.code)).toEqual(['not-stored']);
  });

  it('take their files with them, but none that another result has', async () => {
    const page = setUp();
    keep(page, 'a', [FP16, INT8]);
    keep(page, 'b', [FP16, INT4]);
    await page.store.getState().removeStored('a');
    expect([...page.shelf.reports.keys()]).toEqual(['b']);
    expect([...page.shelf.results]).toEqual(['result of fp16', 'result of int4']);
  });

  it('leave all files where another result cannot be read', async () => {
    const page = setUp();
    keep(page, 'a', [FP16, INT8]);
    keep(page, 'b', [FP16, INT4]);
    page.shelf.unreadable.add('b');
    await page.store.getState().removeStored('a');
    expect([...page.shelf.reports.keys()]).toEqual(['b']);
    expect(page.shelf.results.size).toBe(3);
  });

  it('are left alone during a comparison and listed after it', async () => {
    const page = setUp();
    const { store } = page;
    await store.getState().addFiles([file('a.onnx')]);
    const done = store.getState().compare();
    keep(page, 'r', [FP16, INT8]);
    await store.getState().removeAllStored();
    await store.getState().openStored('r');
    expect(page.shelf.reports.size).toBe(1);
    expect(store.getState()).toMatchObject({ run: { status: 'running' }, stored: [] });
    page.last().settle({ ok: true, value: reportOf(page.last().job) });
    await done;
    await flush();
    expect(store.getState()).toMatchObject({ stored: [{ key: 'r' }], storage: { used: 3 } });
    await store.getState().removeAllStored();
    expect(store.getState()).toMatchObject({ stored: [], storage: { used: 0 } });
  });
});
