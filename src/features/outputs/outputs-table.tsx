/** What is left of each output, level by level. */
import { Fragment } from 'react';
import type { Estimate } from '../../../workers/contract/report.ts';
import { Mark } from '../../ui/mark.tsx';
import { formatCorrelation, formatDecibels, formatPlain, formatShape, formatShare } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import { NONE } from '../../ui/none.tsx';
import type { Figure } from '../../store/run.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import classes from './outputs.module.css';

export function OutputsTable({ figures, provenance }: { figures: Figure[]; provenance: Provenance | null }) {
  const outputs = figures.flatMap((figure) => figure.outputs ?? []);
  const shown = {
    top1: outputs.some(({ top1 }) => top1),
    top5: outputs.some(({ top5 }) => top5),
    equal: outputs.some(({ equal }) => equal),
  };
  const share = (value: Estimate | null | undefined) => <td>{value ? measured(formatShare(value)) : NONE}</td>;
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
            <th scope="col">
              <Term id="sqnr">Signal-to-noise ratio</Term>
            </th>
            <th scope="col">
              <Term id="cosine">Cosine</Term>
            </th>
            <th scope="col">
              <Term id="maxError">Largest difference</Term>
            </th>
            <th scope="col">
              <Term id="outputRms">Output RMS</Term>
            </th>
            {shown.top1 && (
              <th scope="col">
                <Term id="top1">Same top class</Term>
              </th>
            )}
            {shown.top5 && (
              <th scope="col">
                <Term id="top5">In the top 5</Term>
              </th>
            )}
            {shown.equal && (
              <th scope="col">
                <Term id="equalValues">Same values</Term>
              </th>
            )}
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
                  <td>{measured(formatDecibels(output.sqnr))}</td>
                  <td>{measured(formatCorrelation(output.cosine))}</td>
                  <td>{measured(formatPlain(output.maxError))}</td>
                  <td>{formatPlain(output.rms)}</td>
                  {shown.top1 && share(output.top1)}
                  {shown.top5 && share(output.top5)}
                  {shown.equal && share(output.equal)}
                </tr>
              ))}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}
