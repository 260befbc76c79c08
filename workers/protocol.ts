/**
 * What crosses between the page and the engine: plain values only, no behaviour.
 * The page sends files and levels, the engine answers with events and a report.
 * Weights never cross; a finished model crosses as a `Blob` handle.
 */

/** Precision levels the engine knows. `fp16` is the baseline everything is measured against. */
export type LevelId = 'fp16' | 'int8' | 'int4' | 'q4f16' | 'uint8';

export type BlockSize = 16 | 32 | 64 | 128 | 256;

/** What a person may set on a level. Absent means the level's default (block 32, symmetric, head quantized, embedding kept). */
export interface LevelSettings {
  block?: BlockSize;
  asymmetric?: boolean;
  /** `keep` leaves the output projection as it is. */
  head?: 'keep';
  /**
   * Quantize embedding tables too (GatherBlockQuantized): every table rows are gathered from, positions and rotary ones
   * included, as onnxruntime's quantizer does when told to quantize Gather. `tokens` takes only those looked up by token:
   * hardly larger and a good deal better.
   */
  embedding?: boolean | 'tokens';
  /** `original` quantizes a float32 model's own weights, as onnxruntime would, instead of the fp16 baseline's. */
  source?: 'original';
  /**
   * Another way of computing with the weights: `dequantize` stores them behind ONNX's own DequantizeLinear (int8: one
   * scale a channel; int4: blocks, operator set 21); `dynamic` quantizes activations too, while running (int8 only).
   */
  mode?: 'dequantize' | 'dynamic';
  /** Weights and nodes to leave as they are, by name; `*` stands for any characters, `?` for one. */
  exclude?: string[];
  /** Weights and nodes to have in other integers, by name as in `exclude`; the first that fits counts, before `head` and `embedding`. */
  override?: Override[];
}

/** What weights of a name become instead. */
export interface Override { name: string; to: 'int4' | 'int8' }

/** One level of a job. `key` is the caller's own name for it and comes back in every event about it. */
export interface LevelRequest {
  key: string;
  id: LevelId;
  settings: LevelSettings;
}

/** Execution providers of onnxruntime-web that models are run on. */
export type Provider = 'wasm' | 'webgpu';

export type Backend = 'webgpu' | 'wasm' | 'reference';

/** What this machine offers, as a result rather than a silence. */
export interface Capabilities {
  /** The backend quantization kernels run on. */
  backend: Backend;
  /** `software`: emulated on the CPU, right but slow. */
  webgpu: { available: true; adapter: string; f16: boolean; software?: boolean } | { available: false; reason: string };
  /** Cross-origin isolated: shared memory and therefore WASM threads. */
  isolated: boolean;
  /** Threads the WASM evaluator uses. */
  threads: number;
  /** Parameters a second that one thread of the WASM kernel quantizes: how fast this machine is just now. Absent where it was not tried. */
  pace?: number;
}

export type FileKind =
  | 'onnx' | 'tokenizer' | 'tokenizer-config' | 'model-config' | 'text'
  /** An array, a tensor or an image to run a model on that is not a language model. */
  | 'input'
  | 'external-data' | 'unknown';

export interface OpenedFile {
  name: string;
  bytes: number;
  kind: FileKind;
  /** A sentence when the file could not be used. */
  problem?: EngineError;
}

export interface ElementTypeCount { type: string; tensors: number; parameters: number; bytes: number }
export interface OperatorCount { domain: string; type: string; count: number }
/** Bytes of the initializers whose names share a layer prefix. */
export interface LayerBytes { layer: string; parameters: number; bytes: number }

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

export interface TokenizerSummary { name: string; vocabulary: number; addsBos: boolean }
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

/** One line for each initializer and each `Constant` node, wherever it is: what became of it and why. */
export interface LedgerLine {
  tensor: string;
  /** The body of control flow or the local function it is in; absent in the main graph. */
  where?: string;
  shape: number[];
  /** Element type before, e.g. `float16`. */
  from: string;
  /** Element type or scheme after, e.g. `int4`, `float16`. */
  to: string;
  bytesBefore: number;
  bytesAfter: number;
  reason: string;
}

/** What a pattern of `exclude` or `override` applies to. */
export interface PatternUse {
  setting: 'exclude' | 'override';
  pattern: string;
  /** Weights it fits, by their own name or that of a node that uses them. */
  matched: number;
  /** Where it fits none: names of weights and nodes that are most like it, the most alike first. */
  nearest: string[];
}

/** The second file of a model too large for one: its larger weights. */
export interface DataFile {
  file: string;
  bytes: number;
  /** Hexadecimal; only where it was computed while writing. */
  sha256?: string;
}

/** Where a written model is to run; `both` is WASM and WebGPU in the browser. */
export type Target = 'wasm' | 'webgpu' | 'both' | 'cpu' | 'cuda' | 'transformers.js';

/** A constant that a level's file holds in more than one form, because its uses need different ones. */
export interface StoredTwice {
  tensor: string;
  /** As in `LedgerLine`. */
  where?: string;
  /** Each form with its element type, and the bytes it would take alone; the original comes first where it stays. */
  forms: { type: string; bytes: number }[];
  /** Of all forms together. */
  bytes: number;
  /** What the file would save with the smallest form alone. */
  extra: number;
}

/** The same level with other settings for its token embedding. */
export interface LevelAlternative {
  /** All settings of the level, to be used in place of the present ones. */
  settings: LevelSettings;
  bytes: number;
  /** What constants stored twice cost there; 0 where none is. */
  storedTwiceBytes: number;
}

/** What a level will write, known exactly before any weight is read. */
export interface LevelPlan {
  key: string;
  /** Name it is saved under. */
  file?: string;
  /** Of all that is written. */
  bytes: number;
  /** What of it goes to a second file; absent where one is enough. */
  data?: DataFile;
  weightBytes: number;
  /** Bytes written that are no weights: nodes, names, metadata, padding. With the ledger's they are all of it. */
  graphBytes?: number;
  quantizedTensors: number;
  /** One sentence, in words with numbers. */
  summary: string;
  /** What the level's patterns apply to; absent where it has none. */
  patterns?: PatternUse[];
  ledger: LedgerLine[];
  /** Targets that do not run it as they should, and why. */
  notOn?: { target: Target; reason: string }[];
  /** Bytes of the model's files as they were dropped, external data included. Absent for variants, as the next three. */
  sourceBytes?: number;
  /** Bytes of the fp16 baseline of the same model. */
  baselineBytes?: number;
  /** Constants stored twice, and what the file would save if each were stored once; absent where there are none. */
  storedTwice?: { tensors: StoredTwice[]; bytes: number };
  /** The same level with the token embedding quantized, at 8 bits, or kept for its product too; the smallest first. Absent where there is nothing to choose. */
  alternatives?: LevelAlternative[];
  /** Key of an earlier level whose file would be the same but for its metadata. */
  sameFileAs?: string;
  /** Set when the level cannot be made of this model. */
  problem: EngineError | null;
}

export interface Job {
  files: File[];
  /** The text, where a person has named it: it is text whatever is in it. Otherwise it is looked for among `files`. */
  text?: File;
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
export type ProtocolName = 'llama.cpp' | 'gptq' | 'huggingface' | 'lm-eval';

export interface ProtocolRequest {
  name: ProtocolName;
  /** Tokens in one window; the protocol's own when absent. */
  context?: number;
  /** `huggingface` only: tokens from the start of one window to that of the next. */
  stride?: number;
}

export interface Estimate { value: number; /** One standard error. */ error: number }

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
  kld: { mean: number; error: number; median: number; p90: number; p95: number; p99: number; p999: number; max: number };
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
export interface Spread { median: number; low: number; high: number; runs: number }

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
export interface MemoryPrediction { fixed: MemoryParts; perToken: MemoryParts }

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

export interface Guess { token: string; probability: number }

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
  settings: { block?: BlockSize; asymmetric?: boolean; head?: 'quantize' | 'keep'; embedding?: boolean | 'tokens'; source?: 'baseline' | 'original'; mode?: 'dequantize' | 'dynamic'; exclude?: string[]; override?: Override[] };
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
  model: { name: string; sha256: string | null; fingerprint?: string; bytes: number; parameters: number; cacheBytesPerToken: number | null };
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

/** `check` is what follows the figures: runtime drift, speed, memory. */
export type Stage = 'open' | 'quantize' | 'measure' | 'check';

export interface Progress {
  type: 'progress';
  stage: Stage;
  /** Null while the stage works for all levels at once. */
  level: string | null;
  done: number;
  total: number;
  unit: 'bytes' | 'tokens' | 'runs';
  /** Name of the tensor in hand. */
  tensor: string | null;
  /** Null until there is enough to tell. */
  secondsLeft: number | null;
}

/** A level's file is finished and can be downloaded. */
export interface Written {
  type: 'written';
  level: string;
  /** Its name; in a folder that held another file of it, one of its own. */
  file: string;
  blob: Blob;
  /** Name of the folder it was written to, if a person has chosen one. */
  folder?: string;
  /** Of both files. */
  bytes: number;
  /** The second file of a model too large for one; it has to lie beside the first under this name. */
  data?: DataFile & { blob: Blob };
  weightBytes: number;
  /** As in the report. */
  memory?: Record<Provider, MemoryPrediction>;
}

/** Running figures; `final` when the text is through. */
export interface Measured {
  type: 'measured';
  level: string;
  tokens: number;
  perplexity: Perplexity;
  drift: Drift | null;
  final: boolean;
}

export interface Warning {
  type: 'warning';
  error: EngineError;
  /** Key of the level that is skipped because of it; absent for other warnings. */
  level?: string;
}

/** Steps of a job whose times are predicted. `start` is the start of a runtime in a worker of its own. */
export type TimedStep = 'open' | 'quantize' | 'start' | 'tokenize' | 'load' | 'run' | 'overflow' | 'runtime-drift' | 'speed';

/** What a step took. Sent when the step has ended, and about once a second for `run`, where amounts and times add up. */
export interface Timing {
  type: 'timing';
  step: TimedStep;
  /** Null for a step that serves all levels, and for the float32 model that the noise floor is measured against. */
  level: string | null;
  /** Null where no model is run. */
  provider: Provider | null;
  /** Bytes that were read, written, tokenized or loaded; tokens that were run; 1 for the other steps. */
  amount: number;
  seconds: number;
}

export type EngineEvent = Progress | Written | Measured | Warning | Timing;

/** Continues a prompt with several models, one after the other. */
export interface GenerationJob {
  models: { key: string; model: Blob }[];
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

/** A file of a level in the browser's storage, finished or to be gone on with. */
export interface StoredResult {
  /** What determines its bytes, hashed; hexadecimal. */
  key: string;
  file: string;
  /** As on the command line, e.g. `int4:block=128,asymmetric`. */
  level: string;
  /** The model it is made of. */
  model: { name: string; fingerprint: string };
  finished: boolean;
  /** Bytes there, and bytes when finished. */
  bytes: number;
  total: number;
  /** ISO 8601. */
  createdAt: string;
  lastUsed: string;
}

export interface Storage {
  /** Why nothing can be kept, or null. */
  problem: EngineError | null;
  /** Bytes of all results and reports kept. */
  used: number;
  /** Bytes this site may use in all, as the browser estimates; null where it does not tell. */
  quota: number | null;
  /** Bytes left of `quota`. */
  free: number | null;
  /** Whether the browser has promised not to clear this by itself when the disk runs low. */
  persisted: boolean;
  /** Last used first. */
  results: StoredResult[];
}

/** A finished report in the browser's storage, as a line of a list. */
export interface StoredReport {
  key: string;
  /** ISO 8601. */
  createdAt: string;
  bytes: number;
  model: { name: string; bytes: number };
  levels: string[];
  /** Null when only sizes were compared. */
  protocol: { name: ProtocolName; text: string; tokens: number } | null;
}

/** A stored report with the files it is about. */
export interface OpenedReport {
  stored: StoredReport;
  report: Report;
  /** One for each of the report's levels, in order; null where the file is not stored, as of a model that is its own baseline. */
  files: { level: string; result: string; file: File | null; /** The second file of a model too large for one; null where it is not stored. */ data?: File | null }[];
  /** Configuration and tokenizer files that were stored with it, by their names in a Hub folder; absent where none were stored. */
  companions?: File[];
}

/**
 * What a person has set up, to be run, kept and duplicated. A duplicate has an id and a time of its own; what it gives
 * has the same key all the same, and is not computed again.
 */
export interface Setup {
  /** `crypto.randomUUID()`. */
  id: string;
  /** ISO 8601. */
  createdAt: string;
  name: string;
  levels: LevelRequest[];
  maxTokens: number | null;
  protocol?: ProtocolRequest;
  extras?: Extras;
  provider?: Provider | 'faster';
}

/** Every way things can go wrong. */
export type EngineErrorCode =
  | 'file-empty' | 'file-lfs-pointer' | 'file-unreadable' | 'file-unknown'
  | 'onnx-invalid' | 'onnx-truncated' | 'onnx-external-data' | 'no-model' | 'several-models'
  | 'nothing-to-quantize' | 'already-quantized' | 'weights-not-finite' | 'weights-too-large'
  | 'level-unknown' | 'level-invalid' | 'usage'
  | 'no-tokenizer' | 'tokenizer-invalid' | 'tokenizer-mismatch'
  | 'no-text' | 'text-too-short' | 'not-a-language-model' | 'inputs-unknown' | 'input-invalid'
  | 'session-failed' | 'out-of-memory' | 'device-lost' | 'worker-crashed'
  | 'file-changed' | 'storage-full' | 'storage-unavailable' | 'not-stored'
  | 'write-failed' | 'cancelled' | 'busy' | 'internal';

/** An error as a value: survives the worker boundary and is written for a person. */
export interface EngineError {
  code: EngineErrorCode;
  /** One sentence: what is wrong. */
  message: string;
  /** One sentence: what to do. */
  action: string;
  /** Technical text to copy; may be empty. */
  details: string;
}

export type Result<T> = { ok: true; value: T } | { ok: false; error: EngineError };

/** How far a Hub folder is: bytes of its files read. */
export interface Zipping { done: number; total: number }

/** What goes into a folder for the Hugging Face Hub. */
export interface HubFolderJob {
  /** All that was dropped: configuration and tokenizer are taken from it. */
  files: File[];
  report: Report;
  /** `level` as in the report, which says what it is. The names in the folder follow from that and from the source's; `file` is where it was written. */
  models: { level: string; file: string; blob: Blob; data?: { file: string; blob: Blob } }[];
}

/**
 * What the engine worker exposes. Calls settle with a `Result`, they do not throw. A dropped file that lay in a folder
 * has its path for a name, since a browser's own note of it does not reach a worker everywhere.
 */
export interface Engine {
  capabilities(): Promise<Capabilities>;
  open(files: File[]): Promise<Result<Opened>>;
  /**
   * Loads and runs the model for a moment on WASM and says what that took: a level of null is the model as it is. Code
   * `busy` while a comparison runs; one that starts ends it with `cancelled`.
   */
  calibrate(files: File[]): Promise<Result<Timing[]>>;
  /** @param variants Settings that might be chosen next: planned after the levels, for `notOn` and `problem`, without a ledger. */
  plan(files: File[], levels: LevelRequest[], variants?: LevelRequest[]): Promise<Result<LevelPlan[]>>;
  /** Sends `EngineEvent`s through `port` (see remote.ts). */
  compare(job: Job, port: MessagePort): Promise<Result<Report>>;
  /** Stops the job in hand; its `compare` settles with code `cancelled`. */
  cancel(): Promise<void>;
  /**
   * Ends the measurement in hand early and keeps what it has: `compare` settles with a report on the windows run so
   * far, one at least, and says so. Before measuring it makes that short; without a job it does nothing.
   */
  finish(): Promise<void>;
  /**
   * Sends `Generated`s through `port`; what is wrong with one model only is said there. While a comparison runs it is
   * `busy`, as its figures would suffer; a comparison that starts ends it with `cancelled`.
   */
  generate(job: GenerationJob, port: MessagePort): Promise<Result<null>>;
  /** Stops the continuation in hand; its `generate` settles with code `cancelled`. A comparison goes on. */
  cancelGeneration(): Promise<void>;
  /** A zip of models, configuration, tokenizer and a card: parts of the files given, not copies. Sends `Zipping`s through `port`. */
  hubFolder(job: HubFolderJob, port: MessagePort, key: string): Promise<Result<Blob>>;
  /** Stops the one that was begun with this key; it settles with code `cancelled`. */
  cancelHubFolder(key: string): Promise<void>;
  /** Finished reports of earlier jobs, the latest first. */
  history(): Promise<Result<StoredReport[]>>;
  /** A report of `history`, with the files that are still there: handles, not copies. Code `not-stored` when it is gone. */
  openStored(key: string): Promise<Result<OpenedReport>>;
  storage(): Promise<Result<Storage>>;
  /**
   * Deletes results and reports by key. Code `busy` when one is being made just now, here or in another tab; the others
   * are deleted all the same.
   */
  remove(keys: string[]): Promise<Result<Storage>>;
  /** As `remove`, of everything. */
  removeAll(): Promise<Result<Storage>>;
}
