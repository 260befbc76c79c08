/** Continuing a prompt with several models. */
import type { Provider } from './capabilities.ts';
import type { EngineError } from './errors.ts';
import type { ModelFiles } from './files.ts';

/** Continues a prompt with several models, one after the other. */
export interface GenerationJob {
  models: { key: string; model: ModelFiles }[];
  /** Dropped files, of which tokenizer and its configuration are used. */
  files: File[];
  prompt: string;
  maxTokens: number;
  /** The most likely token each time; or drawn by a seeded generator, with the logits divided by `temperature`, from the `topK` most likely. */
  sampling: { kind: 'greedy' } | { kind: 'seeded'; seed: number; temperature: number; topK: number };
  provider: Provider;
}

/** More text of one model's continuation. */
export interface Generated {
  type: 'generated';
  key: string;
  /** The whole continuation so far, without the prompt. */
  text: string;
  tokens: number;
  /** Of the tokens after the first; null until there are some. */
  tokensPerSecond: number | null;
  /** Whether a key/value cache was used. */
  cached: boolean;
  final: boolean;
  problem: EngineError | null;
}
