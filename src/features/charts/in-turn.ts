/**
 * A queue for what is expensive to render. A comparison has half a dozen charts; each is rendered in a task of its own,
 * once the one before it is on the page, and only when its data has changed, so that the page answers in between.
 */
import { startTransition, useEffect, useState } from 'react';

const waiting: (() => void)[] = [];
let current: (() => void) | null = null;
let scheduled = false;

function next(): void {
  scheduled = false;
  current = waiting.shift() ?? null;
  current?.();
}

function schedule(): void {
  if (scheduled || current !== null || waiting.length === 0) return;
  scheduled = true;
  setTimeout(next, 0);
}

/**
 * Calls `act` in a task of its own, once every earlier turn has ended.
 * @returns Ends the turn, or leaves the queue where it has not begun; each turn has to be ended.
 */
export function takeTurn(act: () => void): () => void {
  waiting.push(act);
  schedule();
  return () => {
    if (current === act) current = null;
    const at = waiting.indexOf(act);
    if (at !== -1) waiting.splice(at, 1);
    schedule();
  };
}

/**
 * The latest value whose turn has come; null before the first. A value with the same `sign` looks the same and is ignored.
 * The turn ends when React has rendered the value.
 */
export function useInTurn<T extends { sign: string }>(value: T | null): T | null {
  const [shown, setShown] = useState<T | null>(null);
  useEffect(
    () =>
      value === null || shown?.sign === value.sign
        ? undefined
        : takeTurn(() => {
            startTransition(() => {
              setShown(value);
            });
          }),
    [value, shown],
  );
  return shown;
}
