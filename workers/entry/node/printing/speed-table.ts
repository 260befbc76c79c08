/** Speed and memory as a table for a terminal. */
import { greatest } from '../../../contract/extremes.ts';
import { speedMetrics } from '../../../contract/metric-readings.ts';
import { textOf, type TextStyle } from '../../../contract/metric-text.ts';
import type { SpeedMetric } from '../../../contract/metrics.ts';
import type { LevelReport, Speed } from '../../../contract/report.ts';
import { shown } from '../../../lib/shown.ts';
import { alignColumns } from './align-columns.ts';

/** A line for each level and provider; none where nothing was measured. */
export function speedLines(levels: readonly LevelReport[]): string[] {
  const metrics = speedMetrics().filter(({ terminal }) => terminal);
  const times = metrics.filter(isTime);
  const others = metrics.filter((metric) => !isTime(metric));
  const rows = levels.flatMap(({ level, baseline, speed }) =>
    (speed ?? [])
      .filter(({ problem, load }) => load !== null || problem === null)
      .map((one) => [
        shown(level),
        `${one.provider}${one.widened ? ' in float32' : ''}`,
        ...times.map((metric) => speedText(metric, one)),
        againstBaseline(one, baseline, levels),
        ...others.map((metric) => speedText(metric, one)),
      ]),
  );
  const threads = greatest(
    levels.flatMap(({ speed }) => (speed ?? []).map((one) => one.threads)),
    0,
  );
  if (rows.length === 0) return [];
  return [
    '',
    ...alignColumns([
      [
        'level',
        'provider',
        ...times.map(({ terminal }) => terminal?.heading ?? ''),
        'against fp16',
        ...others.map(({ terminal }) => terminal?.heading ?? ''),
      ],
      ...rows,
    ]),
    '',
    `Speed: median (least–most of so many runs), each level alone with ${threads} thread${threads === 1 ? '' : 's'}, warmed up. Memory is the most there was; predicted are weights, cache and logits.`,
  ];
}

const STYLE: TextStyle = { none: '', identical: '', bytes: (bytes) => (bytes / 1e6).toFixed(1) };

const isTime = ({ format }: SpeedMetric): boolean => format === 'seconds' || format === 'rate';

function speedText(metric: SpeedMetric, speed: Speed): string {
  if (metric.text) return metric.text(speed, String) ?? '';
  const reading = metric.read(speed);
  return `${textOf(metric, reading, metric.terminal ?? {}, STYLE)}${reading === null ? '' : (metric.remark?.(speed) ?? '')}`;
}

/** How many times as fast as fp16 a level decodes, or runs, on the same provider; empty where the runs of both overlap, and of the baseline. */
function againstBaseline({ provider, decode, run }: Speed, baseline: boolean, levels: readonly LevelReport[]): string {
  const fp16 = levels.find((level) => level.baseline)?.speed?.find((line) => line.provider === provider);
  const [rate, other] =
    decode && fp16?.decode
      ? [decode.tokensPerSecond, fp16.decode.tokensPerSecond]
      : run && fp16?.run
        ? [fp16.run, run]
        : [];
  if (baseline || !rate || !other || !(rate.low > other.high || rate.high < other.low)) return '';
  const times = rate.median / other.median;
  return times >= 1 ? `${times.toFixed(1)}× faster` : `${(1 / times).toFixed(1)}× slower`;
}
