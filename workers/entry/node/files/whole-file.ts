/**
 * Files that appear under their names when they are whole. Until then a file has a name of its own that is new, so that
 * nothing that is there is opened, no link is followed, and two runs into one folder do not meet.
 */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fail } from '../../../contract/errors.ts';
import { shown } from '../../../lib/shown.ts';

export interface WholeFile {
  readonly handle: FileHandle;
  /** Errors: `write-failed`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Gives the file its name; the handle stays open. Errors: `write-failed`, and then nothing of it stays. */
  finish(): Promise<void>;
  /** Removes it, finished or not, as long as it is still this one. */
  discard(): Promise<void>;
}

/** What is to be gone when the process ends, however it ends. */
const leftovers = new Set<string>();
let listening = false;

/** Removes the file or folder when the process ends, unless `keep` is called before. */
export function removeAtExit(path: string): { keep(): void } {
  leftovers.add(path);
  if (!listening) {
    listening = true;
    process.on('exit', () => {
      for (const left of leftovers) rmSync(left, { recursive: true, force: true });
    });
  }
  return {
    keep: () => {
      leftovers.delete(path);
    },
  };
}

/** Errors: `write-failed`. */
export async function openWholeFile(path: string): Promise<WholeFile> {
  const unfinished = join(dirname(path), `.nibble-${randomUUID()}.part`);
  // Exclusive: fails rather than follows a link or opens what is there.
  const handle = await open(unfinished, 'wx+').catch((thrown: unknown) => cannotWrite(path, thrown));
  const leftover = removeAtExit(unfinished);
  let isFinished = false;
  const removeUnfinished = async () => {
    await handle.close().catch(() => undefined);
    await rm(unfinished, { force: true }).catch(() => undefined);
    leftover.keep();
  };
  return {
    handle,
    async write(bytes) {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, at).catch((thrown: unknown) => cannotWrite(path, thrown));
        at += bytesWritten;
      }
    },
    async finish() {
      try {
        await rename(unfinished, path);
      } catch (thrown) {
        await removeUnfinished();
        cannotWrite(path, thrown);
      }
      isFinished = true;
      leftover.keep();
    },
    async discard() {
      if (!isFinished) return removeUnfinished();
      await handle.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
    },
  };
}

const REASONS = new Map([
  ['EISDIR', 'a folder of that name is there'],
  ['ENOTEMPTY', 'a folder of that name is there'],
  ['ENOENT', 'its folder is not there, or takes no files'],
  ['ENOTDIR', 'its folder is not a folder'],
  ['EACCES', 'its folder may not be written to'],
  ['EPERM', 'its folder may not be written to'],
  ['EROFS', 'its file system is read-only'],
  ['ENOSPC', 'its disk is full'],
  ['EDQUOT', 'its quota is used up'],
  ['ENAMETOOLONG', 'its name is too long'],
  ['EFBIG', 'its file system takes no file of that size'],
]);

export function cannotWrite(path: string, thrown: unknown): never {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  fail(
    'write-failed',
    `${shown(basename(path))} cannot be written to ${shown(dirname(path))}: ${REASONS.get(code) ?? `the system answered ${code === '' ? shown(String(thrown)) : code}`}.`,
    'Choose another place, or make room there.',
    String(thrown),
  );
}
