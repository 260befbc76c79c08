import { expect, test } from 'vitest';
import type { LevelReport, Report, Speed } from '../protocol.ts';
import { reportTable } from './table.ts';

const speed: Speed = {
  provider: 'wasm', threads: 2, load: { median: 0.25, low: 0.2, high: 0.31, runs: 3 },
  prefill: { tokens: 256, tokensPerSecond: { median: 2900.4, low: 2800, high: 3000, runs: 5 } },
  decode: { tokens: 32, tokensPerSecond: { median: 88.88, low: 80, high: 99.96, runs: 3 }, cached: true },
  run: null, memory: { gpu: null, heap: 78_970_880, predicted: 76_342_465 }, fallback: null, widened: false, problem: null,
};
const level = (name: string, speeds: Speed[]): LevelReport => ({ id: 'int4', level: name, baseline: false, settings: {}, file: 'm.onnx', bytes: 10, weightBytes: 9, perplexity: null, drift: null, speed: speeds, ledger: [] });
const report = (levels: LevelReport[]): Report => ({
  schema: 'nibble.report/1', model: { name: 'm.onnx', sha256: '', bytes: 10, parameters: 5, cacheBytesPerToken: null }, protocol: null, backend: 'wasm', levels, notes: [],
});

test('speed has a table of its own, a line a level and provider', () => {
  const gpu: Speed = { ...speed, provider: 'webgpu', widened: true, memory: { gpu: { steady: 11e6, peak: 22e6 }, heap: 5e6, predicted: 20e6 }, fallback: { nodes: 2, of: 40 }, decode: { ...speed.decode!, cached: false } };
  const lines = reportTable(report([level('int4', [speed, gpu])])).split('\n');
  const table = lines.slice(lines.findIndex((line) => line.includes('provider')));
  expect(table[0]).toMatch(/^level +provider +load, s +prefill, tokens\/s +decode, tokens\/s +heap, MB +GPU, MB +GPU peak, MB +predicted, MB +fallback$/);
  expect(table[1]).toMatch(/^int4 +wasm +0\.250 \(0\.200–0\.310 of 3\) +2900 \(2800–3000 of 5\) at 256 +88\.9 \(80\.0–100 of 3\) +79\.0 +76\.3$/);
  expect(table[2]).toMatch(/^int4 +webgpu in float32 .* without cache +5\.0 +11\.0 +22\.0 +20\.0 +2 of 40 nodes$/);
  expect(table.join('\n')).toMatch(/2 threads/);
});

test('without speed there is no such table', () => {
  expect(reportTable(report([level('int4', [])]))).not.toMatch(/provider/);
});

test('what could not be measured has no line', () => {
  const failed: Speed = { ...speed, load: null, prefill: null, decode: null, memory: null, problem: { code: 'session-failed', message: 'No.', action: '', details: '' } };
  expect(reportTable(report([level('int4', [failed])]))).not.toMatch(/provider/);
});
