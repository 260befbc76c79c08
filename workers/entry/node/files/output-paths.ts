/** Places that are going to be written to, looked at before anything is: nothing that is read is ever written over. */
import { lstat, mkdir, realpath, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { fail } from '../../../contract/errors.ts';
import { shown } from '../../../lib/shown.ts';
import { cannotWrite, openWholeFile } from './whole-file.ts';

/** A file that is going to be written. */
export interface Output {
  path: string;
  /** What a person calls it: an option, or a level's file. */
  role: string;
  /** Whether a device or a pipe will do; it is written to as it is. */
  stream?: boolean;
}

export interface OutputPaths {
  /**
   * Errors: `write-failed` when one is a file that is read, by whatever name or link, when two are the same, or when one
   * cannot be written. Whether their folders take files is found out only `whenFoldersAreThere`.
   */
  check(outputs: readonly Output[], whenFoldersAreThere?: boolean): Promise<void>;
  /** Whether two paths are of one file. */
  isSame(a: string, b: string): Promise<boolean>;
}

/** @param reading Paths of all files that are read. */
export async function protectInputs(reading: readonly string[]): Promise<OutputPaths> {
  const read = new Map<string, string>();
  for (const path of reading) {
    for (const identity of [...(await identities(path)), await placeOf(path)]) read.set(identity, path);
  }
  return {
    async check(outputs, whenFoldersAreThere = true) {
      const taken = new Map<string, Output>();
      for (const output of outputs) {
        const place = await placeOf(output.path);
        const identity = [place, ...(await identities(output.path))];
        const input = identity.map((one) => read.get(one)).find((path) => path !== undefined);
        if (input !== undefined) {
          fail(
            'write-failed',
            `${output.role} would write over ${shown(input)}, which is being read${resolve(input) === resolve(output.path) ? '' : ` (as ${shown(output.path)})`}.`,
            'Choose another place for it. Nothing was written.',
          );
        }
        const twin = taken.get(place);
        if (twin)
          fail(
            'write-failed',
            `${twin.role} and ${output.role} would both be ${shown(output.path)}.`,
            'Choose another place for one of them. Nothing was written.',
          );
        taken.set(place, output);
        await checkKind(output);
      }
      if (whenFoldersAreThere)
        for (const folder of new Set(outputs.filter((output) => !output.stream).map(({ path }) => dirname(path))))
          await probe(folder);
    },
    async isSame(a, b) {
      const [first, second] = await Promise.all([a, b].map((path) => stat(path, { bigint: true }).catch(() => null)));
      return first != null && second != null && first.dev === second.dev && first.ino === second.ino;
    },
  };
}

/** Of the file, and of the link where the path is one: device and number are the same by every name. */
async function identities(path: string): Promise<string[]> {
  const found = await Promise.all([stat, lstat].map((look) => look(path, { bigint: true }).catch(() => null)));
  return found.flatMap((entry) => (entry && entry.ino !== 0n ? [`${entry.dev}:${entry.ino}`] : []));
}

/** The path without links, in one spelling: on many systems case makes no difference. */
async function placeOf(path: string): Promise<string> {
  const folder = await realpath(dirname(path)).catch(() => resolve(dirname(path)));
  return join(folder, basename(path)).normalize('NFC').toLowerCase();
}

async function checkKind({ path, role, stream }: Output): Promise<void> {
  const there = await stat(path).catch(() => null);
  if (there?.isDirectory())
    fail(
      'write-failed',
      `${role} cannot be written: ${shown(path)} is a folder.`,
      'Choose another name, or move the folder. Nothing was written.',
    );
  if (there && !there.isFile() && !stream)
    fail(
      'write-failed',
      `${role} cannot be written: ${shown(path)} is not a regular file.`,
      'Choose another name. Nothing was written.',
    );
}

/** Whether a new file can be made there at all. */
async function probe(folder: string): Promise<void> {
  await (await openWholeFile(join(folder, 'a new file'))).discard();
}

/** Whether the path is a device, a pipe or an open file of a process: such are written to, not replaced. */
export async function isStream(path: string): Promise<boolean> {
  const place = await realpath(dirname(path)).catch(() => resolve(dirname(path)));
  if (/^\/(dev|proc)(\/|$)/.test(`${place}/`)) return true;
  const there = await stat(path).catch(() => null);
  return there !== null && !there.isFile() && !there.isDirectory();
}

/**
 * Makes a folder and those it is in, where they are not there.
 * @returns How to remove those again that were made, as far as they are empty.
 */
export async function makeFolder(path: string): Promise<{ undo(): Promise<void> }> {
  const made: string[] = [];
  const steps = resolve(path).split(sep);
  for (let count = 2; count <= steps.length; count++) {
    const folder = steps.slice(0, count).join(sep) || sep;
    const there = await stat(folder).catch(() => null);
    if (there?.isDirectory()) continue;
    if (there)
      fail(
        'write-failed',
        `${shown(path)} cannot be a folder: ${shown(folder)} is a file.`,
        'Choose another --out folder. Nothing was written.',
      );
    // Not with `recursive`, which tries for ever where the system says that the folder above is not there although it is.
    await mkdir(folder).then(
      () => made.push(folder),
      (thrown: unknown) => {
        if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST')) cannotWrite(folder, thrown);
      },
    );
  }
  return {
    async undo() {
      for (const folder of made.reverse()) await rmdir(folder).catch(() => undefined);
    },
  };
}
