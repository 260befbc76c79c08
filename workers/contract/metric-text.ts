/** Figures as plain text, for terminals and for the card of a Hub folder. */
import type { Metric, Place, Reading } from './metrics.ts';
import type { Estimate, Spread } from './measurements.ts';

/** What differs from one plain text to another. */
export interface TextStyle {
  /** What was not measured. */
  none: string;
  /** What does not differ at all. */
  identical: string;
  bytes(bytes: number): string;
}

/** A figure with the digits of its place. */
export function textOf({ format }: Metric, reading: Reading, place: Place, style: TextStyle): string {
  if (reading === null) return format === 'decibels' ? style.identical : style.none;
  if (format === 'bytes' && typeof reading === 'number') return style.bytes(reading);
  if (typeof reading === 'number') return `${digits(reading, place)}${format === 'decibels' ? ' dB' : ''}`;
  if ('median' in reading) return spreadText(reading);
  return format === 'share' ? shareText(reading, place) : estimateText(reading, place);
}

/** The head of a column: a label in the middle of a sentence, unless it begins with an abbreviation. */
export function textHeading({ label }: Metric, { heading }: Place): string {
  return heading ?? (/^[A-Z][A-Z]/.test(label) ? label : label.charAt(0).toLowerCase() + label.slice(1));
}

const digits = (value: number, { decimals = 4, significant }: Place): string =>
  significant === undefined ? value.toFixed(decimals) : value.toPrecision(significant);

const estimateText = ({ value, error }: Estimate, place: Place): string =>
  `${digits(value, place)} ± ${place.significant === undefined ? digits(error, place) : error.toPrecision(1)}`;

const shareText = ({ value, error }: Estimate, place: Place): string =>
  `${digits(100 * value, place)} ± ${digits(100 * error, place)} %`;

/** Three significant digits, with the extremes of so many runs. */
function spreadText({ median, low, high, runs }: Spread): string {
  const three = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  return `${three(median)} (${three(low)}–${three(high)} of ${runs})`;
}
