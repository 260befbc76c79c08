/** Axis ranges, ticks and positions. Pure. */
import { greatest, least } from '../../../workers/contract/extremes.ts';

interface Datum {
  value: number | null;
  error?: number;
  more?: number;
}

export interface Axis {
  domain: [number, number];
  ticks: number[];
}

const STEPS = [1, 2, 2.5, 5, 10];

/** Round numbers, at most `count` steps, that reach from at or below `low` to at or above `high`. */
export function niceAxis(low: number, high: number, count: number): Axis {
  const span = high - low > 0 ? high - low : Math.abs(high) || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (STEPS.find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  // Multiples of the step carry floating-point dust, which would show in labels.
  const ticks = Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
  return { domain: [ticks[0] ?? low, ticks.at(-1) ?? high], ticks };
}

/** An axis that shows every value with its whiskers: from zero for lengths, around the values for positions. */
export function axisOf(
  data: readonly Datum[],
  { fromZero, limit, count }: { fromZero: boolean; limit?: number; count: number },
): Axis {
  const known = data.flatMap(({ value, error = 0, more = 0 }) =>
    value === null || !Number.isFinite(value) ? [] : [{ low: value - error, high: value + more + error }],
  );
  const high = greatest(known.map((range) => range.high));
  if (known.length === 0 || (fromZero && high === 0)) return { domain: [0, 1], ticks: fromZero ? [0] : [] };
  const low = fromZero
    ? least(
        data.map(({ value }) => (value !== null && Number.isFinite(value) ? value : 0)),
        0,
      )
    : Math.max(0, least(known.map((range) => range.low)));
  const axis = niceAxis(low, high, count);
  if (limit === undefined || axis.domain[1] <= limit) return axis;
  if (low >= limit) return axisOf([{ value: limit * 0.9 }, { value: limit }], { fromZero, limit, count });
  return { domain: [axis.domain[0], limit], ticks: axis.ticks.filter((tick) => tick <= limit) };
}

/** Points that no other point beats in both coordinates, by ascending x. Lower is better in both. */
export function frontierOf<T extends { x: number; y: number }>(points: readonly T[]): T[] {
  const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const frontier: T[] = [];
  for (const point of sorted) {
    const last = frontier.at(-1);
    if (!last || point.y < last.y) frontier.push(point);
  }
  return frontier;
}

export interface LabelBox {
  left: number;
  width: number;
  y: number;
}

/** Moves labels up, `step` at a time, until none covers another. Boxes keep their order. */
export function spreadLabels(boxes: readonly LabelBox[], step: number): LabelBox[] {
  const placed: LabelBox[] = [];
  const covers = (a: LabelBox, b: LabelBox) =>
    a.left < b.left + b.width && b.left < a.left + a.width && Math.abs(a.y - b.y) < step;
  for (const box of boxes) {
    let { y } = box;
    while (placed.some((other) => covers(other, { ...box, y }))) y -= step;
    placed.push({ ...box, y });
  }
  return placed;
}

/** A linear scale from `domain` to `length` pixels that begin at `start`; a negative length runs towards zero. */
export function scaleOf(
  [low, high]: readonly [number, number],
  start: number,
  length: number,
): (value: number) => number {
  return (value) => start + ((value - low) / (high - low)) * length;
}

/** Widest a digit of a tick label may be, in pixels: system fonts differ. */
const TICK_LETTER = 6.8;
const TICK_GAP = 8;

/** Every tick of a horizontal axis `width` pixels long, or every second, third … where labels would touch. */
export function fittingTicks({ domain, ticks }: Axis, format: (tick: number) => string, width: number): number[] {
  const x = scaleOf(domain, 0, width);
  const half = (tick: number) => (format(tick).length * TICK_LETTER) / 2;
  const touch = (kept: readonly number[]) =>
    kept.some((tick, index) => {
      const next = kept[index + 1];
      return next !== undefined && x(tick) + half(tick) + TICK_GAP > x(next) - half(next);
    });
  for (let every = 1; ; every++) {
    const kept = ticks.filter((_, index) => index % every === 0);
    if (!touch(kept)) return kept;
  }
}
