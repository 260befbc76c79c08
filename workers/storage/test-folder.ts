/** A folder of a person's own, in memory, on which things go wrong as told. */

export interface MemoryFolder {
  handle: FileSystemDirectoryHandle;
  /** What each file holds. */
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  /** Names of folders in it. */
  readonly folders: Set<string>;
  /** Bytes its disk takes in all; QuotaExceededError beyond. */
  room: number;
  /** Thrown by everything that changes something, from now on. */
  broken: DOMException | null;
  /** Called before each write. */
  onWrite: () => void;
}

const missing = (name: string) => new DOMException(name, 'NotFoundError');

/** What is written appears on closing, and one writer at a time is let in, as with `createWritable({ mode: 'exclusive' })`. */
export function memoryFolder(name = 'chosen'): MemoryFolder {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const changed = new Map<string, number>();
  const folders = new Set<string>();
  const writing = new Set<string>();
  let clock = 1_000;
  const put = (file: string, bytes: Uint8Array<ArrayBuffer>) => {
    files.set(file, bytes);
    changed.set(file, clock++);
  };
  const check = () => {
    if (folder.broken) throw folder.broken;
  };

  const fileHandle = (file: string) => ({
    kind: 'file',
    name: file,
    getFile() {
      const bytes = files.get(file);
      return bytes
        ? Promise.resolve(new File([bytes], file, { lastModified: changed.get(file) ?? 0 }))
        : Promise.reject(missing(file));
    },
    async createWritable() {
      check();
      if (writing.has(file)) throw new DOMException(file, 'NoModificationAllowedError');
      writing.add(file);
      let parts: Uint8Array<ArrayBuffer>[] = [];
      return {
        async write(bytes: Uint8Array<ArrayBuffer>) {
          await Promise.resolve();
          folder.onWrite();
          check();
          parts.push(bytes.slice());
          const taken = [...files.values(), ...parts].reduce((sum, { length }) => sum + length, 0);
          if (taken > folder.room) throw new DOMException('full', 'QuotaExceededError');
        },
        async close() {
          check();
          if (!files.has(file)) throw missing(file);
          put(file, new Uint8Array(await new Blob(parts).arrayBuffer()));
          writing.delete(file);
        },
        abort() {
          parts = [];
          writing.delete(file);
          return Promise.resolve();
        },
      };
    },
  });
  const handles = new Map<string, ReturnType<typeof fileHandle>>();
  const folder: MemoryFolder = {
    files,
    folders,
    room: Infinity,
    broken: null,
    onWrite: () => undefined,
    handle: {
      kind: 'directory',
      name,
      async getFileHandle(file: string, options?: { create?: boolean }) {
        if (folders.has(file)) throw new DOMException(file, 'TypeMismatchError');
        if (!files.has(file)) {
          if (!options?.create) throw missing(file);
          check();
          put(file, new Uint8Array());
        }
        const handle = handles.get(file) ?? fileHandle(file);
        handles.set(file, handle);
        return handle;
      },
      async removeEntry(file: string) {
        check();
        if (!files.delete(file)) throw missing(file);
      },
      resolve: (handle: unknown) =>
        Promise.resolve([...handles].find(([, known]) => known === handle)?.slice(0, 1) ?? null),
    } as unknown as FileSystemDirectoryHandle,
  };
  return folder;
}
