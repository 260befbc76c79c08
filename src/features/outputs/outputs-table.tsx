/** What is left of each output, level by level. */
import { Fragment } from 'react';
import { outputMetrics } from '../../../workers/contract/metric-readings.ts';
import { Mark } from '../../ui/mark.tsx';
import { formatReading } from '../../lib/format/metric.ts';
import { formatShape } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import { NONE } from '../../ui/none.tsx';
import type { Figure } from '../../store/run.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import classes from './outputs.module.css';

export function OutputsTable({ figures, provenance }: { figures: Figure[]; provenance: Provenance | null }) {
  const outputs = figures.flatMap((figure) => figure.outputs ?? []);
  const metrics = outputMetrics().filter(
    (metric) => !metric.sometimes || outputs.some((output) => metric.read(output) !== null),
  );
  const measured = (text: string) => (provenance ? <Hint text={provenance.sentence}>{text}</Hint> : text);
  return (
    <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Table of outputs">
      <table className={layout.table}>
        {provenance && (
          <caption className={classes.caption}>
            Each output against fp16’s, on{' '}
            <Hint text={provenance.sentence} className={classes.tag}>
              {provenance.tag}
            </Hint>
            .
          </caption>
        )}
        <thead>
          <tr>
            <th scope="col">Level</th>
            <th scope="col" className={layout.text}>
              Output
            </th>
            <th scope="col" className={layout.text}>
              Shape
            </th>
            {metrics.map(({ id, label }) => (
              <th key={id} scope="col">
                <Term id={id}>{label}</Term>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {figures.map((figure) => (
            <Fragment key={figure.level.uid}>
              {(figure.outputs ?? []).map((output) => (
                <tr key={output.output}>
                  <th scope="row">
                    <span className={classes.level}>
                      <Mark slot={figure.level.slot} /> {figure.name}
                    </span>
                  </th>
                  <td className={`${layout.text} ${layout.mono}`}>{output.output}</td>
                  <td className={layout.text}>{formatShape(output.shape)}</td>
                  {metrics.map((metric) => {
                    const text = formatReading(metric, metric.read(output));
                    return <td key={metric.id}>{text === null ? NONE : measured(text)}</td>;
                  })}
                </tr>
              ))}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}
