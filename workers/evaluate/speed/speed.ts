/**
 * How fast a model runs on a provider and what memory it takes, alone in its worker: a heap never shrinks. Everything
 * is run once before it is timed, and timed several times, within a few seconds on any device: slow ones run fewer
 * tokens, and the figures say how many.
 */
import type { ModelFiles } from '../../contract/files.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { MeasuredMemory, Speed } from '../../contract/report.ts';
import { openDecoder, type Decoder } from '../generate/decoder.ts';
import type { GpuMemory } from '../sessions/gpu-memory.ts';
import type { GraphRuntime, GraphSession, HostTensor } from '../sessions/graph-session.ts';
import type { Heap } from '../sessions/heap.ts';
import { memoryOf, partsFor, totalOf } from './predict-memory.ts';
import { repeat, spreadOf } from './spread.ts';
import { startRuntime } from '../sessions/start-runtime.ts';

/** Values for every input, to run a model on that is not a language model. */
export type MakeFeeds = (session: GraphSession, model: ModelFiles) => Promise<Result<Feeds>>;

/** Where figures come from, beside the runtime. */
export interface Instruments {
  /** Seconds. */
  now(): number;
  /** Watched since before the runtime was loaded; null where that is not possible. */
  heap: Heap | null;
  /** Null where there is no GPU. */
  gpu: GpuMemory | null;
}

/** Seconds for each of the three: a level and provider take about the sum, and the time to load. */
const BUDGET = { load: 0.4, prefill: 0.8, decode: 0.8 };
const RUNS = { least: 3, most: 5 };
/** Tokens of a prompt; where that is too slow or too long for the model, half as many, and so on. */
const PROMPT = 256;
const SHORTEST_PROMPT = 16;
/** Tokens of one run one after the other. */
const MOST_STEPS = 32;
const WARM_UP_STEPS = 2;
/** Bytes on the GPU that may be left of a model that has been released, for it to be loaded again. */
const MOST_KEPT = 256 << 20;

/** Browsers do not read more of a blob at once. A larger file is read while the model loads, which its load time includes. */
const MOST_READ_AT_ONCE = 2 ** 31;

/**
 * Load is from the file's bytes in memory to a session that has run once, on a few tokens, with whatever it compiles
 * for that; the runtime itself is started before. Prefill is one run over many tokens with the graph's own logits,
 * those of all positions in most, brought to the page; decode a token a run after half as many tokens.
 * What could not be measured is null, and `problem` says why.
 */
export async function measureSpeed(
  runtime: GraphRuntime,
  model: ModelFiles,
  makeFeeds: MakeFeeds | null,
  instruments: Instruments,
): Promise<Speed> {
  const speed: Speed = {
    provider: runtime.provider,
    threads: 1,
    load: null,
    prefill: null,
    decode: null,
    run: null,
    memory: null,
    fallback: null,
    widened: false,
    problem: null,
  };
  const inMemory: ModelFiles = {
    model: await readIntoMemory(model.model),
    data: model.data && { ...model.data, blob: await readIntoMemory(model.data.blob) },
  };
  const started = await startRuntime(runtime);
  const problem = started.ok
    ? await measure({ runtime, model: inMemory, feeds: null, instruments, speed }, makeFeeds)
    : started.error;
  return { ...speed, threads: runtime.threads(), problem };
}

async function readIntoMemory(file: Blob): Promise<Blob> {
  return file.size < MOST_READ_AT_ONCE ? new Blob([await file.arrayBuffer()]) : file;
}

interface Measurement {
  runtime: GraphRuntime;
  model: ModelFiles;
  /** Of a model that is not a language model; null for one that is. */
  feeds: Feeds | null;
  instruments: Instruments;
  /** Filled in on the way, so that what has been measured is kept when the rest fails. */
  speed: Speed;
}

async function measure(given: Measurement, makeFeeds: MakeFeeds | null): Promise<EngineError | null> {
  const first = await measureAs(given);
  if (!first || !makeFeeds || !NO_LANGUAGE_MODEL.includes(first.code)) return first;
  const feeds = await findFeeds(given.runtime, given.model, makeFeeds);
  return feeds.ok ? measureAs({ ...given, feeds: feeds.value }) : feeds.error;
}

async function measureAs(measurement: Measurement): Promise<EngineError | null> {
  const { runtime, model, instruments, speed } = measurement;
  instruments.gpu?.resetPeak();
  const before = instruments.gpu?.live() ?? 0;
  let steady = 0;
  const loaded = await openTimed(measurement, () => {
    steady = (instruments.gpu?.live() ?? 0) - before;
  });
  if (!loaded.ok) return loaded.error;
  const { seconds, subject, widened } = loaded.value;
  speed.widened = widened;
  const measured =
    subject.kind === 'decoder'
      ? await timeDecoder(subject.decoder, instruments.now, speed)
      : await timeRuns(subject, instruments.now, speed);
  const { tokens, vocabulary } = { tokens: 0, vocabulary: 0, ...measured };
  speed.memory = await readMemory(measurement, { steady, before, tokens, vocabulary });
  await subject.release();

  // Buffers of a released session may wait for the next and not be used by it: a large model is not loaded over and over.
  const kept = instruments.gpu ? instruments.gpu.live() - before : 0;
  const more =
    kept > MOST_KEPT
      ? { values: [] }
      : await repeat(
          async () => {
            const again = await openTimed(measurement, () => undefined);
            if (!again.ok) return again;
            await again.value.subject.release();
            return { ok: true, value: again.value.seconds };
          },
          { least: RUNS.least - 1, most: RUNS.most - 1, budget: BUDGET.load },
          instruments.now,
        );
  speed.load = spreadOf([seconds, ...more.values]);

  if (runtime.provider !== 'wasm') {
    // Told by a session of its own: one that logs its steps is slow.
    const placed = await runtime.open(model, { placement: true });
    if (placed.ok) {
      speed.fallback = placed.value.placement;
      await placed.value.release();
    }
  }
  return measured.problem;
}

type Feeds = Record<string, HostTensor>;

type Subject =
  | { kind: 'decoder'; decoder: Decoder; release(): Promise<void> }
  | { kind: 'graph'; run(): Promise<Result<unknown>>; release(): Promise<void> };

interface Loaded {
  /** From bytes in memory to the end of the first run. */
  seconds: number;
  subject: Subject;
  widened: boolean;
}

/** Opens the model for what it is. @param onLoaded Called when it has run once. */
async function openTimed(
  { runtime, model, feeds, instruments: { now } }: Measurement,
  onLoaded: () => void,
): Promise<Result<Loaded>> {
  let seconds = 0;
  let widened = false;
  let hasRun = false;
  const timed = async <T>(work: () => Promise<T>): Promise<T> => {
    const start = now();
    const result = await work();
    seconds += now() - start;
    return result;
  };
  const firstRun = async <T>(work: () => Promise<T>): Promise<T> => {
    if (hasRun) return work();
    hasRun = true;
    const result = await timed(work);
    onLoaded();
    return result;
  };
  const watched: GraphRuntime = {
    ...runtime,
    async open(blob, options) {
      const session = await timed(() => runtime.open(blob, options));
      if (!session.ok) return session;
      widened = session.value.widened;
      const { run, runKeeping } = session.value;
      return {
        ok: true,
        value: {
          ...session.value,
          run: (given, fetch) => firstRun(() => run(given, fetch)),
          runKeeping: (given, fetch, keep) => firstRun(() => runKeeping(given, fetch, keep)),
        },
      };
    },
  };
  if (!feeds) {
    const decoder = await openDecoder(watched, model);
    if (!decoder.ok) return decoder;
    const { value } = decoder;
    return {
      ok: true,
      value: { seconds, widened, subject: { kind: 'decoder', decoder: value, release: () => value.release() } },
    };
  }
  const session = await watched.open(model);
  if (!session.ok) return session;
  const ran = await session.value.run(feeds);
  if (!ran.ok) {
    await session.value.release();
    return ran;
  }
  return {
    ok: true,
    value: {
      seconds,
      widened,
      subject: { kind: 'graph', run: () => session.value.run(feeds), release: () => session.value.release() },
    },
  };
}

/** Made once, in a session of their own: finding what a graph takes may take several runs. */
async function findFeeds(runtime: GraphRuntime, model: ModelFiles, makeFeeds: MakeFeeds): Promise<Result<Feeds>> {
  const session = await runtime.open(model);
  if (!session.ok) return session;
  const feeds = await makeFeeds(session.value, model);
  await session.value.release();
  return feeds;
}

const NO_LANGUAGE_MODEL: readonly EngineError['code'][] = ['not-a-language-model', 'inputs-unknown'];

interface Timed {
  problem: EngineError | null;
  tokens?: number;
  vocabulary?: number;
}

async function timeRuns({ run }: { run(): Promise<Result<unknown>> }, now: () => number, speed: Speed): Promise<Timed> {
  const { values, problem } = await repeat(
    async () => {
      const start = now();
      const result = await run();
      return result.ok ? { ok: true, value: now() - start } : result;
    },
    { ...RUNS, budget: BUDGET.prefill + BUDGET.decode },
    now,
  );
  speed.run = spreadOf(values);
  return { problem };
}

async function timeDecoder(decoder: Decoder, now: () => number, speed: Speed): Promise<Timed> {
  const { vocabulary, cached } = decoder;
  const ids = Int32Array.from(
    { length: PROMPT + WARM_UP_STEPS + RUNS.least * MOST_STEPS },
    (_, index) => (index * 7919 + 1) % vocabulary,
  );
  const prompt = async (tokens: number): Promise<Result<number>> => {
    decoder.reset();
    const start = now();
    const result = await decoder.next(ids.subarray(0, tokens));
    return result.ok ? { ok: true, value: now() - start } : result;
  };
  const length = await promptLength(decoder.longest, prompt);
  if (!length.ok) return { problem: length.error };
  const tokens = length.value;

  const rate = (count: number, seconds: Result<number>): Result<number> =>
    seconds.ok ? { ok: true, value: count / seconds.value } : seconds;
  const prefill = await repeat(
    async () => rate(tokens, await prompt(tokens)),
    { ...RUNS, budget: BUDGET.prefill },
    now,
  );
  const prefillRate = spreadOf(prefill.values);
  speed.prefill = prefillRate && { tokens, tokensPerSecond: prefillRate };
  if (prefill.problem) return { problem: prefill.problem, tokens, vocabulary };

  // Never beyond the tokens that are known to run.
  const context = tokens >> 1;
  let at = context;
  const steps = async (count: number): Promise<Result<number>> => {
    const start = now();
    for (let step = 0; step < count; step++, at++) {
      const result = await decoder.next(ids.subarray(at, at + 1));
      if (!result.ok) return result;
    }
    return { ok: true, value: now() - start };
  };
  const warmUp = async (): Promise<Result<number>> => {
    const begun = await prompt(context);
    const first = begun.ok ? await steps(WARM_UP_STEPS - 1) : begun;
    return first.ok ? steps(1) : first;
  };
  const pace = await warmUp();
  if (!pace.ok) return { problem: pace.error, tokens, vocabulary };
  const room = Math.floor((tokens - context - WARM_UP_STEPS) / RUNS.least);
  const count = Math.max(
    1,
    Math.min(MOST_STEPS, room, Math.floor(BUDGET.decode / RUNS.least / Math.max(pace.value, 1e-9))),
  );
  const decode = await repeat(
    async () => rate(count, await steps(count)),
    { least: RUNS.least, most: RUNS.least, budget: BUDGET.decode },
    now,
  );
  const decodeRate = spreadOf(decode.values);
  speed.decode = decodeRate && { tokens: count, tokensPerSecond: decodeRate, cached };
  decoder.reset();
  return { problem: decode.problem, tokens, vocabulary };
}

/**
 * Tokens to run at once: as many as the model takes, and so few that there is time for several runs. Leaves the model
 * warmed up for that many.
 */
async function promptLength(
  longest: number | null,
  prompt: (tokens: number) => Promise<Result<number>>,
): Promise<Result<number>> {
  const most = Math.min(PROMPT, longest ?? PROMPT);
  let shortest = Math.min(SHORTEST_PROMPT, most);
  const first = await prompt(shortest);
  const again = first.ok ? await prompt(shortest) : first;
  if (!again.ok) return again;
  // A warm-up run and those that are timed; a prompt takes no more time than as many of its parts.
  const affordable = (BUDGET.prefill / (RUNS.least + 1) / Math.max(again.value, 1e-9)) * shortest;
  let tokens = most;
  while (tokens > shortest && tokens > affordable) tokens = Math.max(shortest, tokens >> 1);
  for (;;) {
    if (tokens === shortest) return { ok: true, value: tokens };
    const warm = await prompt(tokens);
    if (warm.ok) return { ok: true, value: tokens };
    if (warm.error.code !== 'session-failed') return warm;
    // Longer than a table of positions, most likely.
    tokens = Math.max(shortest, tokens >> 1);
    shortest = Math.min(shortest, tokens);
  }
}

async function readMemory(
  { runtime, model, instruments: { heap, gpu }, speed }: Measurement,
  { steady, before, tokens, vocabulary }: { steady: number; before: number; tokens: number; vocabulary: number },
): Promise<MeasuredMemory | null> {
  const prediction = await memoryOf(model, { provider: runtime.provider, vocabulary, widened: speed.widened });
  if (!heap || prediction === null) return null;
  const parts = partsFor(prediction, tokens);
  return {
    gpu: gpu && runtime.provider === 'webgpu' ? { steady, peak: gpu.peak() - before } : null,
    heap: heap.bytes(),
    predicted: totalOf(parts),
    parts: { ...parts, tokens },
  };
}
