/**
 * Tells what dropped files are. Content decides; a name only breaks ties (a README is text, but nobody wants its
 * perplexity) and tells what a person meant (a `.onnx` that holds something else deserves a sentence).
 */
import { ModelProtoSchema } from 'onnx-buf';
import { isDeclared } from '../onnx/fields.ts';
import { readVarint } from '../onnx/wire.ts';
import { engineError, settle } from '../contract/errors.ts';
import { isImage } from '../evaluate/outputs/input-files/image.ts';
import { looksLikeInputs } from '../evaluate/outputs/input-files/json-inputs.ts';
import { isNpy } from '../evaluate/outputs/input-files/npy.ts';
import { looksLikeTensor } from '../evaluate/outputs/input-files/tensor-proto.ts';
import { checkExtents, externalSources, findData, type FoundData } from './external-data.ts';
import type { Model } from '../onnx/model.ts';
import { scanModel } from '../onnx/scan.ts';
import { looksLikeText, readText } from './read-text.ts';
import { shown } from '../lib/shown.ts';
import type { EngineError, Result } from '../contract/errors.ts';
import type { FileKind, OpenedFile } from '../contract/files.ts';
import { blobSource } from './source.ts';

/** The newest file of each kind, a later drop replaces an earlier one; of inputs all. */
export interface ClassifiedFiles {
  files: OpenedFile[];
  model: File | null;
  /** The model's structure, or what is wrong with it; null without a model. */
  scanned: Result<Model> | null;
  data: FoundData;
  tokenizer: { file: File; json: string } | null;
  tokenizerConfig: string | null;
  text: File | null;
  inputs: File[];
}

/** @param chosen A file that a person has named as the text: it is text whatever is in it. */
export async function classifyFiles(files: readonly File[], chosen?: File): Promise<ClassifiedFiles> {
  const identified: { file: File; opened: Identified }[] = [];
  for (const file of files) identified.push({ file, opened: await identify(file) });
  weightsAreNoModels(identified);
  const model = newestModel(identified);
  const sorted: ClassifiedFiles = {
    files: [],
    model,
    scanned: null,
    data: { files: new Map(), missing: [] },
    tokenizer: null,
    tokenizerConfig: null,
    text: null,
    inputs: [],
  };
  if (model) {
    const scanned = await settle(() => scanModel(blobSource(model.name, model)));
    if (scanned.ok) sorted.data = findData(scanned.value, model, files);
    sorted.scanned = scanned.ok ? await settle(() => withData(scanned.value, sorted.data)) : scanned;
  }
  const claimed = new Set(sorted.data.files.values());
  for (const { file, opened } of identified) {
    if (claimed.has(file)) {
      sorted.files.push({ name: file.name, bytes: file.size, kind: 'external-data' });
      continue;
    }
    sorted.files.push({
      name: file.name,
      bytes: file.size,
      kind: opened.kind,
      ...(opened.problem ? { problem: opened.problem } : {}),
    });
    if (opened.problem) continue;
    switch (opened.kind) {
      case 'tokenizer':
        sorted.tokenizer = { file, json: opened.json };
        break;
      case 'tokenizer-config':
        sorted.tokenizerConfig = opened.json;
        break;
      case 'text':
        if (!sorted.text || textRank(file.name) >= textRank(sorted.text.name)) sorted.text = file;
        break;
      case 'input':
        sorted.inputs.push(file);
        break;
      case 'onnx':
      case 'model-config':
      case 'external-data':
      case 'unknown':
        break;
    }
  }
  if (chosen) {
    const problem = await whyNoText(chosen);
    sorted.files.push({ name: chosen.name, bytes: chosen.size, kind: 'text', ...(problem && { problem }) });
    sorted.text = problem ? null : chosen;
  }
  for (const [i, file] of sorted.files.entries()) {
    if (file.kind === 'onnx' && !file.problem && identified[i]?.file !== model) {
      file.problem = engineError(
        'several-models',
        `${shown(file.name)} is left aside: one model is compared at a time, and ${shown(sorted.model?.name ?? '')} came last.`,
        'Give it alone to compare it instead.',
      );
    }
  }
  return sorted;
}

/** What looks like a model by its first bytes alone is one only where no file is called a model: weights can look like anything. */
function weightsAreNoModels(identified: readonly { file: File; opened: Identified }[]): void {
  if (!identified.some(({ file, opened: { kind } }) => kind === 'onnx' && MODEL_NAME.test(file.name))) return;
  for (const { file, opened } of identified)
    if (opened.kind === 'onnx' && !MODEL_NAME.test(file.name)) opened.kind = 'external-data';
}

function newestModel(identified: readonly { file: File; opened: Identified }[]): File | null {
  return identified.findLast(({ opened: { kind, problem } }) => kind === 'onnx' && !problem)?.file ?? null;
}

function withData(model: Model, data: FoundData): Promise<Model> {
  checkExtents(model, data.files);
  return Promise.resolve({ ...model, external: externalSources(model, data) });
}

interface Identified {
  kind: FileKind;
  json: string;
  problem: EngineError | null;
}

const MODEL_NAME = /\.onnx$/i;
const HEAD = 4096;
/** Tokenizers of large vocabularies reach some 40 MB; more is not one. */
const MAX_JSON = 1 << 28;

/** Why a file named as the text is none, or null. */
async function whyNoText(file: File): Promise<EngineError | null> {
  if (file.size === 0) return isEmpty(file.name);
  const read = await settle(async () => (file.size > HEAD ? ' ' : (await readText(file)).text));
  if (!read.ok) return cannotRead(file.name, read.error.details);
  if (read.value === '') return isEmpty(file.name);
  return isLfsPointer(read.value) ? lfsPointer(file.name) : null;
}

const isEmpty = (name: string): EngineError =>
  engineError('file-empty', `${shown(name)} is empty.`, 'Download or export it again.');
const cannotRead = (name: string, details: string): EngineError =>
  engineError(
    'file-unreadable',
    `${shown(name)} cannot be read.`,
    'It may have been moved or changed: give it again.',
    details,
  );
const isLfsPointer = (text: string): boolean => text.startsWith('version https://git-lfs.github.com/spec/');
const lfsPointer = (name: string): EngineError =>
  engineError(
    'file-lfs-pointer',
    `${shown(name)} is a Git LFS pointer: a note of where the file is, not the file.`,
    'Run "git lfs pull" in the repository, or download the file itself.',
  );

/** What a person calls a file of text; JSON in it is text unless it is one of the files that come with models. */
const TEXT_NAME = /\.(txt|text|md|markdown|log)$/i;

async function identify(file: File): Promise<Identified> {
  const found = (kind: FileKind, problem: EngineError | null = null, json = ''): Identified => ({
    kind,
    json,
    problem,
  });
  const meantAsModel = MODEL_NAME.test(file.name);
  if (file.size === 0)
    return found(TEXT_NAME.test(file.name) && textRank(file.name) > 0 ? 'text' : 'unknown', isEmpty(file.name));
  let head: Uint8Array;
  try {
    head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  } catch (thrown) {
    return found('unknown', cannotRead(file.name, String(thrown)));
  }
  const text = asText(head, file.size > HEAD);
  if (text !== null && isLfsPointer(text)) return found('unknown', lfsPointer(file.name));
  if (text !== null && /^\s*[{[]/.test(text) && file.size <= MAX_JSON) {
    const json = await file.text();
    const kind = jsonKind(json);
    if (kind === 'broken') {
      if (/tokenizer.*\.json$/i.test(file.name))
        return found(
          'unknown',
          engineError(
            'tokenizer-invalid',
            `${shown(file.name)} is not valid JSON.`,
            'Download it again; it may have been cut off.',
          ),
        );
      if (/\.json$/i.test(file.name))
        return found(
          'unknown',
          engineError(
            'file-unknown',
            `${shown(file.name)} is not valid JSON.`,
            'Download it again; it may have been cut off.',
          ),
        );
    } else if (meantAsModel) {
      return found('unknown', notOnnx(file.name, 'it holds JSON'));
    } else if (!TEXT_NAME.test(file.name) || (kind !== 'unknown' && kind !== 'input')) {
      return found(kind, null, kind === 'unknown' || kind === 'input' ? '' : json);
    }
  }
  if (text !== null) {
    if (meantAsModel)
      return found(
        'unknown',
        notOnnx(file.name, /^\s*<(!doctype|html)/i.test(text) ? 'it holds a web page' : 'it holds text'),
      );
    return found(textRank(file.name) > 0 ? 'text' : 'unknown');
  }
  if (TEXT_NAME.test(file.name) && textRank(file.name) > 0 && looksLikeText(head)) return found('text');
  if (!meantAsModel && (isNpy(head) || isImage(head) || looksLikeTensor(head, file.size))) return found('input');
  if (looksLikeOnnx(head)) return found('onnx');
  const format = knownFormat(file.name, head);
  if (meantAsModel)
    return found('unknown', notOnnx(file.name, format ? `it is ${format}` : 'its first bytes are something else'));
  if (format)
    return found(
      'unknown',
      engineError(
        'file-unknown',
        `${shown(file.name)} is ${format}; Nibble reads ONNX models.`,
        'Export the model to ONNX, for example with Optimum.',
      ),
    );
  if (/(\.onnx[._]data|\.data|\.bin|\.weights|\.pb)(_\d+)?$/i.test(file.name)) return found('external-data');
  return found(
    'unknown',
    engineError(
      'file-unknown',
      `Nibble does not know what ${shown(file.name)} is.`,
      'It takes an ONNX model, its tokenizer.json and a text file.',
    ),
  );
}

function notOnnx(name: string, why: string): EngineError {
  return engineError(
    'onnx-invalid',
    `${shown(name)} is not an ONNX model: ${why}.`,
    'Check the download, or export the model again.',
  );
}

/** The head as text, or null when it is not UTF-8 text. */
function asText(head: Uint8Array, cut: boolean): string | null {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: cut });
  } catch {
    return null;
  }
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32 && code !== 9 && code !== 10 && code !== 12 && code !== 13) return null;
  }
  return text;
}

function jsonKind(json: string): FileKind | 'broken' {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return 'broken';
  }
  if (Array.isArray(value)) return looksLikeInputs(value) ? 'input' : 'unknown';
  if (typeof value !== 'object' || value === null) return 'unknown';
  const has = (key: string) => Object.hasOwn(value, key);
  const model = Object.getOwnPropertyDescriptor(value, 'model')?.value as unknown;
  if (typeof model === 'object' && model !== null && (Object.hasOwn(model, 'vocab') || Object.hasOwn(model, 'merges')))
    return 'tokenizer';
  if (has('tokenizer_class') || (has('model_max_length') && has('eos_token'))) return 'tokenizer-config';
  if (has('model_type') || has('architectures')) return 'model-config';
  return looksLikeInputs(value) ? 'input' : 'unknown';
}

/** 0 for text that comes with models and is not meant to be evaluated on. */
function textRank(name: string): number {
  const base = name.split('/').at(-1)?.toLowerCase() ?? '';
  if (
    /^(readme|licen[cs]e|notice|merges|vocab|requirements|changelog|\.)/.test(base) ||
    /\.(py|js|ts|json|jinja|ya?ml|toml|cfg|sh|html?|css)$/.test(base)
  )
    return 0;
  return base.endsWith('.txt') ? 2 : 1;
}

/** Whether the first fields could be those of a ModelProto. */
function looksLikeOnnx(head: Uint8Array): boolean {
  let at = 0;
  for (let fields = 0; fields < 3 && at < head.length; fields++) {
    const tag = readVarint(head, at);
    if (!tag) return false;
    const wireType = Number(tag.value & 7n);
    if (!isDeclared(ModelProtoSchema, { number: Number(tag.value >> 3n), wireType })) return false;
    const value = readVarint(head, tag.next);
    if (!value) return false;
    at = wireType === 2 ? value.next + Number(value.value) : value.next;
  }
  return true;
}

function knownFormat(name: string, head: Uint8Array): string | null {
  const ascii = (at: number, length: number) =>
    Array.from(head.subarray(at, at + length), (byte) => String.fromCharCode(byte)).join('');
  if (ascii(0, 4) === 'GGUF') return 'a GGUF file';
  if (ascii(0, 2) === 'PK' && /\.npz$/i.test(name)) return 'several arrays in one archive (save each with numpy.save)';
  if (ascii(0, 2) === 'PK') return 'a zip archive (PyTorch checkpoints are)';
  if (ascii(1, 3) === 'HDF') return 'an HDF5 file (Keras saves those)';
  if (head[0] === 0x1f && head[1] === 0x8b) return 'a gzip archive';
  if (head[0] === 0x80 && (head[1] ?? 0) < 6) return 'a Python pickle';
  if (ascii(4, 4) === 'TFL3') return 'a TensorFlow Lite model';
  if (ascii(4, 4) === 'ORTM') return "a model in onnxruntime's own format (.ort)";
  if (ascii(8, 2) === '{"') return 'a safetensors file';
  return null;
}
