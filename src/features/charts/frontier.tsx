/** File bytes against drift: every level a point, the ones worth having joined. */
import { useElementSize } from '@mantine/hooks';
import { memo } from 'react';
import { CartesianGrid, ErrorBar, Label, Scatter, ScatterChart, usePlotArea, XAxis, YAxis } from 'recharts';
import { formatBytes, formatBytesTick, formatDecibels, formatEstimate } from '../../lib/format/numbers.ts';
import { worstOutput } from '../../../workers/contract/metric-readings.ts';
import type { Figure } from '../../store/run.ts';
import classes from './charts.module.css';
import { axisOf, frontierOf, spreadLabels, type Axis } from './domain.ts';
import { useInTurn } from './in-turn.ts';
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
      {shown && <Drawn {...shown} />}
    </div>
  );
}

const Drawn = memo(function Drawn({ label, points, frontier, figures, width }: Plot & { width: number }) {
  const across = axisOf(
    figures.map(({ bytes }) => ({ value: bytes })),
    { fromZero: true, count: 5 },
  );
  const up = axisOf(
    points.map(({ y, error }) => ({ value: y * HEADROOM, error })),
    { fromZero: true, count: 4 },
  );
  return (
    <ScatterChart
      width={width}
      height={HEIGHT}
      accessibilityLayer={false}
      margin={{ top: 40, right: 28, bottom: 18, left: 8 }}
    >
      <CartesianGrid stroke="var(--line)" />
      <XAxis
        type="number"
        dataKey="x"
        domain={across.domain}
        ticks={across.ticks}
        tickFormatter={formatBytesTick}
        tickLine={false}
        axisLine={{ stroke: 'var(--line-strong)' }}
        tick={{ fill: 'var(--muted)', fontSize: 11 }}
      >
        <Label value="file size" position="insideBottom" offset={-12} fill="var(--muted)" fontSize={12} />
      </XAxis>
      <YAxis
        type="number"
        dataKey="y"
        domain={up.domain}
        ticks={up.ticks}
        width={64}
        tickLine={false}
        tickFormatter={String}
        axisLine={{ stroke: 'var(--line-strong)' }}
        tick={{ fill: 'var(--muted)', fontSize: 11 }}
      >
        <Label
          value={label}
          angle={-90}
          position="insideLeft"
          offset={2}
          fill="var(--muted)"
          fontSize={12}
          style={{ textAnchor: 'middle' }}
        />
      </YAxis>
      <Scatter
        data={frontier}
        isAnimationActive={false}
        line={{ stroke: 'var(--faint)', strokeDasharray: '4 4' }}
        shape={() => <g />}
      />
      <Scatter data={points} isAnimationActive={false} shape={dot}>
        <ErrorBar
          dataKey="error"
          direction="y"
          width={5}
          strokeWidth={1.4}
          stroke="var(--ink)"
          isAnimationActive={false}
        />
      </Scatter>
      <Names points={points} across={across} up={up} />
    </ScatterChart>
  );
});

function dot(props: unknown) {
  if (typeof props !== 'object' || props === null) return <g />;
  const { cx, cy, payload } = props as { cx?: number; cy?: number; payload?: Point };
  return cx === undefined || cy === undefined || !payload ? (
    <g />
  ) : (
    <Shape slot={payload.slot} x={cx} y={cy} size={16} />
  );
}

function Names({ points, across, up }: { points: Point[]; across: Axis; up: Axis }) {
  const area = usePlotArea();
  if (!area) return null;
  const share = (value: number, [low, high]: [number, number]) => (value - low) / (high - low);
  const places = spreadLabels(
    points.map(({ x, y, name }) => {
      const width = name.length * LETTER;
      const middle = area.x + share(x, across.domain) * area.width;
      return {
        left: Math.min(Math.max(middle - width / 2, area.x + 4), area.x + area.width - width),
        width,
        y: area.y + (1 - share(y, up.domain)) * area.height - 18,
      };
    }),
    LINE,
  );
  return (
    <g>
      {points.map(({ uid, name }, index) => {
        const place = places[index];
        return (
          place && (
            <text
              key={uid}
              x={place.left + place.width / 2}
              y={place.y}
              textAnchor="middle"
              fill="var(--ink)"
              fontSize={12.5}
              fontWeight={600}
            >
              {name}
            </text>
          )
        );
      })}
    </g>
  );
}
