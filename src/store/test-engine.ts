/** An engine that computes nothing and answers from the names of files, for tests of the page. */
import type { EngineError } from '../../workers/contract/errors.ts';
import type { FileKind, Opened, OpenedFile } from '../../workers/contract/files.ts';
import type { LevelPlan } from '../../workers/contract/level-plan.ts';
import type { Storage } from '../../workers/contract/storage.ts';
import type { EngineClient, StorageClient } from '../engine/client.ts';

/** An error of a code, whose message is the code unless another is given. */
export const error = (code: EngineError['code'], message: string = code): EngineError => ({
  code,
  message,
  action: 'Do something.',
  details: '',
});

const kindOf = (name: string): FileKind =>
  name.endsWith('.onnx')
    ? 'onnx'
    : name === 'tokenizer.json'
      ? 'tokenizer'
      : name.endsWith('.txt')
        ? 'text'
        : 'unknown';

/** What an engine would find in files of these names. `broken.onnx` cannot be read. */
export function describeFiles(files: readonly File[]): Opened {
  const listed = files.map((file): OpenedFile => {
    const kind = kindOf(file.name);
    const base = { name: file.name, bytes: file.size, kind };
    if (file.name === 'empty.onnx') return { ...base, kind: 'unknown', problem: error('file-empty') };
    return kind === 'unknown' ? { ...base, problem: error('file-unknown', `${file.name} is unknown`) } : base;
  });
  // A model that cannot be scanned is a problem of the whole, found after its kind.
  const broken = listed.some(({ name }) => name === 'broken.onnx');
  const models = listed.filter(({ kind, name }) => kind === 'onnx' && name !== 'broken.onnx');
  const tokenizer = listed.find(({ kind }) => kind === 'tokenizer');
  const text = listed.find(({ kind }) => kind === 'text');
  const [model] = models;
  return {
    files: listed,
    problems: [
      ...(broken ? [error('onnx-truncated')] : []),
      ...listed.flatMap(({ problem }) => problem ?? []),
      ...(models.length > 1 ? [error('several-models')] : []),
    ],
    tokenizer: tokenizer ? { name: tokenizer.name, vocabulary: 10, addsBos: false } : null,
    text: text ? { name: text.name, bytes: text.bytes, tokens: tokenizer ? 50_000 : null } : null,
    model:
      models.length === 1 && model
        ? {
            name: model.name,
            bytes: model.bytes,
            producer: '',
            irVersion: 8,
            opsets: [],
            parameters: 1000,
            weightBytes: 2000,
            elementTypes: [],
            operators: [],
            layers: [],
            languageModel: { vocabulary: 10 },
            cacheBytesPerToken: 8,
            baseline: 'as-is',
          }
        : null,
  };
}

/** A plan of one byte, without problems. */
export const emptyPlan = (key: string): LevelPlan => ({
  key,
  bytes: 1,
  weightBytes: 1,
  quantizedTensors: 1,
  summary: '',
  ledger: [],
  problem: null,
});

const refused = { ok: false, error: error('internal') } as const;
const EMPTY_STORAGE: Storage = { problem: null, used: 0, quota: null, free: null, persisted: false, results: [] };

/** Opens and plans files by their names, has nothing stored, and refuses everything else. A test replaces what it is about. */
export const inertEngine: EngineClient & StorageClient = {
  capabilities: () => Promise.resolve(refused),
  open: (files) => Promise.resolve({ ok: true, value: describeFiles(files) }),
  plan: (_, levels) => Promise.resolve({ ok: true, value: levels.map(({ key }) => emptyPlan(key)) }),
  compare: () => Promise.resolve(refused),
  cancel: () => Promise.resolve(),
  finish: () => Promise.resolve(),
  generate: () => Promise.resolve(refused),
  cancelGeneration: () => Promise.resolve(),
  hubFolder: () => Promise.resolve(refused),
  restart: () => undefined,
  history: () => Promise.resolve({ ok: true, value: [] }),
  openStored: () => Promise.resolve(refused),
  storage: () => Promise.resolve({ ok: true, value: EMPTY_STORAGE }),
  remove: () => Promise.resolve({ ok: true, value: EMPTY_STORAGE }),
  removeAll: () => Promise.resolve({ ok: true, value: EMPTY_STORAGE }),
};
