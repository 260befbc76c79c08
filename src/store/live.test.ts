import { describe, expect, it } from 'vitest';
import type { Progress } from '../../workers/contract/events.ts';
import { applyEvent, loadingToMeasure, modelsLoaded, overall, startLive, type Live } from './live.ts';

const progress = (change: Partial<Progress>): Progress => ({
  type: 'progress',
  stage: 'quantize',
  level: 'a',
  done: 0,
  total: 100,
  unit: 'bytes',
  tensor: null,
  secondsLeft: null,
  ...change,
});

const run = (start: Live, ...events: [Parameters<typeof applyEvent>[1], number][]) =>
  events.reduce((live, [event, now]) => applyEvent(live, event, now), start);

describe('events become rows', () => {
  it('keeps each level apart and averages the stage over them', () => {
    const live = run(
      startLive(['a', 'b']),
      [progress({ done: 50, tensor: 'w' }), 0],
      [progress({ level: 'b', done: 100 }), 0],
    );
    expect(live.rows.get('a')?.progress?.tensor).toBe('w');
    expect(live.done.quantize).toBeCloseTo(0.75);
    expect(live.done.open).toBe(1);
    expect(live.stage).toBe('quantize');
  });

  it('tells bytes a second once there is enough to tell', () => {
    const live = run(startLive(['a']), [progress({ done: 0 }), 1000], [progress({ done: 10 }), 1100]);
    expect(live.rows.get('a')?.perSecond).toBeNull();
    expect(applyEvent(live, progress({ done: 50 }), 1500).rows.get('a')?.perSecond).toBe(100);
  });

  it('remembers a written file and running figures', () => {
    const blob = new Blob(['x']);
    const live = run(
      startLive(['a']),
      [{ type: 'written', level: 'a', file: 'model_q4.onnx', blob, bytes: 1, weightBytes: 1 }, 0],
      [{ type: 'measured', level: 'a', tokens: 255, perplexity: { value: 9, error: 1 }, drift: null, final: false }, 0],
    );
    expect(live.rows.get('a')).toMatchObject({
      written: { file: 'model_q4.onnx' },
      measured: { tokens: 255 },
      progress: null,
    });
  });

  it('measures all levels at once when no level is named', () => {
    const live = run(startLive(['a', 'b']), [progress({ stage: 'measure', level: null, unit: 'tokens', done: 25 }), 7]);
    expect(live.done).toEqual({ open: 1, quantize: 1, measure: 0.25, check: 0 });
    expect(overall(live, ['open', 'quantize', 'measure', 'check'])).toBeCloseTo(0.3 + 0.5 * 0.25);
    expect(overall(live, ['open', 'quantize', 'measure'])).toBeCloseTo((0.3 + 0.5 * 0.25) / 0.8);
    expect(
      overall(run(live, [progress({ stage: 'check', level: null, unit: 'runs', done: 50 }), 8]), [
        'open',
        'quantize',
        'measure',
        'check',
      ]),
    ).toBeCloseTo(0.9);
  });

  it('counts checks from their own beginning, when all levels have their figures', () => {
    const measured = {
      type: 'measured',
      level: 'a',
      tokens: 1,
      perplexity: { value: 1, error: 0 },
      drift: null,
      final: true,
    } as const;
    const live = run(startLive(['a']), [measured, 0], [progress({ stage: 'check', unit: 'runs', done: 0 }), 1]);
    expect(live.done).toEqual({ open: 1, quantize: 1, measure: 1, check: 0 });
    expect(run(live, [progress({ stage: 'check', unit: 'runs', done: 50 }), 2]).done.check).toBe(0.5);
  });

  it('ignores levels it does not know and names that look like object prototypes', () => {
    const live = run(startLive(['a']), [
      { type: 'measured', level: '__proto__', tokens: 1, perplexity: { value: 1, error: 0 }, drift: null, final: true },
      0,
    ]);
    expect([...live.rows.keys()]).toEqual(['a']);
    expect(({} as { measured?: unknown }).measured).toBeUndefined();
  });

  it('knows the time between the last file and the first text, when models are loaded', () => {
    const written = (level: string) =>
      ({ type: 'written', level, file: 'f', blob: new Blob(), bytes: 1, weightBytes: 1 }) as const;
    const half = run(startLive(['a', 'b']), [progress({ done: 100, secondsLeft: 0 }), 0], [written('a'), 0]);
    expect(loadingToMeasure(startLive(['a', 'b']))).toBe(false);
    expect(loadingToMeasure(half)).toBe(false);
    const all = run(half, [progress({ level: 'b', done: 100, secondsLeft: 0 }), 1], [written('b'), 1]);
    expect(loadingToMeasure(all)).toBe(true);
    expect(loadingToMeasure(run(all, [progress({ stage: 'measure', level: null, done: 1 }), 2]))).toBe(false);
    // A level that cannot be made comes with a warning and never with a file.
    const error = { code: 'nothing-to-quantize', message: 'm', action: 'a', details: '' } as const;
    expect(loadingToMeasure(applyEvent(half, { type: 'warning', error }, 1))).toBe(true);
    expect(loadingToMeasure(run(half, [{ type: 'warning', error }, 1], [progress({ level: 'b', done: 5 }), 1]))).toBe(
      false,
    );
  });

  it('adds up what the steps took, and counts the models that are loaded', () => {
    const timing = { type: 'timing', step: 'load', level: 'a', provider: 'wasm', amount: 10, seconds: 2 } as const;
    const live = run(
      startLive(['a', 'b']),
      [timing, 5],
      [{ ...timing, level: null }, 6],
      [{ ...timing, step: 'run', amount: 512 }, 7],
      [{ ...timing, step: 'run', amount: 512, seconds: 3 }, 9],
    );
    expect(modelsLoaded(live)).toBe(2);
    expect([...live.observed.work.values()].find(({ step }) => step === 'run')).toMatchObject({
      amount: 1024,
      seconds: 5,
    });
    expect(live.observed.at).toBe(9);
  });

  it('never lets a stage fall, whatever the engine does once more', () => {
    const live = run(
      startLive(['a']),
      [progress({ stage: 'check', level: null, unit: 'runs', done: 3, total: 3 }), 0],
      [progress({ stage: 'check', unit: 'runs', done: 0, total: 6 }), 1],
    );
    expect(live.done.check).toBe(1);
  });

  it('collects warnings', () => {
    const error = { code: 'device-lost', message: 'm', action: 'a', details: '' } as const;
    expect(applyEvent(startLive([]), { type: 'warning', error }, 0).warnings).toEqual([error]);
  });
});
