/**
 * Reads files opened on the command line by their paths. Node reads the blob of a file in pieces of 64 KiB, which takes
 * several times as long.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { failure, fileChanged } from '../../../contract/errors.ts';
import type { OpenSequentialReader } from '../../../io/sequential-reader.ts';

/** A file as it was when it was opened. */
interface OpenedFile {
  path: string;
  size: number;
  mtimeMs: number;
}

const opened = new WeakMap<Blob, OpenedFile>();

/** Notes which file a blob is of, for `readOpened`. */
export function remember(blob: Blob, file: OpenedFile): void {
  opened.set(blob, file);
}

/** Opens a file that was remembered; null for other blobs. Reading fails with `file-changed` once the file is another. */
export const readOpened: OpenSequentialReader = (name, blob) => {
  const file = opened.get(blob);
  if (!file) return null;
  let opening: Promise<FileHandle> | null = null;
  let closed = false;
  const read = async (offset: number, length: number, buffer: ArrayBuffer) => {
    if (closed) throw new DOMException('The file was closed', 'AbortError');
    const handle = await (opening ??= open(file.path));
    for (let filled = 0; filled < length;) {
      const { bytesRead } = await handle.read(new Uint8Array(buffer, filled, length - filled), {
        position: offset + filled,
      });
      if (bytesRead === 0) throw new Error(`${offset + filled} of ${file.size} bytes`);
      filled += bytesRead;
    }
    const now = await handle.stat();
    if (now.size !== file.size || now.mtimeMs !== file.mtimeMs) throw new Error('It was written to');
    return new Uint8Array(buffer, 0, length);
  };
  return {
    read: (offset, length, buffer) =>
      read(offset, length, buffer).catch((thrown: unknown) => {
        throw failure(fileChanged(name, thrown));
      }),
    close() {
      closed = true;
      void opening?.then((handle) => handle.close()).catch(() => undefined);
      opening = null;
    },
  };
};
