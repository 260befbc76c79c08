/** Measures speed, each model and provider in a worker of its own. */
import type { ModelFiles } from '../../contract/files.ts';
import type { EngineError, Result } from '../../contract/errors.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Speed } from '../../contract/report.ts';
import { inOwnWorker } from '../own-worker.ts';
import type { SpeedWorker } from '../../entry/speed.worker.ts';

export interface SpeedMeter {
  /** What there is to measure on. */
  providers(): Promise<readonly Provider[]>;
  /**
   * What goes wrong is the figures' `problem`; after `signal` fires nothing is to be read from them.
   * @param threads Of the WASM provider.
   */
  measure(model: ModelFiles, provider: Provider, threads: number, signal: AbortSignal): Promise<Speed>;
}

const startWorker = (): Worker =>
  new Worker(new URL('../../entry/speed.worker.ts', import.meta.url), { type: 'module', name: 'speed' });

/** @param start Makes the worker; another one in tests. */
export function createSpeedMeter(
  providers: () => Promise<readonly Provider[]>,
  start: () => Worker = startWorker,
): SpeedMeter {
  return {
    providers,
    async measure(model, provider, threads, signal) {
      const result: Result<Speed> = await inOwnWorker<SpeedWorker, Speed>({
        start,
        signal,
        subject: 'Measuring speed',
        work: (worker) =>
          worker.callWithEvents<never, Result<Speed>>(
            () => undefined,
            (api, port) => api.measure(model, provider, threads, port),
          ),
      });
      return result.ok ? result.value : notMeasured(provider, threads, result.error);
    },
  };
}

export function notMeasured(provider: Provider, threads: number, problem: EngineError): Speed {
  return {
    provider,
    threads,
    load: null,
    prefill: null,
    decode: null,
    run: null,
    memory: null,
    fallback: null,
    widened: false,
    problem,
  };
}
