import { afterEach, describe, expect, test } from 'vitest';
import type { WorkerLike } from '../../rpc/remote.ts';
import { startThread } from './start-thread.ts';

const started: WorkerLike[] = [];
afterEach(() => {
  for (const thread of started.splice(0)) thread.terminate();
});

function start(script: string): WorkerLike {
  const thread = startThread(
    new URL(
      `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';\n${script}`)}`,
    ),
  );
  started.push(thread);
  return thread;
}

/** The next event of a kind. */
const next = <Name extends 'message' | 'error'>(thread: WorkerLike, name: Name) =>
  new Promise<WorkerEventMap[Name]>((resolve) => {
    thread.addEventListener(name, resolve as (event: Event) => void);
  });

describe('a thread', () => {
  test('answers messages, and takes over what is transferred', async () => {
    const thread = start("parentPort.on('message', (bytes) => parentPort.postMessage(bytes.map((byte) => byte + 1)));");
    const answer = next(thread, 'message');
    const sent = Uint8Array.of(1, 2, 3);
    thread.postMessage(sent, [sent.buffer]);
    expect((await answer).data).toEqual(Uint8Array.of(2, 3, 4));
    expect(sent.byteLength).toBe(0);
  });

  test('that throws gives an error event', async () => {
    expect((await next(start("throw new Error('broken');"), 'error')).message).toBe('broken');
  });

  test('that ends by itself gives an error event', async () => {
    expect((await next(start('process.exit(3);'), 'error')).message).toContain('3');
  });
});
