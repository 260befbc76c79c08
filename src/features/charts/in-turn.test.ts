import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { takeTurn } from './in-turn.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('one a task, in the order they came, without those that left the line', async () => {
  const seen: string[] = [];
  takeTurn(() => {
    seen.push('a');
    takeTurn(() => {
      seen.push('d');
    });
  });
  const leave = takeTurn(() => {
    seen.push('b');
  });
  takeTurn(() => {
    seen.push('c');
  });
  leave();
  expect(seen).toEqual([]);
  await vi.advanceTimersToNextTimerAsync();
  expect(seen).toEqual(['a']);
  await vi.advanceTimersToNextTimerAsync();
  expect(seen).toEqual(['a', 'c']);
  await vi.runAllTimersAsync();
  expect(seen).toEqual(['a', 'c', 'd']);
});
