/** Files and handles by name, kept over a reload: in IndexedDB, the only storage that takes handles. Nothing here rejects. */

export interface Blobs {
  /** Whether it is kept. */
  put(name: string, value: Blob | FileSystemHandle): Promise<boolean>;
  get(name: string): Promise<Blob | FileSystemHandle | null>;
  /** Removes all. */
  clear(): Promise<void>;
}

const STORE = 'files';

/** @param tab Each tab has its own. */
export function indexedBlobs(tab: string): Blobs {
  let opening: Promise<IDBDatabase> | null = null;
  const open = () =>
    (opening ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open('nibble:session', 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(STORE);
      };
      request.onsuccess = () => {
        resolve(request.result);
      };
      request.onerror = () => {
        reject(request.error ?? new Error('the database could not be opened'));
      };
    }));
  const ask = async <T>(
    mode: IDBTransactionMode,
    act: (files: IDBObjectStore) => IDBRequest<T>,
  ): Promise<{ value: T } | null> => {
    try {
      const database = await open();
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, mode);
        const request = act(transaction.objectStore(STORE));
        transaction.oncomplete = () => {
          resolve({ value: request.result });
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
    put: async (name, value) => (await ask('readwrite', (files) => files.put(value, `${tab}/${name}`))) !== null,
    get: async (name) =>
      (await ask('readonly', (files) => files.get(`${tab}/${name}`) as IDBRequest<Blob | FileSystemHandle | undefined>))
        ?.value ?? null,
    async clear() {
      await ask('readwrite', (files) => files.delete(IDBKeyRange.bound(`${tab}/`, `${tab}0`, false, true)));
    },
  };
}
