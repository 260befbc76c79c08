/**
 * Everything a report says of how levels differ, as rows of text: what llama.cpp's perplexity tool prints, in its
 * order. One cell a figure, null where there is nothing to say.
 */
import type { Drift, Perplexity } from '../../../workers/contract/report.ts';
import { formatCorrelation, formatEstimate, formatPlain, formatPoints, formatShare } from '../../lib/format/numbers.ts';
import type { Figure } from '../../store/run.ts';
import type { TermId } from '../../ui/terms/meanings.ts';
import { perplexityName } from './sentences.ts';

export interface StatisticRow {
  label: string;
  /** Empty where the number has none, or carries it itself. */
  unit: string;
  meaning: TermId;
  cells: (string | null)[];
}

export interface StatisticGroup {
  name: string;
  rows: StatisticRow[];
}

const NATS = 'nats';
const POINTS = 'percentage points';

export function statisticsOf(figures: readonly Figure[]): StatisticGroup[] {
  const row = (
    label: string,
    unit: string,
    meaning: TermId,
    cell: (figure: Figure) => string | null,
  ): StatisticRow => ({ label, unit, meaning, cells: figures.map(cell) });
  const ofText = (label: string, unit: string, meaning: TermId, say: (perplexity: Perplexity) => string | null) =>
    row(label, unit, meaning, ({ perplexity }) => perplexity && say(perplexity));
  const ofDrift = (label: string, unit: string, meaning: TermId, say: (drift: Drift) => string | null) =>
    row(label, unit, meaning, ({ drift, baseline }) => (drift && !baseline ? say(drift) : null));
  const kld = (label: string, meaning: TermId, of: (kld: Drift['kld']) => number) =>
    ofDrift(label, NATS, meaning, (drift) => formatPlain(of(drift.kld)));
  const deltaP = (label: string, meaning: TermId, of: (change: Drift['deltaP']) => number) =>
    ofDrift(label, POINTS, meaning, (drift) => formatPoints(of(drift.deltaP)));

  const byWord = figures.some(({ unit }) => unit === 'word');
  const name = perplexityName(byWord ? 'word' : 'token');
  const bytePerplexity = ofText('Byte perplexity', '', 'bytePerplexity', ({ bytePerplexity: value }) =>
    value ? formatEstimate(value) : null,
  );
  return [
    {
      name,
      rows: [
        ofText(name, '', byWord ? 'wordPerplexity' : 'perplexity', formatEstimate),
        ofText('Bits per byte', 'bits', 'bitsPerByte', ({ bitsPerByte }) =>
          bitsPerByte ? formatEstimate(bitsPerByte) : null,
        ),
        // Only some protocols report it.
        ...(bytePerplexity.cells.some((cell) => cell !== null) ? [bytePerplexity] : []),
        ofDrift('ln of the ratio to fp16', NATS, 'lnRatio', ({ lnRatio }) => formatEstimate(lnRatio)),
        ofDrift('Ratio to fp16', '', 'ratio', ({ ratio }) => (ratio ? formatEstimate(ratio) : null)),
        ofDrift('Correlation with fp16', '', 'correlation', ({ correlation }) => formatCorrelation(correlation)),
      ],
    },
    {
      name: 'KL divergence from fp16',
      rows: [
        ofDrift('Mean', NATS, 'kld', (drift) => formatEstimate({ value: drift.kld.mean, error: drift.kld.error })),
        kld('Median', 'median', ({ median }) => median),
        kld('90th percentile', 'percentile', ({ p90 }) => p90),
        kld('95th percentile', 'percentile', ({ p95 }) => p95),
        kld('99th percentile', 'percentile', ({ p99 }) => p99),
        kld('99.9th percentile', 'percentile', ({ p999 }) => p999),
        kld('Maximum', 'kldMax', ({ max }) => max),
      ],
    },
    {
      name: 'Most likely token',
      rows: [ofDrift('Same top token', '', 'sameTop', ({ sameTop }) => formatShare(sameTop))],
    },
    {
      name: 'Change in probability of the right token',
      rows: [
        deltaP('Mean', 'deltaP', ({ mean }) => mean),
        ofDrift('Root mean square', POINTS, 'deltaPRms', ({ deltaP: { rms } }) =>
          formatEstimate({ value: 100 * rms.value, error: 100 * rms.error }),
        ),
        deltaP('1st percentile', 'deltaPLow', ({ p1 }) => p1),
        deltaP('5th percentile', 'deltaPLow', ({ p5 }) => p5),
        deltaP('Median', 'median', ({ median }) => median),
        deltaP('95th percentile', 'deltaPHigh', ({ p95 }) => p95),
        deltaP('99th percentile', 'deltaPHigh', ({ p99 }) => p99),
      ],
    },
  ];
}
