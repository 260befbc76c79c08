/** One number a level, as bars or as dots with whiskers, with the numbers themselves in a column beside them. */
import { greatest } from '../../../workers/contract/extremes.ts';
import { useElementSize } from '@mantine/hooks';
import { memo, useId } from 'react';
import { Bar as RechartsBar, BarChart, CartesianGrid, ErrorBar, usePlotArea, XAxis, YAxis } from 'recharts';
import classes from './charts.module.css';
import { axisOf } from './domain.ts';
import { useInTurn } from './in-turn.ts';
import { patternId, Patterns, Shape, tone } from '../../ui/mark.tsx';

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

const ROW = 46;
const NAME_ROOM = 84;
/** Widest a character of a value may be, in pixels: system fonts differ. */
const LETTER = 7.5;
const GAP = 14;

export function LevelBars(props: Props) {
  const { name, bars } = props;
  const summary = `${name}: ${bars
    .filter(({ value }) => value !== null)
    .map(({ id, detail, text }) => `${id}${detail ? ` ${detail}` : ''} ${text}`)
    .join('; ')}`;
  // The width is known before anything is drawn: a chart that finds it out by itself is drawn twice.
  const { ref, width } = useElementSize<HTMLDivElement>();
  const shown = useInTurn(width === 0 ? null : { ...props, width, sign: `${width} ${JSON.stringify(bars)}` });
  return (
    <div ref={ref} className={classes.chart} role="img" aria-label={summary} style={{ minHeight: heightOf(bars) }}>
      {shown && <Drawn {...shown} />}
    </div>
  );
}

const heightOf = (bars: readonly Bar[]): number => bars.length * ROW + 26;

/** Anew only for another `Props`: what it was given stays the same object until its turn comes again. */
export const Drawn = memo(function Drawn({ bars, tick, dots = false, limit, width }: Props & { width: number }) {
  const prefix = useId();
  const reach = bars.flatMap(({ value, error = 0, spread, more = 0, target }) => [
    { value, error: spread && value !== null ? Math.max(value - spread[0], spread[1] - value) : error, more },
    { value: target ?? null },
  ]);
  const { domain, ticks } = axisOf(reach, { fromZero: !dots, count: 3, ...(limit === undefined ? {} : { limit }) });
  const valueRoom =
    greatest(
      bars.map(({ text }) => text.length),
      9,
    ) *
      LETTER +
    GAP;
  const height = heightOf(bars);
  const stacked = bars.some(({ more }) => more !== undefined);
  return (
    <BarChart
      width={width}
      height={height}
      data={bars}
      layout="vertical"
      accessibilityLayer={false}
      barSize={20}
      margin={{ top: 0, right: valueRoom, bottom: 0, left: 0 }}
    >
      <Patterns slots={bars.map(({ slot }) => slot)} prefix={prefix} />
      <CartesianGrid horizontal={false} stroke="var(--line)" />
      <XAxis
        type="number"
        domain={domain}
        allowDataOverflow
        ticks={ticks}
        tickFormatter={tick}
        tickLine={false}
        axisLine={false}
        height={24}
        minTickGap={8}
        tick={{ fill: 'var(--muted)', fontSize: 11 }}
      />
      <YAxis
        type="category"
        dataKey="uid"
        width={NAME_ROOM}
        tickLine={false}
        axisLine={{ stroke: dots ? 'var(--line)' : 'var(--line-strong)' }}
        tick={({ x, y, payload }) => (
          <Name bar={bars.find(({ uid }) => uid === payload.value)} x={Number(x)} y={Number(y)} />
        )}
      />
      <RechartsBar
        dataKey="value"
        stackId="all"
        isAnimationActive={false}
        shape={(props: unknown) => (dots || !drawn(props, bars) ? <g /> : <Body {...boxOf(props)} prefix={prefix} />)}
      >
        {bars.some(({ error, spread }) => error !== undefined || spread !== undefined) && (
          <ErrorBar
            dataKey={({ uid }: Bar) => whiskers(bars.find((bar) => bar.uid === uid))}
            direction="x"
            width={5}
            strokeWidth={1.4}
            stroke="var(--ink)"
            isAnimationActive={false}
          />
        )}
      </RechartsBar>
      {stacked && (
        <RechartsBar
          dataKey="more"
          stackId="all"
          isAnimationActive={false}
          shape={(props: unknown) => (drawn(props, bars) ? <More {...boxOf(props)} /> : <g />)}
        />
      )}
      {bars.some(({ target }) => target !== undefined) && <Targets bars={bars} domain={domain} />}
      {dots && <Dots bars={bars} domain={domain} />}
      <Values bars={bars} />
    </BarChart>
  );
});

/** The chart library puts a stacked pair in the place of a datum's value: bars are looked up. */
function whiskers(bar: Bar | undefined): number | [number, number] {
  if (!bar?.spread || bar.value === null) return bar?.error ?? 0;
  return [bar.value - bar.spread[0], bar.spread[1] - bar.value];
}

function Targets({ bars, domain: [low, high] }: { bars: Bar[]; domain: [number, number] }) {
  const area = usePlotArea();
  if (!area) return null;
  const row = area.height / bars.length;
  return (
    <g stroke="var(--ink)" strokeWidth={2}>
      {bars.map(({ uid, target }, index) => {
        if (target === undefined) return null;
        const x = area.x + ((target - low) / (high - low)) * area.width;
        return (
          <line key={uid} x1={x} x2={x} y1={area.y + (index + 0.5) * row - 15} y2={area.y + (index + 0.5) * row + 15} />
        );
      })}
    </g>
  );
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
  slot: number;
}

/** The chart library hands a shape its place and its datum in one untyped object. */
function boxOf(props: unknown): Box {
  const source = typeof props === 'object' && props !== null ? props : {};
  const number = (key: string): number => {
    const value: unknown = Reflect.get(source, key);
    return typeof value === 'number' && Number.isFinite(value) ? value : 0;
  };
  return { x: number('x'), y: number('y'), width: number('width'), height: number('height'), slot: number('slot') };
}

/** Levels without a number yet come as bars of no length, which must not look like a zero. */
function drawn(props: unknown, bars: Bar[]): boolean {
  if (typeof props !== 'object' || props === null) return false;
  const uid: unknown = Reflect.get(props, 'uid');
  return bars.some((bar) => bar.uid === uid && bar.value !== null);
}

function Body({ x, y, width, height, slot, prefix }: Box & { prefix: string }) {
  return (
    <rect x={x} y={y} width={Math.max(width, 1)} height={height} rx={2} fill={`url(#${patternId(prefix, slot)})`} />
  );
}

/** Drawn over the plot and not inside it, where a mark at the very end would be cut in half. */
function Dots({ bars, domain: [low, high] }: { bars: Bar[]; domain: [number, number] }) {
  const area = usePlotArea();
  if (!area) return null;
  return (
    <g>
      {bars.map(({ uid, slot, value }, index) => {
        if (value === null) return null;
        const x = area.x + ((value - low) / (high - low)) * area.width;
        const y = area.y + ((index + 0.5) * area.height) / bars.length;
        return (
          <g key={uid}>
            <line x1={area.x} x2={x} y1={y} y2={y} stroke={tone(slot)} strokeWidth={1} strokeDasharray="1 4" />
            <Shape slot={slot} x={x} y={y} size={13} />
          </g>
        );
      })}
    </g>
  );
}

function More({ x, y, width, height, slot }: Box) {
  return (
    <rect
      x={x}
      y={y}
      width={Math.max(0, width)}
      height={height}
      rx={2}
      fill={tone(slot)}
      fillOpacity={0.3}
      stroke={tone(slot)}
      strokeOpacity={0.6}
    />
  );
}

function Values({ bars }: { bars: Bar[] }) {
  const area = usePlotArea();
  if (!area) return null;
  return (
    <g>
      {bars.map(({ uid, text }, index) => (
        <text
          key={uid}
          x={area.x + area.width + GAP}
          y={area.y + ((index + 0.5) * area.height) / bars.length}
          dominantBaseline="central"
          fill="var(--ink)"
          fontSize={12}
          fontWeight={550}
        >
          {text}
        </text>
      ))}
    </g>
  );
}

function Name({ bar, x, y }: { bar: Bar | undefined; x: number; y: number }) {
  if (!bar) return null;
  const left = x - NAME_ROOM + 14;
  return (
    <g>
      <Shape slot={bar.slot} x={left} y={y} size={10} />
      <text
        x={left + 12}
        y={bar.detail ? y - 6 : y}
        dominantBaseline="central"
        fill="var(--ink)"
        fontSize={12.5}
        fontWeight={600}
      >
        {bar.id}
      </text>
      {bar.detail && (
        <text x={left + 12} y={y + 8} dominantBaseline="central" fill="var(--muted)" fontSize={9.5}>
          {short(bar.detail)}
        </text>
      )}
    </g>
  );
}

/** The full words are in the table and in the chart's label; here there is room for a few letters. */
function short(detail: string): string {
  const words = detail
    .replace('asymmetric', 'asym')
    .replace('block ', 'b')
    .replace('head kept', 'head')
    .replace('embedding', 'emb');
  return words.length > 13 ? `${words.slice(0, 12)}…` : words;
}
