import { describe, expect, test } from 'vitest';
import type { Speed } from '../../contract/report.ts';
import { mergeSpeeds } from './merge-speed.ts';
import { notMeasured } from './speed-meter.ts';

const problem = { code: 'session-failed', message: '', action: '', details: '' } as const;
const speed = (median: number, change: Partial<Speed> = {}): Speed => ({
  ...notMeasured('wasm', 2, problem),
  problem: null,
  load: { median: 1, low: 0.5, high: 2, runs: 3 },
  decode: { tokens: 32, tokensPerSecond: { median, low: median - 1, high: median + 1, runs: 3 }, cached: true },
  memory: { gpu: null, heap: 10, predicted: 5 },
  ...change,
});

describe('two rounds', () => {
  test('have the extremes of both, so that what drifts between them shows', () => {
    const merged = mergeSpeeds(speed(10), speed(20, { memory: { gpu: null, heap: 30, predicted: 5 } }));
    expect(merged.decode).toEqual({
      tokens: 32,
      tokensPerSecond: { median: 15, low: 9, high: 21, runs: 6 },
      cached: true,
    });
    expect(merged.load).toEqual({ median: 1, low: 0.5, high: 2, runs: 6 });
    expect(merged.memory?.heap).toBe(30);
    expect(merged.run).toBeNull();
  });

  test('are the first alone where the second failed or ran another amount', () => {
    expect(mergeSpeeds(speed(10), notMeasured('wasm', 2, problem))).toEqual(speed(10));
    const other = { tokens: 16, tokensPerSecond: { median: 99, low: 99, high: 99, runs: 3 }, cached: true };
    expect(mergeSpeeds(speed(10), speed(20, { decode: other })).decode).toEqual(speed(10).decode);
  });
});
