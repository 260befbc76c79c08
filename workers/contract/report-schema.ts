/** Reports as they are read back from storage: what does not have the shape of a `Report` is not shown as one. */
import { z } from 'zod';
import type { EngineError, EngineErrorCode } from './errors.ts';
import { LEVEL_IDS } from './levels/registry.ts';
import type { Report } from './report.ts';
import { settingsSchema } from './settings-schema.ts';

/** NaN and the infinities included: a broken level has such figures. */
const number = z.custom<number>((value) => typeof value === 'number');
const numbers = z.array(number);
const estimate = z.object({ value: number, error: number });
const provider = z.enum(['wasm', 'webgpu']);

const error: z.ZodType<EngineError> = z.object({
  // An unknown code is one of another version: as good as any, its sentences are what counts.
  code: z.string() as unknown as z.ZodType<EngineErrorCode>,
  message: z.string(),
  action: z.string(),
  details: z.string(),
});

const perplexity = z.object({
  value: number,
  error: number,
  bitsPerByte: estimate.exactOptional(),
  bytePerplexity: estimate.exactOptional(),
});

const drift = z.object({
  lnRatio: estimate,
  ratio: estimate.exactOptional(),
  correlation: number,
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
  sameTop: estimate,
  deltaP: z.object({ mean: number, rms: estimate, p1: number, p5: number, median: number, p95: number, p99: number }),
});

const distance = z.object({
  tokens: number,
  kld: z.object({ value: number, error: number, max: number }),
  sameTop: estimate,
  lnRatio: estimate,
});

const outputDrift = z.object({
  output: z.string(),
  shape: numbers,
  cosine: number,
  sqnr: number.nullable(),
  maxError: number,
  rms: number,
  top1: estimate.nullable(),
  top5: estimate.nullable(),
  equal: estimate.nullable().exactOptional(),
  counted: z.object({ rows: number, inputs: number }).exactOptional(),
});

const runtimeDrift = z.object({
  provider,
  against: provider,
  distance: distance.nullable(),
  outputs: z.array(outputDrift).nullable(),
  exceeds: z.boolean(),
  partsAt: z
    .object({
      node: z.string(),
      operator: z.string(),
      tensor: z.string(),
      difference: number,
      inputDifference: number,
      provider: provider.nullable().exactOptional(),
      fused: z
        .object({
          firstNode: z.string(),
          firstOperator: z.string(),
          operators: z.array(z.string()),
          into: z.string().nullable(),
        })
        .nullable()
        .exactOptional(),
    })
    .nullable(),
  arbitration: z
    .object({
      wrong: z.array(provider),
      arbiter: z.enum(['both', 'against', 'provider', 'float32']).nullable(),
      optimized: number,
      provider: number.nullable(),
      against: number.nullable(),
      unoptimized: number.nullable(),
    })
    .nullable()
    .exactOptional(),
  widened: z.boolean(),
  problem: error.nullable(),
});

const spread = z.object({ median: number, low: number, high: number, runs: number });

const speed = z.object({
  provider,
  threads: number,
  load: spread.nullable(),
  prefill: z.object({ tokens: number, tokensPerSecond: spread }).nullable(),
  decode: z.object({ tokens: number, tokensPerSecond: spread, cached: z.boolean() }).nullable(),
  run: spread.nullable(),
  memory: z
    .object({
      gpu: z.object({ steady: number, peak: number }).nullable(),
      heap: number,
      predicted: number,
      parts: z
        .object({ weights: number, cache: number, activations: number, runtime: number, tokens: number })
        .exactOptional(),
    })
    .nullable(),
  fallback: z.object({ nodes: number, of: number }).nullable(),
  widened: z.boolean(),
  problem: error.nullable(),
});

const guess = z.object({ token: z.string(), probability: number });

const words = z.object({
  passages: z.array(
    z.object({
      tokens: z.array(z.string()),
      scoredFrom: number,
      baseline: numbers,
      levels: z.array(z.object({ level: z.string(), change: numbers })),
    }),
  ),
  worst: z.array(
    z.object({
      before: z.string(),
      token: z.string(),
      baseline: z.object({ probability: number, guess }),
      levels: z.array(z.object({ level: z.string(), probability: number, change: number, guess })),
    }),
  ),
});

const protocol = z.object({
  name: z.enum(['llama.cpp', 'gptq', 'huggingface', 'lm-eval']),
  context: number,
  stride: number.exactOptional(),
  unit: z.enum(['token', 'word']).exactOptional(),
  tokens: number,
  words: number.exactOptional(),
  scoredBytes: number.nullable().exactOptional(),
  chunks: number,
  plannedChunks: number.exactOptional(),
  stoppedEarly: z.boolean().exactOptional(),
  textTokens: number,
  textBytes: number,
  provider,
  threads: number,
  text: z.string(),
});

const memoryParts = z.object({ weights: number, cache: number, activations: number, runtime: number });
const memoryPrediction = z.object({ fixed: memoryParts, perToken: memoryParts });
const ledger = z.array(
  z.object({
    tensor: z.string(),
    where: z.string().exactOptional(),
    shape: numbers,
    from: z.string(),
    to: z.string(),
    bytesBefore: number,
    bytesAfter: number,
    reason: z.string(),
  }),
);

const level = z.object({
  id: z.enum(LEVEL_IDS),
  level: z.string(),
  baseline: z.boolean(),
  settings: settingsSchema,
  suffix: z.string().exactOptional(),
  file: z.string(),
  bytes: number,
  data: z.object({ file: z.string(), bytes: number, sha256: z.string().exactOptional() }).exactOptional(),
  weightBytes: number,
  memory: z.object({ wasm: memoryPrediction, webgpu: memoryPrediction }).exactOptional(),
  sameFileAs: z.string().exactOptional(),
  perplexity: perplexity.nullable(),
  drift: drift.nullable(),
  activationRanges: z.literal('run').exactOptional(),
  outputs: z.array(outputDrift).nullable().exactOptional(),
  runtimeDrift: runtimeDrift.nullable().exactOptional(),
  speed: z.array(speed).exactOptional(),
  patterns: z
    .array(
      z.object({
        setting: z.enum(['exclude', 'override']),
        pattern: z.string(),
        matched: number,
        nearest: z.array(z.string()),
      }),
    )
    .exactOptional(),
  sha256: z.string().exactOptional(),
  ledger,
});

const report = z.object({
  schema: z.literal('nibble.report/1'),
  model: z.object({
    name: z.string(),
    sha256: z.string().nullable(),
    fingerprint: z.string().exactOptional(),
    bytes: number,
    parameters: number,
    cacheBytesPerToken: number.nullable(),
  }),
  protocol: protocol.nullable(),
  backend: z.enum(['webgpu', 'wasm', 'reference']),
  levels: z.array(level),
  skipped: z.array(z.object({ level: z.string(), error, ledger: ledger.exactOptional() })).exactOptional(),
  noiseFloor: distance
    .extend({ reference: z.enum(['original', 'widened']) })
    .nullable()
    .exactOptional(),
  words: words.nullable().exactOptional(),
  inputs: z
    .object({
      kind: z.enum(['random', 'files']),
      seed: number.nullable(),
      samples: number,
      inputs: z.array(z.object({ name: z.string(), type: z.string(), shape: numbers, from: z.string() })),
      provider,
      threads: number,
    })
    .nullable()
    .exactOptional(),
  overflow: z
    .array(z.object({ node: z.string(), operator: z.string(), tensor: z.string(), largest: number }))
    .nullable()
    .exactOptional(),
  seconds: z
    .object({
      open: number.exactOptional(),
      quantize: number.exactOptional(),
      measure: number.exactOptional(),
      check: number.exactOptional(),
    })
    .exactOptional(),
  notes: z.array(z.string()),
});

export const reportSchema: z.ZodType<Report> = report;

type DeepRequired<T> = T extends (infer E)[]
  ? DeepRequired<E>[]
  : T extends object
    ? { [K in keyof T]-?: DeepRequired<T[K]> }
    : T;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** Does not compile while the schema knows fewer fields, or fewer values of one, than the protocol: those would be lost. */
export const KNOWS_EVERY_FIELD: Same<DeepRequired<z.infer<typeof report>>, DeepRequired<Report>> = true;
