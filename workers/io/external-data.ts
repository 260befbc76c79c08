/**
 * Which of the dropped files hold a model's external data. A model names each by a path relative to its own folder;
 * dropped files have paths of their own when they come from a folder, and none when they were chosen one by one.
 */
import { engineError, fail } from '../contract/errors.ts';
import { externalLength } from '../onnx/extent.ts';
import { normalizeLocation } from '../onnx/location.ts';
import type { Model } from '../onnx/model.ts';
import type { EngineError } from '../contract/errors.ts';
import type { MissingData } from '../contract/files.ts';
import { shown } from '../lib/shown.ts';
import { blobSource, type ByteSource, type ExternalFiles } from './source.ts';

export interface FoundData {
  /** By location as the model writes it; the same file may be there under two spellings. */
  files: ReadonlyMap<string, File>;
  missing: MissingData[];
}

/** A dropped file's path, from the folder that was dropped down; its name where it came alone. */
export function pathOf({ name, webkitRelativePath }: File): string {
  // Outside browsers there is no such path.
  return normalizeLocation(webkitRelativePath || name);
}

/**
 * A location is looked for beside the model first. A file dropped from another level of the folders counts when its
 * path ends alike, one without a folder when its name does, both only where there is no choice.
 */
export function findData(model: Model, modelFile: File, files: readonly File[]): FoundData {
  const others = files.filter((file) => file !== modelFile);
  const byPath = new Map(others.map((file) => [pathOf(file), file]));
  const folder = pathOf(modelFile).split('/').slice(0, -1);
  const locations = new Map(
    model.externalTensors.map(({ data: { location } }) => [location, normalizeLocation(location)]),
  );
  const plain = new Set(locations.values());
  const byEnd = pathsByEnd(byPath.keys());
  const withName = new Map<string, number>();
  for (const location of plain) withName.set(baseName(location), (withName.get(baseName(location)) ?? 0) + 1);
  const look = (location: string): File | undefined => {
    const beside = byPath.get([...folder, location].join('/'));
    if (beside) return beside;
    const alike = byEnd.get(location);
    if (alike !== undefined && alike !== SEVERAL) return byPath.get(alike);
    const name = baseName(location);
    return withName.get(name) === 1 ? byPath.get(name) : undefined;
  };
  const found = new Map<string, File>();
  const missing = new Map<string, MissingData>();
  const seen = new Map([...plain].map((location) => [location, look(location)]));
  for (const [location, plainName] of locations) {
    const file = seen.get(plainName);
    if (file) found.set(location, file);
  }
  for (const tensor of model.externalTensors) {
    const location = normalizeLocation(tensor.data.location);
    if (seen.get(location)) continue;
    const entry = missing.get(location) ?? { location, tensors: 0, bytes: 0 };
    const end = tensor.data.offset + externalLength(tensor, model.external);
    missing.set(location, { location, tensors: entry.tensors + 1, bytes: Math.max(entry.bytes, end) });
  }
  return { files: found, missing: [...missing.values()] };
}

const SEVERAL = Symbol('several');

/** The path that has an end, whole names from any folder of it on; `SEVERAL` when more than one does. */
function pathsByEnd(paths: Iterable<string>): Map<string, string | typeof SEVERAL> {
  const byEnd = new Map<string, string | typeof SEVERAL>();
  for (const path of paths) {
    for (let at = 0; ;) {
      const end = path.slice(at);
      byEnd.set(end, byEnd.has(end) ? SEVERAL : path);
      const next = path.indexOf('/', at);
      if (next < 0) break;
      at = next + 1;
    }
  }
  return byEnd;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/**
 * Errors: `onnx-external-data` where a file ends before the weights that are said to lie in it.
 */
export function checkExtents(model: Model, files: ReadonlyMap<string, File>): void {
  for (const tensor of model.externalTensors) {
    const { location, offset } = tensor.data;
    const size = files.get(location)?.size;
    if (size === undefined) continue;
    const end = offset + externalLength(tensor, model.external);
    if (end > size) {
      fail(
        'onnx-external-data',
        `${shown(location)} is too short: the weight ${shown(tensor.name)} ends at byte ${end.toLocaleString('en')} of ${size.toLocaleString('en')}.`,
        'Download it again; it may have been cut off, or belong to another model.',
      );
    }
  }
}

/** The files as sources. Those missing are there by size, so that planning is exact; reading them fails. */
export function externalSources(model: Model, { files, missing }: FoundData): ExternalFiles {
  const sources = new Map<string, ByteSource>(
    [...files].map(([location, file]) => [location, blobSource(location, file)]),
  );
  const gone = new Map(missing.map((entry) => [entry.location, missingSource(entry)]));
  for (const {
    data: { location },
  } of model.externalTensors) {
    const source = gone.get(normalizeLocation(location));
    if (source && !sources.has(location)) sources.set(location, source);
  }
  return sources;
}

function missingSource({ location, bytes, tensors }: MissingData): ByteSource {
  return {
    name: location,
    size: bytes,
    read: () =>
      fail(
        'onnx-external-data',
        `${shown(location)} is missing, and ${tensors} of the model's weights lie in it.`,
        `Add ${shown(location)}; it belongs to the model.`,
      ),
  };
}

/** What is missing, in a sentence; null when nothing is. */
export function whatIsMissing(model: string, missing: readonly MissingData[]): EngineError | null {
  const [first] = missing;
  if (!first) return null;
  const tensors = missing.reduce((sum, entry) => sum + entry.tensors, 0);
  const names = `${missing
    .slice(0, 3)
    .map(({ location }) => shown(location))
    .join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}`;
  return engineError(
    'onnx-external-data',
    `${shown(model)} keeps ${tensors} of its weights in other files, and ${names} ${missing.length === 1 ? 'is' : 'are'} missing.`,
    missing.length === 1
      ? `Add ${shown(first.location)}: it belongs beside the model.`
      : 'Add them: they belong beside the model.',
    missing.map(({ location }) => shown(location)).join('\n'),
  );
}
