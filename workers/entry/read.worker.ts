/** Entry of the reading worker: reads files in order for a thread that has other things to do meanwhile. */
import { settle } from '../contract/errors.ts';
import { readSequentially, type SequentialReader } from '../io/sequential-reader.ts';
import type { Result } from '../contract/errors.ts';
import { expose, transfer } from '../rpc/remote.ts';

export interface ReadWorker {
  /** Calls are told apart by a number of the caller's choice. */
  open(id: number, name: string, blob: Blob): Promise<void>;
  /** See `InOrder`. The buffer comes back only if this goes well. */
  read(id: number, offset: number, length: number, buffer: ArrayBuffer): Promise<Result<Uint8Array<ArrayBuffer>>>;
  close(id: number): Promise<void>;
}

const readers = new Map<number, SequentialReader>();

const worker: ReadWorker = {
  open(id, name, blob) {
    const reader = readSequentially(name, blob);
    if (reader) readers.set(id, reader);
    return Promise.resolve();
  },
  async read(id, offset, length, buffer) {
    const reply = await settle(
      () => readers.get(id)?.read(offset, length, buffer) ?? Promise.reject(new Error(`${id} is not open`)),
    );
    return reply.ok ? transfer(reply, [reply.value.buffer]) : reply;
  },
  close(id) {
    readers.get(id)?.close();
    readers.delete(id);
    return Promise.resolve();
  },
};

expose(worker);
