import { expect, test } from 'vitest';
import type { Timing } from '../contract/events.ts';
import { laps, runTimer, timing } from './timing.ts';

test('laps follow one another', () => {
  let now = 1000;
  const lap = laps(() => now);
  now = 1500;
  expect(lap()).toBe(0.5);
  now = 1750;
  expect(lap()).toBe(0.25);
});

test('runs of a model add up, and are sent about once a second and at the end', () => {
  let now = 0;
  const sent: Timing[] = [];
  const timer = runTimer(
    'wasm',
    (event) => {
      sent.push(event);
    },
    () => now,
  );
  const run = (at: number, last = false) => {
    now = at;
    timer.ran('fp16', 512, 0.2);
    timer.ran(null, 512, 0.3);
    timer.send(last);
  };
  run(400);
  run(800);
  expect(sent).toEqual([]);
  run(1200);
  expect(sent.map(({ level, amount }) => [level, amount])).toEqual([
    ['fp16', 1536],
    [null, 1536],
  ]);
  expect(sent[0]?.seconds).toBeCloseTo(0.6, 9);
  run(1300, true);
  expect(sent).toHaveLength(4);
  expect(sent[2]).toMatchObject({ step: 'run', provider: 'wasm', amount: 512 });
  timer.send(true);
  expect(sent).toHaveLength(4);
});

test('a step without parts has the amount 1', () => {
  expect(timing('overflow', 3, { provider: 'wasm' })).toEqual({
    type: 'timing',
    step: 'overflow',
    level: null,
    provider: 'wasm',
    amount: 1,
    seconds: 3,
  });
});
