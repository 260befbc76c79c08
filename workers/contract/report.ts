/**
 * What a comparison found: the report, as it is exported and stored. The schemas are the definition; the types are inferred
 * from them. Fields that older versions of a report do not have are optional, so that old reports stay readable.
 */
import { z } from 'zod';
import { BACKEND_IDS, PROVIDER_IDS } from './capabilities.ts';
import type { EngineError, EngineErrorCode } from './errors.ts';
import { PROTOCOL_NAMES, STAGES } from './job.ts';
import { dataFileSchema, ledgerSchema, patternUseSchema } from './level-plan.ts';
import { LEVEL_IDS } from './levels/registry.ts';
import { settingsSchema } from './settings-schema.ts';

/** The version of the schema that reports are written in. */
export const REPORT_SCHEMA = 'nibble.report/1';

/** A number. NaN and the infinities are included: the figures of a broken level are such. */
const number = z.custom<number>((value) => typeof value === 'number');
const numbers = z.array(number);
const provider = z.enum(PROVIDER_IDS);

const error: z.ZodType<EngineError> = z.object({
  // The code may be one of another version: its sentences are what counts.
  code: z.string() as unknown as z.ZodType<EngineErrorCode>,
  message: z.string(),
  action: z.string(),
  details: z.string(),
});

const estimate = z.object({
  value: number,
  /** One standard error. */
  error: number,
});

const perplexity = estimate.extend({
  /**
   * −log₂ of the probability of the scored tokens, over the bytes of UTF-8 they stand for: comparable between
   * tokenizers. Absent where a token's bytes cannot be told from the tokenizer. The error takes the bytes as given.
   */
  bitsPerByte: estimate.exactOptional(),
  /** 2 to the power of `bitsPerByte`; of protocols that report it. */
  bytePerplexity: estimate.exactOptional(),
});

const drift = z.object({
  /** ln(PPL level / PPL baseline), error paired. */
  lnRatio: estimate,
  /** PPL level / PPL baseline, error paired. Absent in reports of version 0.1.0. */
  ratio: estimate.exactOptional(),
  /** Correlation of the two log perplexities over tokens. */
  correlation: number,
  /** KL divergence per token, nats, baseline against level. */
  kld: z.object({
    mean: number,
    error: number,
    median: number,
    p90: number,
    p95: number,
    p99: number,
    p999: number,
    max: number,
  }),
  /** Share of tokens whose most likely next token is the same. */
  sameTop: estimate,
  /** Change of the probability given to the correct token. */
  deltaP: z.object({ mean: number, rms: estimate, p1: number, p5: number, median: number, p95: number, p99: number }),
});

const distance = z.object({
  tokens: number,
  kld: estimate.extend({ max: number }),
  sameTop: estimate,
  lnRatio: estimate,
});

const noiseFloor = distance.extend({
  /** What float32 was: the file before its weights were rounded, or an fp16 file widened to float32 arithmetic. */
  reference: z.enum(['original', 'widened']),
});

const outputDrift = z.object({
  output: z.string(),
  shape: numbers,
  cosine: number,
  /** Signal-to-quantization-noise ratio, dB; null where nothing differs. */
  sqnr: number.nullable(),
  maxError: number,
  /** RMS of the baseline's values, to read `maxError` by. */
  rms: number,
  /** Of outputs that look like class scores: share of rows whose largest score is of the same class. */
  top1: estimate.nullable(),
  /** Share of rows where the baseline's class is among the level's five largest; null with five classes or fewer. */
  top5: estimate.nullable(),
  /** Of outputs of whole numbers or booleans, labels for instance: share of values that are the same. */
  equal: estimate.nullable().exactOptional(),
  /**
   * What the shares are of: rows of scores (or values), and the independent inputs they belong to, over which the errors
   * are. Absent where there is no share, and in reports of version 0.1.0.
   */
  counted: z.object({ rows: number, inputs: number }).exactOptional(),
});

const fusedRange = z.object({
  firstNode: z.string(),
  firstOperator: z.string(),
  /** Of all nodes of the range, in the order of the graph. */
  operators: z.array(z.string()),
  /** What onnxruntime calls the kernel such operators become; null where none is known. */
  into: z.string().nullable(),
});

const divergence = z.object({
  /** Name of the node, or of its first output where it has none; of a fused range the last node. */
  node: z.string(),
  operator: z.string(),
  tensor: z.string(),
  /** RMS of the difference over RMS of the value, of the output and of the most different input. */
  difference: number,
  inputDifference: number,
  /** The provider that computes it wrongly; null where that could not be told. Absent in older reports. */
  provider: provider.nullable().exactOptional(),
  /** The nodes that the provider fuses into one kernel, which is wrong; null where the fault is in the one node. Absent in older reports. */
  fused: fusedRange.nullable().exactOptional(),
});

const arbitration = z.object({
  /** The providers whose output is not the arbiter's; empty where the arbiter cannot decide. */
  wrong: z.array(provider),
  /**
   * The arbiter: `both`, the unoptimized graph, which gives the same on both providers; `against` or `provider`, the
   * unoptimized graph on that provider alone; `float32`, the unoptimized graph in float32, where the providers differ even
   * unoptimized. Null where the arbiter cannot decide.
   */
  arbiter: z.enum(['both', 'against', 'provider', 'float32']).nullable(),
  /** How far the output is apart, RMS over RMS: between the providers, on each between the optimized and the unoptimized graph, and between the two unoptimized ones. Null where one did not run. */
  optimized: number,
  provider: number.nullable(),
  against: number.nullable(),
  unoptimized: number.nullable(),
});

const runtimeDrift = z.object({
  provider,
  against: provider,
  /** Language models; null for others. */
  distance: distance.nullable(),
  /** Other models: of each output; null for language models. */
  outputs: z.array(outputDrift).nullable(),
  /** Runtime drift is larger than this level's quantization drift (the baseline: than that of the closest level). */
  exceeds: z.boolean(),
  /** Where the providers diverge, looked for when `exceeds`; null when not, or not found. */
  partsAt: divergence.nullable(),
  /** Which provider is wrong, looked for when `exceeds`; null when not, or when the outputs agree on the tokens or inputs of the search. Absent in older reports. */
  arbitration: arbitration.nullable().exactOptional(),
  /** Whether the file was run in float32 for want of f16 on the adapter. */
  widened: z.boolean(),
  /** Why it could not be measured; everything else is then empty. */
  problem: error.nullable(),
});

const inputsUsed = z.object({
  /** `random` numbers, seeded and shaped from the graph, or the files dropped. */
  kind: z.enum(['random', 'files']),
  seed: number.nullable(),
  samples: number,
  inputs: z.array(z.object({ name: z.string(), type: z.string(), shape: numbers, from: z.string() })),
  provider,
  threads: number,
});

const spread = z.object({ median: number, low: number, high: number, runs: number });

const memoryParts = z.object({
  /** Weights as the provider holds them, and on WASM the file that they are read from. */
  weights: number,
  /** Keys and values, before and after a run. */
  cache: number,
  /** The logits of every token run at once. Other activations are not predicted. */
  activations: number,
  /** What the runtime takes by itself, and on WASM the step by which the heap grows. */
  runtime: number,
});

const memoryPrediction = z.object({ fixed: memoryParts, perToken: memoryParts });

const measuredMemory = z.object({
  /** Live GPU buffers after loading, and at most; null on WASM. */
  gpu: z.object({ steady: number, peak: number }).nullable(),
  /** High-water mark of the WebAssembly heap. */
  heap: number,
  /** What was predicted for the GPU at most (WebGPU) or for the heap (WASM). */
  predicted: number,
  /** What that consists of, and for how many tokens. Absent in reports of earlier versions. */
  parts: memoryParts.extend({ tokens: number }).exactOptional(),
});

const speed = z.object({
  provider,
  threads: number,
  /** Seconds from the file's bytes in memory to a session that has run once; the runtime itself is started before. */
  load: spread.nullable(),
  /** `tokens` at once, with the logits the graph gives, brought to the page. */
  prefill: z.object({ tokens: number, tokensPerSecond: spread }).nullable(),
  /** `tokens` one after the other in each run, after a context of half as many as prefill; `cached` when a key/value cache is used. */
  decode: z.object({ tokens: number, tokensPerSecond: spread, cached: z.boolean() }).nullable(),
  /** Seconds for one run, of models that are not language models. */
  run: spread.nullable(),
  memory: measuredMemory.nullable(),
  /** Nodes of the optimized graph that another provider than this one runs; null where the runtime does not tell. */
  fallback: z.object({ nodes: number, of: number }).nullable(),
  /** Whether the file was run in float32 for want of f16 on the adapter. */
  widened: z.boolean(),
  problem: error.nullable(),
});

const guess = z.object({ token: z.string(), probability: number });

const passage = z.object({
  /** The text of each token; joined they are the passage. */
  tokens: z.array(z.string()),
  /** Tokens before this one are context and have no figures. */
  scoredFrom: number,
  /** −ln p of each scored token at the baseline, nats. */
  baseline: numbers,
  /** Change of −ln p against the baseline. */
  levels: z.array(z.object({ level: z.string(), change: numbers })),
});

const worstToken = z.object({
  /** Some text before the token. */
  before: z.string(),
  token: z.string(),
  /** Probability of the token and what would have been said instead, by the baseline and by each level. */
  baseline: z.object({ probability: number, guess }),
  levels: z.array(z.object({ level: z.string(), probability: number, change: number, guess })),
});

const driftInWords = z.object({ passages: z.array(passage), worst: z.array(worstToken) });

const protocol = z.object({
  name: z.enum(PROTOCOL_NAMES),
  /** Tokens in one window. */
  context: number,
  /** Tokens from the start of one window to that of the next, where windows overlap. */
  stride: number.exactOptional(),
  /** What perplexity is the inverse mean probability of; absent means a token. */
  unit: z.enum(['token', 'word']).exactOptional(),
  /** Tokens scored. */
  tokens: number,
  /** Words of the text scored (runs of whitespace separate them), where perplexity is by word. */
  words: number.exactOptional(),
  /** Bytes of UTF-8 the scored tokens stand for; null where the tokenizer does not tell. */
  scoredBytes: number.nullable().exactOptional(),
  /** Windows run. */
  chunks: number,
  /** Windows there were to run. */
  plannedChunks: number.exactOptional(),
  /** Whether it was finished before all of them had been run. */
  stoppedEarly: z.boolean().exactOptional(),
  /** Tokens in the whole text. */
  textTokens: number,
  /** Bytes of UTF-8 in the whole text. */
  textBytes: number,
  provider,
  threads: number,
  text: z.string(),
});

const levelReport = z.object({
  id: z.enum(LEVEL_IDS),
  /** Key of the job's request that this line answers. Absent in older reports. */
  key: z.string().exactOptional(),
  /** The level as it is written on the command line, e.g. `int4:block=128,asymmetric`. */
  level: z.string(),
  baseline: z.boolean(),
  /** Settings in full, as used. */
  settings: settingsSchema,
  /** End of the names of its files, in front of `.onnx`: `_q4_block128`. Absent in reports of version 0.1.0. */
  suffix: z.string().exactOptional(),
  /** File name of the model written. */
  file: z.string(),
  /** Of all that was written. */
  bytes: number,
  /** What of it is in a second file. */
  data: dataFileSchema.exactOptional(),
  weightBytes: number,
  /** Predicted memory by provider; absent where the file could not be read again, and in reports of earlier versions. */
  memory: z.object({ wasm: memoryPrediction, webgpu: memoryPrediction }).exactOptional(),
  /** The level, as it is written on the command line, whose file has the same content but for its metadata, and whose figures these are. */
  sameFileAs: z.string().exactOptional(),
  perplexity: perplexity.nullable(),
  drift: drift.nullable(),
  /**
   * `run` where activations are quantized while the model runs, with ranges over all tokens that are run together: the
   * figures are then those of the windows run. Absent for other levels and where perplexity was not measured.
   */
  activationRanges: z.literal('run').exactOptional(),
  /** Of models whose perplexity was not measured, against the baseline; null for it and where perplexity was. */
  outputs: z.array(outputDrift).nullable().exactOptional(),
  runtimeDrift: runtimeDrift.nullable().exactOptional(),
  speed: z.array(speed).exactOptional(),
  /** Of the file written, hexadecimal; only where it was computed while writing. */
  sha256: z.string().exactOptional(),
  /** What the level's patterns apply to; absent where it has none. */
  patterns: z.array(patternUseSchema).exactOptional(),
  ledger: ledgerSchema,
});

const skippedLevel = z.object({
  /** As on the command line, e.g. `int4:block=128,asymmetric`. */
  level: z.string(),
  error,
  /** Why each weight stays; absent where it turned out only while the file was being written. */
  ledger: ledgerSchema.exactOptional(),
});

/** A report, of this version or an older one: reads what was exported or stored. */
export const reportSchema = z.object({
  schema: z.literal(REPORT_SCHEMA),
  /** `fingerprint` identifies the content (hash.ts); `sha256` is null for files too large to be read at once. */
  model: z.object({
    name: z.string(),
    sha256: z.string().nullable(),
    fingerprint: z.string().exactOptional(),
    bytes: number,
    parameters: number,
    cacheBytesPerToken: number.nullable(),
  }),
  /** Null when perplexity was not measured; `notes` says why. */
  protocol: protocol.nullable(),
  backend: z.enum(BACKEND_IDS),
  levels: z.array(levelReport),
  /** Absent where every level was made, and in reports of earlier versions. */
  skipped: z.array(skippedLevel).exactOptional(),
  noiseFloor: noiseFloor.nullable().exactOptional(),
  words: driftInWords.nullable().exactOptional(),
  /** What output drift was measured on; null where it was not. */
  inputs: inputsUsed.nullable().exactOptional(),
  /** Nodes whose output goes beyond 65,504 in float32 and would overflow in fp16. */
  overflow: z
    .array(z.object({ node: z.string(), operator: z.string(), tensor: z.string(), largest: number }))
    .nullable()
    .exactOptional(),
  /** Seconds each stage took; `quantize` for all levels together. */
  seconds: z.partialRecord(z.enum(STAGES), number).exactOptional(),
  /** Sentences a reader must know: what was not measured and why. */
  notes: z.array(z.string()),
});

/** A figure with its standard error. */
export type Estimate = z.infer<typeof estimate>;
/** The protocol's perplexity: by token, or by word where `Protocol.unit` says so. */
export type Perplexity = z.infer<typeof perplexity>;
/** How a level's predictions differ from the baseline's, over the tokens of a text. */
export type Drift = z.infer<typeof drift>;
/** How far two runs over the same tokens are apart. */
export type Distance = z.infer<typeof distance>;
/** The fp16 baseline against the model in float32: what rounding to fp16 costs, below which no drift means anything. */
export type NoiseFloor = z.infer<typeof noiseFloor>;
/** The same file on two providers, over the same tokens or inputs. */
export type RuntimeDrift = z.infer<typeof runtimeDrift>;
/** Which of two providers is wrong. The arbiter is the graph as it is written, run without onnxruntime's optimizations. */
export type Arbitration = z.infer<typeof arbitration>;
/** The first node whose inputs agree between two providers, or between one provider's optimized and unoptimized graph, and whose output does not. */
export type Divergence = z.infer<typeof divergence>;
/** Nodes that onnxruntime runs as one kernel; the last is the `Divergence`'s. */
export type FusedRange = z.infer<typeof fusedRange>;
/** One output of a level against the baseline's, over all samples. */
export type OutputDrift = z.infer<typeof outputDrift>;
/** What a model that is not a language model was run on. */
export type InputsUsed = z.infer<typeof inputsUsed>;
/** Median of several runs, and their extremes. */
export type Spread = z.infer<typeof spread>;
/** Of one level on one provider; warm-up is left out of all. */
export type Speed = z.infer<typeof speed>;
/** What the predicted memory of a model consists of, in bytes. All parts together are the prediction. */
export type MemoryParts = z.infer<typeof memoryParts>;
/** Predicted memory on one provider: `fixed` and, for each token that is run or kept, `perToken`. */
export type MemoryPrediction = z.infer<typeof memoryPrediction>;
/** Bytes, observed while the level was alone in a worker. */
export type MeasuredMemory = z.infer<typeof measuredMemory>;
/** Where the drift is: passages of the text, token by token, and the tokens that lose most. */
export type DriftInWords = z.infer<typeof driftInWords>;
/** Consecutive tokens of the text as run in one window. */
export type Passage = z.infer<typeof passage>;
/** The token a model finds most likely. */
export type Guess = z.infer<typeof guess>;
/** A token that levels find much less likely than the baseline does. */
export type WorstToken = z.infer<typeof worstToken>;
/** Which protocol every perplexity and drift of a report was measured by. */
export type Protocol = z.infer<typeof protocol>;
/** A line of the report: one level. */
export type LevelReport = z.infer<typeof levelReport>;
/** A level that was asked for and is not in the report's `levels`, because it cannot be made of this model. */
export type SkippedLevel = z.infer<typeof skippedLevel>;
/** The findings of a comparison. */
export type Report = z.infer<typeof reportSchema>;
