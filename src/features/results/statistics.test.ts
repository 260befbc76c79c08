import { describe, expect, it } from 'vitest';
import type { Drift, Perplexity } from '../../../workers/contract/report.ts';
import type { Figure } from '../../store/run.ts';
import { MEANINGS } from '../../ui/terms/meanings.ts';
import { statisticsOf } from './statistics.ts';

const drift: Drift = {
  lnRatio: { value: 0.1956, error: 0.0033 },
  ratio: { value: 1.2161, error: 0.004 },
  correlation: 0.987654,
  kld: {
    mean: 0.2114,
    error: 0.0012,
    median: 0.1011,
    p90: 0.4022,
    p95: 0.6033,
    p99: 1.1044,
    p999: 2.2055,
    max: 4.3066,
  },
  sameTop: { value: 0.774, error: 0.0016 },
  deltaP: {
    mean: -0.0123,
    rms: { value: 0.0456, error: 0.0007 },
    p1: -0.3,
    p5: -0.1,
    median: -0.00001,
    p95: 0.02,
    p99: 0.05,
  },
};
const perplexity: Perplexity = { value: 10.36, error: 0.13, bitsPerByte: { value: 1.234, error: 0.005 } };
const figure = (change: Partial<Figure>): Figure => ({
  level: { uid: 'u', id: 'int4', settings: {}, created: 0, slot: 2 },
  name: 'int4',
  baseline: false,
  bytes: 1,
  weightBytes: 1,
  perplexity,
  unit: 'token',
  drift,
  final: true,
  file: 'f',
  blob: null,
  folder: null,
  data: null,
  ledger: [],
  outputs: null,
  runtimeDrift: null,
  speed: [],
  reported: null,
  ...change,
});
const baseline = figure({ name: 'fp16', baseline: true, drift: null });
const nothing = figure({ name: 'int8', perplexity: null, drift: null });

const cellsOf = (figures: Figure[]) =>
  new Map(
    statisticsOf(figures).flatMap(({ name, rows }) =>
      rows.map(({ label, cells }) => [
        `${name}: ${label}`,
        cells.map((cell) => cell?.replaceAll('\u00a0', ' ') ?? null),
      ]),
    ),
  );

describe('all statistics', () => {
  it('shows every number of a report, each once', () => {
    expect(Object.fromEntries(cellsOf([baseline, figure({})]))).toEqual({
      'Perplexity: Perplexity': ['10.36 ± 0.13', '10.36 ± 0.13'],
      'Perplexity: Bits per byte': ['1.234 ± 0.005', '1.234 ± 0.005'],
      'Perplexity: ln of the ratio to fp16': [null, '0.196 ± 0.003'],
      'Perplexity: Ratio to fp16': [null, '1.216 ± 0.004'],
      'Perplexity: Correlation with fp16': [null, '0.987654'],
      'KL divergence from fp16: Mean': [null, '0.2114 ± 0.0012'],
      'KL divergence from fp16: Median': [null, '0.1011'],
      'KL divergence from fp16: 90th percentile': [null, '0.4022'],
      'KL divergence from fp16: 95th percentile': [null, '0.6033'],
      'KL divergence from fp16: 99th percentile': [null, '1.104'],
      'KL divergence from fp16: 99.9th percentile': [null, '2.206'],
      'KL divergence from fp16: Maximum': [null, '4.307'],
      'Most likely token: Same top token': [null, '77.40 % ± 0.16'],
      'Change in probability of the right token: Mean': [null, '−1.230'],
      'Change in probability of the right token: Root mean square': [null, '4.56 ± 0.07'],
      'Change in probability of the right token: 1st percentile': [null, '−30.000'],
      'Change in probability of the right token: 5th percentile': [null, '−10.000'],
      'Change in probability of the right token: Median': [null, '−0.001'],
      'Change in probability of the right token: 95th percentile': [null, '+2.000'],
      'Change in probability of the right token: 99th percentile': [null, '+5.000'],
    });
  });
  it('has a cell a level in every row, empty where nothing was measured', () => {
    for (const [label, cells] of cellsOf([baseline, nothing, figure({})])) {
      expect(cells, label).toHaveLength(3);
      expect(cells[1], label).toBeNull();
      expect(cells[2], label).not.toBeNull();
    }
  });
  it('leaves out what an older report or a tokenizer does not tell', () => {
    const { ratio, ...older } = drift;
    expect(ratio).toBeDefined();
    const cells = cellsOf([figure({ drift: older, perplexity: { value: 10.36, error: 0.13 } })]);
    expect(cells.get('Perplexity: Ratio to fp16')).toEqual([null]);
    expect(cells.get('Perplexity: Bits per byte')).toEqual([null]);
  });
  it('by word names it so, and shows byte perplexity where there is one', () => {
    const cells = cellsOf([
      figure({ unit: 'word', perplexity: { ...perplexity, bytePerplexity: { value: 2.352, error: 0.008 } } }),
    ]);
    expect(cells.get('Perplexity: Word perplexity')).toEqual(['10.36 ± 0.13']);
    expect(cells.get('Perplexity: Byte perplexity')).toEqual(['2.352 ± 0.008']);
  });
  it('gives every row a meaning, one sentence', () => {
    for (const { rows } of statisticsOf([figure({})]))
      for (const { id } of rows) expect(MEANINGS[id]).toMatch(/^[^.]+\.$/);
  });
});
