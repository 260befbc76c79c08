/** The charts of a comparison. Loaded only when there is something to draw. */
import type { ReactNode } from 'react';
import {
  levelMetrics,
  outputMetrics,
  readLevel,
  readWorst,
  valueOf,
  type Row,
} from '../../../workers/contract/metric-readings.ts';
import type { MetricChart, Reading } from '../../../workers/contract/metrics.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { PROVIDERS } from '../runtimes/drifts.ts';
import { memoryFor, memoryTotal } from '../results/memory.ts';
import { formatReading } from '../../lib/format/metric.ts';
import { formatBytes, formatBytesTick } from '../../lib/format/numbers.ts';
import type { Provenance } from '../protocols/protocols.ts';
import type { Figure } from '../../store/run.ts';
import { Term } from '../../ui/terms/term.tsx';
import { Card } from './card.tsx';
import classes from './charts.module.css';
import { Frontier, SignalFrontier } from './frontier.tsx';
import { LevelBars, type Bar } from './level-bars.tsx';

interface Props {
  figures: Figure[];
  /** Where models are run, and tokens at once, to predict memory for. */
  provider: Provider;
  context: number;
  /** What was run through the models; null where only sizes are compared. */
  measured: 'text' | 'inputs' | null;
  provenance: Provenance | null;
  contextControl: ReactNode;
}

export function Charts({ figures, provider, context, measured, provenance, contextControl }: Props) {
  const bars = (of: (figure: Figure) => Omit<Bar, 'uid' | 'slot' | 'id' | 'detail'> | null): Bar[] =>
    figures.map((figure) => ({
      uid: figure.level.uid,
      slot: figure.level.slot,
      id: figure.level.id,
      detail: figure.name.slice(figure.level.id.length + 1),
      ...(of(figure) ?? { value: null, text: '' }),
    }));
  const levelCharts = (of: 'file' | 'text'): ChartOf[] =>
    levelMetrics(figures.some(({ unit }) => unit === 'word') ? 'word' : 'token').flatMap((metric) =>
      metric.of === of && metric.chart
        ? [{ metric, chart: metric.chart, read: (figure: Figure) => readLevel(metric, figure) }]
        : [],
    );
  const measuredCharts = measured === 'text' ? levelCharts('text') : measured === 'inputs' ? outputCharts(figures) : [];
  return (
    <div className={classes.grid}>
      {measured === 'text' && (
        <Card
          wide
          title="Size vs. drift"
          about={
            <>
              Down and to the left is better. The dashed line joins the <Term id="frontier">frontier</Term>.
            </>
          }
          provenance={provenance}
        >
          <Frontier figures={figures} />
        </Card>
      )}
      {measured === 'inputs' && (
        <Card
          wide
          title="Size vs. output accuracy"
          about={
            <>
              Up and to the left is better. The dashed line joins the <Term id="frontier">frontier</Term>; of several
              outputs the one that drifted most counts.
            </>
          }
          provenance={provenance}
        >
          <SignalFrontier figures={figures} />
        </Card>
      )}
      {levelCharts('file').map((chart) => (
        <MetricCard key={chart.metric.id} {...chart} bars={bars} provenance={null} />
      ))}
      <Card
        title="Memory, predicted"
        control={contextControl}
        about={
          <>
            On {PROVIDERS[provider]}: weights, and in the lighter part <Term id="kvCache">KV cache</Term>, logits and
            what the runtime takes.
          </>
        }
      >
        <LevelBars
          name="Memory, predicted"
          tick={formatBytesTick}
          bars={bars((figure) => {
            const parts = memoryFor(figure, provider, context);
            return (
              parts && {
                value: parts.weights,
                more: memoryTotal(parts) - parts.weights,
                text: formatBytes(memoryTotal(parts)),
              }
            );
          })}
        />
      </Card>
      {measuredCharts.map((chart, at) => (
        <MetricCard
          key={chart.metric.id}
          {...chart}
          // The last of an odd number has the row to itself.
          wide={measuredCharts.length % 2 === 1 && at === measuredCharts.length - 1}
          bars={bars}
          provenance={provenance}
        />
      ))}
    </div>
  );
}

/** A chart of the table of metrics, and how a level's figure is read for it. */
interface ChartOf {
  metric: Row;
  chart: MetricChart;
  read(figure: Figure): Reading;
}

/** Charts of the outputs of a model that is run on inputs; those of class scores only where some output has them. */
const outputCharts = (figures: readonly Figure[]): ChartOf[] =>
  outputMetrics().flatMap((metric) => {
    const read = ({ outputs }: Figure) => readWorst(metric, outputs ?? []);
    return metric.chart && (!metric.sometimes || figures.some((figure) => read(figure) !== null))
      ? [{ metric, chart: metric.chart, read }]
      : [];
  });

const percentTick = (value: number): string => `${Number((value * 100).toPrecision(4))}\u00a0%`;

function MetricCard({
  metric,
  chart: { title, name, about, axis, limit, baselineAt },
  read,
  bars,
  wide = false,
  provenance,
}: ChartOf & {
  wide?: boolean;
  bars(of: (figure: Figure) => Omit<Bar, 'uid' | 'slot' | 'id' | 'detail'> | null): Bar[];
  provenance: Provenance | null;
}) {
  const drawn = (figure: Figure) => {
    if (figure.baseline && baselineAt !== undefined) return { value: baselineAt, text: 'baseline' };
    const reading = read(figure);
    const text = metric.of === 'outputs' && !figure.outputs?.[0] ? null : formatReading(metric, reading);
    if (text === null) return null;
    const error = typeof reading === 'object' && reading && 'error' in reading ? { error: reading.error } : {};
    return { value: valueOf(reading), ...error, text };
  };
  return (
    <Card title={<Term id={metric.id}>{title}</Term>} about={about} provenance={provenance} wide={wide}>
      <LevelBars
        name={name}
        tick={metric.format === 'bytes' ? formatBytesTick : metric.format === 'share' ? percentTick : String}
        bars={bars(drawn)}
        {...(axis === 'free' ? { dots: true } : {})}
        {...(limit === undefined ? {} : { limit })}
      />
    </Card>
  );
}
