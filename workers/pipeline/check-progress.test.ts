import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countTogether } from './check-progress.ts';
import type { EngineEvent, Progress } from '../contract/events.ts';

const progress = (done: number, total: number, stage: Progress['stage'] = 'check'): Progress => ({
  type: 'progress',
  stage,
  level: 'a',
  done,
  total,
  unit: 'runs',
  tensor: null,
  secondsLeft: null,
});

test('two checks in a row are one count, which ends with all of it', () => {
  const seen: EngineEvent[] = [];
  const [drift, speed] = countTogether([3, 6], (event) => {
    seen.push(event);
  });
  for (const done of [0, 1, 2, 3]) drift?.(progress(done, 3));
  for (const done of [0, 3, 12]) speed?.(progress(done, 12));
  expect(seen.flatMap((event) => (event.type === 'progress' ? [[event.done, event.total]] : []))).toEqual([
    [0, 9],
    [1, 9],
    [2, 9],
    [3, 9],
    [3, 9],
    [4.5, 9],
    [9, 9],
  ]);
});

test('the count never falls, whatever each check counts and whichever is not made', () => {
  const check = fc.record({ runs: fc.nat(6), total: fc.nat(20), steps: fc.array(fc.nat(25), { maxLength: 8 }) });
  fc.assert(
    fc.property(fc.array(check, { minLength: 1, maxLength: 4 }), (checks) => {
      let last = 0;
      const listeners = countTogether(
        checks.map(({ runs }) => runs),
        (event) => {
          if (event.type !== 'progress') return;
          expect(event.done).toBeGreaterThanOrEqual(last);
          expect(event.done).toBeLessThanOrEqual(event.total);
          last = event.done;
        },
      );
      checks.forEach(({ total, steps }, at) => {
        for (const done of steps.toSorted((a, b) => a - b)) listeners[at]?.(progress(done, total));
      });
    }),
  );
});

test('what is no progress of a check passes as it is', () => {
  const seen: EngineEvent[] = [];
  const [only] = countTogether([3], (event) => {
    seen.push(event);
  });
  const others: EngineEvent[] = [
    progress(1, 2, 'measure'),
    { type: 'timing', step: 'speed', level: 'a', provider: 'wasm', amount: 1, seconds: 2 },
  ];
  for (const event of others) only?.(event);
  expect(seen).toEqual(others);
});
