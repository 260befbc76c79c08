/** Files named on the command line, and those beside a model that hold its weights. */
import { openAsBlob } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fail, settle } from '../errors.ts';
import { COPIED_NAMES } from '../hub-folder.ts';
import { plainLocation } from '../onnx/location.ts';
import { scanModel } from '../onnx/scan.ts';
import { blobSource } from '../source.ts';

/** Errors: `file-unreadable`. */
export async function openFile(path: string, name = basename(path)): Promise<File> {
  try {
    return new File([await openAsBlob(path)], name);
  } catch (thrown) {
    return fail('file-unreadable', `${path} cannot be read.`, 'Check the path.', String(thrown));
  }
}

/** Configuration and tokenizer files in the folders of given files; above an `onnx/` too, where the Hub has them. */
export async function openCompanions(paths: readonly string[]): Promise<File[]> {
  const folders = [...new Set(paths.flatMap((path) => {
    const folder = resolve(dirname(path));
    return basename(folder) === 'onnx' ? [dirname(folder), folder] : [folder];
  }))];
  const found: File[] = [];
  for (const folder of folders) {
    for (const name of COPIED_NAMES) if (await isFile(join(folder, name))) found.push(await openFile(join(folder, name)));
  }
  return found;
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then((entry) => entry.isFile(), () => false);
}

/**
 * The files a model names for its weights, from its own folder and no other: links that lead out of it are not followed.
 * Those that are not there are left out; what is wrong with the model is said when it is opened.
 */
export async function openBeside(modelPath: string, model: File): Promise<{ file: File; path: string }[]> {
  const scanned = await settle(() => scanModel(blobSource(model.name, model)));
  if (!scanned.ok) return [];
  const folder = await realpath(dirname(modelPath));
  const found: { file: File; path: string }[] = [];
  for (const location of new Set(scanned.value.outside.map(({ data }) => plainLocation(data.location)))) {
    const path = await realpath(join(folder, location)).catch(() => null);
    if (path === null) continue;
    if (relative(folder, path).split(sep)[0] === '..') {
      fail('onnx-external-data', `${model.name} keeps weights in ${location}, which is a link that leads out of its folder.`, 'Put the file itself beside the model.', path);
    }
    found.push({ file: await openFile(path, location), path });
  }
  return found;
}
