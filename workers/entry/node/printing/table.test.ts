import { expect, test } from 'vitest';
import type { LevelReport, Report, Speed } from '../../../contract/report.ts';
import { reportTable } from './table.ts';

const speed: Speed = {
  provider: 'wasm',
  threads: 2,
  load: { median: 0.25, low: 0.2, high: 0.31, runs: 3 },
  prefill: { tokens: 256, tokensPerSecond: { median: 2900.4, low: 2800, high: 3000, runs: 5 } },
  decode: { tokens: 32, tokensPerSecond: { median: 88.88, low: 80, high: 99.96, runs: 3 }, cached: true },
  run: null,
  memory: { gpu: null, heap: 78_970_880, predicted: 76_342_465 },
  fallback: null,
  widened: false,
  problem: null,
};
const level = (name: string, speeds: Speed[]): LevelReport => ({
  id: 'int4',
  level: name,
  baseline: false,
  settings: {},
  file: 'm.onnx',
  bytes: 10,
  weightBytes: 9,
  perplexity: null,
  drift: null,
  speed: speeds,
  ledger: [],
});
const report = (levels: LevelReport[]): Report => ({
  schema: 'nibble.report/1',
  model: { name: 'm.onnx', sha256: '', bytes: 10, parameters: 5, cacheBytesPerToken: null },
  protocol: null,
  backend: 'wasm',
  levels,
  notes: [],
});

test('speed has a table of its own, a line a level and provider', () => {
  const gpu: Speed = {
    ...speed,
    provider: 'webgpu',
    widened: true,
    memory: { gpu: { steady: 11e6, peak: 22e6 }, heap: 5e6, predicted: 20e6 },
    fallback: { nodes: 2, of: 40 },
    decode: { ...speed.decode!, cached: false },
  };
  const lines = reportTable(report([level('int4', [speed, gpu])])).split('\n');
  const table = lines.slice(lines.findIndex((line) => line.includes('provider')));
  expect(table[0]).toMatch(
    /^level +provider +load, s +prefill, tokens\/s +decode, tokens\/s +heap, MB +GPU, MB +GPU peak, MB +predicted, MB +fallback$/,
  );
  expect(table[1]).toMatch(
    /^int4 +wasm +0\.250 \(0\.200–0\.310 of 3\) +2900 \(2800–3000 of 5\) at 256 +88\.9 \(80\.0–100 of 3\) +79\.0 +76\.3$/,
  );
  expect(table[2]).toMatch(/^int4 +webgpu in float32 .* without cache +5\.0 +11\.0 +22\.0 +20\.0 +2 of 40 nodes$/);
  expect(table.join('\n')).toMatch(/2 threads/);
});

test('without speed there is no such table', () => {
  expect(reportTable(report([level('int4', [])]))).not.toMatch(/provider/);
});

test('what could not be measured has no line', () => {
  const failed: Speed = {
    ...speed,
    load: null,
    prefill: null,
    decode: null,
    memory: null,
    problem: { code: 'session-failed', message: 'No.', action: '', details: '' },
  };
  expect(reportTable(report([level('int4', [failed])]))).not.toMatch(/provider/);
});

test('how fast a level is beside fp16 is said where the runs of the two do not overlap', () => {
  const rate = (median: number) => ({
    tokens: 32,
    tokensPerSecond: { median, low: median * 0.95, high: median * 1.05, runs: 3 },
    cached: true,
  });
  const beside = (median: number) =>
    reportTable(
      report([
        { ...level('fp16', [{ ...speed, decode: rate(17.3) }]), baseline: true },
        level('int4', [{ ...speed, decode: rate(median) }]),
      ]),
    );
  expect(beside(2.38)).toMatch(/^int4 +wasm .* 7\.3× slower /m);
  expect(beside(34.6)).toMatch(/^int4 +wasm .* 2\.0× faster /m);
  expect(beside(17)).not.toMatch(/×/);
});

test('sizes stand beside the file given where that is not fp16', () => {
  const levels = [
    { ...level('fp16', []), baseline: true, bytes: 5 },
    { ...level('int4', []), bytes: 2 },
  ];
  expect(reportTable(report(levels))).toContain('fp16 50.0 %, int4 20.0 %');
  expect(
    reportTable(
      report([
        { ...level('fp16', []), baseline: true, bytes: 10 },
        { ...level('int4', []), bytes: 2 },
      ]),
    ),
  ).not.toContain('%');
});

test('predicted memory has its parts named, and stands beside what was measured', () => {
  const parts = { weights: 30e6, cache: 0, activations: 0, runtime: 20e6 };
  const perToken = { weights: 0, cache: 10_000, activations: 20_000, runtime: 5000 };
  const memory = { wasm: { fixed: parts, perToken }, webgpu: { fixed: parts, perToken } };
  const measured: Speed = {
    ...speed,
    memory: { gpu: null, heap: 61e6, predicted: 0, parts: { ...parts, tokens: 1000 } },
  };
  const lines = reportTable(report([{ ...level('int4', [measured]), memory }])).split('\n');
  const head = lines.findIndex((line) => line.includes('predicted memory'));
  expect(lines[head]).toMatch(/weights +cache +logits +runtime +measured$/);
  // The sum, then the parts for the 1,000 tokens that were run.
  expect(lines[head + 1]).toMatch(/^int4 +85\.0 +30\.0 +10\.0 +20\.0 +25\.0 +61\.0$/);
});
