/** Entry of the worker that continues a prompt. It holds the session and its heap, and is ended to give them back. */
import type { Generated, GenerationJob } from '../contract/generation.ts';
import type { Result } from '../contract/errors.ts';
import { expose, reporting } from '../rpc/remote.ts';
import { generate } from '../evaluate/generate/generate.ts';
import { openProvider } from '../evaluate/sessions/providers.ts';

/** What the worker answers to. */
export interface GenerationWorker {
  /** Sends `Generated` through `port`. */
  generate(job: GenerationJob, threads: number, port: MessagePort): Promise<Result<null>>;
}

const worker: GenerationWorker = {
  generate: (job, threads, port) =>
    reporting<Generated, Result<null>>(port, async (report) => {
      const runtime = await openProvider(job.provider, threads);
      return runtime.ok ? generate(runtime.value, job, report) : runtime;
    }),
};

expose(worker);
