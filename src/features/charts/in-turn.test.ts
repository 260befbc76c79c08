import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { takeTurn } from './in-turn.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('begins a turn in a task of its own when the one before has ended, without those that left the queue', async () => {
  const seen: string[] = [];
  const turn = (name: string) =>
    takeTurn(() => {
      seen.push(name);
    });
  const [endA, leaveB, endC] = [turn('a'), turn('b'), turn('c')];
  leaveB();
  expect(seen).toEqual([]);
  await vi.runAllTimersAsync();
  expect(seen).toEqual(['a']);
  const endD = turn('d');
  endA();
  expect(seen).toEqual(['a']);
  await vi.runAllTimersAsync();
  expect(seen).toEqual(['a', 'c']);
  endC();
  await vi.runAllTimersAsync();
  endD();
  await vi.runAllTimersAsync();
  expect(seen).toEqual(['a', 'c', 'd']);
});
