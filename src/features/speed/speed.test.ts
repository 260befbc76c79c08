import { describe, expect, it } from 'vitest';
import { formatBytes, formatRate, formatSeconds } from '../../lib/format/numbers.ts';
import { figuresIn } from '../results/test-figures.ts';
import { languageReport } from '../results/test-reports.ts';
import { METRICS } from '../../../workers/contract/metrics.ts';
import { countOrNone, formatExtremes, memoryOf, speedGroups } from './speed.ts';

const plain = (text: string | null) => text?.replaceAll('\u00a0', ' ');

describe('speed', () => {
  it('goes by provider, each with every level', () => {
    const groups = speedGroups(figuresIn(languageReport));
    expect(
      groups.map(({ provider, threads, lines }) => [provider, threads, lines.map(({ figure }) => figure.name)]),
    ).toEqual([
      ['wasm', 4, ['fp16', 'int8', 'int4']],
      ['webgpu', 1, ['fp16', 'int8', 'int4']],
    ]);
    expect(groups.every(({ provider, lines }) => lines.every(({ speed }) => speed.provider === provider))).toBe(true);
    expect(groups[1]?.lines.map(({ speed }) => METRICS.fallback.text(speed, countOrNone))).toEqual([
      '6 of 214 nodes',
      '6 of 214 nodes',
      '6 of 214 nodes',
    ]);
  });
  it('shows extremes, with their unit once where they share it', () => {
    expect(plain(formatExtremes({ median: 0.412, low: 0.398, high: 0.45, runs: 5 }, formatSeconds))).toBe(
      '398 to 450 ms',
    );
    expect(plain(formatExtremes({ median: 0.99, low: 0.9, high: 1.2, runs: 5 }, formatSeconds))).toBe(
      '900 ms to 1.20 s',
    );
    expect(plain(formatExtremes({ median: 3000, low: 2900, high: 3100, runs: 5 }, formatRate))).toBe(
      '2,900 to 3,100 tokens/s',
    );
  });
});

describe('memory', () => {
  it('on the GPU is steady with a peak, elsewhere the heap at its largest, both beside the prediction', () => {
    expect(memoryOf({ gpu: { steady: 10e6, peak: 13e6 }, heap: 99e6, predicted: 12.5e6 })).toEqual({
      held: 10e6,
      more: 3e6,
      predicted: 12.5e6,
      text: formatBytes(13e6),
      against: '4.0\u00a0% more than predicted',
    });
    expect(memoryOf({ gpu: null, heap: 50e6, predicted: 50e6 })).toMatchObject({
      held: 50e6,
      more: 0,
      text: formatBytes(50e6),
      against: 'as predicted',
    });
  });
});
