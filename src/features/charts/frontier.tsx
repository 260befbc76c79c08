/** File bytes against drift: every level a point, the ones worth having joined. */
import { useElementSize } from '@mantine/hooks';
import { memo } from 'react';
import { CartesianGrid, ComposedChart, usePlotArea, XAxis, YAxis } from 'recharts';
import { formatBytes, formatBytesTick, formatDecibels, formatEstimate } from '../../lib/format/numbers.ts';
import { worstOutput } from '../../../workers/contract/metric-readings.ts';
import type { Figure } from '../../store/run.ts';
import classes from './charts.module.css';
import { axisOf, fittingTicks, frontierOf, scaleOf, spreadLabels, type Axis } from './domain.ts';
import { useInTurn } from './in-turn.ts';
import { CAP, TICK_LABEL, WHISKER } from './plot.ts';
import { Shape } from '../../ui/mark.tsx';

interface Point {
  uid: string;
  x: number;
  y: number;
  error: number;
  slot: number;
  name: string;
}

const HEIGHT = 320;
const MARGIN = { top: 40, right: 28, bottom: 18, left: 8 };
const X_AXIS_HEIGHT = 30;
const Y_AXIS_WIDTH = 64;
/** Where the title of the vertical axis stands, in pixels. */
const TITLE_X = 14;
const LETTER = 7.4;
const LINE = 16;
/** Room for names above the highest point. */
const HEADROOM = 1.15;

interface Plot {
  name: string;
  unit: string;
  label: string;
  points: Point[];
  frontier: Point[];
  figures: Figure[];
}

export function Frontier({ figures }: { figures: Figure[] }) {
  const points = figures.flatMap(({ bytes, baseline, drift, level, name }): Point[] => {
    if (bytes === null || (!baseline && !drift)) return [];
    return [
      {
        uid: level.uid,
        x: bytes,
        y: baseline ? 0 : (drift?.kld.mean ?? 0),
        error: baseline ? 0 : (drift?.kld.error ?? 0),
        slot: level.slot,
        name,
      },
    ];
  });
  return (
    <FrontierPlot
      name="Size vs. drift"
      unit="nats"
      label="KL divergence, nats per token"
      points={points}
      frontier={frontierOf(points)}
      figures={figures}
    />
  );
}

/** Of models run on inputs: the more of the signal is left the better. What is identical to the baseline has no ratio. */
export function SignalFrontier({ figures }: { figures: Figure[] }) {
  const points = figures.flatMap(({ bytes, outputs, level, name }): Point[] => {
    const ratio = worstOutput(outputs ?? [])?.sqnr ?? null;
    return bytes === null || ratio === null
      ? []
      : [{ uid: level.uid, x: bytes, y: ratio, error: 0, slot: level.slot, name }];
  });
  const frontier = frontierOf(points.map((point) => ({ ...point, y: -point.y }))).map((point) => ({
    ...point,
    y: -point.y,
  }));
  return (
    <FrontierPlot
      name="Size vs. signal-to-noise ratio"
      unit="dB"
      label="signal-to-noise ratio, dB"
      points={points}
      frontier={frontier}
      figures={figures}
    />
  );
}

function FrontierPlot(plot: Plot) {
  const { name, unit, points, frontier, figures } = plot;
  const said = (point: Point) =>
    unit === 'dB' ? formatDecibels(point.y) : `${formatEstimate({ value: point.y, error: point.error })} ${unit}`;
  const summary = `${name}: ${points.map((point) => `${point.name} ${formatBytes(point.x)} at ${said(point)}`).join('; ')}. On the frontier: ${frontier.map((point) => point.name).join(', ')}`;
  const { ref, width } = useElementSize<HTMLDivElement>();
  // The baseline alone says nothing yet.
  const empty = points.length < 2 && figures.length > 1;
  const shown = useInTurn(
    width === 0 || empty
      ? null
      : { ...plot, width, sign: `${width} ${JSON.stringify([points, frontier, figures.map(({ bytes }) => bytes)])}` },
  );
  return (
    <div ref={ref} className={classes.chart} role="img" aria-label={summary} style={{ minHeight: HEIGHT }}>
      {shown && <FrontierChart {...shown} />}
    </div>
  );
}

/** The chart itself. Rendered again only for other props: `useInTurn` returns the same object until its next turn. */
const FrontierChart = memo(function FrontierChart({
  label,
  points,
  frontier,
  figures,
  width,
}: Plot & { width: number }) {
  const across = axisOf(
    figures.map(({ bytes }) => ({ value: bytes })),
    { fromZero: true, count: 5 },
  );
  const up = axisOf(
    points.map(({ y, error }) => ({ value: y * HEADROOM, error })),
    { fromZero: true, count: 4 },
  );
  // All ticks, without measuring their labels: that makes the browser lay out the page.
  const axis = {
    type: 'number',
    // With a domain that no data may extend, an axis needs no data.
    allowDataOverflow: true,
    interval: 0,
    tickLine: false,
    axisLine: { stroke: 'var(--line-strong)' },
    tick: TICK_LABEL,
  } as const;
  return (
    <ComposedChart width={width} height={HEIGHT} accessibilityLayer={false} margin={MARGIN}>
      <CartesianGrid stroke="var(--line)" />
      <XAxis
        {...axis}
        // Without a key the horizontal axis of this kind of chart counts rows.
        dataKey="x"
        domain={across.domain}
        ticks={fittingTicks(across, formatBytesTick, width - MARGIN.left - Y_AXIS_WIDTH - MARGIN.right)}
        tickFormatter={formatBytesTick}
        height={X_AXIS_HEIGHT}
      />
      <YAxis {...axis} domain={up.domain} ticks={up.ticks} width={Y_AXIS_WIDTH} tickFormatter={String} />
      <Marks label={label} points={points} frontier={frontier} across={across} up={up} />
    </ComposedChart>
  );
});

interface MarksProps extends Pick<Plot, 'label' | 'points' | 'frontier'> {
  across: Axis;
  up: Axis;
}

/** Everything but the axes and the grid: the titles of the axes, the frontier, the points, their errors and names. */
function Marks({ label, points, frontier, across, up }: MarksProps) {
  const area = usePlotArea();
  if (!area) return null;
  const x = scaleOf(across.domain, area.x, area.width);
  const y = scaleOf(up.domain, area.y + area.height, -area.height);
  const middle = area.y + area.height / 2;
  return (
    <g>
      <g fill="var(--muted)" fontSize={12} textAnchor="middle">
        <text x={area.x + area.width / 2} y={HEIGHT - 14}>
          file size
        </text>
        <text x={TITLE_X} y={middle} transform={`rotate(-90 ${TITLE_X} ${middle})`}>
          {label}
        </text>
      </g>
      <polyline
        points={frontier.map((point) => `${x(point.x)},${y(point.y)}`).join(' ')}
        fill="none"
        stroke="var(--faint)"
        strokeDasharray="4 4"
      />
      {points.map((point) => (
        <Shape key={point.uid} slot={point.slot} x={x(point.x)} y={y(point.y)} size={16} />
      ))}
      {points.map(
        ({ uid, error, ...point }) =>
          error > 0 && (
            <path key={uid} {...WHISKER} d={whiskerPath(x(point.x), y(point.y - error), y(point.y + error))} />
          ),
      )}
      <Names points={points} area={area} x={x} y={y} />
    </g>
  );
}

const whiskerPath = (x: number, low: number, high: number): string =>
  `M${x} ${low}V${high}M${x - CAP} ${low}h${2 * CAP}M${x - CAP} ${high}h${2 * CAP}`;

interface NamesProps {
  points: readonly Point[];
  area: { x: number; width: number };
  x: (value: number) => number;
  y: (value: number) => number;
}

/** The levels' names above their points, moved up where they would cover each other. */
function Names({ points, area, x, y }: NamesProps) {
  const places = spreadLabels(
    points.map((point) => {
      const width = point.name.length * LETTER;
      return {
        left: Math.min(Math.max(x(point.x) - width / 2, area.x + 4), area.x + area.width - width),
        width,
        y: y(point.y) - 18,
      };
    }),
    LINE,
  );
  return (
    <g textAnchor="middle" fill="var(--ink)" fontSize={12.5} fontWeight={600}>
      {points.map(({ uid, name }, index) => {
        const place = places[index];
        return (
          place && (
            <text key={uid} x={place.left + place.width / 2} y={place.y}>
              {name}
            </text>
          )
        );
      })}
    </g>
  );
}
