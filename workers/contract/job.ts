/** What is asked of the engine: levels, protocol, extra measurements. */
import type { Provider } from './capabilities.ts';
import type { LevelId } from './levels/registry.ts';
import type { LevelSettings } from './settings.ts';

/** One level of a job. `key` is the caller's own name for it and comes back in every event about it. */
export interface LevelRequest {
  key: string;
  id: LevelId;
  settings: LevelSettings;
}

export interface Job {
  files: File[];
  /** The text, where a person has named it: it is text whatever is in it. Otherwise it is looked for among `files`. */
  text?: File;
  /** Text that methods which need data are calibrated on. Absent: one that the model writes itself. */
  calibration?: File;
  /** The baseline is added in front when it is not among them. */
  levels: LevelRequest[];
  /** False writes the files and measures nothing; the report then has sizes and ledgers. */
  measure?: false;
  /** How many tokens of the text to run through the models at most; null for all of it. */
  maxTokens: number | null;
  /** How perplexity is measured; absent means as llama.cpp does. */
  protocol?: ProtocolRequest;
  /** What is measured beside quantization drift; nothing when absent. */
  extras?: Extras;
  /** Where levels are measured; `faster` tries both for a moment. WASM when absent, or where there is no WebGPU. */
  provider?: Provider | 'faster';
  /** A folder to write files to that a person has chosen and allows to be written to. The browser's storage when absent. */
  folder?: FileSystemDirectoryHandle;
}

/** Measurements that take time of their own. Each is a bounded sample, and says how large. */
export interface Extras {
  /** The fp16 baseline against float32, over the first windows. */
  noiseFloor?: boolean;
  /** Each file on WebGPU against the same file on WASM, where there is an adapter. */
  runtimeDrift?: boolean;
  /** The text coloured by change of loss, and the worst tokens. */
  words?: boolean;
  /** Load time, tokens per second and memory, each level and provider in a worker of its own. */
  speed?: boolean;
}

/**
 * Protocols for perplexity, by whose figures they are comparable with: `llama.cpp` scores the second half of windows
 * of 512; `gptq` all of disjoint windows of 2048, as the GPTQ and AWQ papers' evaluations; `huggingface` slides a
 * window over the text and scores what is new; `lm-eval` scores every token and normalises by words.
 */
export const PROTOCOL_NAMES = ['llama.cpp', 'gptq', 'huggingface', 'lm-eval'] as const;

/** A protocol for perplexity. */
export type ProtocolName = (typeof PROTOCOL_NAMES)[number];

export interface ProtocolRequest {
  name: ProtocolName;
  /** Tokens in one window; the protocol's own when absent. */
  context?: number;
  /** `huggingface` only: tokens from the start of one window to that of the next. */
  stride?: number;
}

/** Stages of a job in order. `check` is what follows the figures: runtime drift, speed, memory. */
export const STAGES = ['open', 'quantize', 'measure', 'check'] as const;

/** A stage of a job. */
export type Stage = (typeof STAGES)[number];
