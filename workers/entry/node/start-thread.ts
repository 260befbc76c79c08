/** Threads of Node that are used as web workers are. */
import { Worker as Thread } from 'node:worker_threads';
import type { WorkerLike } from '../../rpc/remote.ts';

/**
 * Starts a thread. Its messages, and an `error` event when it fails or ends, come as those of a web worker do. It does not
 * keep the process alive.
 * @param entry A built script, which exposes its functions to `parentPort`.
 */
export function startThread(entry: URL): WorkerLike {
  const thread = new Thread(entry);
  thread.unref();
  const events = new EventTarget();
  const fail = (message: string) => {
    events.dispatchEvent(Object.assign(new Event('error', { cancelable: true }), { message }));
  };
  thread.on('message', (data: unknown) => {
    events.dispatchEvent(new MessageEvent('message', { data }));
  });
  thread.on('messageerror', () => {
    events.dispatchEvent(new Event('messageerror'));
  });
  thread.on('error', ({ message }: Error) => {
    fail(message);
  });
  thread.on('exit', (status) => {
    fail(`exit status ${status}`);
  });
  return {
    addEventListener: events.addEventListener.bind(events) as WorkerLike['addEventListener'],
    removeEventListener: events.removeEventListener.bind(events) as WorkerLike['removeEventListener'],
    postMessage(message, transferred) {
      thread.postMessage(message, transferred as Parameters<Thread['postMessage']>[1]);
    },
    terminate() {
      void thread.terminate();
    },
  };
}
