import { describe, expect, test } from 'vitest';
import type { EngineEvent } from '../contract/events.ts';
import type { Report } from '../contract/report.ts';
import { localLocks, type Locks } from './disk/locks.ts';
import { measureOnce, type OnceTask } from './measure-once.ts';
import { openReportStore } from './report-store.ts';
import { memoryDisk } from './test-disk.ts';

const REPORT: Report = {
  schema: 'nibble.report/1',
  model: { name: 'm.onnx', sha256: 'a', bytes: 1, parameters: 1, cacheBytesPerToken: null },
  backend: 'wasm',
  protocol: {
    name: 'llama.cpp',
    context: 512,
    tokens: 256,
    chunks: 1,
    textTokens: 512,
    textBytes: 512,
    provider: 'wasm',
    threads: 1,
    text: 't',
  },
  levels: [
    {
      id: 'fp16',
      level: 'fp16',
      baseline: true,
      settings: {},
      file: 'f',
      bytes: 1,
      weightBytes: 1,
      perplexity: { value: 2, error: 0.1 },
      drift: null,
      ledger: [],
    },
  ],
  notes: [],
};
const PROGRESS: EngineEvent = {
  type: 'progress',
  stage: 'measure',
  level: 'mine',
  done: 1,
  total: 2,
  unit: 'tokens',
  tensor: null,
  secondsLeft: null,
};

/** A promise, and what resolves it. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** @param onHold Called with how many have asked for their turn so far. */
function tabs(onHold: (asked: number) => void = () => undefined) {
  const disk = memoryDisk();
  const locks = localLocks();
  let asked = 0;
  const counting: Locks = {
    ...locks,
    hold(name, signal) {
      const held = locks.hold(name, signal);
      onHold(++asked);
      return held;
    },
  };
  const reports = openReportStore(disk);
  const surroundings = {
    reports,
    keep: reports.keep,
    locks: counting,
    channel: () => new BroadcastChannel('nibble:test-once'),
    notKept: (thrown: unknown) => {
      throw thrown;
    },
  };
  return (
    measure: OnceTask['measure'],
    options: { signal?: AbortSignal; finish?: AbortSignal; onEvent?: OnceTask['onEvent'] } = {},
  ) =>
    measureOnce(
      {
        identity: {
          model: { name: 'm.onnx', fingerprint: 'a' },
          levels: ['fp16'],
          text: null,
          tokenizer: null,
          inputs: [],
          protocol: undefined,
          maxTokens: null,
          extras: undefined,
          provider: undefined,
          threads: 1,
        },
        onEvent: options.onEvent ?? (() => undefined),
        signal: options.signal ?? new AbortController().signal,
        finish: options.finish,
        measure,
      },
      surroundings,
    );
}

describe('measuring once', () => {
  test("who waits hears of the progress, without the other's names, and gets the report", async () => {
    const [secondWaits, secondHeard] = [gate(), gate()];
    const once = tabs((asked) => {
      if (asked === 2) secondWaits.open();
    });
    const heard: EngineEvent[] = [];
    const first = once(async (report) => {
      await secondWaits.opened;
      report(PROGRESS);
      await secondHeard.opened;
      return REPORT;
    });
    const second = once(() => Promise.reject(new Error('measured twice')), {
      onEvent: (event) => {
        heard.push(event);
        secondHeard.open();
      },
    });
    expect(await first).toEqual({ report: REPORT, known: false });
    expect(await second).toEqual({ report: REPORT, known: true });
    expect(heard).toEqual([{ ...PROGRESS, level: null }]);
  });

  test('who waits can cancel', async () => {
    const once = tabs();
    const stop = new AbortController();
    const cancelled = gate();
    const first = once(async () => {
      await cancelled.opened;
      return REPORT;
    });
    const second = once(() => Promise.reject(new Error('measured')), { signal: stop.signal });
    stop.abort();
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
    cancelled.open();
    expect((await first).known).toBe(false);
  });

  test('who is told to finish waits no more, and measures as little as it can', async () => {
    const once = tabs();
    const finish = new AbortController();
    const finished = gate();
    const early: Report = { ...REPORT, protocol: REPORT.protocol && { ...REPORT.protocol, stoppedEarly: true } };
    const first = once(async () => {
      await finished.opened;
      return REPORT;
    });
    const second = once(() => Promise.resolve(early), { finish: finish.signal });
    finish.abort();
    expect(await second).toEqual({ report: early, known: false });
    finished.open();
    expect(await first).toEqual({ report: REPORT, known: false });
    expect(await once(() => Promise.resolve(early))).toEqual({ report: REPORT, known: true });
  });

  test.each<[string, Report, EngineEvent[]]>([
    [
      'was warned about',
      REPORT,
      [{ type: 'warning', error: { code: 'out-of-memory', message: '', action: '', details: '' } }],
    ],
    ['lacks a level', { ...REPORT, levels: REPORT.levels.map((level) => ({ ...level, perplexity: null })) }, []],
    ['is of sizes only', { ...REPORT, protocol: null }, []],
  ])('a report that %s is kept but answers nothing', async (_, report, events) => {
    const once = tabs();
    await once(async (send) => {
      events.forEach(send);
      return report;
    });
    expect(await once(() => Promise.resolve(REPORT))).toEqual({ report: REPORT, known: false });
    expect(await once(() => Promise.resolve(report))).toEqual({ report: REPORT, known: true });
  });

  test('a failure lets the next one in', async () => {
    const once = tabs();
    const failing = expect(once(() => Promise.reject(new Error('no luck')))).rejects.toThrow('no luck');
    const next = once(() => Promise.resolve(REPORT));
    await failing;
    expect((await next).known).toBe(false);
  });
});
