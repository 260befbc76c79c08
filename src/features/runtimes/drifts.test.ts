import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Divergence } from '../../../workers/contract/report.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { figuresIn } from '../results/test-figures.ts';
import { faultyReport, imageReport, languageReport } from '../results/test-reports.ts';
import {
  runtimeWarningOf,
  driftRows,
  listed,
  logAxisOf,
  outputDriftRows,
  partsSentence,
  placeOn,
  timesPerTick,
} from './drifts.ts';

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('three drifts', () => {
  it('of each level, where there is one', () => {
    const rows = driftRows(figuresIn(languageReport));
    expect(rows.map(({ quantization }) => quantization?.value ?? null)).toEqual([null, 0.00061, 0.0862]);
    expect(rows.map(({ runtime }) => runtime?.value)).toEqual([0.0000031, 0.0000044, 0.0000036]);
    expect(rows.map(({ tokens }) => tokens)).toEqual([2040, 2040, 2040]);
  });
  it('of models that are not language models, output by output', () => {
    const rows = outputDriftRows(figuresIn(imageReport));
    expect(rows.map(({ figure, output, quantization }) => [figure.name, output, quantization?.sqnr ?? null])).toEqual([
      ['fp16', 'logits', null],
      ['fp16', 'embedding', null],
      ['int8', 'logits', 41.3],
      ['int8', 'embedding', 45.5],
      ['int4', 'logits', 19.8],
      ['int4', 'embedding', 24],
    ]);
    expect(rows.every(({ runtime }) => runtime !== null)).toBe(true);
  });
});

describe('a logarithmic axis', () => {
  it('holds every value and its error, in whole powers of ten', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            value: fc.double({ min: 1e-9, max: 1e3, noNaN: true }),
            error: fc.double({ min: 0, max: 10, noNaN: true }),
          }),
          { minLength: 1 },
        ),
        (values) => {
          const axis = logAxisOf(values);
          const [low, high] = axis.domain;
          for (const { value, error } of values) {
            expect(value).toBeGreaterThanOrEqual(low);
            expect(value + error).toBeLessThanOrEqual(high * (1 + 1e-12));
            expect(placeOn(axis, value)).toBeGreaterThanOrEqual(0);
            expect(placeOn(axis, value)).toBeLessThanOrEqual(1);
          }
          for (const tick of axis.ticks) expect(Math.log10(tick)).toBeCloseTo(Math.round(Math.log10(tick)), 9);
        },
      ),
      { examples: [[[{ value: 999.9999999999994, error: 0 }]]] },
    );
  });
  it('places decades evenly, and what is zero at its start', () => {
    const axis = logAxisOf([
      { value: 1e-4, error: 0 },
      { value: 1, error: 0 },
    ]);
    expect(axis.domain).toEqual([1e-4, 1]);
    expect(placeOn(axis, 1e-3)).toBeCloseTo(0.25);
    expect(placeOn(axis, 0)).toBe(0);
    expect(logAxisOf([{ value: 0, error: 0 }]).domain).toEqual([1e-6, 1]);
    // What the caption says of the lines is what they do, over few decades and over many.
    for (const [low, high, times] of [
      [1e-4, 1, 10],
      [1e-9, 1, 100],
    ] as const) {
      const wide = logAxisOf([
        { value: low, error: 0 },
        { value: high, error: 0 },
      ]);
      expect(timesPerTick(wide)).toBe(times);
      wide.ticks.slice(1).forEach((tick, at) => {
        expect(tick / (wide.ticks[at] ?? NaN)).toBeCloseTo(times, 6);
      });
    }
    expect(timesPerTick(logAxisOf([]))).toBe(100);
  });
});

describe('the alarm', () => {
  it('is silent while runtimes agree', () => {
    expect(runtimeWarningOf(figuresIn(languageReport))).toBeNull();
    expect(runtimeWarningOf(figuresIn(imageReport))).toBeNull();
  });
  it('names the level, both drifts, and where the providers part', () => {
    const alarm = runtimeWarningOf(figuresIn(faultyReport));
    expect(alarm?.headline).toBe('On WebGPU this file computes something else: int4. The quantization is fine.');
    expect(alarm?.comparisons.map(plain)).toEqual([
      'int4: the predictions are 2.31 ± 0.09 nats apart between WebGPU and WASM, and quantizing accounts for 0.0862 ± 0.0010.',
    ]);
    const [part] = alarm?.parts ?? [];
    expect(part && partsSentence(part, true)).toBe(
      'They part at node /model/layers.2/mlp/down_proj/MatMul_Q4 (MatMulNBits), tensor /model/layers.2/mlp/down_proj/MatMul/output_0.',
    );
  });
  it('names the provider that the arbiter finds wrong, or says that it could not be decided', () => {
    const headlineOf = (wrong: Provider[] | null) => {
      const levels = faultyReport.levels.map((level) =>
        level.runtimeDrift?.exceeds
          ? {
              ...level,
              runtimeDrift: {
                ...level.runtimeDrift,
                arbitration: wrong && {
                  wrong,
                  arbiter: wrong.length > 0 ? ('both' as const) : null,
                  optimized: 0.2,
                  provider: 0,
                  against: 0.2,
                  unoptimized: 0,
                },
              },
            }
          : level,
      );
      return runtimeWarningOf(figuresIn({ ...faultyReport, levels }))?.headline;
    };
    expect(headlineOf(['webgpu'])).toMatch(/^On WebGPU .*int4/);
    expect(headlineOf(['wasm'])).toMatch(/^On WASM .*int4.*WebGPU gives/);
    expect(headlineOf(['wasm', 'webgpu'])).toMatch(/both.*int4/);
    expect(headlineOf([])).toMatch(/int4.*could not be decided/);
    expect(headlineOf(null)).toMatch(/could not be decided/);
  });
  it('names the first and the last node of a fused range, how many they are, whose kernel and which', () => {
    const at: Divergence = {
      node: 'norm/Add_1',
      operator: 'Add',
      tensor: 'norm.out',
      difference: 0.3,
      inputDifference: 0,
      provider: 'wasm',
      fused: {
        firstNode: 'norm/ReduceMean',
        firstOperator: 'ReduceMean',
        operators: Array.from({ length: 9 }, () => 'Mul'),
        into: 'LayerNormalization',
      },
    };
    for (const part of ['norm/ReduceMean', 'norm/Add_1', '9 nodes', 'WASM', 'LayerNormalization', 'norm.out'])
      expect(partsSentence({ levels: ['fp16'], at }, true)).toContain(part);
  });
  it('gathers levels that part at the same place', () => {
    const fault = faultyReport.levels[2]?.runtimeDrift ?? null;
    const alarm = runtimeWarningOf(
      figuresIn({ ...faultyReport, levels: faultyReport.levels.map((level) => ({ ...level, runtimeDrift: fault })) }),
    );
    expect(alarm?.headline).toBe(
      'On WebGPU these files compute something else: fp16, int8 and int4. The quantization is fine.',
    );
    expect(alarm?.parts.map(({ levels }) => levels)).toEqual([['fp16', 'int8', 'int4']]);
    expect(alarm?.comparisons[0]).toContain('more than quantizing changes any level');
  });
  it('speaks of decibels where there are no tokens, and does without a place', () => {
    const levels = imageReport.levels.map((level) => ({
      ...level,
      runtimeDrift: level.runtimeDrift
        ? {
            ...level.runtimeDrift,
            exceeds: level.id === 'int8',
            outputs: [
              { output: 'logits', shape: [1], cosine: 0.5, sqnr: 3.2, maxError: 1, rms: 1, top1: null, top5: null },
            ],
          }
        : null,
    }));
    const alarm = runtimeWarningOf(figuresIn({ ...imageReport, levels }));
    expect(alarm?.comparisons.map(plain)).toEqual([
      'int8: the output logits keeps a signal-to-noise ratio of 3.2 dB between WebGPU and WASM, and 41.3 dB after quantizing.',
    ]);
    expect(alarm?.parts).toEqual([]);
  });
});

it('lists names as one says them', () => {
  expect([[], ['a'], ['a', 'b'], ['a', 'b', 'c']].map(listed)).toEqual(['', 'a', 'a and b', 'a, b and c']);
});
