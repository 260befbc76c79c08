/** One number a level, as bars or as dots with whiskers, with the numbers themselves in a column beside them. */
import { useElementSize } from '@mantine/hooks';
import { memo, useId } from 'react';
import { CartesianGrid, ComposedChart, usePlotArea, XAxis } from 'recharts';
import { greatest } from '../../../workers/contract/extremes.ts';
import { patternId, Patterns, Shape, tone } from '../../ui/mark.tsx';
import classes from './charts.module.css';
import { axisOf, fittingTicks, scaleOf } from './domain.ts';
import { useInTurn } from './in-turn.ts';
import { CAP, TICK_LABEL, WHISKER } from './plot.ts';

/** A level's line in the chart. */
export interface Bar {
  uid: string;
  slot: number;
  id: string;
  /** Settings, shown small under the id. */
  detail: string;
  /** Null where there is no number yet; its place is kept. */
  value: number | null;
  error?: number;
  /** Extremes, drawn as whiskers in place of an error. */
  spread?: readonly [number, number];
  /** What was expected, drawn as a line across the bar. */
  target?: number;
  /** A second part on top of the first, drawn lighter. */
  more?: number;
  text: string;
}

interface Props {
  name: string;
  bars: Bar[];
  tick: (value: number) => string;
  dots?: boolean;
  limit?: number;
}

const ROW_HEIGHT = 46;
const AXIS_HEIGHT = 24;
const BAR_HEIGHT = 20;
const TARGET_HEIGHT = 30;
const NAME_WIDTH = 84;
/** Widest a character of a value may be, in pixels: system fonts differ. */
const LETTER = 7.5;
const GAP = 14;
/** Middle of a level's shape, in pixels. */
const NAME_X = 6;

const heightOf = (bars: readonly Bar[]): number => bars.length * ROW_HEIGHT + AXIS_HEIGHT + 2;

/** A chart of `bars`, as wide as its place. Screen readers are told the numbers. */
export function LevelBars(props: Props) {
  const { name, bars } = props;
  const summary = `${name}: ${bars
    .filter(({ value }) => value !== null)
    .map(({ id, detail, text }) => `${id}${detail ? ` ${detail}` : ''} ${text}`)
    .join('; ')}`;
  // The width is known before anything is rendered: a chart that measures itself is rendered twice.
  const { ref, width } = useElementSize<HTMLDivElement>();
  const shown = useInTurn(width === 0 ? null : { ...props, width, sign: `${width} ${JSON.stringify(bars)}` });
  return (
    <div ref={ref} className={classes.chart} role="img" aria-label={summary} style={{ minHeight: heightOf(bars) }}>
      {shown && <LevelBarsPlot {...shown} />}
    </div>
  );
}

/** The chart itself. Rendered again only for other props: `useInTurn` returns the same object until its next turn. */
export const LevelBarsPlot = memo(function LevelBarsPlot({
  bars,
  tick,
  dots = false,
  limit,
  width,
}: Props & { width: number }) {
  const extents = bars.flatMap(({ value, error = 0, spread, more = 0, target }) => [
    { value, error: spread && value !== null ? Math.max(value - spread[0], spread[1] - value) : error, more },
    { value: target ?? null },
  ]);
  const axis = axisOf(extents, { fromZero: !dots, count: 3, ...(limit === undefined ? {} : { limit }) });
  const longest = greatest(
    bars.map(({ text }) => text.length),
    9,
  );
  const valueWidth = longest * LETTER + GAP;
  return (
    <ComposedChart
      width={width}
      height={heightOf(bars)}
      layout="vertical"
      accessibilityLayer={false}
      margin={{ top: 0, right: valueWidth, bottom: 0, left: NAME_WIDTH }}
    >
      <CartesianGrid horizontal={false} stroke="var(--line)" />
      <XAxis
        type="number"
        domain={axis.domain}
        // With a domain that no data may extend, an axis needs no data.
        allowDataOverflow
        ticks={fittingTicks(axis, tick, width - NAME_WIDTH - valueWidth)}
        // All of them, without measuring their labels: that makes the browser lay out the page.
        interval={0}
        tickFormatter={tick}
        tickLine={false}
        axisLine={false}
        height={AXIS_HEIGHT}
        tick={TICK_LABEL}
      />
      <Rows bars={bars} dots={dots} domain={axis.domain} />
    </ComposedChart>
  );
});

/** Everything but the axis and the grid: a row a level. */
function Rows({ bars, dots, domain }: { bars: readonly Bar[]; dots: boolean; domain: [number, number] }) {
  const prefix = useId();
  const area = usePlotArea();
  if (!area) return null;
  const scale = scaleOf(domain, area.x, area.width);
  /** Whiskers end where the axis does. */
  const x = (value: number) => scale(Math.min(Math.max(value, domain[0]), domain[1]));
  return (
    <g>
      {!dots && <Patterns slots={bars.map(({ slot }) => slot)} prefix={prefix} />}
      <line
        x1={area.x}
        x2={area.x}
        y1={area.y}
        y2={area.y + area.height}
        stroke={dots ? 'var(--line)' : 'var(--line-strong)'}
      />
      {bars.map((bar, index) => {
        const y = area.y + ((index + 0.5) * area.height) / bars.length;
        return (
          <g key={bar.uid}>
            <Name bar={bar} y={y} />
            {dots ? <Dot bar={bar} x={x} y={y} from={area.x} /> : <BarBody bar={bar} x={x} y={y} prefix={prefix} />}
            <Whisker bar={bar} x={x} y={y} />
            {bar.target !== undefined && (
              <line
                x1={x(bar.target)}
                x2={x(bar.target)}
                y1={y - TARGET_HEIGHT / 2}
                y2={y + TARGET_HEIGHT / 2}
                stroke="var(--ink)"
                strokeWidth={2}
              />
            )}
            <text
              x={area.x + area.width + GAP}
              y={y}
              dominantBaseline="central"
              fill="var(--ink)"
              fontSize={12}
              fontWeight={550}
            >
              {bar.text}
            </text>
          </g>
        );
      })}
    </g>
  );
}

interface MarkProps {
  bar: Bar;
  /** Where a value lies, in pixels. */
  x: (value: number) => number;
  /** Middle of the row, in pixels. */
  y: number;
}

/** From zero to the value, at least a pixel wide; nothing where there is no value, which must not look like a zero. */
function BarBody({ bar: { slot, value, more }, x, y, prefix }: MarkProps & { prefix: string }) {
  if (value === null || !Number.isFinite(value)) return null;
  const box = (a: number, b: number) => ({
    x: Math.min(x(a), x(b)),
    y: y - BAR_HEIGHT / 2,
    width: Math.max(Math.abs(x(b) - x(a)), 1),
    height: BAR_HEIGHT,
    rx: 2,
  });
  return (
    <>
      <rect {...box(0, value)} fill={`url(#${patternId(prefix, slot)})`} />
      {more !== undefined && more > 0 && (
        <rect
          {...box(value, value + more)}
          fill={tone(slot)}
          fillOpacity={0.3}
          stroke={tone(slot)}
          strokeOpacity={0.6}
        />
      )}
    </>
  );
}

function Dot({ bar: { slot, value }, x, y, from }: MarkProps & { from: number }) {
  if (value === null || !Number.isFinite(value)) return null;
  return (
    <>
      <line x1={from} x2={x(value)} y1={y} y2={y} stroke={tone(slot)} strokeWidth={1} strokeDasharray="1 4" />
      <Shape slot={slot} x={x(value)} y={y} size={13} />
    </>
  );
}

function Whisker({ bar: { value, error = 0, spread }, x, y }: MarkProps) {
  if (value === null || !Number.isFinite(value)) return null;
  const [low, high] = spread ?? [value - error, value + error];
  if (low === high) return null;
  return (
    <path
      {...WHISKER}
      d={`M${x(low)} ${y}H${x(high)}M${x(low)} ${y - CAP}v${2 * CAP}M${x(high)} ${y - CAP}v${2 * CAP}`}
    />
  );
}

function Name({ bar: { slot, id, detail }, y }: { bar: Bar; y: number }) {
  return (
    <>
      <Shape slot={slot} x={NAME_X} y={y} size={10} />
      <text
        x={NAME_X + 12}
        y={detail ? y - 6 : y}
        dominantBaseline="central"
        fill="var(--ink)"
        fontSize={12.5}
        fontWeight={600}
      >
        {id}
      </text>
      {detail && (
        <text x={NAME_X + 12} y={y + 8} dominantBaseline="central" fill="var(--muted)" fontSize={9.5}>
          {abbreviate(detail)}
        </text>
      )}
    </>
  );
}

/** The full words are in the table and in the chart's label; here there is room for a few letters. */
function abbreviate(detail: string): string {
  const words = detail
    .replace('asymmetric', 'asym')
    .replace('block ', 'b')
    .replace('head kept', 'head')
    .replace('embedding', 'emb');
  return words.length > 13 ? `${words.slice(0, 12)}…` : words;
}
