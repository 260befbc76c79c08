/**
 * Runtime drift: the same file on two providers, on the same tokens or inputs. It is what a provider adds by computing
 * in its own way, and when it is larger than what quantization costs, a level looks worse (or better) than it is; then
 * the node where the providers part is looked for.
 */
import type { ModelFiles } from '../../contract/files.ts';
import { greatest, least } from '../../contract/extremes.ts';
import type { Distance, OutputDrift, RuntimeDrift } from '../../contract/report.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import { settle } from '../../contract/errors.ts';
import { scanModel } from '../../onnx/scan.ts';
import { widenModel } from '../../onnx/widen.ts';
import { blobSource } from '../../io/source.ts';
import { tallyDistance } from '../statistics/distance.ts';
import { cancelled, failure } from '../errors.ts';
import { firstDivergence, type Diagnosis } from './first-divergence.ts';
import type { GraphRuntime, GraphSession, HostTensor } from '../sessions/graph-session.ts';
import { languageModels, type LanguageModel } from '../text/language-model.ts';
import type { Window } from '../text/protocols.ts';
import { FURTHEST, tensorDifference } from '../outputs/tensor-difference.ts';
import { signatureOfGraph, tokenFeeds } from '../text/token-feeds.ts';
import { widenFeeds } from '../sessions/widen-feeds.ts';

export interface Comparison {
  model: ModelFiles;
  /** The provider in question, and the one it is held against. */
  runtime: GraphRuntime;
  against: GraphRuntime;
  signal?: AbortSignal | undefined;
}

export interface RuntimeDriftJob extends Comparison {
  /** Windows as they were evaluated; of the first of them as much is run as there is time for. */
  windows: readonly Pick<Window, 'ids'>[];
  /** Mean KL divergence that quantization costs, as `quantizationToBeat` has it. */
  quantization: number;
  /** Seconds that both providers together may take, about; fewer than `FEWEST_TOKENS` are never run. */
  seconds?: number;
}

export const FEWEST_TOKENS = 32;
/** Logits of one window held at once: 64 MiB of each provider. */
const MOST_LOGITS = 2 ** 24;
/** Tokens of the runs that look for the node: inner values of all of them cross over. */
const LONGEST_SEARCHED = 256;
/** More do not make a mean of thousands of tokens any clearer. */
const MOST_WINDOWS = 4;
const SECONDS = 10;
/** Without a level to compare with, nats a token; rounding in fp16 stays well below. */
const CONSPICUOUS = 1e-3;
/** The same for outputs: signal to noise, dB. */
const CONSPICUOUS_SQNR = 30;
/** Less runtime drift than this is rounding, whatever quantization costs: a level can leave an output as it was. */
const NEGLIGIBLE = 1e-6;
const NEGLIGIBLE_SQNR = 60;
/** How sure it must be that runtime drift is larger, in standard errors. */
const STANDARD_ERRORS = 2;

/** What runtime drift is held against: the level's own mean KL divergence; for the baseline (null) that of the closest level. */
export function quantizationToBeat(own: number | null, others: readonly number[]): number {
  return own ?? (others.length > 0 ? least(others) : CONSPICUOUS);
}

export function exceeds({ kld }: Distance, quantization: number): boolean {
  return kld.value - STANDARD_ERRORS * kld.error > Math.max(quantization, NEGLIGIBLE);
}

/**
 * Language models: logits of all positions but the last of each window are compared. Values that are no numbers on one
 * provider only exceed everything; `distance` is then of the windows without them, or null.
 * Fails only with `cancelled`; everything else that goes wrong is the `problem`.
 */
export async function runtimeDrift(asked: RuntimeDriftJob): Promise<Result<RuntimeDrift>> {
  const widened = await widenedJob(asked);
  if (!widened.ok) return unmeasured({ ...asked, widened: false }, widened);
  const job = widened.value;
  const compared = await compareLogits(job);
  if (!compared.ok) return unmeasured(job, compared);
  const { distance, notFinite } = compared.value;
  if (notFinite.of && notFinite.against) {
    return unmeasured(
      job,
      failure(
        'session-failed',
        'The model gives values that are not finite numbers on both providers, so they cannot be compared.',
        'The model probably overflows fp16 in its activations; try an export with float32 activations.',
      ),
    );
  }
  const beyond = notFinite.of || notFinite.against || (distance !== null && exceeds(distance, job.quantization));
  const diagnosis = beyond ? await diagnosisOfTokens(job) : NOWHERE;
  if (!diagnosis.ok && diagnosis.error.code === 'cancelled') return diagnosis;
  return { ok: true, value: { ...about(job), distance, exceeds: beyond, ...diagnosed(diagnosis) } };
}

const NOWHERE: Result<null> = { ok: true, value: null };

interface Compared {
  distance: Distance | null;
  notFinite: { against: boolean; of: boolean };
}

async function compareLogits(job: RuntimeDriftJob): Promise<Result<Compared>> {
  const open: LanguageModel[] = [];
  try {
    const models: LanguageModel[] = [];
    for (const runtime of [job.against, job.runtime]) {
      if (job.signal?.aborted) return cancelled();
      const opened = await languageModels(runtime).open(job.model, { causal: true });
      if (!opened.ok) return opened;
      open.push(opened.value);
      models.push(opened.value);
    }
    return await compareWindows(job, models[0]!, models[1]!);
  } finally {
    for (const model of open) await model.release();
    await job.runtime.reset?.();
  }
}

async function compareWindows(
  { windows, seconds = SECONDS, signal }: RuntimeDriftJob,
  against: LanguageModel,
  of: LanguageModel,
): Promise<Result<Compared>> {
  const longest = Math.min(
    against.longest ?? Infinity,
    Math.max(FEWEST_TOKENS, Math.floor(MOST_LOGITS / against.vocabulary)),
  );
  const lengths = windows.map(({ ids }) => Math.min(ids.length, longest));
  const first = windows[0]?.ids.subarray(0, Math.min(FEWEST_TOKENS, lengths[0] ?? 0)) ?? new Int32Array(0);
  if (first.length < 2)
    return failure('text-too-short', 'There is too little text to compare two providers on.', 'Add a longer text.');
  const tally = await tallyDistance(greatest(lengths) - 1, against.vocabulary);
  const both = async (ids: Int32Array): Promise<Result<[Float32Array, Float32Array]>> => {
    const logits: Float32Array[] = [];
    for (const model of [against, of]) {
      if (signal?.aborted) return cancelled();
      const result = await model.logits(ids, 0, ids.length - 1);
      if (!result.ok) return result;
      logits.push(result.value);
    }
    return { ok: true, value: [logits[0]!, logits[1]!] };
  };

  // The first run of a shape prepares what later ones use, so the second is timed.
  const warm = await both(first);
  if (!warm.ok) return warm;
  const started = performance.now();
  const timed = await both(first);
  if (!timed.ok) return timed;
  const perToken = (performance.now() - started) / 1000 / first.length;

  for (const { window, tokens } of affordable(lengths, first.length, seconds / perToken)) {
    const ids = windows[window]!.ids.subarray(0, tokens);
    const logits = tokens === first.length && window === 0 ? timed : await both(ids);
    if (!logits.ok) return logits;
    tally.add(...logits.value, ids.subarray(1));
  }
  return { ok: true, value: { distance: tally.distance(), notFinite: tally.notFinite } };
}

/**
 * How much of which windows to run.
 * @param lengths Tokens in each window.
 * @param fewest Tokens of the first window that are run in any case; of the others it is these at least or nothing.
 * @param tokens How many there is time for.
 */
export function affordable(
  lengths: readonly number[],
  fewest: number,
  tokens: number,
): { window: number; tokens: number }[] {
  const parts: { window: number; tokens: number }[] = [];
  let left = tokens;
  for (const [window, length] of lengths.slice(0, MOST_WINDOWS).entries()) {
    const affords = Math.min(length, Math.max(Math.floor(left), window === 0 ? fewest : 0));
    if (affords < Math.min(fewest, length)) break;
    parts.push({ window, tokens: affords });
    left -= affords;
  }
  return parts;
}

/** The node that the tokens lead to: the first few, and where these do not show it the whole of the first window. */
async function diagnosisOfTokens({
  model,
  windows,
  runtime,
  against,
  signal,
}: RuntimeDriftJob): Promise<Result<Diagnosis | null>> {
  const scanned = await settle(() => scanModel(blobSource('model', model.model)));
  if (!scanned.ok) return scanned;
  const signature = signatureOfGraph(scanned.value.graph);
  if (!signature.ok) return signature;
  const [window] = windows;
  if (!window) return NOWHERE;
  const all = Math.min(window.ids.length, signature.value.window ?? Infinity, LONGEST_SEARCHED);
  let diagnosis: Diagnosis | null = null;
  for (const tokens of new Set([Math.min(FEWEST_TOKENS, all), all])) {
    const found = await firstDivergence({
      model,
      feeds: tokenFeeds(signature.value, window.ids.subarray(0, tokens)),
      left: against,
      right: runtime,
      output: signature.value.logits.name,
      signal,
    });
    if (!found.ok) return diagnosis && found.error.code !== 'cancelled' ? { ok: true, value: diagnosis } : found;
    diagnosis = found.value ?? diagnosis;
    if (diagnosis?.partsAt) break;
  }
  return { ok: true, value: diagnosis };
}

/** What a report says of it: nothing where the search failed. */
function diagnosed(diagnosis: Result<Diagnosis | null>): Pick<RuntimeDrift, 'partsAt' | 'arbitration'> {
  const found = diagnosis.ok ? diagnosis.value : null;
  return { partsAt: found?.partsAt ?? null, arbitration: found?.arbitration ?? null };
}

export interface OutputRuntimeDriftJob extends Comparison {
  /** Inputs of each sample, of the types the model states; float16 ones are widened with the model. */
  samples: readonly Readonly<Record<string, HostTensor>>[];
  /** Makes the tally that compares one output over the samples. */
  tally: (output: string) => OutputTally;
  /** Signal-to-noise ratios that quantization costs, by output, as `quantizationOfOutputs` has them. */
  quantization: ReadonlyMap<string, number>;
}

export interface OutputTally {
  add(baseline: HostTensor, level: HostTensor): void;
  /** Null when nothing could be compared. */
  drift(): OutputDrift | null;
}

/** What the runtime drift of outputs is held against: the level's own ratios, dB; for the baseline (null) those of the closest level. */
export function quantizationOfOutputs(
  own: readonly OutputDrift[] | null,
  others: readonly (readonly OutputDrift[])[],
): Map<string, number> {
  const ratios = new Map<string, number>();
  for (const { output, sqnr } of own ?? others.flat())
    ratios.set(output, Math.max(sqnr ?? Infinity, ratios.get(output) ?? -Infinity));
  return ratios;
}

/** Any graph: its outputs on the same inputs. Errors as of `runtimeDrift`. */
export async function outputRuntimeDrift(asked: OutputRuntimeDriftJob): Promise<Result<RuntimeDrift>> {
  const widened = await widenedJob(asked);
  if (!widened.ok) return unmeasured({ ...asked, widened: false }, widened);
  const job = { ...widened.value, samples: widened.value.widened ? asked.samples.map(widenFeeds) : asked.samples };
  const compared = await compareOutputs(job);
  if (!compared.ok) return unmeasured(job, compared);
  const { outputs, apart } = compared.value;
  const worst =
    outputs.find(
      ({ output, sqnr }) =>
        sqnr !== null && !(sqnr >= Math.min(NEGLIGIBLE_SQNR, job.quantization.get(output) ?? CONSPICUOUS_SQNR)),
    )?.output ?? apart;
  const [feeds] = job.samples;
  const diagnosis =
    worst !== null && feeds
      ? await firstDivergence({
          model: job.model,
          feeds,
          left: job.against,
          right: job.runtime,
          output: worst,
          signal: job.signal,
        })
      : NOWHERE;
  if (!diagnosis.ok && diagnosis.error.code === 'cancelled') return diagnosis;
  return { ok: true, value: { ...about(job), outputs, exceeds: worst !== null, ...diagnosed(diagnosis) } };
}

interface ComparedOutputs {
  outputs: OutputDrift[];
  /** An output that has numbers on one provider only. */
  apart: string | null;
}

async function compareOutputs({
  model,
  runtime,
  against,
  samples,
  tally,
  signal,
}: OutputRuntimeDriftJob): Promise<Result<ComparedOutputs>> {
  const tallies = new Map<string, OutputTally>();
  let apart: string | null = null;
  const open: GraphSession[] = [];
  try {
    for (const provider of [against, runtime]) {
      if (signal?.aborted) return cancelled();
      const session = await provider.open(model);
      if (!session.ok) return session;
      open.push(session.value);
    }
    const names = open[0]!.outputs
      .filter(({ isTensor, type }) => isTensor && type !== 'string')
      .map(({ name }) => name);
    for (const feeds of samples) {
      const results: Record<string, HostTensor>[] = [];
      for (const session of open) {
        if (signal?.aborted) return cancelled();
        const result = await session.run(feeds, names);
        if (!result.ok) return result;
        results.push(result.value);
      }
      for (const name of names) {
        const [base, other] = [results[0]![name], results[1]![name]];
        if (!base || !other) continue;
        if (tensorDifference(base, other)?.relative === FURTHEST) apart ??= name;
        if (!tallies.has(name)) tallies.set(name, tally(name));
        tallies.get(name)?.add(base, other);
      }
    }
  } finally {
    for (const session of open) await session.release();
    await runtime.reset?.();
  }
  return { ok: true, value: { outputs: [...tallies.values()].flatMap((output) => output.drift() ?? []), apart } };
}

/** Where the adapter has no float16 a provider would widen the file by itself: both are given the same wide one instead. */
async function widenedJob<Job extends Comparison>(job: Job): Promise<Result<Job & Widened>> {
  if ([job.runtime, job.against].every(({ adapter }) => adapter?.f16 !== false))
    return { ok: true, value: { ...job, widened: false } };
  const wide = await settle(() => widenModel(job.model));
  return wide.ok ? { ok: true, value: { ...job, model: wide.value ?? job.model, widened: wide.value !== null } } : wide;
}

interface Widened {
  widened: boolean;
}

function about({ runtime, against, widened }: Comparison & Widened): RuntimeDrift {
  return {
    provider: runtime.provider,
    against: against.provider,
    distance: null,
    outputs: null,
    exceeds: false,
    partsAt: null,
    arbitration: null,
    widened,
    problem: null,
  };
}

/** A cancelled measurement is cancelled; another that failed says why. */
function unmeasured(job: Comparison & Widened, { error }: { ok: false; error: EngineError }): Result<RuntimeDrift> {
  return error.code === 'cancelled' ? { ok: false, error } : { ok: true, value: { ...about(job), problem: error } };
}
