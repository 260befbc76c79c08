import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failure } from '../errors.ts';
import { repeat, spreadOf } from './spread.ts';

describe('a spread', () => {
  it.each([
    [[3], { median: 3, low: 3, high: 3, runs: 1 }],
    [[5, 1, 3], { median: 3, low: 1, high: 5, runs: 3 }],
    [[4, 1, 2, 9], { median: 3, low: 1, high: 9, runs: 4 }],
  ])('of %j', (values, spread) => {
    expect(spreadOf(values)).toEqual(spread);
  });
  it('of nothing is none', () => {
    expect(spreadOf([])).toBeNull();
  });
  it('has its median between its extremes, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }), (values) => {
        const spread = spreadOf(values)!;
        expect(spread.low).toBeLessThanOrEqual(spread.median);
        expect(spread.median).toBeLessThanOrEqual(spread.high);
        expect(spreadOf(values.toReversed())).toEqual(spread);
        expect(values.filter((value) => value < spread.median).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe('repeating', () => {
  const runs = async (seconds: number, failsAt = Infinity) => {
    let time = 0;
    let count = 0;
    const { values, problem } = await repeat(
      () => {
        time += seconds;
        return Promise.resolve(
          ++count === failsAt ? failure('session-failed', 'No.', 'Try.') : { ok: true, value: count },
        );
      },
      { least: 3, most: 5, budget: 1 },
      () => time,
    );
    return { times: values.length, failed: problem !== null };
  };
  it.each([
    [0.01, 5],
    [0.3, 4],
    [0.5, 3],
    [0.9, 3],
    [1.5, 2],
    [10, 1],
  ])('a run of %d s is done %d times', async (seconds, times) => {
    expect(await runs(seconds)).toEqual({ times, failed: false });
  });
  it('ends with what fails', async () => {
    expect(await runs(0.01, 3)).toEqual({ times: 2, failed: true });
  });
});
