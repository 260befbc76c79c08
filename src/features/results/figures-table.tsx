/** Every chart's numbers, to read and to copy. */
import type { ReactNode } from 'react';
import { Mark } from '../../ui/mark.tsx';
import {
  headingOf,
  levelMetrics,
  outputMetrics,
  readLevel,
  readWorst,
  type Row,
} from '../../../workers/contract/metric-readings.ts';
import { METRICS, type Format } from '../../../workers/contract/metrics.ts';
import { formatReading } from '../../lib/format/metric.ts';
import { formatBytes, formatCount, formatSmaller } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { PROVIDERS } from '../runtimes/drifts.ts';
import { memoryOf } from '../speed/speed.ts';
import type { Provenance } from '../protocols/protocols.ts';
import type { Figure } from '../../store/run.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import { memoryFor, memoryInWords, memoryTotal } from './memory.ts';
import { NONE } from '../../ui/none.tsx';
import classes from './results.module.css';

interface Props {
  figures: Figure[];
  provider: Provider;
  /** Bytes of the model as it was dropped; undefined when unknown. */ dropped: number | undefined;
  context: number;
  provenance: Provenance | null;
  measured: 'text' | 'inputs' | null;
}

/** A column of measured figures. */
interface Column {
  metric: Row;
  heading: string;
  read(figure: Figure): string | null;
}

/** Whether figures of this format are written without their unit, which then stands in the head of the column. */
const isBare = (format: Format): boolean => format === 'plain' || format === 'estimate';

/** Every level's sizes, memory and measured figures. */
export function FiguresTable({ figures, provider, dropped, context, provenance, measured: subject }: Props) {
  const ownFile =
    dropped !== undefined && figures.some(({ baseline, bytes }) => baseline && bytes !== null && bytes !== dropped);
  const measuredMemory = figures.some(({ speed }) => speed.some((line) => line.provider === provider && line.memory));
  const baseline = figures.find((figure) => figure.baseline);
  const metrics = levelMetrics(figures.some(({ unit }) => unit === 'word') ? 'word' : 'token');
  const others = metrics.filter(({ of, id, page }) => of === 'file' && id !== 'bytes' && page);
  const columns: Column[] =
    subject === 'inputs'
      ? outputMetrics().flatMap((metric) =>
          metric.page
            ? {
                metric,
                heading: headingOf(metric, metric.page),
                read: ({ outputs, baseline: isBaseline }) =>
                  outputs?.[0] && !isBaseline ? formatReading(metric, readWorst(metric, outputs)) : null,
              }
            : [],
        )
      : metrics.flatMap((metric) =>
          metric.of === 'text' && metric.page
            ? {
                metric,
                heading: headingOf(metric, metric.page),
                read: (figure) => formatReading(metric, readLevel(metric, figure)),
              }
            : [],
        );
  const measured = (children: ReactNode) =>
    provenance ? <Hint text={provenance.sentence}>{children}</Hint> : children;
  return (
    <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Table of figures">
      <table className={layout.table}>
        {provenance && subject === 'text' && (
          <caption className={classes.caption}>
            Measured by the <Term id="protocol">protocol</Term>{' '}
            <Hint text={provenance.sentence} className={classes.tag}>
              {provenance.tag}
            </Hint>
            .
          </caption>
        )}
        <thead>
          <tr>
            <th scope="col">Level</th>
            <th scope="col">
              <Term id="bytes">{METRICS.bytes.label}</Term>
            </th>
            <th scope="col">Against fp16</th>
            {ownFile && <th scope="col">Against the dropped file</th>}
            {others.map(({ id, label }) => (
              <th key={id} scope="col">
                <Term id={id}>{label}</Term>
              </th>
            ))}
            <th scope="col">
              <Term id="predictedMemory">Memory, predicted</Term> on {PROVIDERS[provider]} for {formatCount(context)}{' '}
              tokens
            </th>
            {measuredMemory && <th scope="col">Memory, measured</th>}
            {columns.map(({ metric, heading }) => (
              <th key={metric.id} scope="col">
                <Term id={metric.id}>{heading}</Term>
                {isBare(metric.format) && metric.unit && `, ${metric.unit}`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {figures.map((figure) => {
            const { bytes } = figure;
            const parts = memoryFor(figure, provider, context);
            return (
              <tr key={figure.level.uid}>
                <th scope="row">
                  <span className={classes.level}>
                    <Mark slot={figure.level.slot} /> {figure.name}
                  </span>
                </th>
                <td>{bytes === null ? NONE : formatBytes(bytes)}</td>
                <td>
                  {bytes === null || !baseline?.bytes || figure.baseline ? NONE : formatSmaller(bytes, baseline.bytes)}
                </td>
                {ownFile && <td>{bytes === null ? NONE : formatSmaller(bytes, dropped)}</td>}
                {others.map((metric) => (
                  <td key={metric.id}>{formatReading(metric, readLevel(metric, figure)) ?? NONE}</td>
                ))}
                <td>
                  {parts ? <Hint text={memoryInWords(parts, context)}>{formatBytes(memoryTotal(parts))}</Hint> : NONE}
                </td>
                {measuredMemory && (
                  <td>
                    <MeasuredMemory figure={figure} provider={provider} />
                  </td>
                )}
                {columns.map(({ metric, read }) => {
                  const text = read(figure);
                  return <td key={metric.id}>{text === null ? NONE : measured(text)}</td>;
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Measured while a level's speed was, on fewer tokens than the context: what was predicted for those stands beside it. */
function MeasuredMemory({ figure, provider }: { figure: Figure; provider: Provider }) {
  const memory = figure.speed.find((line) => line.provider === provider)?.memory;
  if (!memory) return NONE;
  const { text, predicted } = memoryOf(memory);
  const { parts } = memory;
  return (
    <Hint
      text={`${formatBytes(predicted)} were predicted for that run. ${parts ? memoryInWords(parts, parts.tokens) : ''}`}
    >
      {text}
      {parts && parts.tokens > 0 ? ` for ${formatCount(parts.tokens)} tokens` : ''}
    </Hint>
  );
}
