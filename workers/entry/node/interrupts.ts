/** What Ctrl-C means: while measuring, the first finishes early; the next aborts. Other ways of asking a process to end abort. */
import { constants } from 'node:os';
import type { EventEmitter } from 'node:events';

export interface Interrupts {
  stop: AbortSignal;
  finish: AbortSignal;
  /** From here on there is something to finish with. */
  measuring(): void;
  /** What a process ends with that a signal aborted: 128 and its number. */
  status(): number;
}

export function listenForInterrupts(
  process: Pick<EventEmitter, 'on'>,
  stderr: { write(text: string): unknown },
): Interrupts {
  const stop = new AbortController();
  const finish = new AbortController();
  let measuring = false;
  let last: 'SIGINT' | 'SIGTERM' | 'SIGHUP' = 'SIGINT';
  for (const name of ['SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      last = name;
      stop.abort();
    });
  }
  process.on('SIGINT', () => {
    last = 'SIGINT';
    if (!measuring || finish.signal.aborted) {
      stop.abort();
      return;
    }
    finish.abort();
    stderr.write('\nFinishing with what has been measured; press Ctrl-C again to abort.\n');
  });
  return {
    stop: stop.signal,
    finish: finish.signal,
    measuring: () => {
      measuring = true;
    },
    status: () => 128 + constants.signals[last],
  };
}
