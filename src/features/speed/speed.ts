/** Measured speed and memory by provider: figures of different providers never share an axis. Pure. */
import type { MeasuredMemory, Speed, Spread } from '../../../workers/contract/report.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { formatAgainstPrediction, formatBytes, formatCount } from '../../lib/format/numbers.ts';
import type { Figure } from '../../store/run.ts';

export interface SpeedLine {
  figure: Figure;
  speed: Speed;
}
export interface SpeedGroup {
  provider: Provider;
  threads: number;
  lines: SpeedLine[];
}

/** A group a provider, in the order they were measured; levels in the order of the figures. */
export function speedGroups(figures: readonly Figure[]): SpeedGroup[] {
  const groups = new Map<Provider, SpeedGroup>();
  for (const figure of figures) {
    for (const speed of figure.speed) {
      const group = groups.get(speed.provider) ?? { provider: speed.provider, threads: speed.threads, lines: [] };
      group.lines.push({ figure, speed });
      groups.set(speed.provider, group);
    }
  }
  return [...groups.values()];
}

/** `398 to 450 ms`: a unit that both share is said once. */
export function formatExtremes({ low, high }: Spread, write: (value: number) => string): string {
  const [from, to] = [write(low), write(high)];
  const unit = /\u00a0\D+$/u;
  return `${unit.exec(from)?.[0] === unit.exec(to)?.[0] ? from.replace(unit, '') : from} to ${to}`;
}

/** What is drawn of measured memory: what is held, what more there is at most, and what was predicted. */
export function memoryOf({ gpu, heap, predicted }: MeasuredMemory): {
  held: number;
  more: number;
  predicted: number;
  text: string;
  against: string;
} {
  const most = gpu ? gpu.peak : heap;
  return {
    held: gpu ? gpu.steady : heap,
    more: gpu ? Math.max(0, gpu.peak - gpu.steady) : 0,
    predicted,
    text: formatBytes(most),
    against: formatAgainstPrediction(most, predicted),
  };
}

/** A count in words where there is nothing: `none of 214 nodes`. */
export const countOrNone = (count: number): string => (count === 0 ? 'none' : formatCount(count));
