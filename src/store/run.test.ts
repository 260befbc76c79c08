import { describe, expect, it } from 'vitest';
import type { LevelReport, Report } from '../../workers/contract/report.ts';
import type { Level } from './levels.ts';
import { startLive } from './live.ts';
import { figuresOf, reportFileName, stagesOf, type Run } from './run.ts';

const level = (uid: string, settings: Level['settings']): Level => ({ uid, id: 'int4', settings, created: 0, slot: 2 });
const line = (bytes: number, key: string): LevelReport => ({
  id: 'int4',
  key,
  level: 'int4',
  baseline: false,
  settings: {},
  file: 'f',
  bytes,
  weightBytes: bytes,
  perplexity: null,
  drift: null,
  ledger: [],
});
const run = (levels: Level[], lines: LevelReport[]): Run => ({
  id: 'r',
  startedAt: 0,
  endedAt: 1,
  status: 'done',
  levels,
  model: { name: 'm', cacheBytesPerToken: null, baseline: 'as-is' },
  subject: 'text',
  protocol: { name: 'llama.cpp' },
  extras: { noiseFloor: true, runtimeDrift: true, words: true, speed: true },
  tokenizer: [],
  companions: [],
  live: startLive(levels.map(({ uid }) => uid)),
  error: null,
  report: {
    schema: 'nibble.report/1',
    model: { name: 'm', sha256: '', bytes: 1, parameters: 1, cacheBytesPerToken: null },
    protocol: null,
    backend: 'wasm',
    levels: lines,
    notes: [],
  } satisfies Report,
});

describe('figures', () => {
  it('find their report line by its key, whatever the order and the settings', () => {
    const made = run(
      [level('a', { block: 128 }), level('b', {}), level('c', {})],
      [line(1, 'b'), line(2, 'a'), line(3, 'c')],
    );
    expect(figuresOf(made).map(({ bytes }) => bytes)).toEqual([2, 1, 3]);
  });
  it('without a line stay unknown', () => {
    expect(figuresOf(run([level('a', {})], [line(5, 'b')]))[0]).toMatchObject({ bytes: null, final: false });
  });
});

describe('report file names', () => {
  it.each([
    ['model_fp16.onnx', 'nibble-model_fp16.json'],
    ['../../é x.onnx', 'nibble-x.json'],
    ['.onnx', 'nibble-report.json'],
  ])('%s becomes %s', (name, file) => {
    expect(reportFileName(name)).toBe(file);
  });
});

describe('stages', () => {
  it('have a check where something is measured after the figures, asked for or not', () => {
    const made = run([], []);
    const none = { noiseFloor: true, runtimeDrift: false, words: true, speed: false };
    expect(stagesOf(made)).toEqual(['open', 'quantize', 'measure', 'check']);
    expect(stagesOf({ ...made, extras: none })).toEqual(['open', 'quantize', 'measure']);
    expect(stagesOf({ extras: none, live: { ...made.live, stage: 'check' } })).toContain('check');
  });
});
