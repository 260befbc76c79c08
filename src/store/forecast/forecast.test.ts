import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineEvent, Timing } from '../../../workers/contract/events.ts';
import { applyEvent, startLive } from '../live.ts';
import { advance } from '../progress.ts';
import type { Run } from '../run.ts';
import { forecast, NOTHING_OBSERVED, observe, samplesOf, secondsLeft, shareDone, type Observed } from './forecast.ts';
import type { Pace } from './pace.ts';
import { learn, secondsOf, type Paces, type Work } from './paces.ts';
import { kindOf, stepsOf, type RunShape } from './steps.ts';

const shape: RunShape = {
  model: { bytes: 12e6, parameters: 6e6, baseline: 'as-is' },
  levels: [
    { key: 'a', kind: 'fp16', bytes: 12e6 },
    { key: 'b', kind: 'int8', bytes: 8e6 },
    { key: 'c', kind: 'int4', bytes: 5e6 },
  ],
  text: { bytes: 500_000, tokens: 16_384, window: 512 },
  provider: 'wasm',
  checks: { noiseFloor: true, runtimeDrift: true, speed: true, gpu: 'none' },
};
const names = (given: Partial<RunShape>) =>
  stepsOf({ ...shape, ...given }).map(({ step, kind, provider }) => [step, kind, provider].join(' ').trim());
const run = (kind: string, change: Partial<Pace> = {}): Pace => ({
  step: 'run',
  provider: 'wasm',
  kind,
  size: 6e6,
  amount: 1000,
  seconds: 2,
  ...change,
});
const timing = (change: Partial<Timing>): Timing => ({
  type: 'timing',
  step: 'run',
  level: 'a',
  provider: 'wasm',
  amount: 512,
  seconds: 1,
  ...change,
});
const after = (...timings: [Timing, number][]): Observed =>
  timings.reduce((seen, [event, now]) => observe(seen, event, now), NOTHING_OBSERVED);

describe('steps of a run', () => {
  it('are those the engine takes: runtime, loading, float32 and checks with the rest', () => {
    expect(names({})).toEqual([
      'open',
      'quantize int8',
      'quantize int4',
      'start  wasm',
      'tokenize',
      'load fp16 wasm',
      'load int8 wasm',
      'load int4 wasm',
      'load float32 wasm',
      'run fp16 wasm',
      'run int8 wasm',
      'run int4 wasm',
      'run float32 wasm',
      'overflow  wasm',
      'speed fp16 wasm',
      'speed int8 wasm',
      'speed int4 wasm',
    ]);
    expect(names({ checks: { noiseFloor: false, runtimeDrift: false, speed: false, gpu: 'hardware' } })).toHaveLength(
      11,
    );
    expect(names({ checks: { ...shape.checks, gpu: 'software' } }).filter((name) => name.endsWith('webgpu'))).toEqual([
      'start  webgpu',
      'runtime-drift fp16 webgpu',
      'runtime-drift int8 webgpu',
      'runtime-drift int4 webgpu',
    ]);
    expect(
      names({ checks: { ...shape.checks, gpu: 'hardware' } }).filter((name) => name.startsWith('speed')),
    ).toHaveLength(6);
    expect(names({ model: { ...shape.model, baseline: 'rounded-to-fp16' } })).toContain('quantize fp16');
    const none = { noiseFloor: false, runtimeDrift: false, speed: false, gpu: 'none' } as const;
    const q4f16 = (baseline: RunShape['model']['baseline']) =>
      names({
        model: { ...shape.model, baseline },
        checks: none,
        levels: [...shape.levels, { key: 'd', kind: 'q4f16', bytes: 5e6 }],
      });
    expect(q4f16('rounded-to-fp16')).toContain('overflow  wasm');
    expect(q4f16('as-is')).not.toContain('overflow  wasm');
  });

  it('run all of the text through each model, and the first windows through the one in float32', () => {
    const amounts = stepsOf(shape)
      .filter(({ step }) => step === 'run')
      .map(({ amount }) => amount);
    expect(amounts).toEqual([16_384, 16_384, 16_384, 16 * 512]);
  });

  it('are of kinds that compute alike', () => {
    expect([
      kindOf({ id: 'int4', settings: { embedding: 'tokens', block: 32 } }),
      kindOf({ id: 'int4', settings: { block: 16 } }),
      kindOf({ id: 'int8', settings: { mode: 'dynamic' } }),
      kindOf({ id: 'int4', settings: { block: 16, method: 'gptq' } }),
    ]).toEqual(['int4', 'int4 block 16', 'int8 dynamic', 'int4 block 16 gptq']);
  });
});

describe('seconds of a step', () => {
  const work = (change: Partial<Work> = {}): Work => ({
    step: 'run',
    provider: 'wasm',
    kind: 'int4',
    size: 6e6,
    amount: 1000,
    ...change,
  });

  it('are what the same took, in proportion to the work', () => {
    expect(secondsOf(work(), [run('int4')], 1)).toBeCloseTo(2, 12);
    expect(secondsOf(work({ amount: 4000 }), [run('int4')], 1)).toBeCloseTo(8, 12);
    expect(secondsOf(work({ size: 12e6 }), [run('int4')], 1)).toBeCloseTo(4, 12);
    expect(
      secondsOf(work({ step: 'speed', amount: 1 }), [run('int4', { step: 'speed', amount: 1, seconds: 7 })], 1),
    ).toBeCloseTo(7, 12);
  });

  it('are taken from the model nearest in size', () => {
    expect(secondsOf(work({ size: 5e6 }), [run('int4', { size: 2e6, seconds: 90 }), run('int4')], 1)).toBeCloseTo(
      (2 * 5) / 6,
      12,
    );
  });

  it('of a kind that was never run are as assumed, by how this machine compares in others', () => {
    const assumed = secondsOf(work(), [], null);
    const slow = run('fp16', { seconds: 3 * secondsOf(work({ kind: 'fp16' }), [], null) });
    expect(secondsOf(work(), [slow], null)).toBeCloseTo(3 * assumed, 9);
  });

  it('of a step that was never taken are by how all others compare, weighted by their time', () => {
    const overflow = work({ step: 'overflow', kind: '', amount: 1 });
    const others = [
      run('fp16', { seconds: 4 * secondsOf(work({ kind: 'fp16' }), [], null) }),
      run('', {
        step: 'start',
        amount: 1,
        seconds: 4 * secondsOf(work({ step: 'start', kind: '', amount: 1 }), [], null),
      }),
    ];
    expect(secondsOf(overflow, others, null)).toBeCloseTo(4 * secondsOf(overflow, [], null), 9);
    // A tiny model starts a runtime all the same.
    expect(secondsOf({ ...overflow, size: 1000 }, [], null)).toBeGreaterThanOrEqual(1);
  });

  it('before anything was measured go by the machine’s pace', () => {
    expect(secondsOf(work(), [], 1e8) / secondsOf(work(), [], 4e8)).toBeCloseTo(4, 12);
    expect(secondsOf(work({ provider: 'webgpu', kind: 'something new' }), [], null)).toBeGreaterThan(0);
  });

  it('lean on the newest measurement, and keep one entry for the same work', () => {
    const learned = learn([run('int4', { seconds: 1 }), run('fp16')], [run('int4', { seconds: 4, amount: 1000 })]);
    expect(learned.map(({ kind }) => kind)).toEqual(['fp16', 'int4']);
    expect(learned[1]?.seconds).toBeCloseTo(4 ** 0.6, 9);
    expect(learn([], [run('int4', { seconds: 0 }), run('int4', { amount: 0 })])).toEqual([]);
    expect(
      learn(
        Array.from({ length: 300 }, (_, index) => run(`kind ${index}`)),
        [run('int4')],
      ),
    ).toHaveLength(200);
  });
});

describe('seconds left', () => {
  const paces: Paces = ['fp16', 'int8', 'int4', 'float32'].map((kind) => run(kind));
  const steps = stepsOf({ ...shape, checks: { noiseFloor: false, runtimeDrift: false, speed: false, gpu: 'none' } });
  const predicted = forecast(steps, paces, null);

  it('are all of them at first, and fewer as time goes by', () => {
    expect(secondsLeft(predicted, NOTHING_OBSERVED, 0, 0)).toBeCloseTo(predicted.seconds, 9);
    const first = predicted.steps[0]?.seconds ?? 0;
    expect(secondsLeft(predicted, NOTHING_OBSERVED, 0, 500 * first)).toBeCloseTo(predicted.seconds - first / 2, 9);
  });

  it('do not count steps that were passed over, as of files that were stored', () => {
    const left = secondsLeft(
      predicted,
      after([timing({ step: 'start', level: null, amount: 1, seconds: 3 }), 5000]),
      0,
      5000,
    );
    const rest = predicted.steps.filter(({ order }) => order > 2).reduce((sum, { seconds }) => sum + seconds, 0);
    expect(left / rest).toBeGreaterThan(0.5);
    expect(left).toBeLessThan(predicted.seconds * 3);
  });

  it('follow the pace that a step shows, and correct what comes later', () => {
    const slow = after(
      [timing({ amount: 8192, seconds: 80 }), 1],
      [timing({ level: 'b', amount: 8192, seconds: 80 }), 1],
      [timing({ level: 'c', amount: 8192, seconds: 80 }), 1],
    );
    expect(secondsLeft(predicted, slow, 0, 1)).toBeCloseTo(240, 0);
    const checks = forecast(stepsOf(shape), paces, null);
    const speed = checks.steps.filter(({ step }) => step === 'speed').reduce((sum, { seconds }) => sum + seconds, 0);
    const asPredicted = (factor: number) =>
      checks.steps
        .filter(({ order }) => order < 7)
        .reduce(
          (seen, { seconds, ...step }) => observe(seen, { type: 'timing', ...step, seconds: factor * seconds }, 1),
          NOTHING_OBSERVED,
        );
    expect(secondsLeft(checks, asPredicted(1), 0, 1)).toBeCloseTo(speed, 6);
    expect(secondsLeft(checks, asPredicted(3), 0, 1) / speed).toBeGreaterThan(2);
  });

  it('are never used up by a step that takes longer than predicted', () => {
    for (const now of [1e4, 1e5, 1e6]) expect(secondsLeft(predicted, NOTHING_OBSERVED, 0, now)).toBeGreaterThan(0);
  });
});

describe('what a run teaches', () => {
  it('is what its steps took, by kind and size', () => {
    const seen = after(
      [timing({ seconds: 2 }), 1],
      [timing({ level: null, seconds: 3 }), 2],
      [timing({ step: 'tokenize', level: null, provider: null, amount: 99 }), 3],
      [timing({ level: 'nobody' }), 4],
    );
    expect(samplesOf(seen, shape).map(({ step, kind, size, seconds }) => [step, kind, size, seconds])).toEqual([
      ['run', 'fp16', 6e6, 2],
      ['run', 'float32', 6e6, 3],
      ['tokenize', '', 6e6, 1],
    ]);
  });
});

describe('progress of a run', () => {
  const active = (given: RunShape): Run => ({
    id: 'r',
    startedAt: 0,
    endedAt: null,
    status: 'running',
    levels: [],
    model: { name: 'm', cacheBytesPerToken: null, baseline: 'as-is' },
    subject: 'text',
    protocol: { name: 'llama.cpp' },
    extras: { noiseFloor: true, runtimeDrift: true, words: true, speed: true },
    tokenizer: [],
    companions: [],
    live: startLive(['a', 'b', 'c']),
    forecast: forecast(stepsOf(given), [], null),
    report: null,
    error: null,
  });
  const level = fc.constantFrom('a', 'b', 'c', null);
  const event: fc.Arbitrary<EngineEvent> = fc.oneof(
    fc.record({
      type: fc.constant('progress' as const),
      stage: fc.constantFrom('open', 'quantize', 'measure', 'check'),
      level,
      done: fc.nat(10),
      total: fc.nat(10),
      unit: fc.constantFrom('bytes', 'tokens', 'runs'),
      tensor: fc.constant(null),
      secondsLeft: fc.constant(null),
    }),
    fc.record({
      type: fc.constant('timing' as const),
      step: fc.constantFrom(
        'open',
        'quantize',
        'start',
        'tokenize',
        'load',
        'run',
        'overflow',
        'runtime-drift',
        'speed',
      ),
      level,
      provider: fc.constantFrom('wasm', 'webgpu', null),
      amount: fc.double({ min: 1, max: 1e6, noNaN: true }),
      seconds: fc.double({ min: 1e-4, max: 100, noNaN: true }),
    }),
  );

  it('never falls and never reaches the end before it, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.nat(20_000)), { maxLength: 60 }), fc.boolean(), (events, hasForecast) => {
        let run = active(shape);
        if (!hasForecast) run = { ...run, forecast: null };
        let now = 0;
        let share = 0;
        const stages = { ...run.live.done };
        for (const [each, passed] of events) {
          now += passed;
          run = advance({ ...run, live: applyEvent(run.live, each, now) }, now);
          const next = run.progress?.share ?? NaN;
          expect(next).toBeGreaterThanOrEqual(share);
          expect(next).toBeLessThanOrEqual(1);
          if (hasForecast) expect(next).toBeLessThan(1);
          share = next;
          for (const stage of ['open', 'quantize', 'measure', 'check'] as const) {
            expect(run.live.done[stage]).toBeGreaterThanOrEqual(stages[stage]);
            stages[stage] = run.live.done[stage];
          }
          const left = run.progress?.secondsLeft;
          if (hasForecast) expect(Number.isFinite(left) && (left ?? -1) >= 0).toBe(true);
        }
      }),
    );
  });

  it('is a share of the time', () => {
    expect(shareDone(30, 0, 10_000, 0)).toBeCloseTo(0.25, 12);
    expect(shareDone(30, 0, 10_000, 0.4)).toBe(0.4);
    expect(shareDone(0, 0, 0, 0)).toBe(0);
  });
});
