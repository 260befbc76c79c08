/** Which of the dropped files make up what is open, when more are dropped onto it. Pure. */
import type { EngineError, EngineErrorCode } from '../../workers/contract/errors.ts';
import type { FileKind, Opened, OpenedFile } from '../../workers/contract/files.ts';
import { pathOf } from '../lib/path.ts';

/** Kinds of which there is one; a new one takes the place of the old. */
const SINGLE: ReadonlySet<FileKind> = new Set(['onnx', 'tokenizer', 'tokenizer-config', 'model-config', 'text']);
/** Parts of a model: another model does not inherit them, or its figures would be wrong without a word. */
const OF_THE_MODEL: ReadonlySet<FileKind> = new Set([
  'onnx',
  'tokenizer',
  'tokenizer-config',
  'model-config',
  'input',
  'external-data',
  'unknown',
]);

export interface Kept {
  file: File;
  kind: FileKind;
}

/** Files paired with what the engine says they are. The engine answers in the order it was asked. */
export function pair(files: readonly File[], opened: Opened): Kept[] {
  return files.map((file, index) => ({ file, kind: opened.files[index]?.kind ?? 'unknown' }));
}

/** Problems of a file that is kept all the same: another file or a choice between models may solve them. */
const MAY_JOIN: ReadonlySet<EngineErrorCode> = new Set<EngineErrorCode>([
  'onnx-external-data',
  'file-unknown',
  'several-models',
]);

/**
 * Whether a file may join what is open: one that cannot be read must not push out one that can. A model that only
 * lacks its external data may, and so may a file nobody knows yet, which can turn out to be just that.
 */
export function usable(file: OpenedFile, opened: Opened): boolean {
  if (file.problem && !MAY_JOIN.has(file.problem.code)) return false;
  const waits = opened.problems.some(({ code }) => code === 'several-models' || code === 'onnx-external-data');
  return file.kind !== 'onnx' || opened.model !== null || waits;
}

/** `added` onto `present`. A new model starts afresh but keeps the text. */
export function merge(present: readonly Kept[], added: readonly Kept[]): Kept[] {
  const hasModel = (list: readonly Kept[]) => list.some(({ kind }) => kind === 'onnx');
  const replacesModel = hasModel(present) && hasModel(added);
  const kinds = new Set(added.map(({ kind }) => kind).filter((kind) => SINGLE.has(kind)));
  const paths = new Set(added.map(({ file }) => pathOf(file)));
  // Two folders may each have a file of that name; without a folder it is clear only where one has.
  const comesAgain = (file: File) =>
    paths.has(pathOf(file)) ||
    (paths.has(file.name) && present.filter((other) => other.file.name === file.name).length === 1);
  const stays = ({ file, kind }: Kept) =>
    !(replacesModel && OF_THE_MODEL.has(kind)) && !kinds.has(kind) && !(comesAgain(file) && !SINGLE.has(kind));
  return [...present.filter(stays), ...added];
}

/** `name` has the folder in front where there is one; `index` is the position among the opened files. */
export interface Choice {
  name: string;
  bytes: number;
  index: number;
}

/** Models to choose among when several came at once. */
export function modelChoices(files: readonly File[], opened: Opened): Choice[] {
  if (!opened.problems.some(({ code }) => code === 'several-models')) return [];
  return files.flatMap((file, index) =>
    opened.files[index]?.kind === 'onnx' ? [{ name: pathOf(file), bytes: file.size, index }] : [],
  );
}

/** One problem for a folder full of files that have nothing to do with a model. */
export function gatherUnknown(files: readonly OpenedFile[]): EngineError | null {
  const unknown = files.filter(({ problem }) => problem?.code === 'file-unknown');
  const first = unknown[0];
  if (!first?.problem) return null;
  if (unknown.length === 1) return first.problem;
  return {
    code: 'file-unknown',
    message: `${unknown.length} files were left out: they are neither a model, a tokenizer nor text.`,
    action: 'Nothing needs to be done unless one of them belongs to the model.',
    details: unknown.map(({ name }) => name).join('\n'),
  };
}

/** What is open while a model is still to be chosen: no model, and nothing that is said of the one opened by default. */
export const undecided = (opened: Opened): Opened => ({
  files: opened.files,
  model: null,
  tokenizer: opened.tokenizer,
  text: opened.text,
  problems: opened.problems.filter(({ code }) => code === 'several-models'),
});
