import { describe, expect, test } from 'vitest';
import type { EngineErrorCode, Result } from '../contract/errors.ts';
import type { Progress } from '../contract/events.ts';
import { failure, outOfMemory } from './errors.ts';
import { measurePaired, type KeyedModel, type PairedPass } from './paired-measurement.ts';

interface Session {
  key: string;
  release(): Promise<void>;
}

interface Pass extends PairedPass<Session> {
  /** Samples by level, as they were run. */
  ran: string[];
}

interface Faults {
  /** Sessions that can be open at once. */
  room?: number;
  /** Failures of a model when it runs on a sample. */
  fails?: Record<string, { sample: number; code: EngineErrorCode }>;
  /** Ends the measurement when this sample of a pass is done, counted over all passes. */
  finishAfter?: number;
  giveWay?: () => boolean;
}

const SAMPLES = 3;
const keyed = (key: string): KeyedModel => ({ key, model: { model: new Blob(), data: null } });

async function measured(levels: string[], { room = Infinity, fails = {}, finishAfter, giveWay }: Faults = {}) {
  const finish = new AbortController();
  const open = new Set<string>();
  const progress: Progress[] = [];
  let done = 0;
  const run = ({ key }: Session, sample: number): Promise<Result<unknown>> => {
    const fault = fails[key];
    return Promise.resolve(
      fault?.sample === sample ? failure(fault.code, 'It failed.', '') : { ok: true, value: null },
    );
  };
  const result = await measurePaired<Session, Pass>({
    baseline: keyed('baseline'),
    levels: levels.map(keyed),
    open({ key }) {
      if (open.size >= room) return Promise.resolve(outOfMemory(key, ''));
      open.add(key);
      const release = () => {
        open.delete(key);
        return Promise.resolve();
      };
      return Promise.resolve({ ok: true, value: { key, release } });
    },
    begin(_, given) {
      const ran: string[] = [];
      return Promise.resolve({
        ok: true,
        value: {
          ran,
          samples: SAMPLES,
          total: 100,
          runBaseline: run,
          async runLevel(session, level, sample) {
            expect(given[level]?.key).toBe(session.key);
            const result = await run(session, sample);
            if (result.ok) ran.push(`${session.key} ${sample}`);
            return result;
          },
          sampleDone() {
            if (++done === finishAfter) finish.abort();
          },
        },
      });
    },
    ...(giveWay && { giveWay }),
    unit: 'runs',
    onProgress: (event) => progress.push(event),
    signal: undefined,
    finish: finish.signal,
  });
  expect(open.size).toBe(0);
  return { result, progress };
}

/** What came of each level: the samples it ran on, or the code of its problem. */
async function outcomes(...given: Parameters<typeof measured>) {
  const { result } = await measured(...given);
  if (!result.ok) throw new Error(result.error.message);
  const { levels, passes, samplesRun } = result.value;
  return {
    passes,
    samplesRun,
    levels: levels.map((level) =>
      'problem' in level ? level.problem.code : level.pass.ran.filter((ran) => ran.startsWith(level.key)).length,
    ),
  };
}

describe('a paired measurement', () => {
  test('runs every level on every sample, in one pass', async () => {
    expect(await outcomes(['a', 'b'])).toEqual({ passes: 1, samplesRun: 3, levels: [3, 3] });
  });

  test('ends its progress at the total', async () => {
    const { progress } = await measured(['a', 'b']);
    expect(progress.at(-1)).toMatchObject({ stage: 'measure', done: 100, total: 100, unit: 'runs' });
  });

  test('takes fewer levels at a time when memory runs out, and keeps their order', async () => {
    expect(await outcomes(['a', 'b', 'c', 'd'], { room: 2 })).toEqual({
      passes: 4,
      samplesRun: 3,
      levels: [3, 3, 3, 3],
    });
  });

  test('measures the baseline alone when no level fits beside it', async () => {
    expect(await outcomes(['a'], { room: 1 })).toEqual({ passes: 1, samplesRun: 3, levels: ['out-of-memory'] });
  });

  test('tries again when something gives way first', async () => {
    let room = 1;
    const giveWay = () => room++ === 1;
    const faults = {
      giveWay,
      get room() {
        return room + 1;
      },
    };
    expect(await outcomes(['a', 'b'], faults)).toMatchObject({ levels: [3, 3] });
  });

  test('goes on without a level that fails', async () => {
    expect(await outcomes(['a', 'b'], { fails: { a: { sample: 1, code: 'session-failed' } } })).toEqual({
      passes: 1,
      samplesRun: 3,
      levels: ['session-failed', 3],
    });
  });

  test('fails when the baseline fails, and names it', async () => {
    const { result } = await measured(['a'], { fails: { baseline: { sample: 1, code: 'session-failed' } } });
    expect(result).toMatchObject({ ok: false, error: { code: 'session-failed', details: 'baseline' } });
  });

  test('finished early, has the samples run until then', async () => {
    expect(await outcomes(['a', 'b'], { finishAfter: 2 })).toEqual({ passes: 1, samplesRun: 2, levels: [2, 2] });
  });

  test('finished in the first of two passes, leaves out the levels of the second', async () => {
    expect(await outcomes(['a', 'b'], { room: 2, finishAfter: 2 })).toEqual({
      passes: 1,
      samplesRun: 2,
      levels: [2, 'cancelled'],
    });
  });

  test('finished in the second pass, has no figures from it', async () => {
    expect(await outcomes(['a', 'b'], { room: 2, finishAfter: 4 })).toEqual({
      passes: 2,
      samplesRun: 3,
      levels: [3, 'cancelled'],
    });
  });
});
