/**
 * What is looked at when the figures are there: each file on WebGPU against the same file on WASM (runtime drift), and
 * whether activations of the model would overflow fp16. Both on a bounded sample of the same text or inputs.
 */
import type { ModelFiles } from '../../contract/files.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { OutputDrift, Report, RuntimeDrift } from '../../contract/report.ts';
import type { Progress, Timing } from '../../contract/events.ts';
import type { ProtocolRequest } from '../../contract/job.ts';
import { scanModel } from '../../onnx/scan.ts';
import { settle } from '../../contract/errors.ts';
import { blobSource } from '../../io/source.ts';
import { laps, timing } from '../../lib/timing.ts';
import { activationRange } from './activation-range.ts';
import { cancelled } from '../errors.ts';
import type { GraphRuntime, HostTensor } from '../sessions/graph-session.ts';
import { readInputHints } from '../outputs/input-hints.ts';
import { prepareSamples } from '../outputs/input-samples.ts';
import { isComparable, tallyOutput } from '../outputs/output-drift.ts';
import { tokenizeText } from '../text/perplexity.ts';
import { planProtocol, windowOf, type Window } from '../text/protocols.ts';
import { outputRuntimeDrift, quantizationOfOutputs, quantizationToBeat, runtimeDrift } from './runtime-drift.ts';
import { DEFAULT_SEED } from '../outputs/seeded-inputs.ts';
import { signatureOfGraph, tokenFeeds } from '../text/token-feeds.ts';
import { openTokenizer } from '../text/tokenizer/tokenizer.ts';

/** What the models are run on: a text, or inputs. */
export type EvaluationInput =
  | {
      kind: 'text';
      tokenizerJson: string;
      tokenizerConfig: string | null;
      text: string;
      maxTokens: number | null;
      protocol?: ProtocolRequest;
    }
  | { kind: 'inputs'; files: File[] };

export interface CheckedModel {
  key: string;
  model: ModelFiles;
  /** What quantization costs, to hold runtime drift against; both null for the baseline and where it was not measured. */
  kld: number | null;
  outputs: OutputDrift[] | null;
}

export interface RuntimesJob {
  /** The baseline first. */
  models: CheckedModel[];
  material: EvaluationInput;
  threads: number;
}

export interface RuntimesOutcome {
  levels: { key: string; runtimeDrift: RuntimeDrift }[];
}

export interface OverflowJob {
  /** In float32. */
  model: ModelFiles;
  material: EvaluationInput;
  threads: number;
}

export interface OverflowOutcome {
  overflow: NonNullable<Report['overflow']>;
}

/** Windows that runtime drift may be measured on; how many of them is a question of time. */
const MOST_WINDOWS = 4;
/** Inputs of models that are not language models. */
const SAMPLES = 2;
/** On an adapter that the CPU plays the fewest tokens have to do. */
const SOFTWARE_SECONDS = 2;
/** Tokens whose activations are looked at. */
const OVERFLOW_TOKENS = 256;

/** When `finish` fires the file in hand is the last. Fails with `cancelled`, or where the material cannot be used; what is wrong with one model is its drift's `problem`. */
export async function checkRuntimes(
  job: RuntimesJob,
  runtime: GraphRuntime,
  against: GraphRuntime,
  onEvent: (event: Progress | Timing) => void,
  signal?: AbortSignal,
  finish?: AbortSignal,
): Promise<Result<RuntimesOutcome>> {
  const [baseline] = job.models;
  if (!baseline) return { ok: true, value: { levels: [] } };
  const material = await prepare(job.material, baseline.model, against, signal);
  if (!material.ok) return material;
  // The clock of a worker starts with it: its start, both runtimes and the text are in this.
  onEvent(timing('start', performance.now() / 1000, { provider: runtime.provider }));
  const levels: RuntimesOutcome['levels'] = [];
  const lap = laps();
  for (const [index, { key, model, kld, outputs }] of job.models.entries()) {
    if (signal?.aborted) return cancelled();
    if (finish?.aborted) break;
    onEvent({
      type: 'progress',
      stage: 'check',
      level: key,
      done: index,
      total: job.models.length,
      unit: 'runs',
      tensor: null,
      secondsLeft: null,
    });
    const comparison = { model, runtime, against, signal };
    const others = job.models.filter((other) => other.key !== key);
    const measured =
      material.value.kind === 'text'
        ? await runtimeDrift({
            ...comparison,
            windows: material.value.windows,
            ...(runtime.adapter?.softwareAdapter && { seconds: SOFTWARE_SECONDS }),
            quantization: quantizationToBeat(
              kld,
              others.flatMap((other) => other.kld ?? []),
            ),
          })
        : await outputRuntimeDrift({
            ...comparison,
            samples: material.value.samples,
            tally: tallyOutput,
            quantization: quantizationOfOutputs(
              outputs,
              others.flatMap((other) => (other.outputs ? [other.outputs] : [])),
            ),
          });
    if (!measured.ok) return measured;
    levels.push({ key, runtimeDrift: measured.value });
    onEvent(timing('runtime-drift', lap(), { level: key, provider: runtime.provider }));
  }
  onEvent({
    type: 'progress',
    stage: 'check',
    level: null,
    done: job.models.length,
    total: job.models.length,
    unit: 'runs',
    tensor: null,
    secondsLeft: null,
  });
  return { ok: true, value: { levels } };
}

/** Errors: as of `activationRange`, and where the material cannot be used. */
export async function checkOverflow(
  job: OverflowJob,
  runtime: GraphRuntime,
  signal?: AbortSignal,
): Promise<Result<OverflowOutcome>> {
  const material = await prepare(job.material, job.model, runtime, signal);
  if (!material.ok) return material;
  const samples =
    material.value.kind === 'inputs'
      ? { ok: true as const, value: material.value.samples }
      : await feedsOf(job.model, material.value.windows);
  if (!samples.ok) return samples;
  const range = await activationRange({ model: job.model, samples: samples.value, runtime, signal });
  return range.ok ? { ok: true, value: { overflow: range.value.overflow } } : range;
}

type Prepared = { kind: 'text'; windows: Window[] } | { kind: 'inputs'; samples: Record<string, HostTensor>[] };

async function prepare(
  material: EvaluationInput,
  baseline: ModelFiles,
  runtime: GraphRuntime,
  signal: AbortSignal | undefined,
): Promise<Result<Prepared>> {
  if (material.kind === 'inputs') return prepareInputs(material.files, baseline, runtime, signal);
  const tokenizer = await openTokenizer(material.tokenizerJson, material.tokenizerConfig);
  if (!tokenizer.ok) return tokenizer;
  const text = tokenizeText(tokenizer.value, material.text);
  const windows = planProtocol(
    material.protocol ?? { name: 'llama.cpp' },
    text,
    tokenizer.value,
    material.maxTokens,
    tokenizer.value.maxLength,
  );
  if (!windows.ok) return windows;
  const count = Math.min(MOST_WINDOWS, windows.value.spans.length);
  return {
    ok: true,
    value: { kind: 'text', windows: Array.from({ length: count }, (_, index) => windowOf(windows.value, index)) },
  };
}

async function prepareInputs(
  files: File[],
  baseline: ModelFiles,
  runtime: GraphRuntime,
  signal: AbortSignal | undefined,
): Promise<Result<Prepared>> {
  const session = await runtime.open(baseline);
  if (!session.ok) return session;
  try {
    const hints = await readInputHints(baseline.model);
    const fetch = session.value.outputs.filter(isComparable).map(({ name }) => name);
    const prepared = await prepareSamples(
      session.value,
      fetch,
      hints,
      { files, seed: DEFAULT_SEED, samples: SAMPLES },
      signal,
    );
    if (!prepared.ok) return prepared;
    const samples: Record<string, HostTensor>[] = [];
    for (let index = 0; index < Math.min(SAMPLES, prepared.value.count); index++) {
      const feeds = prepared.value.feeds(index);
      if (!feeds.ok) return feeds;
      samples.push(feeds.value);
    }
    return { ok: true, value: { kind: 'inputs', samples } };
  } finally {
    await session.value.release();
  }
}

async function feedsOf(model: ModelFiles, [window]: readonly Window[]): Promise<Result<Record<string, HostTensor>[]>> {
  const scanned = await settle(() => scanModel(blobSource('model', model.model)));
  if (!scanned.ok) return scanned;
  const signature = signatureOfGraph(scanned.value.graph);
  if (!signature.ok) return signature;
  return {
    ok: true,
    value: window
      ? [
          tokenFeeds(
            signature.value,
            window.ids.subarray(0, Math.min(OVERFLOW_TOKENS, signature.value.window ?? OVERFLOW_TOKENS)),
          ),
        ]
      : [],
  };
}

/** A sentence for the report's notes when a check could not be made. */
export function notChecked(what: string, { message }: EngineError): string {
  return `${what} was not measured: ${message}`;
}
