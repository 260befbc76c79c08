/**
 * Which files were written to folders of a person's own, so that the same file is not made again there: handles, in
 * IndexedDB, which is the only storage that takes them. A note vouches for a file that has not been touched since.
 */

export interface Note {
  handle: FileSystemFileHandle;
  bytes: number;
  /** `lastModified` of the file as it was written. */
  modified: number;
}

/** The last file of each key (job-key.ts). Nothing here rejects: without notes files are made again. */
export interface WrittenNotes {
  find(key: string): Promise<Note | null>;
  keep(key: string, note: Note): Promise<void>;
  clear(): Promise<void>;
}

const DATABASE = 'nibble:written';
const STORE = 'files';

export function indexedNotes(): WrittenNotes {
  let opening: Promise<IDBDatabase> | null = null;
  const open = () =>
    (opening ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(STORE);
      };
      request.onsuccess = () => {
        resolve(request.result);
      };
      request.onerror = () => {
        reject(request.error ?? new Error('the database could not be opened'));
      };
    }).catch((thrown: unknown) => {
      opening = null;
      throw thrown;
    }));
  const ask = async <T>(mode: IDBTransactionMode, act: (files: IDBObjectStore) => IDBRequest<T>): Promise<T | null> => {
    try {
      const database = await open();
      return await new Promise<T>((resolve, reject) => {
        const transaction = database.transaction(STORE, mode);
        const request = act(transaction.objectStore(STORE));
        transaction.oncomplete = () => {
          resolve(request.result);
        };
        transaction.onabort = () => {
          reject(transaction.error ?? new Error('the database gave up'));
        };
      });
    } catch {
      return null;
    }
  };
  return {
    find: async (key) =>
      (await ask<Note | undefined>('readonly', (files) => files.get(key) as IDBRequest<Note | undefined>)) ?? null,
    async keep(key, note) {
      await ask('readwrite', (files) => files.put(note, key));
    },
    async clear() {
      await ask('readwrite', (files) => files.clear());
    },
  };
}

/** For as long as this worker lives. */
export function heldNotes(): WrittenNotes {
  const notes = new Map<string, Note>();
  return {
    find: (key) => Promise.resolve(notes.get(key) ?? null),
    keep(key, note) {
      notes.set(key, note);
      return Promise.resolve();
    },
    clear() {
      notes.clear();
      return Promise.resolve();
    },
  };
}
