/**
 * Reading on a thread of its own: a stream delivers only while its thread is free, and the engine's is often busy writing
 * or hashing. A worker that dies is replaced and asked again, once.
 */
import { fail, failure } from '../contract/errors.ts';
import { canReadSequentially, type OpenSequentialReader } from './sequential-reader.ts';
import type { ReadWorker } from '../entry/read.worker.ts';
import { connect, isCrash, transfer, type RemoteWorker } from '../rpc/remote.ts';

/** A thread that reads files. */
export interface ReadThread {
  /** Starts the worker. */
  warm(): void;
  /** As `readSequentially`. Errors also: `worker-crashed` when two workers in turn die during a read. */
  inOrder: OpenSequentialReader;
  /** Ends the worker; reads under way reject. Later ones start another. */
  dispose(): void;
}

const startWorker = (): Worker =>
  new Worker(new URL('../entry/read.worker.ts', import.meta.url), { type: 'module', name: 'read' });

/**
 * Bytes after which a worker makes room for another: what streams leave behind is little to a collector that nothing
 * presses, and adds up.
 */
const BYTES_A_WORKER = 2 ** 29;

/** A worker, what it may still read, and how much it is asked for just now. */
interface Reading {
  worker: RemoteWorker<ReadWorker>;
  bytesLeft: number;
  underWay: number;
}

/**
 * Creates a thread that reads files. It starts with the first read.
 * @param start Creates its worker.
 */
export function createReadThread(start: () => Worker = startWorker, bytesAWorker = BYTES_A_WORKER): ReadThread {
  const living = new Set<Reading>();
  let current: Reading | null = null;
  let ids = 0;
  let ended = false;
  const alive = (): Reading => {
    ended = false;
    if (!current)
      living.add((current = { worker: connect<ReadWorker>(start()), bytesLeft: bytesAWorker, underWay: 0 }));
    return current;
  };
  const end = (reading: Reading) => {
    reading.worker.terminate();
    living.delete(reading);
    if (current === reading) current = null;
  };

  return {
    warm: () => {
      if (canReadSequentially()) alive();
    },
    inOrder(name, blob) {
      if (!canReadSequentially()) return null;
      const id = ids++;
      let openedIn: Reading | null = null;
      return {
        async read(offset, length, buffer) {
          const { byteLength } = buffer;
          for (let attempt = 1; ; attempt++) {
            const reading = alive();
            // Messages arrive in the order they are sent: nothing has to wait for this one.
            if (openedIn !== reading) reading.worker.call((api) => api.open(id, name, blob)).catch(() => undefined);
            openedIn = reading;
            // What was sent to a worker that died is gone with it.
            const into = attempt === 1 ? buffer : new ArrayBuffer(byteLength);
            reading.underWay++;
            try {
              const read = await reading.worker.call<Awaited<ReturnType<ReadWorker['read']>>>((api) =>
                api.read(id, offset, length, transfer(into, [into])),
              );
              if (!read.ok) throw failure(read.error);
              reading.bytesLeft -= length;
              return read.value;
            } catch (thrown) {
              if (!isCrash(thrown) || ended) throw thrown;
              end(reading);
              if (attempt === 2) {
                fail(
                  'worker-crashed',
                  `The part of the engine that reads files stopped twice at ${name}; most often the tab is out of memory.`,
                  'Close other tabs and try again; levels written so far are still here.',
                  thrown.message,
                );
              }
            } finally {
              reading.underWay--;
              if (reading.bytesLeft <= 0) {
                if (current === reading) current = null;
                if (reading.underWay === 0) end(reading);
              }
            }
          }
        },
        close() {
          if (openedIn && living.has(openedIn)) openedIn.worker.call((api) => api.close(id)).catch(() => undefined);
          openedIn = null;
        },
      };
    },
    dispose() {
      ended = true;
      for (const reading of living) end(reading);
    },
  };
}
