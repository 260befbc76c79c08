import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { listenForInterrupts } from './interrupts.ts';

function listening() {
  const process = new EventEmitter();
  const said: string[] = [];
  const interrupts = listenForInterrupts(process, { write: (text: string) => said.push(text) });
  const interrupt = () => {
    process.emit('SIGINT');
    return { finish: interrupts.finish.aborted, stop: interrupts.stop.aborted, said: said.length };
  };
  return { interrupt, interrupts };
}

test('before measuring the first aborts', () => {
  expect(listening().interrupt()).toEqual({ finish: false, stop: true, said: 0 });
});

test('while measuring the first finishes and says how to abort, the second aborts', () => {
  const { interrupt, interrupts } = listening();
  interrupts.measuring();
  expect(interrupt()).toEqual({ finish: true, stop: false, said: 1 });
  expect(interrupt()).toEqual({ finish: true, stop: true, said: 1 });
});
