/** What the dropped files amount to, before any weight is read. */
import type { EngineError } from './errors.ts';

export type FileKind =
  | 'onnx'
  | 'tokenizer'
  | 'tokenizer-config'
  | 'model-config'
  | 'text'
  /** An array, a tensor or an image to run a model on that is not a language model. */
  | 'input'
  | 'external-data'
  | 'unknown';

export interface OpenedFile {
  name: string;
  bytes: number;
  kind: FileKind;
  /** A sentence when the file could not be used. */
  problem?: EngineError;
}

export interface ElementTypeCount {
  type: string;
  tensors: number;
  parameters: number;
  bytes: number;
}

export interface OperatorCount {
  domain: string;
  type: string;
  count: number;
}

/** Bytes of the initializers whose names share a layer prefix. */
export interface LayerBytes {
  layer: string;
  parameters: number;
  bytes: number;
}

/** A model that is written or opened: its file and, where some of its weights lie outside of it, the file they are in. */
export interface ModelFiles {
  model: Blob;
  /** `file` is the name the model refers to it by. Null where all weights are in the model's file. */
  data: { file: string; blob: Blob } | null;
}

/** The model as the scan sees it: no weight was loaded to make this. */
export interface ModelSummary {
  name: string;
  bytes: number;
  producer: string;
  irVersion: number;
  opsets: { domain: string; version: number }[];
  parameters: number;
  weightBytes: number;
  elementTypes: ElementTypeCount[];
  operators: OperatorCount[];
  layers: LayerBytes[];
  /** Whether it has token ids in and logits out, so that perplexity can be measured. */
  languageModel: { vocabulary: number | null } | null;
  /** Why it is not a language model, when it is not. */
  languageModelProblem?: EngineError;
  /** Bytes of key/value cache one token of context takes (batch 1); null where the graph keeps no cache. */
  cacheBytesPerToken: number | null;
  /** How the fp16 baseline comes about. */
  baseline: 'as-is' | 'rounded-to-fp16';
}

export interface TokenizerSummary {
  name: string;
  vocabulary: number;
  addsBos: boolean;
}

export interface TextSummary {
  name: string;
  bytes: number;
  tokens: number | null;
  /** How it was read, where a person should know: another encoding than UTF-8, JSON taken as text. */
  note?: string;
}

/** A file of external data that a model needs and that is not there. */
export interface MissingData {
  /** Relative to the model's folder. */
  location: string;
  /** How many tensors lie in it. */
  tensors: number;
  /** Bytes it has at least. */
  bytes: number;
}

/** What the dropped files amount to. Missing parts are null; what is wrong is in `problems`. */
export interface Opened {
  files: OpenedFile[];
  model: ModelSummary | null;
  tokenizer: TokenizerSummary | null;
  text: TextSummary | null;
  /** Of a model whose external data is not all there: what to add. `model` is null until it is. */
  missing?: MissingData[];
  problems: EngineError[];
}
