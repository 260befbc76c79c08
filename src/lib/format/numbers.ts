/**
 * How numbers are written on the page: always with their unit, an error to no more digits than it deserves, and a
 * value to as many decimals as its error. Spaces inside a number do not break.
 */
import type { Estimate } from '../../../workers/contract/report.ts';

const NBSP = '\u00a0';
const MINUS = '\u2212';
const PLUS_MINUS = `${NBSP}±${NBSP}`;

/** By decimals: to make one takes a hundred times as long as to use it. */
const formats = new Map<number, Intl.NumberFormat>();

function formatFor(decimals: number): Intl.NumberFormat {
  const known = formats.get(decimals);
  if (known) return known;
  const made = new Intl.NumberFormat('en', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  formats.set(decimals, made);
  return made;
}

const fixed = (value: number, decimals: number): string =>
  formatFor(decimals)
    .format(value)
    .replace(/^-(?=[0.]+$)/, '')
    .replace(/^-/, MINUS);

/** Three significant digits below 1000. */
function threeDigits(value: number): string {
  const size = Math.abs(value);
  return fixed(value, size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

/** Largest unit of a power of 1000 in which `value` still reads as at least 1, after rounding to three digits. */
function scale(value: number, units: readonly string[]): { scaled: number; unit: string } {
  let scaled = value;
  let index = 0;
  while (Math.abs(scaled) >= 999.5 && index < units.length - 1) {
    scaled /= 1000;
    index++;
  }
  return { scaled, unit: units[index] ?? '' };
}

/** Bytes in decimal units: `11.7 MB` is 11.7 million bytes. */
export function formatBytes(bytes: number): string {
  const { scaled, unit } = scale(bytes, ['B', 'kB', 'MB', 'GB', 'TB']);
  return `${unit === 'B' ? fixed(scaled, 0) : threeDigits(scaled)}${NBSP}${unit}`;
}

/** Bytes on an axis: `4 MB`, without the zeros that say nothing there. */
export function formatBytesTick(bytes: number): string {
  return formatBytes(bytes)
    .replace(/(\.\d*?)0+(?=\D)/, '$1')
    .replace(/\.(?=\D)/, '');
}

/** `122,991` */
export function formatCount(count: number): string {
  return fixed(count, 0);
}

/** Counts too large to read digit by digit: `5.83 million`. */
export function formatLargeCount(count: number): string {
  if (count < 10_000) return formatCount(count);
  if (count < 999_500) return `${threeDigits(count / 1000)}${NBSP}thousand`;
  const { scaled, unit } = scale(count / 1e6, ['million', 'billion', 'trillion']);
  return `${threeDigits(scaled)}${NBSP}${unit}`;
}

/** How `bytes` stands to `baseline`: `3.4× smaller`, `1.2× larger`, `same size`. */
export function formatSmaller(bytes: number, baseline: number): string {
  if (!(bytes > 0) || !(baseline > 0)) return 'size unknown';
  const ratio = baseline / bytes;
  const times = (value: number) => `${fixed(value, value >= 9.95 ? 0 : 1)}×`;
  if (ratio >= 1.05) return `${times(ratio)} smaller`;
  if (ratio <= 1 / 1.05) return `${times(1 / ratio)} larger`;
  const change = (bytes / baseline - 1) * 100;
  return Math.abs(change) < 0.05
    ? 'same size'
    : `${fixed(Math.abs(change), 1)}${NBSP}% ${change < 0 ? 'smaller' : 'larger'}`;
}

/** Decimals that show an error to one significant digit, or two where the first is 1 or 2. */
export function decimalsFor(error: number): number {
  if (!(error > 0) || !Number.isFinite(error)) return 2;
  const exponent = Math.floor(Math.log10(error));
  const leading = error / 10 ** exponent;
  // 2.95 rounds to 3 and one digit will do; 9.5 rounds to the next power of ten and shows as `1.0`.
  const places = leading >= 2.95 ? -exponent : 1 - exponent;
  return Math.min(6, Math.max(0, places));
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';
const superscript = (exponent: number): string =>
  String(exponent).replace(/[-0-9]/g, (character) =>
    character === '-' ? '⁻' : (SUPERSCRIPTS[Number(character)] ?? ''),
  );

/** `10⁻⁵` */
export const formatPowerOfTen = (exponent: number): string => `10${superscript(exponent)}`;

/** Below this a number is easier read with a power of ten. */
const SMALL = 1e-3;

/** `8.52 ± 0.10`, `(4.07 ± 0.02) × 10⁻⁵` */
export function formatEstimate({ value, error }: Estimate): string {
  if (!Number.isFinite(value)) return 'not a number';
  if (value !== 0 && Math.abs(value) < SMALL && error < SMALL && error > 0) {
    const exponent = Math.floor(Math.log10(Math.max(Math.abs(value), error)));
    const power = 10 ** exponent;
    return `(${formatEstimate({ value: value / power, error: error / power })})${NBSP}×${NBSP}10${superscript(exponent)}`;
  }
  const decimals = decimalsFor(error);
  return error > 0 && Number.isFinite(error)
    ? `${fixed(value, decimals)}${PLUS_MINUS}${fixed(error, decimals)}`
    : fixed(value, decimals);
}

/** The value alone, to the decimals its error allows. */
export function formatValue({ value, error }: Estimate): string {
  return Number.isFinite(value) ? fixed(value, decimalsFor(error)) : 'not a number';
}

/** A share as per cent with its error: `91.2 % ± 0.1`. */
export function formatShare({ value, error }: Estimate): string {
  const decimals = Math.min(3, decimalsFor(error * 100));
  const number = `${fixed(value * 100, error > 0 ? decimals : 1)}${NBSP}%`;
  return error > 0 ? `${number}${PLUS_MINUS}${fixed(error * 100, decimals)}` : number;
}

/**
 * Change of perplexity in per cent from ln(PPL level / PPL baseline), with its paired error carried through the
 * exponential: `+21.6 % ± 0.4`.
 */
export function formatChange(lnRatio: Estimate): string {
  const change = 100 * Math.expm1(lnRatio.value);
  const error = 100 * Math.exp(lnRatio.value) * lnRatio.error;
  if (!Number.isFinite(change)) return 'not a number';
  const decimals = Math.min(4, decimalsFor(error));
  const sign = change > 0 ? '+' : '';
  const number = `${sign}${fixed(change, decimals)}${NBSP}%`;
  return error > 0 ? `${number}${PLUS_MINUS}${fixed(error, decimals)}` : number;
}

/** `8 s`, `1 min 20 s`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return 'unknown';
  if (seconds < 1) return `under 1${NBSP}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}${NBSP}s`;
  if (whole < 3600) {
    const rest = whole % 60;
    return `${Math.floor(whole / 60)}${NBSP}min${rest ? ` ${rest}${NBSP}s` : ''}`;
  }
  const minutes = Math.round((whole % 3600) / 60);
  return `${Math.floor(whole / 3600)}${NBSP}h${minutes ? ` ${minutes}${NBSP}min` : ''}`;
}

/** Whole per cent of a fraction, never 100 before the end. */
export function formatProgress(fraction: number): string {
  const clamped = Math.min(1, Math.max(0, fraction));
  return `${clamped < 1 ? Math.min(99, Math.round(clamped * 100)) : 100}${NBSP}%`;
}

/** `5.0 %`, of a part that is smaller than its whole: never 100 before it is. */
export function formatShareOf(part: number, whole: number): string {
  const percent = whole > 0 ? (100 * part) / whole : 0;
  return `${fixed(part < whole ? Math.min(99.9, percent) : percent, 1)}${NBSP}%`;
}

/** A number that may be as large as any: `204,771`, `3.40 × 10³⁸`. */
export function formatLarge(value: number): string {
  if (Math.abs(value) < 1e6) return formatCount(value);
  const [digits = '', power = '0'] = value.toExponential(2).split('e');
  return `${digits.replace('-', MINUS)}${NBSP}×${NBSP}10${superscript(Number(power))}`;
}

/** A number that comes without an error, to four significant digits: `0.02514`, `−3.1 × 10⁻⁵`. */
export function formatPlain(value: number): string {
  if (!Number.isFinite(value)) return 'not a number';
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < SMALL) {
    const [digits = '', power = '0'] = value.toExponential(2).split('e');
    return `${digits.replace('-', MINUS)}${NBSP}×${NBSP}10${superscript(Number(power))}`;
  }
  return fixed(value, Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(size)))));
}

/** Correlations worth telling apart lie close to 1: `0.999983`. */
export function formatCorrelation(value: number): string {
  return Number.isFinite(value) ? fixed(value, 6) : 'not a number';
}

/** A difference of probabilities in percentage points, with its sign: `+1.204`. */
export function formatPoints(difference: number): string {
  if (!Number.isFinite(difference)) return 'not a number';
  const points = fixed(100 * difference, 3);
  if (!/[1-9]/.test(points)) return points.replace(MINUS, '');
  return difference > 0 ? `+${points}` : points;
}

/** `4,096 × 384` */
export function formatShape(shape: readonly number[]): string {
  return shape.length === 0 ? 'scalar' : shape.map(formatCount).join(' × ');
}

/** `1 file`, `3 files` */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** `23.1 dB`; null where nothing differs. */
export function formatDecibels(value: number | null): string {
  return value === null ? 'identical' : Number.isFinite(value) ? `${fixed(value, 1)}${NBSP}dB` : 'not a number';
}

/** A short time as it is measured: `412 ms`, `1.24 s`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return 'unknown';
  if (seconds >= 120) return formatDuration(seconds);
  if (seconds >= 0.9995) return `${threeDigits(seconds)}${NBSP}s`;
  return seconds >= 9.995e-3 ? `${fixed(seconds * 1000, 0)}${NBSP}ms` : `${fixed(seconds * 1000, 2)}${NBSP}ms`;
}

/** `1,230 tokens/s`, `8.41 tokens/s` */
export function formatRate(perSecond: number, noun = 'tokens'): string {
  return Number.isFinite(perSecond) ? `${threeDigits(perSecond)}${NBSP}${noun}/s` : 'unknown';
}

/** How far a measurement is from its prediction: `4 % more than predicted`, `as predicted`. */
export function formatAgainstPrediction(measured: number, predicted: number): string {
  if (!(predicted > 0)) return 'nothing was predicted';
  const change = 100 * (measured / predicted - 1);
  const size = Math.abs(change);
  return size < 0.5
    ? 'as predicted'
    : `${fixed(size, size < 9.95 ? 1 : 0)}${NBSP}% ${change > 0 ? 'more' : 'less'} than predicted`;
}

/** A probability as per cent: `41 %`, `0.32 %`, `under 0.001 %`; 100 only of what is certain. */
export function formatProbability(probability: number): string {
  const percent = 100 * probability;
  if (!Number.isFinite(percent)) return 'not a number';
  if (percent > 0 && percent < 1e-3) return `under 0.001${NBSP}%`;
  if (percent >= 99.5 && percent < 100) return `${fixed(Math.min(99.9, percent), 1)}${NBSP}%`;
  return `${fixed(percent, percent >= 9.95 || percent === 0 ? 0 : percent >= 0.995 ? 1 : percent >= 0.0995 ? 2 : 3)}${NBSP}%`;
}

/** A signed number of nats: `+1.32`, `−0.04`. */
export function formatSigned(value: number, decimals = 2): string {
  if (!Number.isFinite(value)) return 'not a number';
  const text = fixed(value, decimals);
  if (!/[1-9]/.test(text)) return text.replace(MINUS, '');
  return value > 0 ? `+${text}` : text;
}

const WHEN = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

/** `22 Nov 2026, 19:20`, in the clock of this machine. */
export const formatWhen = (iso: string): string => WHEN.format(new Date(iso));
