/** A disk in memory, and one on which things go wrong as told. */
import type { Disk, DiskFile, Path } from './disk/disk.ts';

export interface MemoryDisk extends Disk {
  /** What each file holds, by its path joined with slashes. */
  readonly files: Map<string, Uint8Array>;
  /** Lets go of every open file, as when its worker is ended. */
  crash(): void;
  quota: number;
}

/** Opens each file once at a time, and throws QuotaExceededError past `quota`, taking what fits, as OPFS does. */
export function memoryDisk(): MemoryDisk {
  const files = new Map<string, Uint8Array>();
  const open = new Set<string>();
  let life = 0;
  const used = () => [...files.values()].reduce((sum, { length }) => sum + length, 0);
  const within = (path: Path) => (path.length === 0 ? '' : `${path.join('/')}/`);
  const disk: MemoryDisk = {
    files,
    quota: Infinity,
    crash() {
      life++;
      open.clear();
    },
    async open(path) {
      const name = path.join('/');
      if (open.has(name)) throw new DOMException(name, 'NoModificationAllowedError');
      open.add(name);
      const born = life;
      const bytes = () => {
        if (!open.has(name) || born !== life) throw new DOMException('closed', 'InvalidStateError');
        return files.get(name) ?? new Uint8Array();
      };
      if (!files.has(name)) files.set(name, new Uint8Array());
      return {
        read(into, { at }) {
          const source = bytes().subarray(at, at + into.length);
          into.set(source);
          return source.length;
        },
        write(source, { at }) {
          const old = bytes();
          const room = Math.max(0, disk.quota - used() + old.length - at);
          if (room === 0 && source.length > 0) throw new DOMException('full', 'QuotaExceededError');
          const written = source.subarray(0, room);
          const grown = new Uint8Array(Math.max(old.length, at + written.length));
          grown.set(old);
          grown.set(written, at);
          files.set(name, grown);
          return written.length;
        },
        truncate(size) {
          const cut = new Uint8Array(size);
          cut.set(bytes().subarray(0, size));
          files.set(name, cut);
        },
        getSize: () => bytes().length,
        flush: () => {
          bytes();
        },
        close: () => {
          if (born === life) open.delete(name);
        },
      };
    },
    async file(path) {
      const bytes = files.get(path.join('/'));
      return bytes ? new File([bytes.slice()], path.at(-1) ?? '') : null;
    },
    async list(path) {
      const start = within(path);
      return [
        ...new Set(
          [...files.keys()]
            .filter((name) => name.startsWith(start))
            .map((name) => name.slice(start.length).split('/')[0] ?? ''),
        ),
      ];
    },
    async remove(path) {
      for (const name of files.keys()) if (name === path.join('/') || name.startsWith(within(path))) files.delete(name);
    },
    room: async () => ({ used: used(), quota: disk.quota }),
    persisted: async () => false,
  };
  return disk;
}

/** What happens to a write: as it should, or `bytes` of it are written and then this is thrown. */
export type Fate = { bytes: number; error: Error } | null;

/** Passes on to `disk`, but asks what is to become of each write; `n` counts them over all files. */
export function faulty(disk: Disk, fate: (n: number, path: Path, length: number) => Fate): Disk {
  let writes = 0;
  return {
    ...disk,
    async open(path): Promise<DiskFile> {
      const file = await disk.open(path);
      return {
        read: (into, options) => file.read(into, options),
        write(bytes, options) {
          const told = fate(writes++, path, bytes.length);
          if (!told) return file.write(bytes, options);
          if (told.bytes > 0) file.write(bytes.slice(0, told.bytes), options);
          throw told.error;
        },
        truncate: (size) => {
          file.truncate(size);
        },
        getSize: () => file.getSize(),
        flush: () => {
          file.flush();
        },
        close: () => {
          file.close();
        },
      };
    },
  };
}
