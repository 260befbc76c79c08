/**
 * Charts are the dearest thing on the page to draw, and a comparison has half a dozen. Each is drawn in a task of its
 * own, one after the other, and only when what it shows has changed, so that none keeps the page from answering.
 */
import { useEffect, useState } from 'react';
import { flushSync } from 'react-dom';

const waiting: (() => void)[] = [];
let scheduled = false;

function next(): void {
  scheduled = false;
  const act = waiting.shift();
  // Left to itself, React would gather several turns and draw them at once.
  if (act) flushSync(act);
  if (waiting.length > 0) schedule();
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setTimeout(next, 0);
}

/** Runs `act`, and draws what it changes, in a task where no other one's turn is; what comes back takes it out of the line. */
export function takeTurn(act: () => void): () => void {
  waiting.push(act);
  schedule();
  return () => {
    const at = waiting.indexOf(act);
    if (at !== -1) waiting.splice(at, 1);
  };
}

/**
 * The last value whose turn has come; null before the first has. Of equal signs values look alike, and the new one is
 * not taken.
 */
export function useInTurn<T extends { sign: string }>(value: T | null): T | null {
  const [shown, setShown] = useState<T | null>(null);
  useEffect(
    () =>
      value === null || shown?.sign === value.sign
        ? undefined
        : takeTurn(() => {
            setShown(value);
          }),
    [value, shown],
  );
  return shown;
}
