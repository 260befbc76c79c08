import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it } from 'vitest';
import { matMulModel, randomValues } from '../../../models/build.ts';
import { failure } from '../errors.ts';
import { wasmRuntime, type GraphRuntime, type GraphSession } from '../sessions/graph-session.ts';
import { seededFeeds } from '../outputs/seeded-feeds.ts';
import { measureSpeed, type Instruments, type MakeFeeds } from './speed.ts';
import { tinyDecoder, tinyModel } from '../test-models.ts';

const runtime = wasmRuntime(ort, 1);

interface Pace {
  open: number;
  /** Seconds for one token. */
  token: number;
  /** Of other models. */
  run?: number;
}

/** The runtime with times of its own: runs take as long as `pace` says, times 1, 2, 1.5, 1, … in turn. */
function paced(pace: Pace) {
  let time = 0;
  let runs = 0;
  const lengths: number[] = [];
  const factors = [1, 2, 1.5];
  const spend = (feeds: Record<string, { dims: readonly number[] }>) => {
    const tokens = feeds.input_ids?.dims.at(-1);
    lengths.push(tokens ?? 0);
    time += (tokens === undefined ? (pace.run ?? 0) : tokens * pace.token) * factors[runs++ % factors.length]!;
  };
  const watch = (session: GraphSession): GraphSession => ({
    ...session,
    run(feeds, fetch) {
      spend(feeds);
      return session.run(feeds, fetch);
    },
    runKeeping(feeds, fetch, keep) {
      spend(feeds);
      return session.runKeeping(feeds, fetch, keep);
    },
  });
  const slow: GraphRuntime = {
    ...runtime,
    async open(model, options) {
      const session = await runtime.open(model, options);
      time += pace.open;
      return session.ok ? { ok: true, value: watch(session.value) } : session;
    },
  };
  const instruments: Instruments = { now: () => time, heap: { bytes: () => 123 }, gpu: null };
  return { slow, instruments, lengths, spent: () => time };
}

describe('speed of a language model', () => {
  it('is told by medians and extremes of at least three runs', async () => {
    const { slow, instruments, lengths } = paced({ open: 0.1, token: 0.0001 });
    const speed = await measureSpeed(
      slow,
      inOneFile(tinyDecoder({ vocabulary: 20, positions: 600 })),
      null,
      instruments,
    );
    expect(speed).toMatchObject({
      provider: 'wasm',
      problem: null,
      run: null,
      widened: false,
      fallback: null,
      prefill: { tokens: 256, tokensPerSecond: { runs: 5 } },
      decode: { tokens: 32, cached: true, tokensPerSecond: { runs: 3 } },
      memory: { gpu: null, heap: 123 },
    });
    const { prefill, decode, load } = speed;
    // Runs take 1, 2 or 1.5 times as long in turn.
    expect(prefill!.tokensPerSecond.low).toBeCloseTo(5000);
    expect(prefill!.tokensPerSecond.high).toBeCloseTo(10_000);
    expect(decode!.tokensPerSecond.median).toBeGreaterThan(5000);
    expect(decode!.tokensPerSecond.median).toBeLessThan(10_000);
    expect(load!.runs).toBeGreaterThanOrEqual(3);
    // Opening, and a first run of eight tokens.
    expect(load!.low).toBeGreaterThanOrEqual(0.1 + 8 * 0.0001 - 1e-9);
    expect(load!.high).toBeLessThanOrEqual(0.1 + 16 * 0.0001 + 1e-9);
    expect(speed.memory!.predicted).toBeGreaterThan(16 << 20);
    // Warmed up before it is timed: more runs of a length than are told of.
    expect(lengths.filter((length) => length === 256).length).toBeGreaterThan(5);
    expect(lengths.filter((length) => length === 1).length).toBeGreaterThan(96);
  });

  it.each([
    [0.004, 4],
    [0.02, 8],
    [1, 40],
  ])('at %d s a token it takes few tokens and stays within %d s', async (token, most) => {
    const { slow, instruments, spent } = paced({ open: 0.01, token });
    const speed = await measureSpeed(
      slow,
      inOneFile(tinyDecoder({ vocabulary: 20, positions: 600 })),
      null,
      instruments,
    );
    expect(speed.problem).toBeNull();
    expect(speed.prefill!.tokens).toBeLessThan(256);
    expect(speed.decode!.tokens).toBeGreaterThanOrEqual(1);
    // Four prompts and some steps are the least there is.
    expect(spent()).toBeLessThan(Math.max(most, 220 * token));
  });

  it('stays within the positions the model has', async () => {
    const { slow, instruments } = paced({ open: 0.01, token: 0.0001 });
    const speed = await measureSpeed(
      slow,
      inOneFile(tinyDecoder({ vocabulary: 20, positions: 100 })),
      null,
      instruments,
    );
    expect(speed).toMatchObject({ problem: null, prefill: { tokens: 64 }, decode: { tokens: 10, cached: true } });
  });

  it('without a cache is told to be without', async () => {
    const { slow, instruments } = paced({ open: 0.01, token: 0.0001 });
    expect(await measureSpeed(slow, inOneFile(tinyModel({ vocabulary: 20 })), null, instruments)).toMatchObject({
      problem: null,
      decode: { cached: false },
    });
    expect(
      await measureSpeed(slow, inOneFile(tinyModel({ vocabulary: 20, sequence: 24 })), null, instruments),
    ).toMatchObject({
      problem: null,
      prefill: { tokens: 24 },
    });
  });

  it.each([
    [0, 3],
    [1 << 30, 1],
  ])(
    'with %d bytes left on the GPU by a released session, it is loaded at least or just %d times',
    async (left, times) => {
      const { slow, instruments } = paced({ open: 0.3, token: 0.0001 });
      let live = 0;
      const gpu = { live: () => live, peak: () => live, resetPeak: () => undefined };
      const leaking: GraphRuntime = {
        ...slow,
        async open(model, options) {
          const session = await slow.open(model, options);
          if (session.ok && session.value.inputs.length > 1) live += left;
          return session;
        },
      };
      const { load } = await measureSpeed(leaking, inOneFile(tinyDecoder({ vocabulary: 20, positions: 600 })), null, {
        ...instruments,
        gpu,
      });
      expect(load!.runs).toBe(times);
    },
  );

  it('is that of the real clock, too', async () => {
    const { decode, prefill } = await measureSpeed(
      runtime,
      inOneFile(tinyDecoder({ vocabulary: 20, positions: 600 })),
      null,
      {
        now: () => performance.now() / 1000,
        heap: null,
        gpu: null,
      },
    );
    expect(decode!.tokensPerSecond.low).toBeGreaterThan(0);
    expect(prefill!.tokensPerSecond.median).toBeGreaterThan(prefill!.tokensPerSecond.low - 1e-9);
  });
});

describe('speed of another model', () => {
  const model = new Blob([matMulModel(randomValues(1, 4096), 64, 64)]);
  const makeFeeds: MakeFeeds = () =>
    Promise.resolve({ ok: true, value: { x: { type: 'float32', dims: [2, 64], data: new Float32Array(128) } } });

  it('is seconds for one run', async () => {
    const { slow, instruments } = paced({ open: 0.1, token: 0, run: 0.01 });
    const speed = await measureSpeed(slow, inOneFile(model), makeFeeds, instruments);
    expect(speed).toMatchObject({
      problem: null,
      prefill: null,
      decode: null,
      run: { runs: 5 },
      memory: { heap: 123 },
    });
    expect(speed.run!.low).toBeCloseTo(0.01);
    expect(speed.run!.high).toBeCloseTo(0.02);
    expect(speed.load!.low).toBeCloseTo(0.11);
  });

  it('is taken on inputs made up from its graph', async () => {
    const { slow, instruments } = paced({ open: 0.1, token: 0, run: 0.01 });
    expect(await measureSpeed(slow, inOneFile(model), seededFeeds, instruments)).toMatchObject({
      problem: null,
      run: { runs: 5 },
    });
  });

  it('without inputs to run it on is not measured, and that is said', async () => {
    const { slow, instruments } = paced({ open: 0.1, token: 0, run: 0.01 });
    expect(await measureSpeed(slow, inOneFile(model), null, instruments)).toMatchObject({
      load: null,
      run: null,
      problem: { code: 'not-a-language-model' },
    });
    const unknown: MakeFeeds = () => Promise.resolve(failure('inputs-unknown', 'No.', 'Try.'));
    expect(await measureSpeed(slow, inOneFile(model), unknown, instruments)).toMatchObject({
      run: null,
      problem: { code: 'inputs-unknown' },
    });
  });
});

it('a file that is no model is a problem', async () => {
  const { slow, instruments } = paced({ open: 0.1, token: 0 });
  expect(await measureSpeed(slow, inOneFile(new Blob(['nothing'])), null, instruments)).toMatchObject({
    load: null,
    memory: null,
    problem: { code: 'session-failed' },
  });
});
