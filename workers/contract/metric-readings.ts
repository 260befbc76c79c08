/** Figures read by the rows of the table of metrics. */
import {
  METRICS,
  type LevelMetric,
  type MeasuredLevel,
  type Metric,
  type MetricId,
  type OutputMetric,
  type Place,
  type Reading,
  type SpeedMetric,
} from './metrics.ts';
import type { OutputDrift } from './measurements.ts';

/** A row of the table with its id. */
export type Row<M extends Metric = Metric> = M & { id: MetricId };

/** Rows of the table that are read from a level's file, and from its run over a text scored in this unit. */
export function levelMetrics(unit: 'token' | 'word'): Row<LevelMetric>[] {
  return rows().filter((row): row is Row<LevelMetric> => isOfLevel(row) && (row.by === undefined || row.by === unit));
}

/** Rows of the table that are read from the outputs of a level. */
export function outputMetrics(): Row<OutputMetric>[] {
  return rows().filter((row): row is Row<OutputMetric> => row.of === 'outputs');
}

/** Rows of the table that are read from a level's speed on one provider. */
export function speedMetrics(): Row<SpeedMetric>[] {
  return rows().filter((row): row is Row<SpeedMetric> => row.of === 'speed');
}

/** Rows of level metrics that are kept in the report's `figures`, as nothing else of the report holds them. */
export function storedMetrics(): Row<LevelMetric>[] {
  return rows().filter((row): row is Row<LevelMetric> => isOfLevel(row) && !row.read);
}

/** A level's figure; null for what was not measured, and for what compares the baseline with itself. */
export function readLevel(metric: Row<LevelMetric>, level: MeasuredLevel): Reading {
  if (metric.paired && level.baseline) return null;
  return metric.read ? metric.read(level) : (level.figures?.[metric.id] ?? null);
}

/** The output that drifted most, by its signal-to-noise ratio; null when there is none. */
export function worstOutput(outputs: readonly OutputDrift[]): OutputDrift | null {
  const ratio = ({ sqnr }: OutputDrift) => sqnr ?? Infinity;
  return outputs.reduce<OutputDrift | null>(
    (worst, output) => (worst && ratio(worst) <= ratio(output) ? worst : output),
    null,
  );
}

/** The worst of the outputs' figures; where no direction is worse, that of the output that drifted most. Null where no output has one. */
export function readWorst(metric: OutputMetric, outputs: readonly OutputDrift[]): Reading {
  const worst = worstOutput(outputs);
  if (metric.better === null) return worst && metric.read(worst);
  const sign = metric.better === 'higher' ? 1 : -1;
  return outputs
    .map((output) => metric.read(output))
    .reduce<Reading>((low, reading) => {
      const [a, b] = [valueOf(low), valueOf(reading)];
      return b !== null && (a === null || sign * b < sign * a) ? reading : low;
    }, null);
}

/** A figure's value: the median of several runs. */
export function valueOf(reading: Reading): number | null {
  if (reading === null || typeof reading === 'number') return reading;
  return 'median' in reading ? reading.median : reading.value;
}

/** The head of a figure's column: a place's own, else the label. */
export function headingOf({ label }: Metric, place: Place): string {
  return place.heading ?? label;
}

function rows(): Row[] {
  return Object.entries<Metric>(METRICS).map(([id, metric]) => ({ ...metric, id: id as MetricId }));
}

const isOfLevel = (metric: Metric): metric is LevelMetric => metric.of === 'file' || metric.of === 'text';
