/** The browser's private file system (https://fs.spec.whatwg.org), in a folder of our own. */
import type { Disk, Path } from './disk.ts';

const ROOT = 'nibble';
/** A worker that was ended lets go of its files a little later than of its locks. */
const RETRY_MS = [10, 20, 50, 100, 200, 400, 800, 1600];

/** Rejects where there is none, or none that a worker can write to; some browsers have none in private windows. */
export async function opfsDisk(): Promise<Disk> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });

  const folder = async (path: Path, create: boolean): Promise<FileSystemDirectoryHandle> => {
    let at = root;
    for (const name of path) at = await at.getDirectoryHandle(name, { create });
    return at;
  };
  const parent = (path: Path, create: boolean) => folder(path.slice(0, -1), create);
  const name = (path: Path) => path.at(-1) ?? '';

  const disk: Disk = {
    async open(path) {
      const handle = await (await parent(path, true)).getFileHandle(name(path), { create: true });
      for (const wait of RETRY_MS) {
        try {
          return await handle.createSyncAccessHandle();
        } catch (thrown) {
          if (!(thrown instanceof DOMException) || thrown.name !== 'NoModificationAllowedError') throw thrown;
          await new Promise((resolve) => {
            setTimeout(resolve, wait);
          });
        }
      }
      return handle.createSyncAccessHandle();
    },
    file: (path) =>
      orWhenMissing(null, async () => (await (await parent(path, false)).getFileHandle(name(path))).getFile()),
    list: (path) =>
      orWhenMissing([], async () => {
        const names: string[] = [];
        for await (const entry of (await folder(path, false)).keys()) names.push(entry);
        return names;
      }),
    remove: (path) =>
      orWhenMissing(undefined, async () => (await parent(path, false)).removeEntry(name(path), { recursive: true })),
    async room() {
      const { usage, quota } = await navigator.storage.estimate();
      return { used: usage ?? 0, quota: quota ?? Infinity };
    },
    persisted: () => navigator.storage.persisted(),
  };
  const probe = [`probe-${crypto.randomUUID()}`];
  (await disk.open(probe)).close();
  await disk.remove(probe);
  return disk;
}

async function orWhenMissing<T>(missing: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'NotFoundError') return missing;
    throw thrown;
  }
}
