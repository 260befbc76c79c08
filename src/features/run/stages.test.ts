import { describe, expect, it } from 'vitest';
import { applyEvent, startLive } from '../../store/live.ts';
import type { Run } from '../../store/run.ts';
import { languageReport } from '../results/test-reports.ts';
import type { Report } from '../../../workers/contract/report.ts';
import { stageLines } from './stages.ts';

const EXTRAS = { noiseFloor: true, runtimeDrift: true, words: true, speed: true };
const level = (id: 'fp16' | 'int8' | 'int4', slot: number) => ({ uid: id, id, settings: {}, created: 0, slot });
const LEVELS = [level('fp16', 0), level('int8', 1), level('int4', 2)];

const run = (change: Partial<Run> = {}): Run => ({
  id: 'r',
  startedAt: 0,
  endedAt: 1,
  status: 'done',
  levels: LEVELS,
  model: { name: 'm.onnx', cacheBytesPerToken: null, baseline: 'as-is' },
  subject: 'text',
  protocol: { name: 'llama.cpp' },
  extras: EXTRAS,
  tokenizer: [],
  companions: [],
  live: startLive(LEVELS.map(({ uid }) => uid)),
  report: languageReport,
  error: null,
  ...change,
});
const states = (of: Run) => Object.fromEntries(stageLines(of).map(({ name, state }) => [name, state]));
const without = (report: Report): Report => ({
  ...report,
  levels: report.levels.map((line) => ({ ...line, speed: [], runtimeDrift: null })),
});
const stopped = (report: Report): Report => ({
  ...report,
  protocol: report.protocol && { ...report.protocol, stoppedEarly: true, chunks: 3, plannedChunks: 12 },
});

describe('the stages of a finished run', () => {
  it('are done where something was done', () => {
    expect(states(run())).toEqual({ Open: 'done', Quantize: 'done', Write: 'done', Measure: 'done', Check: 'done' });
  });

  it('are not done where nothing was checked, stopped or not', () => {
    expect(states(run({ report: without(languageReport) })).Check).toBe('not-run');
    expect(states(run({ report: without(stopped(languageReport)) }))).toMatchObject({
      Measure: 'not-run',
      Check: 'not-run',
    });
  });

  it('tell which share was measured and checked before it was stopped', () => {
    const part = stopped(languageReport);
    const first = {
      ...part,
      levels: part.levels.map((line, i) => (i === 0 ? line : { ...line, speed: [], runtimeDrift: null })),
    };
    const lines = stageLines(run({ report: first }));
    expect(lines.find(({ name }) => name === 'Measure')).toMatchObject({ done: 0.25, state: 'not-run' });
    expect(lines.find(({ name }) => name === 'Check')?.done).toBeCloseTo(1 / 3);
  });

  it('have no checks where none were asked for', () => {
    expect(Object.keys(states(run({ extras: { ...EXTRAS, runtimeDrift: false, speed: false } })))).not.toContain(
      'Check',
    );
  });

  it('have no measuring where there was nothing to measure', () => {
    expect(states(run({ report: { ...without(languageReport), protocol: null, inputs: null } })).Measure).toBe(
      'not-run',
    );
  });
});

it('a level that is skipped is not waited for', () => {
  const error = { code: 'nothing-to-quantize', message: 'No weight.', action: '', details: '' } as const;
  const blob = new Blob();
  const live = [
    { type: 'warning' as const, error, level: 'int4' },
    { type: 'written' as const, level: 'fp16', file: 'f', blob, bytes: 1, weightBytes: 1 },
    { type: 'written' as const, level: 'int8', file: 'g', blob, bytes: 1, weightBytes: 1 },
  ].reduce((now, event) => applyEvent(now, event, 0), startLive(LEVELS.map(({ uid }) => uid)));
  expect(live.rows.get('int4')?.skipped).toBe(error);
  expect(stageLines(run({ status: 'running', report: null, live })).find(({ name }) => name === 'Write')).toMatchObject(
    { figure: '2 of 2', done: 1 },
  );
});
