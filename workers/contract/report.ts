/** What a comparison found: the report, as it is exported and stored. */
import type { Backend, Provider } from './capabilities.ts';
import type { EngineError } from './errors.ts';
import type { ProtocolName, Stage } from './job.ts';
import type { DataFile, LedgerLine, PatternUse } from './level-plan.ts';
import type { LevelId } from './levels/registry.ts';
import type { LevelSettings } from './settings.ts';

export interface Estimate {
  value: number;
  /** One standard error. */ error: number;
}

/** The protocol's perplexity: by token, or by word where `Protocol.unit` says so. */
export interface Perplexity extends Estimate {
  /**
   * −log₂ of the probability of the scored tokens, over the bytes of UTF-8 they stand for: comparable between
   * tokenizers. Absent where a token's bytes cannot be told from the tokenizer. The error takes the bytes as given.
   */
  bitsPerByte?: Estimate;
  /** 2 to the power of `bitsPerByte`; of protocols that report it. */
  bytePerplexity?: Estimate;
}

export interface Drift {
  /** ln(PPL level / PPL baseline), error paired. */
  lnRatio: Estimate;
  /** PPL level / PPL baseline, error paired. Absent in reports of version 0.1.0. */
  ratio?: Estimate;
  /** Correlation of the two log perplexities over tokens. */
  correlation: number;
  /** KL divergence per token, nats, baseline against level. */
  kld: {
    mean: number;
    error: number;
    median: number;
    p90: number;
    p95: number;
    p99: number;
    p999: number;
    max: number;
  };
  /** Share of tokens whose most likely next token is the same. */
  sameTop: Estimate;
  /** Change of the probability given to the correct token. */
  deltaP: { mean: number; rms: Estimate; p1: number; p5: number; median: number; p95: number; p99: number };
}

/** How far two runs over the same tokens are apart: `of` against `against`. */
export interface Distance {
  tokens: number;
  kld: Estimate & { max: number };
  sameTop: Estimate;
  lnRatio: Estimate;
}

/** The fp16 baseline against the model in float32: what rounding to fp16 costs, below which no drift means anything. */
export interface NoiseFloor extends Distance {
  /** What float32 was: the file before its weights were rounded, or an fp16 file widened to float32 arithmetic. */
  reference: 'original' | 'widened';
}

/** The same file on two providers, over the same tokens or inputs. */
export interface RuntimeDrift {
  provider: Provider;
  against: Provider;
  /** Language models; null for others. */
  distance: Distance | null;
  /** Other models: of each output; null for language models. */
  outputs: OutputDrift[] | null;
  /** Runtime drift is larger than this level's quantization drift (the baseline: than that of the closest level). */
  exceeds: boolean;
  /** Where the providers part, looked for when `exceeds`; null when not, or not found. */
  partsAt: Divergence | null;
  /** Which provider is wrong, looked for when `exceeds`; null when not, or when the outputs agree on the tokens or inputs of the search. Absent in older reports. */
  arbitration?: Arbitration | null;
  /** Whether the file was run in float32 for want of f16 on the adapter. */
  widened: boolean;
  /** Why it could not be measured; everything else is then empty. */
  problem: EngineError | null;
}

/** Which of two providers is wrong, told by an arbiter: the graph as it is written, run without onnxruntime's optimizations. */
export interface Arbitration {
  /** The providers whose output is not the arbiter's; empty where the arbiter cannot decide. */
  wrong: Provider[];
  /**
   * The arbiter: `both`, the unoptimized graph, which gives the same on both providers; `against` or `provider`, the
   * unoptimized graph on that provider alone; `float32`, the unoptimized graph in float32, where the providers differ even
   * unoptimized. Null where the arbiter cannot decide.
   */
  arbiter: 'both' | 'against' | 'provider' | 'float32' | null;
  /** How far the output is apart, RMS over RMS: between the providers, on each between the optimized and the unoptimized graph, and between the two unoptimized ones. Null where one did not run. */
  optimized: number;
  provider: number | null;
  against: number | null;
  unoptimized: number | null;
}

/** The first node whose inputs agree between two providers, or between one provider's optimized and unoptimized graph, and whose output does not. */
export interface Divergence {
  /** Name of the node, or of its first output where it has none; of a fused range the last node. */
  node: string;
  operator: string;
  tensor: string;
  /** RMS of the difference over RMS of the value, of the output and of the most different input. */
  difference: number;
  inputDifference: number;
  /** The provider that computes it wrongly; null where that could not be told. Absent in older reports. */
  provider?: Provider | null;
  /** The nodes that the provider fuses into one kernel, which is wrong; null where the fault is in the one node. Absent in older reports. */
  fused?: FusedRange | null;
}

/** Nodes that onnxruntime runs as one kernel; the last is the `Divergence`'s. */
export interface FusedRange {
  firstNode: string;
  firstOperator: string;
  /** Of all nodes of the range, in the order of the graph. */
  operators: string[];
  /** What onnxruntime calls the kernel such operators become; null where none is known. */
  into: string | null;
}

/** One output of a level against the baseline's, over all samples. */
export interface OutputDrift {
  output: string;
  shape: number[];
  cosine: number;
  /** Signal-to-quantization-noise ratio, dB; null where nothing differs. */
  sqnr: number | null;
  maxError: number;
  /** RMS of the baseline's values, to read `maxError` by. */
  rms: number;
  /** Of outputs that look like class scores: share of rows whose largest score is of the same class. */
  top1: Estimate | null;
  /** Share of rows where the baseline's class is among the level's five largest; null with five classes or fewer. */
  top5: Estimate | null;
  /** Of outputs of whole numbers or booleans, labels for instance: share of values that are the same. */
  equal?: Estimate | null;
  /**
   * What the shares are of: rows of scores (or values), and the independent inputs they belong to, over which the errors
   * are. Absent where there is no share, and in reports of version 0.1.0.
   */
  counted?: { rows: number; inputs: number };
}

/** What a model that is not a language model was run on. */
export interface InputsUsed {
  /** `random` numbers, seeded and shaped from the graph, or the files dropped. */
  kind: 'random' | 'files';
  seed: number | null;
  samples: number;
  inputs: { name: string; type: string; shape: number[]; from: string }[];
  provider: Provider;
  threads: number;
}

/** Median of several runs, and their extremes. */
export interface Spread {
  median: number;
  low: number;
  high: number;
  runs: number;
}

/** Of one level on one provider; warm-up is left out of all. */
export interface Speed {
  provider: Provider;
  threads: number;
  /** Seconds from the file's bytes in memory to a session that has run once; the runtime itself is started before. */
  load: Spread | null;
  /** `tokens` at once, with the logits the graph gives, brought to the page. */
  prefill: { tokens: number; tokensPerSecond: Spread } | null;
  /** `tokens` one after the other in each run, after a context of half as many as prefill; `cached` when a key/value cache is used. */
  decode: { tokens: number; tokensPerSecond: Spread; cached: boolean } | null;
  /** Seconds for one run, of models that are not language models. */
  run: Spread | null;
  memory: MeasuredMemory | null;
  /** Nodes of the optimized graph that another provider than this one runs; null where the runtime does not tell. */
  fallback: { nodes: number; of: number } | null;
  /** Whether the file was run in float32 for want of f16 on the adapter. */
  widened: boolean;
  problem: EngineError | null;
}

/** What the predicted memory of a model consists of, in bytes. All parts together are the prediction. */
export interface MemoryParts {
  /** Weights as the provider holds them, and on WASM the file that they are read from. */
  weights: number;
  /** Keys and values, before and after a run. */
  cache: number;
  /** The logits of every token run at once. Other activations are not predicted. */
  activations: number;
  /** What the runtime takes by itself, and on WASM the step by which the heap grows. */
  runtime: number;
}

/** Predicted memory on one provider: `fixed` and, for each token that is run or kept, `perToken`. */
export interface MemoryPrediction {
  fixed: MemoryParts;
  perToken: MemoryParts;
}

/** Bytes, observed while the level was alone in a worker. */
export interface MeasuredMemory {
  /** Live GPU buffers after loading, and at most; null on WASM. */
  gpu: { steady: number; peak: number } | null;
  /** High-water mark of the WebAssembly heap. */
  heap: number;
  /** What was predicted for the GPU at most (WebGPU) or for the heap (WASM). */
  predicted: number;
  /** What that consists of, and for how many tokens. Absent in reports of earlier versions. */
  parts?: MemoryParts & { tokens: number };
}

/** Where the drift is: passages of the text, token by token, and the tokens that lose most. */
export interface DriftInWords {
  passages: Passage[];
  worst: WorstToken[];
}

/** Consecutive tokens of the text as run in one window. */
export interface Passage {
  /** The text of each token; joined they are the passage. */
  tokens: string[];
  /** Tokens before this one are context and have no figures. */
  scoredFrom: number;
  /** −ln p of each scored token at the baseline, nats. */
  baseline: number[];
  /** Change of −ln p against the baseline. */
  levels: { level: string; change: number[] }[];
}

export interface Guess {
  token: string;
  probability: number;
}

export interface WorstToken {
  /** Some text before the token. */
  before: string;
  token: string;
  /** Probability of the token and what would have been said instead, by the baseline and by each level. */
  baseline: { probability: number; guess: Guess };
  levels: { level: string; probability: number; change: number; guess: Guess }[];
}

/** Which protocol every perplexity and drift of a report was measured by. */
export interface Protocol {
  name: ProtocolName;
  /** Tokens in one window. */
  context: number;
  /** Tokens from the start of one window to that of the next, where windows overlap. */
  stride?: number;
  /** What perplexity is the inverse mean probability of; absent means a token. */
  unit?: 'token' | 'word';
  /** Tokens scored. */
  tokens: number;
  /** Words of the text scored (runs of whitespace part them), where perplexity is by word. */
  words?: number;
  /** Bytes of UTF-8 the scored tokens stand for; null where the tokenizer does not tell. */
  scoredBytes?: number | null;
  /** Windows run. */
  chunks: number;
  /** Windows there were to run. */
  plannedChunks?: number;
  /** Whether it was finished before all of them had been run. */
  stoppedEarly?: boolean;
  /** Tokens in the whole text. */
  textTokens: number;
  /** Bytes of UTF-8 in the whole text. */
  textBytes: number;
  provider: Provider;
  threads: number;
  text: string;
}

export interface LevelReport {
  id: LevelId;
  /** The level as it is written on the command line, e.g. `int4:block=128,asymmetric`. */
  level: string;
  baseline: boolean;
  /** Settings in full, as used. */
  settings: LevelSettings;
  /** End of the names of its files, in front of `.onnx`: `_q4_block128`. Absent in reports of version 0.1.0. */
  suffix?: string;
  /** File name of the model written. */
  file: string;
  /** Of all that was written. */
  bytes: number;
  /** What of it is in a second file. */
  data?: DataFile;
  weightBytes: number;
  /** Predicted memory by provider; absent where the file could not be read again, and in reports of earlier versions. */
  memory?: Record<Provider, MemoryPrediction>;
  /** The level, as it is written on the command line, whose file has the same content but for its metadata, and whose figures these are. */
  sameFileAs?: string;
  perplexity: Perplexity | null;
  drift: Drift | null;
  /**
   * `run` where activations are quantized while the model runs, with ranges over all tokens that are run together: the
   * figures are then those of the windows run. Absent for other levels and where perplexity was not measured.
   */
  activationRanges?: 'run';
  /** Of models whose perplexity was not measured, against the baseline; null for it and where perplexity was. */
  outputs?: OutputDrift[] | null;
  runtimeDrift?: RuntimeDrift | null;
  speed?: Speed[];
  /** Of the file written, hexadecimal; only where it was computed while writing. */
  sha256?: string;
  /** What the level's patterns apply to; absent where it has none. */
  patterns?: PatternUse[];
  ledger: LedgerLine[];
}

/** A level that was asked for and is not in the report's `levels`, because it cannot be made of this model. */
export interface SkippedLevel {
  /** As on the command line, e.g. `int4:block=128,asymmetric`. */
  level: string;
  error: EngineError;
  /** Why each weight stays; absent where it turned out only while the file was being written. */
  ledger?: LedgerLine[];
}

export interface Report {
  schema: 'nibble.report/1';
  /** `fingerprint` identifies the content (hash.ts); `sha256` is null for files too large to be read at once. */
  model: {
    name: string;
    sha256: string | null;
    fingerprint?: string;
    bytes: number;
    parameters: number;
    cacheBytesPerToken: number | null;
  };
  /** Null when perplexity was not measured; `notes` says why. */
  protocol: Protocol | null;
  backend: Backend;
  levels: LevelReport[];
  /** Absent where every level was made, and in reports of earlier versions. */
  skipped?: SkippedLevel[];
  noiseFloor?: NoiseFloor | null;
  words?: DriftInWords | null;
  /** What output drift was measured on; null where it was not. */
  inputs?: InputsUsed | null;
  /** Nodes whose output goes beyond 65,504 in float32 and would overflow in fp16. */
  overflow?: { node: string; operator: string; tensor: string; largest: number }[] | null;
  /** Seconds each stage took; `quantize` for all levels together. */
  seconds?: Partial<Record<Stage, number>>;
  /** Sentences a reader must know: what was not measured and why. */
  notes: string[];
}
