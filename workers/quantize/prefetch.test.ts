import { describe, expect, it } from 'vitest';
import { prefetch } from './prefetch.ts';

const { signal } = new AbortController();

/** A maker whose work is finished by hand, and what it was asked for. */
function byHand() {
  const asked: string[] = [];
  const finish = new Map<string, () => void>();
  const make = (task: string) => {
    asked.push(task);
    return new Promise<string>((resolve, reject) => {
      finish.set(task, () => {
        if (task.startsWith('bad')) reject(new Error(task));
        else resolve(`${task} made`);
      });
    });
  };
  return {
    asked,
    make,
    finish: (task: string) => {
      finish.get(task)?.();
    },
  };
}

describe('making ahead', () => {
  it('starts the next tasks while one is waited for, each once and no more than there are lanes', async () => {
    const { asked, make, finish } = byHand();
    const { make: ahead } = prefetch(['a', 'b', 'c', 'd'], () => 1, make, { count: 2, bytes: 100 });
    const first = ahead('a', signal);
    expect(asked).toEqual(['a', 'b']);
    finish('b');
    finish('a');
    expect(await first).toBe('a made');
    const second = ahead('b', signal);
    expect(asked).toEqual(['a', 'b', 'c']);
    expect(await second).toBe('b made');
  });

  it('does not hold more weights at once than allowed, but always those asked for', async () => {
    const { asked, make, finish } = byHand();
    const { make: ahead } = prefetch(['small', 'large', 'next'], (name) => (name === 'large' ? 1000 : 1), make, {
      count: 3,
      bytes: 10,
    });
    const small = ahead('small', signal);
    expect(asked).toEqual(['small']);
    finish('small');
    await small;
    const large = ahead('large', signal);
    expect(asked).toEqual(['small', 'large']);
    finish('large');
    expect(await large).toBe('large made');
  });

  it('hands on a failure to who asks for it, and only then', async () => {
    const { make, finish } = byHand();
    const { make: ahead } = prefetch(['a', 'bad', 'c'], () => 1, make, { count: 2, bytes: 100 });
    const first = ahead('a', signal);
    finish('bad');
    finish('a');
    expect(await first).toBe('a made');
    await expect(ahead('bad', signal)).rejects.toThrow('bad');
  });

  it('starts the first ones before any is asked for, each once', async () => {
    const { asked, make, finish } = byHand();
    const ahead = prefetch(['a', 'b', 'c'], (name) => (name === 'b' ? 60 : 30), make, { count: 3, bytes: 100 });
    ahead.begin(signal);
    expect(asked).toEqual(['a', 'b']);
    finish('a');
    expect(await ahead.make('a', signal)).toBe('a made');
    expect(asked).toEqual(['a', 'b']);
    finish('b');
    expect(await ahead.make('b', signal)).toBe('b made');
    expect(asked).toEqual(['a', 'b', 'c']);
  });

  it('makes a task asked for again once more', async () => {
    const { asked, make, finish } = byHand();
    const { make: ahead } = prefetch(['a'], () => 1, make, { count: 2, bytes: 100 });
    const first = ahead('a', signal);
    finish('a');
    await first;
    void ahead('a', signal);
    expect(asked).toEqual(['a', 'a']);
  });
});
