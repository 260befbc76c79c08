/**
 * What a comparison found: the report, as it is exported and stored. The schemas are the definition; the types are inferred
 * from them. Fields that older versions of a report do not have are optional, so that old reports stay readable.
 */
import { z } from 'zod';
import { BACKEND_IDS } from './capabilities.ts';
import { PROTOCOL_NAMES, STAGES } from './job.ts';
import { dataFileSchema, ledgerSchema, patternUseSchema } from './level-plan.ts';
import { LEVEL_IDS } from './levels/registry.ts';
import {
  driftSchema,
  errorSchema,
  estimateSchema,
  inputsUsedSchema,
  memoryPredictionSchema,
  noiseFloorSchema,
  numberSchema,
  numbersSchema,
  outputDriftSchema,
  perplexitySchema,
  providerSchema,
  runtimeDriftSchema,
  speedSchema,
} from './measurements.ts';
import { storedMetrics } from './metric-readings.ts';
import { settingsSchema } from './settings-schema.ts';

/** The version of the schema that reports are written in. */
export const REPORT_SCHEMA = 'nibble.report/1';

const guess = z.object({ token: z.string(), probability: numberSchema });

const passage = z.object({
  /** The text of each token; joined they are the passage. */
  tokens: z.array(z.string()),
  /** Tokens before this one are context and have no figures. */
  scoredFrom: numberSchema,
  /** −ln p of each scored token at the baseline, nats. */
  baseline: numbersSchema,
  /** Change of −ln p against the baseline. */
  levels: z.array(z.object({ level: z.string(), change: numbersSchema })),
});

const worstToken = z.object({
  /** Some text before the token. */
  before: z.string(),
  token: z.string(),
  /** Probability of the token and what would have been said instead, by the baseline and by each level. */
  baseline: z.object({ probability: numberSchema, guess }),
  levels: z.array(z.object({ level: z.string(), probability: numberSchema, change: numberSchema, guess })),
});

const driftInWords = z.object({ passages: z.array(passage), worst: z.array(worstToken) });

const protocol = z.object({
  name: z.enum(PROTOCOL_NAMES),
  /** Tokens in one window. */
  context: numberSchema,
  /** Tokens from the start of one window to that of the next, where windows overlap. */
  stride: numberSchema.exactOptional(),
  /** What perplexity is the inverse mean probability of; absent means a token. */
  unit: z.enum(['token', 'word']).exactOptional(),
  /** Tokens scored. */
  tokens: numberSchema,
  /** Words of the text scored (runs of whitespace separate them), where perplexity is by word. */
  words: numberSchema.exactOptional(),
  /** Bytes of UTF-8 the scored tokens stand for; null where the tokenizer does not tell. */
  scoredBytes: numberSchema.nullable().exactOptional(),
  /** Windows run. */
  chunks: numberSchema,
  /** Windows there were to run. */
  plannedChunks: numberSchema.exactOptional(),
  /** Whether it was finished before all of them had been run. */
  stoppedEarly: z.boolean().exactOptional(),
  /** Tokens in the whole text. */
  textTokens: numberSchema,
  /** Bytes of UTF-8 in the whole text. */
  textBytes: numberSchema,
  provider: providerSchema,
  threads: numberSchema,
  text: z.string(),
});

/** A field for each metric of the table that has no place elsewhere in the report. */
const figures: z.ZodType<Record<string, z.infer<typeof estimateSchema> | number>> = z.object(
  Object.fromEntries(storedMetrics().map(({ id }) => [id, z.union([numberSchema, estimateSchema]).exactOptional()])),
);

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
  bytes: numberSchema,
  /** What of it is in a second file. */
  data: dataFileSchema.exactOptional(),
  weightBytes: numberSchema,
  /** Predicted memory by provider; absent where the file could not be read again, and in reports of earlier versions. */
  memory: z.object({ wasm: memoryPredictionSchema, webgpu: memoryPredictionSchema }).exactOptional(),
  /** The level, as it is written on the command line, whose file has the same content but for its metadata, and whose figures these are. */
  sameFileAs: z.string().exactOptional(),
  perplexity: perplexitySchema.nullable(),
  drift: driftSchema.nullable(),
  /**
   * `run` where activations are quantized while the model runs, with ranges over all tokens that are run together: the
   * figures are then those of the windows run. Absent for other levels and where perplexity was not measured.
   */
  activationRanges: z.literal('run').exactOptional(),
  /** Figures of metrics that no other field holds, by id; absent where there are none. */
  figures: figures.exactOptional(),
  /** Of models whose perplexity was not measured, against the baseline; null for it and where perplexity was. */
  outputs: z.array(outputDriftSchema).nullable().exactOptional(),
  runtimeDrift: runtimeDriftSchema.nullable().exactOptional(),
  speed: z.array(speedSchema).exactOptional(),
  /** Of the file written, hexadecimal; only where it was computed while writing. */
  sha256: z.string().exactOptional(),
  /** What the level's patterns apply to; absent where it has none. */
  patterns: z.array(patternUseSchema).exactOptional(),
  ledger: ledgerSchema,
});

const skippedLevel = z.object({
  /** As on the command line, e.g. `int4:block=128,asymmetric`. */
  level: z.string(),
  error: errorSchema,
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
    bytes: numberSchema,
    parameters: numberSchema,
    cacheBytesPerToken: numberSchema.nullable(),
  }),
  /** Null when perplexity was not measured; `notes` says why. */
  protocol: protocol.nullable(),
  backend: z.enum(BACKEND_IDS),
  levels: z.array(levelReport),
  /** Absent where every level was made, and in reports of earlier versions. */
  skipped: z.array(skippedLevel).exactOptional(),
  noiseFloor: noiseFloorSchema.nullable().exactOptional(),
  words: driftInWords.nullable().exactOptional(),
  /** What output drift was measured on; null where it was not. */
  inputs: inputsUsedSchema.nullable().exactOptional(),
  /** Nodes whose output goes beyond 65,504 in float32 and would overflow in fp16. */
  overflow: z
    .array(z.object({ node: z.string(), operator: z.string(), tensor: z.string(), largest: numberSchema }))
    .nullable()
    .exactOptional(),
  /** Seconds each stage took; `quantize` for all levels together. */
  seconds: z.partialRecord(z.enum(STAGES), numberSchema).exactOptional(),
  /** Sentences a reader must know: what was not measured and why. */
  notes: z.array(z.string()),
});

export type {
  Arbitration,
  Distance,
  Divergence,
  Drift,
  Estimate,
  FusedRange,
  InputsUsed,
  MeasuredMemory,
  MemoryParts,
  MemoryPrediction,
  NoiseFloor,
  OutputDrift,
  Perplexity,
  RuntimeDrift,
  Speed,
  Spread,
} from './measurements.ts';

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
