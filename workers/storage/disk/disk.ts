/** The little of a file system that storage needs. Paths are lists of names made in this folder, never taken from files. */

/** A file open for one user alone, as OPFS gives it to a worker (`FileSystemSyncAccessHandle`). Positions are bytes from the start. */
export interface DiskFile {
  /** Bytes read; fewer than asked for at the end. */
  read(into: Uint8Array, options: { at: number }): number;
  /** Bytes taken. Throws QuotaExceededError when there is no room. */
  write(from: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export type Path = readonly string[];

export interface Disk {
  /** Opens a file, making it and its folders. Rejects with NoModificationAllowedError while somebody else has it open. */
  open(path: Path): Promise<DiskFile>;
  /** What a file holds now, to be read until it is next written; null when there is none. */
  file(path: Path): Promise<File | null>;
  /** Names in a folder; none when there is no such folder. */
  list(path: Path): Promise<string[]>;
  /** Removes a file or a folder with all in it, if it is there. */
  remove(path: Path): Promise<void>;
  /** Bytes in use by this site and how many it may use, as far as the browser tells. */
  room(): Promise<{ used: number; quota: number }>;
  /** Whether the browser has promised not to clear the site's data by itself. */
  persisted(): Promise<boolean>;
}

/** What Chromium calls a full disk (base/files/file.h, FILE_ERROR_NO_SPACE). */
const NO_SPACE = -8;

/** Writes all of `bytes`; a disk may take less than it was given. */
export function writeAll(file: DiskFile, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) {
    const written = file.write(bytes.subarray(done), { at: at + done });
    // In private windows Chromium throws nothing: what comes back is its error code, as an unsigned number.
    if (written === 0 || (written | 0) === NO_SPACE)
      throw new DOMException('no bytes were taken', 'QuotaExceededError');
    if (!(written > 0 && written <= bytes.length - done))
      throw new Error(`a write of ${bytes.length - done} bytes came back with ${written | 0}`);
    done += written;
  }
}

/** Replaces what a file holds. */
export function writeText(disk: Disk, path: Path, text: string): Promise<void> {
  return writeBytes(disk, path, new TextEncoder().encode(text));
}

/** As `writeText`, with bytes. */
export async function writeBytes(disk: Disk, path: Path, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path);
  try {
    file.truncate(0);
    writeAll(file, bytes, 0);
    file.flush();
  } finally {
    file.close();
  }
}

/** What a file holds; null when there is none, or somebody is writing to it just now. */
export async function readBytes(disk: Disk, path: Path): Promise<Uint8Array | null> {
  const file = await disk.file(path);
  try {
    return file && new Uint8Array(await file.arrayBuffer());
  } catch (thrown) {
    if (thrown instanceof DOMException && (thrown.name === 'NotReadableError' || thrown.name === 'NotFoundError'))
      return null;
    throw thrown;
  }
}

/** As `readBytes`, decoded. */
export async function readText(disk: Disk, path: Path): Promise<string | null> {
  const bytes = await readBytes(disk, path);
  return bytes && new TextDecoder().decode(bytes);
}

export function isFull(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'QuotaExceededError';
}
