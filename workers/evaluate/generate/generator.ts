/** Continues prompts, each model in a worker of its own: one that runs out of memory takes no other with it. */
import type { Generated, GenerationJob } from '../../contract/generation.ts';
import type { Result } from '../../contract/errors.ts';
import type { GenerationWorker } from '../../entry/generate.worker.ts';
import { inOwnWorker } from '../own-worker.ts';

export interface Generator {
  /** As `generate` in generate.ts; settles with `cancelled` soon after `signal` fires. */
  generate(job: GenerationJob, onEvent: (event: Generated) => void, signal: AbortSignal): Promise<Result<null>>;
}

const startWorker = (): Worker =>
  new Worker(new URL('../../entry/generate.worker.ts', import.meta.url), { type: 'module', name: 'generate' });

/**
 * @param threads Of the WASM provider.
 * @param start Makes the worker; another one in tests.
 */
export function createGenerator(threads: number, start: () => Worker = startWorker): Generator {
  return {
    async generate(job, onEvent, signal) {
      for (const model of job.models) {
        let last: Generated = {
          type: 'generated',
          key: model.key,
          text: '',
          tokens: 0,
          tokensPerSecond: null,
          cached: false,
          final: false,
          problem: null,
        };
        const result = await inOwnWorker<GenerationWorker, null>({
          start,
          signal,
          subject: 'Continuing the prompt',
          work: (worker) =>
            worker.callWithEvents<Generated, Result<null>>(
              (event) => {
                onEvent((last = event));
              },
              (api, port) => api.generate({ ...job, models: [model] }, threads, port),
            ),
        });
        if (result.ok) continue;
        // Nothing is wrong with this model if nothing was ever tried with it.
        const { code } = result.error;
        if (code !== 'worker-crashed' && code !== 'out-of-memory' && code !== 'internal') return result;
        onEvent({ ...last, final: true, problem: result.error });
      }
      return { ok: true, value: null };
    },
  };
}
