/**
 * Comlink, with what it leaves out. A plain comlink call settles only on a reply, so it hangs for ever when the
 * worker dies, and each callback passed leaks a port. Here a call rejects with `WorkerCrashed` when the worker
 * fails, sends something unreadable, is ended, or is gone without an error event; events travel over a port of the call's own that closes with it,
 * and a call settles only after its last event has arrived.
 */
import * as Comlink from 'comlink';

/** `name` of the error a call rejects with when its worker is gone. */
export const WORKER_CRASHED = 'WorkerCrashed';

export interface RemoteWorker<T> {
  call<R>(invoke: (api: Comlink.Remote<T>) => Promise<R>): Promise<R>;
  /** A call that reports events on the way: hand `port` to the worker, which wraps its work in `reporting`. */
  callWithEvents<E, R>(
    onEvent: (event: E) => void,
    invoke: (api: Comlink.Remote<T>, port: MessagePort) => Promise<R>,
  ): Promise<R>;
  /** Ends the worker; calls under way reject. */
  terminate(): void;
  /** Settles with the reason once the worker is gone. */
  readonly gone: Promise<Error>;
}

interface Alive {
  holds: string;
}

const isAlive = (data: unknown): data is Alive =>
  typeof data === 'object' && data !== null && typeof (data as Partial<Alive>).holds === 'string';

/** Typed as always there; outside secure contexts, and in older versions of Node, it is not. */
const webLocks = (): LockManager | undefined =>
  (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;

/** What is used of a worker. */
export interface WorkerLike extends Pick<Worker, 'addEventListener' | 'removeEventListener' | 'terminate'> {
  postMessage(message: unknown, transferred: Transferable[]): void;
}

/** Takes over a freshly made worker that exposes a `T`. */
export function connect<T>(worker: WorkerLike): RemoteWorker<T> {
  const api = Comlink.wrap<T>(worker);
  let end!: (reason: Error) => void;
  const gone = new Promise<Error>((resolve) => {
    end = resolve;
  });
  const underWay = new Set<(reason: Error) => void>();
  let ended: Error | null = null;
  const crash = (message: string) => {
    if (ended) return;
    worker.terminate();
    ended = new Error(message);
    ended.name = WORKER_CRASHED;
    for (const reject of underWay) reject(ended);
    underWay.clear();
    end(ended);
  };
  worker.addEventListener('error', (event) => {
    // Left to itself the error goes on to whoever started us; in a worker within a worker that ends the outer one too.
    event.preventDefault();
    crash(event.message || 'the worker could not be started');
  });
  worker.addEventListener('messageerror', () => {
    crash('the worker sent something that cannot be read');
  });
  worker.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    // A worker can end without an error event; its locks end with it, however it ends (https://w3c.github.io/web-locks).
    if (isAlive(data))
      void webLocks()
        ?.request(data.holds, () => {
          crash('the worker ended without a word');
        })
        .catch(() => undefined);
  });
  /** Each call enters and leaves the set: a race against `gone` would keep every settled call for the worker's life. */
  const orGone = <R>(reply: Promise<R>): Promise<R> =>
    new Promise((resolve, reject) => {
      if (ended) reject(ended);
      else underWay.add(reject);
      void reply.then(resolve, reject).finally(() => {
        underWay.delete(reject);
      });
    });

  return {
    gone,
    terminate: () => {
      crash('the worker was ended');
    },
    call: (invoke) => orGone(invoke(api)),
    async callWithEvents<E, R>(
      onEvent: (event: E) => void,
      invoke: (api: Comlink.Remote<T>, port: MessagePort) => Promise<R>,
    ) {
      const { port1, port2 } = new MessageChannel();
      const lastEvent = new Promise<void>((resolve) => {
        port1.onmessage = ({ data }: MessageEvent<{ event: E } | 'end'>) => {
          if (data === 'end') resolve();
          else onEvent(data.event);
        };
        port1.onmessageerror = () => {
          crash('the worker sent an event that cannot be read');
        };
      });
      try {
        const reply = await orGone(invoke(api, Comlink.transfer(port2, [port2])));
        await orGone(lastEvent);
        return reply;
      } finally {
        port1.close();
      }
    },
  };
}

/**
 * Sends a call whose reply nobody waits for, such as a cancel: the call that it is about says how it ended. That the worker
 * is gone before it replies is therefore no error; anything else that the call rejects with still is.
 */
export function notify<T>(worker: RemoteWorker<T>, invoke: (api: Comlink.Remote<T>) => Promise<unknown>): void {
  worker.call(invoke).catch((thrown: unknown) => {
    if (!isCrash(thrown)) throw thrown;
  });
}

/** Whether a call rejected because its worker is gone. */
export function isCrash(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.name === WORKER_CRASHED;
}

/** What a worker sends and receives messages by: its global scope, or the `parentPort` of a thread of Node. */
export interface MessageScope {
  postMessage(message: unknown, transferred: Transferable[]): void;
  addEventListener(type: string, listener: (event: Event) => void): void;
  /** Ports deliver messages from then on. */
  start?(): void;
}

/** Worker side: makes `api` callable, and holds a lock for as long as this worker lives. Calls wait until it is held. */
export function expose(api: object, scope: MessageScope = globalThis): void {
  const alive = holdLock(scope);
  Comlink.expose(api, {
    postMessage: (message: unknown, transferred: Transferable[] = []) => {
      scope.postMessage(message, transferred);
    },
    addEventListener(type, listener) {
      scope.addEventListener(type, (event) => {
        void alive.then(() => {
          if (typeof listener === 'function') listener(event);
          else listener.handleEvent(event);
        });
      });
    },
    removeEventListener: () => undefined,
  });
  scope.start?.();
}

function holdLock(scope: MessageScope): Promise<void> {
  const locks = webLocks();
  if (!locks) return Promise.resolve();
  const holds = `nibble:alive:${crypto.randomUUID()}`;
  return new Promise((resolve) => {
    locks
      .request(holds, () => {
        scope.postMessage({ holds } satisfies Alive, []);
        resolve();
        return new Promise<void>(() => undefined);
      })
      .catch(() => {
        resolve();
      });
  });
}

/** Worker side: marks buffers of a reply to be moved instead of copied. */
export const transfer: <T>(reply: T, buffers: ArrayBuffer[]) => T = Comlink.transfer;

/** Worker side: runs `work`, sending what it reports through `port`. */
export async function reporting<E, R>(port: MessagePort, work: (report: (event: E) => void) => Promise<R>): Promise<R> {
  try {
    return await work((event) => {
      port.postMessage({ event });
    });
  } finally {
    port.postMessage('end');
  }
}
