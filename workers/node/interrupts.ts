/** What Ctrl-C means: while measuring, the first finishes early; any other aborts. */
import type { EventEmitter } from 'node:events';

export interface Interrupts {
  stop: AbortSignal;
  finish: AbortSignal;
  /** From here on there is something to finish with. */
  measuring(): void;
}

export function listenForInterrupts(process: Pick<EventEmitter, 'on'>, stderr: { write(text: string): unknown }): Interrupts {
  const stop = new AbortController();
  const finish = new AbortController();
  let measuring = false;
  process.on('SIGINT', () => {
    if (!measuring || finish.signal.aborted) {
      stop.abort();
      return;
    }
    finish.abort();
    stderr.write('\nFinishing with what has been measured; press Ctrl-C again to abort.\n');
  });
  return { stop: stop.signal, finish: finish.signal, measuring: () => { measuring = true; } };
}
