/** Files named on the command line, and those beside a model that hold its weights. */
import { openAsBlob } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fail, settle } from '../../../contract/errors.ts';
import { COPIED_NAMES } from '../../../pipeline/hub-folder.ts';
import { normalizeLocation } from '../../../onnx/location.ts';
import { scanModel } from '../../../onnx/scan.ts';
import { shown } from '../../../lib/shown.ts';
import { blobSource } from '../../../io/source.ts';
import { remember } from './read-opened.ts';

/** A file by the path it was found at. */
export interface FoundFile {
  file: File;
  path: string;
}

/** Errors: `file-unreadable`. */
export async function openFile(path: string, name = basename(path)): Promise<File> {
  try {
    const entry = await stat(path);
    const kind = whatItIs(entry);
    if (kind !== null) return fail('file-unreadable', `${shown(path)} is ${kind}.`, 'Name a file.');
    const file = new File([await openAsBlob(path)], name);
    remember(file, { path, size: entry.size, mtimeMs: entry.mtimeMs });
    return file;
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown)) throw thrown;
    return fail('file-unreadable', `${shown(path)} cannot be read.`, 'Check the path.', String(thrown));
  }
}

/** What is there instead of a regular file, as the end of a sentence; null for one. */
function whatItIs(entry: Awaited<ReturnType<typeof stat>>): string | null {
  if (entry.isFile()) return null;
  if (entry.isDirectory()) return 'a folder, not a file';
  if (entry.isFIFO()) return 'a pipe, not a regular file';
  return entry.isSocket() ? 'a socket, not a regular file' : 'a device, not a regular file';
}

/** Configuration and tokenizer files in the folders of given files; above an `onnx/` too, where the Hub has them. */
export async function openCompanions(paths: readonly string[]): Promise<FoundFile[]> {
  const folders = [
    ...new Set(
      paths.flatMap((path) => {
        const folder = resolve(dirname(path));
        return basename(folder) === 'onnx' ? [dirname(folder), folder] : [folder];
      }),
    ),
  ];
  const found: FoundFile[] = [];
  for (const folder of folders) {
    for (const path of COPIED_NAMES.map((name) => join(folder, name)))
      if (await isFile(path)) found.push({ file: await openFile(path), path });
  }
  return found;
}

export function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}

/**
 * The files a model names for its weights. As in onnxruntime, each must lie in the model's folder, or in the folder of the
 * file that the model is a link to, once all links are followed: in the cache of the Hugging Face Hub both are links into
 * one folder. Those that are not there are left out; what is wrong with the model is said when it is opened.
 * Errors: `onnx-external-data`, `file-unreadable`.
 */
export async function openBeside(modelPath: string, model: File): Promise<FoundFile[]> {
  const scanned = await settle(() => scanModel(blobSource(model.name, model)));
  if (!scanned.ok) return [];
  const folder = await realpath(dirname(modelPath));
  const folders = [folder, dirname(await realpath(modelPath))];
  const found: FoundFile[] = [];
  for (const location of new Set(scanned.value.externalTensors.map(({ data }) => normalizeLocation(data.location)))) {
    const path = await realpath(join(folder, location)).catch(() => null);
    if (path === null) continue;
    const named = `${shown(model.name)} keeps weights in ${shown(location)}, which is`;
    if (!folders.some((one) => isWithin(one, path)))
      fail(
        'onnx-external-data',
        `${named} a link that leads out of its folder.`,
        'Put the file itself beside the model.',
      );
    const kind = whatItIs(await stat(path));
    if (kind !== null) fail('onnx-external-data', `${named} ${kind}.`, 'Put the file with the weights there.');
    found.push({ file: await openFile(path, location), path });
  }
  return found;
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return !isAbsolute(way) && way.split(sep)[0] !== '..';
}
