/** Entry of the evaluation worker. It holds the sessions and their heap, and is ended to give them back. */
import type { ModelFiles } from '../contract/files.ts';
import type { Progress, Timing } from '../contract/events.ts';
import type { Provider } from '../contract/capabilities.ts';
import type { Result } from '../contract/errors.ts';
import { findAdapter } from '../kernels/webgpu/adapter.ts';
import { expose, reporting } from '../rpc/remote.ts';
import { timing } from '../lib/timing.ts';
import {
  checkOverflow,
  checkRuntimes,
  type OverflowJob,
  type OverflowOutcome,
  type RuntimesJob,
  type RuntimesOutcome,
} from '../evaluate/runtimes/check-runtimes.ts';
import { calibrate } from '../evaluate/speed/calibrate.ts';
import { fasterProvider } from '../evaluate/runtimes/choose-provider.ts';
import { compareOutputs, type OutputsJob, type OutputsOutcome } from '../evaluate/outputs/compare-outputs.ts';
import {
  evaluate,
  type EvaluationEvent,
  type EvaluationJob,
  type EvaluationOutcome,
} from '../evaluate/text/evaluate.ts';
import type { GraphRuntime } from '../evaluate/sessions/graph-session.ts';
import { languageModels } from '../evaluate/text/language-model.ts';
import { openProvider } from '../evaluate/sessions/providers.ts';
import { startRuntime } from '../evaluate/sessions/start-runtime.ts';

/** What the worker answers to. */
export interface EvaluationWorker {
  /** Sends `EvaluationEvent`s through `port`. */
  evaluate(job: EvaluationJob, port: MessagePort): Promise<Result<EvaluationOutcome>>;
  /** Sends `Progress` through `port`. */
  compareOutputs(job: OutputsJob, port: MessagePort): Promise<Result<OutputsOutcome>>;
  checkOverflow(job: OverflowJob): Promise<Result<OverflowOutcome>>;
  calibrate(model: ModelFiles, threads: number): Promise<Result<Timing[]>>;
  /** Sends `Progress` and `Timing` through `port`. */
  checkRuntimes(job: RuntimesJob, port: MessagePort): Promise<Result<RuntimesOutcome>>;
  /** Ends the measurement early; a worker makes but one. */
  finish(): void;
}

const finish = new AbortController();

/** WASM where WebGPU was asked for and is not there: a report says what it was measured on. */
async function runtimeFor(
  provider: Provider | 'faster',
  threads: number,
  baseline: ModelFiles | null,
): Promise<Result<GraphRuntime>> {
  const wasm = await openProvider('wasm', threads);
  if (!wasm.ok || provider === 'wasm') return wasm;
  const adapter = await findAdapter((navigator as { gpu?: GPU }).gpu);
  if (!adapter.ok || (provider === 'faster' && (adapter.facts.softwareAdapter || !baseline))) return wasm;
  const webgpu = await openProvider('webgpu', threads);
  if (!webgpu.ok || provider === 'webgpu' || !baseline) return webgpu.ok ? webgpu : wasm;
  return {
    ok: true,
    value: (await fasterProvider(baseline, [{ runtime: wasm.value }, { runtime: webgpu.value }])).runtime,
  };
}

/** What it took until the runtime could open a model: the worker, the runtime's code, its start. A worker's clock starts with it. */
async function timedStart(runtime: GraphRuntime): Promise<Timing> {
  await startRuntime(runtime);
  return timing('start', performance.now() / 1000, { provider: runtime.provider });
}

const worker: EvaluationWorker = {
  evaluate: (job, port) =>
    reporting<EvaluationEvent, Result<EvaluationOutcome>>(port, async (report) => {
      const runtime = await runtimeFor(job.provider ?? 'wasm', job.threads, job.baseline.model);
      if (runtime.ok) report(await timedStart(runtime.value));
      return runtime.ok ? evaluate(languageModels(runtime.value), job, report, undefined, finish.signal) : runtime;
    }),
  compareOutputs: (job, port) =>
    reporting<Progress, Result<OutputsOutcome>>(port, async (report) => {
      const runtime = await runtimeFor(job.provider ?? 'wasm', job.threads, null);
      return runtime.ok ? compareOutputs(runtime.value, job, report, undefined, finish.signal) : runtime;
    }),
  async calibrate(model, threads) {
    const runtime = await openProvider('wasm', threads);
    if (!runtime.ok) return runtime;
    const start = await timedStart(runtime.value);
    const measured = await calibrate(languageModels(runtime.value), model);
    return measured.ok ? { ok: true, value: [start, ...measured.value] } : measured;
  },
  async checkOverflow(job) {
    const runtime = await openProvider('wasm', job.threads);
    return runtime.ok ? checkOverflow(job, runtime.value) : runtime;
  },
  checkRuntimes: (job, port) =>
    reporting<Progress | Timing, Result<RuntimesOutcome>>(port, async (report) => {
      const adapter = await findAdapter((navigator as { gpu?: GPU }).gpu);
      if (!adapter.ok) return { ok: true, value: { levels: [] } };
      const [wasm, webgpu] = [await openProvider('wasm', job.threads), await openProvider('webgpu', job.threads)];
      if (!wasm.ok) return wasm;
      if (!webgpu.ok) return webgpu;
      return checkRuntimes(job, webgpu.value, wasm.value, report, undefined, finish.signal);
    }),
  finish() {
    finish.abort();
  },
};

expose(worker);
