/** Figures of the table of metrics as the page writes them. */
import type { Metric, Reading } from '../../../workers/contract/metrics.ts';
import { valueOf } from '../../../workers/contract/metric-readings.ts';
import {
  formatBytes,
  formatChange,
  formatCorrelation,
  formatDecibels,
  formatEstimate,
  formatPlain,
  formatPoints,
  formatRate,
  formatSeconds,
  formatShare,
} from './numbers.ts';

/** A figure with its unit and its error. Null where there is none; of decibels null means that nothing differs. */
export function formatReading({ format }: Pick<Metric, 'format'>, reading: Reading): string | null {
  const value = valueOf(reading);
  if (format === 'decibels') return formatDecibels(value);
  if (reading === null || value === null) return null;
  const estimate = typeof reading === 'object' && 'error' in reading ? reading : { value, error: 0 };
  switch (format) {
    case 'bytes':
      return formatBytes(value);
    case 'plain':
      return formatPlain(value);
    case 'estimate':
      return formatEstimate(estimate);
    case 'share':
      return formatShare(estimate);
    case 'change':
      return formatChange(estimate);
    case 'correlation':
      return formatCorrelation(value);
    case 'points':
      return typeof reading === 'number'
        ? formatPoints(value)
        : formatEstimate({ value: 100 * estimate.value, error: 100 * estimate.error });
    case 'seconds':
      return formatSeconds(value);
    case 'rate':
      return formatRate(value);
  }
}
