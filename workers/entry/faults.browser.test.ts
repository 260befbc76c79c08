/** A job that is disturbed and then done again gives what it gives undisturbed: the same files, the same figures. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { byteTokenizer, tinyLanguageModel } from '../../models/build.ts';
import type { Engine } from '../contract/engine.ts';
import type { EngineEvent, Progress } from '../contract/events.ts';
import type { Job, Stage } from '../contract/job.ts';
import type { Report } from '../contract/report.ts';
import type { Result } from '../contract/errors.ts';
import type { Storage } from '../contract/storage.ts';
import { connect, notify, WORKER_CRASHED, type RemoteWorker } from '../rpc/remote.ts';

const engines: RemoteWorker<Engine>[] = [];
const start = () => {
  const engine = connect<Engine>(new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module' }));
  engines.push(engine);
  return engine;
};
/** For what needs no engine of its own: each loads dozens of modules. */
const keeper = connect<Engine>(new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module' }));
const forget = async () => {
  await keeper.call<Result<Storage>>((api) => api.removeAll());
};
afterEach(() => {
  for (const engine of engines.splice(0)) engine.terminate();
});
afterAll(() => {
  keeper.terminate();
});

const job: Job = {
  files: [
    new File([tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true })], 'tiny.onnx'),
    new File([byteTokenizer()], 'tokenizer.json'),
    new File(['It was the best of times, it was the worst of times. '.repeat(12)], 'text.txt'),
  ],
  levels: [
    { key: 'a', id: 'int8', settings: {} },
    { key: 'b', id: 'int4', settings: {} },
  ],
  maxTokens: null,
};
/** Measuring speed at the end makes the job last until it is disturbed: the files are written and a text this short is measured before a cancel arrives. */
const disturbedJob: Job = { ...job, extras: { speed: true } };

const STAGES: Stage[] = ['open', 'quantize', 'measure', 'check'];

async function run(engine: RemoteWorker<Engine>, onEvent: (event: EngineEvent) => void = () => undefined, what = job) {
  const files = new Map<string, Blob>();
  const events: EngineEvent[] = [];
  const result = await engine.callWithEvents<EngineEvent, Result<Report>>(
    (event) => {
      events.push(event);
      if (event.type === 'written') files.set(event.file, event.blob);
      onEvent(event);
    },
    (api, port) => api.compare(what, port),
  );
  return {
    result,
    events,
    files: Object.fromEntries(
      await Promise.all([...files].map(async ([name, blob]) => [name, await hashOf(blob)] as const)),
    ),
  };
}

async function hashOf(blob: Blob): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))].join(' ');
}

/** What was measured of each level, without what depends on the clock. */
const figures = (result: Result<Report>) =>
  result.ok
    ? result.value.levels.map(({ level, perplexity, drift, bytes }) => ({ level, perplexity, drift, bytes }))
    : result.error;

let undisturbed: Awaited<ReturnType<typeof run>>;
beforeAll(async () => {
  await forget();
  undisturbed = await run(start());
  expect(undisturbed.result.ok).toBe(true);
});
beforeEach(forget);

/** Goes on with the job in another engine: all is as if nothing had happened, and what had been written is not made again. */
async function continues(engine: RemoteWorker<Engine>, before: readonly EngineEvent[]) {
  const after = await run(engine);
  expect(figures(after.result)).toEqual(figures(undisturbed.result));
  expect(after.files).toEqual(undisturbed.files);
  const finished = before.flatMap((event) => (event.type === 'written' ? event.level : []));
  const made = after.events.flatMap((event) =>
    event.type === 'progress' && event.stage === 'quantize' && event.tensor !== null ? (event.level ?? '') : [],
  );
  expect(made.filter((level) => finished.includes(level))).toEqual([]);
}

describe.each(STAGES)('in stage %s', (stage) => {
  const inStage = (event: EngineEvent): event is Progress => event.type === 'progress' && event.stage === stage;

  it('a tab reloaded goes on with what it had', async () => {
    const engine = start();
    const seen: EngineEvent[] = [];
    await expect(
      run(
        engine,
        (event) => {
          seen.push(event);
          if (inStage(event)) engine.terminate();
        },
        disturbedJob,
      ),
    ).rejects.toMatchObject({ name: WORKER_CRASHED });
    expect(seen.some(inStage)).toBe(true);
    await continues(start(), seen);
  });

  it('a cancel ends the job at once, and the same engine goes on', async () => {
    const engine = start();
    let asked = false;
    const cancelled = await run(
      engine,
      (event) => {
        if (asked || !inStage(event)) return;
        asked = true;
        notify(engine, (api) => api.cancel());
      },
      disturbedJob,
    );
    expect(cancelled.result).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    await continues(engine, cancelled.events);
  });
});
