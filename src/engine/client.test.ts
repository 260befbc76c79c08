import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Engine, HubFolderJob } from '../../workers/contract/engine.ts';
import type { EngineEvent } from '../../workers/contract/events.ts';
import type { Generated, GenerationJob } from '../../workers/contract/generation.ts';
import type { Job } from '../../workers/contract/job.ts';
import type { Report } from '../../workers/contract/report.ts';
import type { Result } from '../../workers/contract/errors.ts';
import { WORKER_CRASHED, type RemoteWorker } from '../../workers/rpc/remote.ts';
import { CANCEL_PATIENCE_MS, createEngineClient } from './client.ts';

const job: Job = { files: [], levels: [], maxTokens: null };
const cancelled: Result<Report> = {
  ok: false,
  error: { code: 'cancelled', message: 'stopped', action: '', details: '' },
};

/** Workers that do what the test says; `calls` is what each was asked. */
function fleet(
  compare: (report: (event: EngineEvent) => void) => Promise<Result<Report>>,
  cancel: () => void = () => undefined,
) {
  const calls: string[] = [];
  let started = 0;
  const crashes: (() => void)[] = [];
  const start = (): RemoteWorker<Engine> => {
    started++;
    let end!: (reason: Error) => void;
    const gone = new Promise<Error>((resolve) => {
      end = resolve;
    });
    const crash = () => {
      const error = new Error('gone');
      error.name = WORKER_CRASHED;
      end(error);
    };
    crashes.push(crash);
    const orGone = <R>(reply: Promise<R>) =>
      Promise.race([
        reply,
        gone.then((reason): never => {
          throw reason;
        }),
      ]);
    let emit: (event: EngineEvent) => void = () => undefined;
    const api = {
      capabilities: () => {
        calls.push('capabilities');
        return Promise.resolve({
          backend: 'wasm',
          webgpu: { available: false, reason: 'none' },
          isolated: true,
          threads: 2,
        });
      },
      open: () => new Promise(() => undefined),
      compare: () => {
        calls.push('compare');
        return compare((event) => {
          emit(event);
        });
      },
      finish: () => {
        calls.push('finish');
        return Promise.resolve();
      },
      cancel: () => {
        calls.push('cancel');
        cancel();
        return Promise.resolve();
      },
      generate: () => {
        calls.push('generate');
        return compare((event) => {
          emit(event);
        });
      },
      cancelGeneration: () => {
        calls.push('cancelGeneration');
        cancel();
        return Promise.resolve();
      },
    } as unknown as Parameters<Parameters<RemoteWorker<Engine>['call']>[0]>[0];
    return {
      gone,
      terminate: () => {
        calls.push('terminate');
        crash();
      },
      call: (invoke) => orGone(invoke(api)),
      callWithEvents: (onEvent, invoke) => {
        emit = onEvent as (event: EngineEvent) => void;
        return orGone(invoke(api, new MessageChannel().port1));
      },
    };
  };
  return {
    start,
    calls,
    started: () => started,
    crash: () => {
      crashes.at(-1)?.();
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('engine client', () => {
  it('turns a crash into an error and starts another worker for the next call', async () => {
    const workers = fleet(() => Promise.resolve(cancelled));
    const client = createEngineClient(workers.start);
    const opening = client.open([]);
    workers.crash();
    expect(await opening).toMatchObject({ ok: false, error: { code: 'worker-crashed' } });
    expect(await client.capabilities()).toMatchObject({ ok: true, value: { backend: 'wasm' } });
    expect(workers.started()).toBe(2);
  });

  it('asks first when cancelling, and leaves the worker alone when it stops', async () => {
    let stop: (result: Result<Report>) => void = () => undefined;
    const workers = fleet(
      () =>
        new Promise((resolve) => {
          stop = resolve;
        }),
      () => {
        stop(cancelled);
      },
    );
    const client = createEngineClient(workers.start);
    const comparing = client.compare(job, () => undefined);
    await client.cancel();
    expect(await comparing).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(workers.calls).toEqual(['compare', 'cancel']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends a worker that does not stop, within a second, and the next call works', async () => {
    const workers = fleet(() => new Promise(() => undefined));
    const client = createEngineClient(workers.start);
    const comparing = client.compare(job, () => undefined);
    const cancelling = client.cancel();
    await vi.advanceTimersByTimeAsync(CANCEL_PATIENCE_MS);
    await cancelling;
    expect(CANCEL_PATIENCE_MS).toBeLessThan(1000);
    expect(await comparing).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(workers.calls).toContain('terminate');
    expect((await client.capabilities()).ok).toBe(true);
    expect(workers.started()).toBe(2);
  });

  it('passes events on until the comparison is cancelled', async () => {
    const seen: string[] = [];
    let report: (event: EngineEvent) => void = () => undefined;
    const workers = fleet((emit) => {
      report = emit;
      return new Promise(() => undefined);
    });
    const client = createEngineClient(workers.start);
    const comparing = client.compare(job, (event) => {
      seen.push(event.type);
    });
    const event: EngineEvent = {
      type: 'measured',
      level: 'a',
      tokens: 1,
      perplexity: { value: 1, error: 0 },
      drift: null,
      final: false,
    };
    report(event);
    const cancelling = client.cancel();
    report(event);
    await vi.advanceTimersByTimeAsync(CANCEL_PATIENCE_MS);
    await Promise.all([cancelling, comparing]);
    expect(seen).toEqual(['measured']);
  });

  it('finishing early asks once and keeps the result', async () => {
    let stop: (result: Result<Report>) => void = () => undefined;
    const workers = fleet(
      () =>
        new Promise((resolve) => {
          stop = resolve;
        }),
    );
    const client = createEngineClient(workers.start);
    const comparing = client.compare(job, () => undefined);
    await client.finish();
    const report = { schema: 'nibble.report/1' } as Report;
    stop({ ok: true, value: report });
    expect(await comparing).toEqual({ ok: true, value: report });
    await client.finish();
    expect(workers.calls).toEqual(['compare', 'finish']);
  });

  it('finishing a comparison that is being cancelled leaves it cancelled', async () => {
    const workers = fleet(() => new Promise(() => undefined));
    const client = createEngineClient(workers.start);
    const comparing = client.compare(job, () => undefined);
    const cancelling = client.cancel();
    await client.finish();
    await vi.advanceTimersByTimeAsync(CANCEL_PATIENCE_MS);
    await cancelling;
    expect(await comparing).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(workers.calls).not.toContain('finish');
  });

  it('asks for files to be kept once there are some, cancelled or not', async () => {
    let kept = 0;
    let report: (event: EngineEvent) => void = () => undefined;
    const workers = fleet((emit) => {
      report = emit;
      return new Promise(() => undefined);
    });
    const client = createEngineClient(workers.start, () => {
      kept++;
    });
    const comparing = client.compare(job, () => undefined);
    report({ type: 'warning', error: { code: 'no-text', message: '', action: '', details: '' } });
    expect(kept).toBe(0);
    report({ type: 'written', level: 'a', file: 'a.onnx', blob: new Blob(), bytes: 0, weightBytes: 0 });
    expect(kept).toBe(1);
    workers.crash();
    expect(await comparing).toMatchObject({ ok: false });
  });

  it('does nothing when nothing runs', async () => {
    const workers = fleet(() => Promise.resolve(cancelled));
    const client = createEngineClient(workers.start);
    await client.cancel();
    await client.finish();
    expect(workers.started()).toBe(0);
  });

  const generation: GenerationJob = {
    models: [],
    files: [],
    prompt: 'It was',
    maxTokens: 10,
    sampling: { kind: 'greedy' },
    provider: 'wasm',
  };

  it('passes on what is generated until it is stopped, without touching a comparison', async () => {
    let stop: (result: Result<Report>) => void = () => undefined;
    let report: (event: EngineEvent) => void = () => undefined;
    const workers = fleet(
      (emit) => {
        report = emit;
        return new Promise((resolve) => {
          stop = resolve;
        });
      },
      () => {
        stop(cancelled);
      },
    );
    const client = createEngineClient(workers.start);
    const seen: string[] = [];
    const generating = client.generate(generation, ({ text }) => {
      seen.push(text);
    });
    const event: Generated = {
      type: 'generated',
      key: 'a',
      text: ' the',
      tokens: 1,
      tokensPerSecond: null,
      cached: true,
      final: false,
      problem: null,
    };
    report(event as unknown as EngineEvent);
    const cancelling = client.cancelGeneration();
    report({ ...event, text: ' the best' } as unknown as EngineEvent);
    await Promise.all([cancelling, client.cancel()]);
    expect(await generating).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(seen).toEqual([' the']);
    await client.cancelGeneration();
    expect(workers.calls).toEqual(['generate', 'cancelGeneration']);
    expect(workers.started()).toBe(1);
  });

  it('tells of a crash while generating', async () => {
    const workers = fleet(() => new Promise(() => undefined));
    const client = createEngineClient(workers.start);
    const generating = client.generate(generation, () => undefined);
    workers.crash();
    expect(await generating).toMatchObject({ ok: false, error: { code: 'worker-crashed' } });
    await client.cancelGeneration();
    expect(workers.calls).toEqual(['generate']);
  });

  it('stops the Hub folder whose signal fires, and no other', async () => {
    const settled = new Map<string, (result: Result<Blob>) => void>();
    const api = {
      hubFolder: (_job: HubFolderJob, _port: MessagePort, key: string) =>
        new Promise<Result<Blob>>((resolve) => {
          settled.set(key, resolve);
        }),
      cancelHubFolder: (key: string) => {
        settled.get(key)?.({ ok: false, error: { code: 'cancelled', message: 'stopped', action: '', details: '' } });
        return Promise.resolve();
      },
    } as unknown as Parameters<Parameters<RemoteWorker<Engine>['call']>[0]>[0];
    const client = createEngineClient(() => ({
      gone: new Promise(() => undefined),
      terminate: () => undefined,
      call: (invoke) => invoke(api),
      callWithEvents: (_onEvent, invoke) => invoke(api, new MessageChannel().port1),
    }));
    const folder: HubFolderJob = { files: [], report: {} as Report, models: [] };
    const stop = new AbortController();
    const [first, second] = [
      client.hubFolder(folder, () => undefined, stop.signal),
      client.hubFolder(folder, () => undefined, new AbortController().signal),
    ];
    await vi.advanceTimersByTimeAsync(0);
    stop.abort();
    expect(await first).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    [...settled.values()].at(-1)?.({ ok: true, value: new Blob() });
    expect(await second).toMatchObject({ ok: true });
  });
});
