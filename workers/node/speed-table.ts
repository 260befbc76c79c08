/** Speed and memory as a table for a terminal. */
import { greatest } from '../extremes.ts';
import type { LevelReport, Speed, Spread } from '../protocol.ts';
import { align } from './align.ts';

/** A line for each level and provider; none where nothing was measured. */
export function speedLines(levels: readonly LevelReport[]): string[] {
  const rows = levels.flatMap(({ level, speed }) => (speed ?? []).filter(({ problem, load }) => load !== null || problem === null).map((one) => speedRow(level, one)));
  const threads = greatest(levels.flatMap(({ speed }) => (speed ?? []).map((one) => one.threads)), 0);
  if (rows.length === 0) return [];
  return [
    '', ...align([['level', 'provider', 'load, s', 'prefill, tokens/s', 'decode, tokens/s', 'one run, s', 'heap, MB', 'GPU, MB', 'GPU peak, MB', 'predicted, MB', 'fallback'], ...rows]), '',
    `Speed: median (least–most of so many runs), each level alone with ${threads} thread${threads === 1 ? '' : 's'}, warmed up. Memory is the most there was; predicted are weights, cache and logits.`,
  ];
}

function speedRow(level: string, { provider, load, prefill, decode, run, memory, fallback, widened }: Speed): string[] {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  return [
    level, `${provider}${widened ? ' in float32' : ''}`, spread(load),
    prefill ? `${spread(prefill.tokensPerSecond)} at ${prefill.tokens}` : '', decode ? `${spread(decode.tokensPerSecond)}${decode.cached ? '' : ' without cache'}` : '', spread(run),
    memory ? megabytes(memory.heap) : '', memory?.gpu ? megabytes(memory.gpu.steady) : '', memory?.gpu ? megabytes(memory.gpu.peak) : '', memory ? megabytes(memory.predicted) : '',
    fallback ? `${fallback.nodes} of ${fallback.of} nodes` : '',
  ];
}

/** Three significant digits. */
function spread(of: Spread | null): string {
  const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  return of ? `${digits(of.median)} (${digits(of.low)}–${digits(of.high)} of ${of.runs})` : '';
}
