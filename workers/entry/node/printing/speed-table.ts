/** Speed and memory as a table for a terminal. */
import { greatest } from '../../../contract/extremes.ts';
import type { LevelReport, Speed, Spread } from '../../../contract/report.ts';
import { shown } from '../../../lib/shown.ts';
import { alignColumns } from './align-columns.ts';

/** A line for each level and provider; none where nothing was measured. */
export function speedLines(levels: readonly LevelReport[]): string[] {
  const rows = levels.flatMap(({ level, baseline, speed }) =>
    (speed ?? [])
      .filter(({ problem, load }) => load !== null || problem === null)
      .map((one) => speedRow(level, againstBaseline(one, baseline, levels), one)),
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
        'load, s',
        'prefill, tokens/s',
        'decode, tokens/s',
        'one run, s',
        'against fp16',
        'heap, MB',
        'GPU, MB',
        'GPU peak, MB',
        'predicted, MB',
        'fallback',
      ],
      ...rows,
    ]),
    '',
    `Speed: median (least–most of so many runs), each level alone with ${threads} thread${threads === 1 ? '' : 's'}, warmed up. Memory is the most there was; predicted are weights, cache and logits.`,
  ];
}

function speedRow(
  level: string,
  against: string,
  { provider, load, prefill, decode, run, memory, fallback, widened }: Speed,
): string[] {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  return [
    shown(level),
    `${provider}${widened ? ' in float32' : ''}`,
    spread(load),
    prefill ? `${spread(prefill.tokensPerSecond)} at ${prefill.tokens}` : '',
    decode ? `${spread(decode.tokensPerSecond)}${decode.cached ? '' : ' without cache'}` : '',
    spread(run),
    against,
    memory ? megabytes(memory.heap) : '',
    memory?.gpu ? megabytes(memory.gpu.steady) : '',
    memory?.gpu ? megabytes(memory.gpu.peak) : '',
    memory ? megabytes(memory.predicted) : '',
    fallback ? `${fallback.nodes} of ${fallback.of} nodes` : '',
  ];
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

/** Three significant digits. */
function spread(of: Spread | null): string {
  const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  return of ? `${digits(of.median)} (${digits(of.low)}–${digits(of.high)} of ${of.runs})` : '';
}
