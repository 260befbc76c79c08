/**
 * What is measured of a level: the parts of a report that are figures. The schemas are the definition; the types are
 * inferred from them. Fields that older versions of a report do not have are optional.
 */
import { z } from 'zod';
import { PROVIDER_IDS } from './capabilities.ts';
import type { EngineError, EngineErrorCode } from './errors.ts';

/** A number. NaN and the infinities are included: the figures of a broken level are such. */
export const numberSchema = z.custom<number>((value) => typeof value === 'number');
/** Numbers, NaN and the infinities included. */
export const numbersSchema = z.array(numberSchema);
/** An execution provider of onnxruntime-web. */
export const providerSchema = z.enum(PROVIDER_IDS);

/** An error as it was reported, of this version or another. */
export const errorSchema: z.ZodType<EngineError> = z.object({
  // The code may be one of another version: its sentences are what counts.
  code: z.string() as unknown as z.ZodType<EngineErrorCode>,
  message: z.string(),
  action: z.string(),
  details: z.string(),
});

/** A figure with its standard error. */
export const estimateSchema = z.object({
  value: numberSchema,
  /** One standard error. */
  error: numberSchema,
});

/** The perplexity of a protocol. */
export const perplexitySchema = estimateSchema.extend({
  /**
   * −log₂ of the probability of the scored tokens, over the bytes of UTF-8 they stand for: comparable between
   * tokenizers. Absent where a token's bytes cannot be told from the tokenizer. The error takes the bytes as given.
   */
  bitsPerByte: estimateSchema.exactOptional(),
  /** 2 to the power of `bitsPerByte`; of protocols that report it. */
  bytePerplexity: estimateSchema.exactOptional(),
});

/** How a level’s predictions differ from the baseline’s. */
export const driftSchema = z.object({
  /** ln(PPL level / PPL baseline), error paired. */
  lnRatio: estimateSchema,
  /** PPL level / PPL baseline, error paired. Absent in reports of version 0.1.0. */
  ratio: estimateSchema.exactOptional(),
  /** Correlation of the two log perplexities over tokens. */
  correlation: numberSchema,
  /** KL divergence per token, nats, baseline against level. */
  kld: z.object({
    mean: numberSchema,
    error: numberSchema,
    median: numberSchema,
    p90: numberSchema,
    p95: numberSchema,
    p99: numberSchema,
    p999: numberSchema,
    max: numberSchema,
  }),
  /** Share of tokens whose most likely next token is the same. */
  sameTop: estimateSchema,
  /** Change of the probability given to the correct token. */
  deltaP: z.object({
    mean: numberSchema,
    rms: estimateSchema,
    p1: numberSchema,
    p5: numberSchema,
    median: numberSchema,
    p95: numberSchema,
    p99: numberSchema,
  }),
});

/** How far two runs over the same tokens are apart. */
export const distanceSchema = z.object({
  tokens: numberSchema,
  kld: estimateSchema.extend({ max: numberSchema }),
  sameTop: estimateSchema,
  lnRatio: estimateSchema,
});

/** The fp16 baseline against float32. */
export const noiseFloorSchema = distanceSchema.extend({
  /** What float32 was: the file before its weights were rounded, or an fp16 file widened to float32 arithmetic. */
  reference: z.enum(['original', 'widened']),
});

/** One output of a level against the baseline’s. */
export const outputDriftSchema = z.object({
  output: z.string(),
  shape: numbersSchema,
  cosine: numberSchema,
  /** Signal-to-quantization-noise ratio, dB; null where nothing differs. */
  sqnr: numberSchema.nullable(),
  maxError: numberSchema,
  /** RMS of the baseline's values, to read `maxError` by. */
  rms: numberSchema,
  /** Of outputs that look like class scores: share of rows whose largest score is of the same class. */
  top1: estimateSchema.nullable(),
  /** Share of rows where the baseline's class is among the level's five largest; null with five classes or fewer. */
  top5: estimateSchema.nullable(),
  /** Of outputs of whole numbers or booleans, labels for instance: share of values that are the same. */
  equal: estimateSchema.nullable().exactOptional(),
  /**
   * What the shares are of: rows of scores (or values), and the independent inputs they belong to, over which the errors
   * are. Absent where there is no share, and in reports of version 0.1.0.
   */
  counted: z.object({ rows: numberSchema, inputs: numberSchema }).exactOptional(),
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
  difference: numberSchema,
  inputDifference: numberSchema,
  /** The provider that computes it wrongly; null where that could not be told. Absent in older reports. */
  provider: providerSchema.nullable().exactOptional(),
  /** The nodes that the provider fuses into one kernel, which is wrong; null where the fault is in the one node. Absent in older reports. */
  fused: fusedRange.nullable().exactOptional(),
});

const arbitration = z.object({
  /** The providers whose output is not the arbiter's; empty where the arbiter cannot decide. */
  wrong: z.array(providerSchema),
  /**
   * The arbiter: `both`, the unoptimized graph, which gives the same on both providers; `against` or `provider`, the
   * unoptimized graph on that provider alone; `float32`, the unoptimized graph in float32, where the providers differ even
   * unoptimized. Null where the arbiter cannot decide.
   */
  arbiter: z.enum(['both', 'against', 'provider', 'float32']).nullable(),
  /** How far the output is apart, RMS over RMS: between the providers, on each between the optimized and the unoptimized graph, and between the two unoptimized ones. Null where one did not run. */
  optimized: numberSchema,
  provider: numberSchema.nullable(),
  against: numberSchema.nullable(),
  unoptimized: numberSchema.nullable(),
});

/** The same file on two providers. */
export const runtimeDriftSchema = z.object({
  provider: providerSchema,
  against: providerSchema,
  /** Language models; null for others. */
  distance: distanceSchema.nullable(),
  /** Other models: of each output; null for language models. */
  outputs: z.array(outputDriftSchema).nullable(),
  /** Runtime drift is larger than this level's quantization drift (the baseline: than that of the closest level). */
  exceeds: z.boolean(),
  /** Where the providers diverge, looked for when `exceeds`; null when not, or not found. */
  partsAt: divergence.nullable(),
  /** Which provider is wrong, looked for when `exceeds`; null when not, or when the outputs agree on the tokens or inputs of the search. Absent in older reports. */
  arbitration: arbitration.nullable().exactOptional(),
  /** Whether the file was run in float32 for want of f16 on the adapter. */
  widened: z.boolean(),
  /** Why it could not be measured; everything else is then empty. */
  problem: errorSchema.nullable(),
});

/** What a model that is not a language model was run on. */
export const inputsUsedSchema = z.object({
  /** `random` numbers, seeded and shaped from the graph, or the files dropped. */
  kind: z.enum(['random', 'files']),
  seed: numberSchema.nullable(),
  samples: numberSchema,
  inputs: z.array(z.object({ name: z.string(), type: z.string(), shape: numbersSchema, from: z.string() })),
  provider: providerSchema,
  threads: numberSchema,
});

const spread = z.object({ median: numberSchema, low: numberSchema, high: numberSchema, runs: numberSchema });

const memoryParts = z.object({
  /** Weights as the provider holds them, and on WASM the file that they are read from. */
  weights: numberSchema,
  /** Keys and values, before and after a run. */
  cache: numberSchema,
  /** The logits of every token run at once. Other activations are not predicted. */
  activations: numberSchema,
  /** What the runtime takes by itself, and on WASM the step by which the heap grows. */
  runtime: numberSchema,
});

/** Predicted memory on one provider. */
export const memoryPredictionSchema = z.object({ fixed: memoryParts, perToken: memoryParts });

const measuredMemory = z.object({
  /** Live GPU buffers after loading, and at most; null on WASM. */
  gpu: z.object({ steady: numberSchema, peak: numberSchema }).nullable(),
  /** High-water mark of the WebAssembly heap. */
  heap: numberSchema,
  /** What was predicted for the GPU at most (WebGPU) or for the heap (WASM). */
  predicted: numberSchema,
  /** What that consists of, and for how many tokens. Absent in reports of earlier versions. */
  parts: memoryParts.extend({ tokens: numberSchema }).exactOptional(),
});

/** The speed of one level on one provider. */
export const speedSchema = z.object({
  provider: providerSchema,
  threads: numberSchema,
  /** Seconds from the file's bytes in memory to a session that has run once; the runtime itself is started before. */
  load: spread.nullable(),
  /** `tokens` at once, with the logits the graph gives, brought to the page. */
  prefill: z.object({ tokens: numberSchema, tokensPerSecond: spread }).nullable(),
  /** `tokens` one after the other in each run, after a context of half as many as prefill; `cached` when a key/value cache is used. */
  decode: z.object({ tokens: numberSchema, tokensPerSecond: spread, cached: z.boolean() }).nullable(),
  /** Seconds for one run, of models that are not language models. */
  run: spread.nullable(),
  memory: measuredMemory.nullable(),
  /** Nodes of the optimized graph that another provider than this one runs; null where the runtime does not tell. */
  fallback: z.object({ nodes: numberSchema, of: numberSchema }).nullable(),
  /** Whether the file was run in float32 for want of f16 on the adapter. */
  widened: z.boolean(),
  problem: errorSchema.nullable(),
});

/** A figure with its standard error. */
export type Estimate = z.infer<typeof estimateSchema>;

/** The protocol's perplexity: by token, or by word where `Protocol.unit` says so. */
export type Perplexity = z.infer<typeof perplexitySchema>;

/** How a level's predictions differ from the baseline's, over the tokens of a text. */
export type Drift = z.infer<typeof driftSchema>;

/** How far two runs over the same tokens are apart. */
export type Distance = z.infer<typeof distanceSchema>;

/** The fp16 baseline against the model in float32: what rounding to fp16 costs, below which no drift means anything. */
export type NoiseFloor = z.infer<typeof noiseFloorSchema>;

/** The same file on two providers, over the same tokens or inputs. */
export type RuntimeDrift = z.infer<typeof runtimeDriftSchema>;

/** Which of two providers is wrong. The arbiter is the graph as it is written, run without onnxruntime's optimizations. */
export type Arbitration = z.infer<typeof arbitration>;

/** The first node whose inputs agree between two providers, or between one provider's optimized and unoptimized graph, and whose output does not. */
export type Divergence = z.infer<typeof divergence>;

/** Nodes that onnxruntime runs as one kernel; the last is the `Divergence`'s. */
export type FusedRange = z.infer<typeof fusedRange>;

/** One output of a level against the baseline's, over all samples. */
export type OutputDrift = z.infer<typeof outputDriftSchema>;

/** What a model that is not a language model was run on. */
export type InputsUsed = z.infer<typeof inputsUsedSchema>;

/** Median of several runs, and their extremes. */
export type Spread = z.infer<typeof spread>;

/** Of one level on one provider; warm-up is left out of all. */
export type Speed = z.infer<typeof speedSchema>;

/** What the predicted memory of a model consists of, in bytes. All parts together are the prediction. */
export type MemoryParts = z.infer<typeof memoryParts>;

/** Predicted memory on one provider: `fixed` and, for each token that is run or kept, `perToken`. */
export type MemoryPrediction = z.infer<typeof memoryPredictionSchema>;

/** Bytes, observed while the level was alone in a worker. */
export type MeasuredMemory = z.infer<typeof measuredMemory>;
