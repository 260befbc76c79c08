/**
 * Everything a report says of how levels differ, as rows of text: what llama.cpp's perplexity tool prints. One cell a
 * figure, null where there is nothing to say.
 */
import { levelMetrics, readLevel } from '../../../workers/contract/metric-readings.ts';
import type { MetricId } from '../../../workers/contract/metrics.ts';
import { formatReading } from '../../lib/format/metric.ts';
import type { Figure } from '../../store/run.ts';

/** A statistic of all levels. */
export interface StatisticRow {
  id: MetricId;
  label: string;
  /** Empty where the number has none, or carries it itself. */
  unit: string;
  cells: (string | null)[];
}

/** Statistics that belong together. */
export interface StatisticGroup {
  name: string;
  rows: StatisticRow[];
}

/** The statistics of the table of metrics, in its order. */
export function statisticsOf(figures: readonly Figure[]): StatisticGroup[] {
  const groups = new Map<string, StatisticRow[]>();
  for (const metric of levelMetrics(figures.some(({ unit }) => unit === 'word') ? 'word' : 'token')) {
    const { id, unit, statistic, sometimes } = metric;
    if (!statistic) continue;
    const cells = figures.map((figure) => formatReading(metric, readLevel(metric, figure)));
    if (sometimes && cells.every((cell) => cell === null)) continue;
    const rows = groups.get(statistic.group) ?? [];
    groups.set(statistic.group, [...rows, { id, label: statistic.label, unit, cells }]);
  }
  return [...groups].map(([name, rows]) => ({ name, rows }));
}
