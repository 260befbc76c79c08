/**
 * A folder that a person has chosen (https://wicg.github.io/file-system-access): files made in it under names that are
 * free, and what to say when it takes no more. A file appears whole or not at all: what is written goes to a place of the
 * browser's own and is swapped in on closing.
 */
import { engineError, failure } from '../../contract/errors.ts';
import type { EngineError } from '../../contract/errors.ts';

/** A file under way. */
export interface FileInFolder {
  /** The name it was given. */
  name: string;
  handle: FileSystemFileHandle;
  writable: FileSystemWritableFileStream;
}

/** Two writers of one file would put what the last one has in place of the other's. Browsers that do not know the mode leave it out. */
const EXCLUSIVE: FileSystemCreateWritableOptions & { mode: 'exclusive' } = { mode: 'exclusive' };
/** A worker that was ended lets go of its files a little later than of its locks. */
const RETRY_MS = [10, 20, 50, 100, 200, 400];
/** More files of one name than anybody has. */
const MOST_NAMES = 1000;

/** Without what some system refuses in names of files (https://learn.microsoft.com/windows/win32/fileio/naming-a-file). */
export function safeName(name: string): string {
  return name.replace(/[\\/:*?"<>|]|\p{Cc}/gu, '_').replace(/[. ]+$/, '') || 'model.onnx';
}

/** `model_q4.onnx` → `model_q4 (2).onnx` */
export function numbered(name: string, number: number): string {
  const dot = name.lastIndexOf('.');
  return number === 1 ? name : dot > 0 ? `${name.slice(0, dot)} (${number})${name.slice(dot)}` : `${name} (${number})`;
}

/**
 * A file under `name`, or under the first name like it that nothing else has. An empty file counts as nothing: that is
 * what is left of one that was never finished.
 * @param fixed Only `name` will do; null when it is taken.
 */
export async function createFile(
  folder: FileSystemDirectoryHandle,
  name: string,
  fixed: boolean,
): Promise<FileInFolder | null> {
  if (fixed) return claim(folder, name);
  for (let number = 1; number <= MOST_NAMES; number++) {
    const file = await claim(folder, numbered(safeName(name), number));
    if (file) return file;
  }
  return null;
}

async function claim(folder: FileSystemDirectoryHandle, name: string): Promise<FileInFolder | null> {
  if (await isTaken(folder, name)) return null;
  const handle = await folder.getFileHandle(name, { create: true });
  for (const wait of [...RETRY_MS, null]) {
    try {
      return { name, handle, writable: await handle.createWritable(EXCLUSIVE) };
    } catch (thrown) {
      if (nameOf(thrown) !== 'NoModificationAllowedError') {
        await removeEmpty(folder, handle);
        throw thrown;
      }
    }
    if (wait !== null)
      await new Promise((resolve) => {
        setTimeout(resolve, wait);
      });
  }
  // Somebody else is writing it.
  return null;
}

export async function isTaken(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    return (await (await folder.getFileHandle(name)).getFile()).size > 0;
  } catch (thrown) {
    if (nameOf(thrown) === 'TypeMismatchError') return true;
    if (nameOf(thrown) === 'NotFoundError') return false;
    throw thrown;
  }
}

/** Gives a file up: nothing of it stays. */
export async function discard(folder: FileSystemDirectoryHandle, { handle, writable }: FileInFolder): Promise<void> {
  await writable.abort().catch(() => undefined);
  await removeEmpty(folder, handle);
}

/** Whatever is in a file by now is somebody else's. */
async function removeEmpty(folder: FileSystemDirectoryHandle, handle: FileSystemFileHandle): Promise<void> {
  try {
    if ((await handle.getFile()).size === 0) await folder.removeEntry(handle.name);
  } catch {
    // A folder that is gone, or may not be written to any more, keeps what it has.
  }
}

/** What to say of a file that is not to be overwritten and whose name cannot be another. */
export function nameTaken(folder: string, file: string): EngineError {
  return engineError(
    'write-failed',
    `The folder ${folder} holds another ${file} already, and a model calls its second file by that name.`,
    'Move that file away, or choose another folder.',
  );
}

/** What was thrown by a folder or one of its files, as an error to throw. */
export function folderFailed(folder: string, file: string, thrown: unknown): Error {
  const say = (code: EngineError['code'], message: string, action: string) =>
    failure(engineError(code, message, action, String(thrown)));
  switch (nameOf(thrown)) {
    case 'QuotaExceededError':
      return say(
        'storage-full',
        `There is no room for ${file} on the disk of the folder ${folder}.`,
        'Free space there, or choose a folder on another disk, and press Compare again; files that are finished are not made again.',
      );
    case 'NotAllowedError':
    case 'SecurityError':
      return say(
        'write-failed',
        `The browser does not let this page write to the folder ${folder} any more.`,
        'Choose the folder again and allow it, or have files kept in this browser, and press Compare again.',
      );
    case 'NotFoundError':
      return say(
        'write-failed',
        `The folder ${folder} is gone, or ${file} was deleted from it while it was written.`,
        'Choose a folder again and press Compare.',
      );
    default:
      return say(
        'write-failed',
        `${file} could not be written to the folder ${folder}.`,
        'See whether its disk is there and may be written to, or choose another folder, and press Compare again.',
      );
  }
}

function nameOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : '';
}
