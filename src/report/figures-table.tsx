/** Every chart's numbers, to read and to copy. */
import type { ReactNode } from 'react';
import { Mark } from '../charts/mark.tsx';
import { formatBytes, formatChange, formatCount, formatDecibels, formatEstimate, formatShare, formatSmaller } from '../format/numbers.ts';
import layout from '../layout.module.css';
import { headline } from '../outputs/outputs.ts';
import type { Provenance } from '../protocols/protocols.ts';
import type { Figure } from '../store/run.ts';
import { Hint, Term } from '../terms/term.tsx';
import { NONE } from './none.tsx';
import classes from './results.module.css';

interface Props { figures: Figure[]; cacheBytes: number | null; context: number; provenance: Provenance | null; measured: 'text' | 'inputs' | null }

export function FiguresTable({ figures, cacheBytes, context, provenance, measured: subject }: Props) {
  const baseline = figures.find((figure) => figure.baseline);
  const byWord = figures.some(({ unit }) => unit === 'word');
  const measured = (children: ReactNode) => provenance ? <Hint text={provenance.sentence}>{children}</Hint> : children;
  return (
    <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Table of figures">
      <table className={layout.table}>
        {provenance && subject === 'text' && (
          <caption className={classes.caption}>
            Measured by the <Term id="protocol">protocol</Term> <Hint text={provenance.sentence} className={classes.tag}>{provenance.tag}</Hint>.
          </caption>
        )}
        <thead>
          <tr>
            <th scope="col">Level</th>
            <th scope="col">File</th>
            <th scope="col">Against fp16</th>
            <th scope="col">Weights</th>
            <th scope="col">Memory, predicted{cacheBytes !== null && <>, {formatCount(context)} tokens of <Term id="kvCache">KV cache</Term></>}</th>
            {subject === 'inputs' && <th scope="col"><Term id="sqnr">Signal-to-noise ratio</Term>, of the output that drifted most</th>}
            {subject !== 'inputs' && <>
            <th scope="col">{byWord ? <Term id="wordPerplexity">Word perplexity</Term> : <Term id="perplexity">Perplexity</Term>}</th>
            <th scope="col">Change</th>
            <th scope="col"><Term id="kld">KL divergence</Term>, nats</th>
            <th scope="col">its 99th percentile, nats</th>
            <th scope="col"><Term id="sameTop">Same top token</Term></th>
            </>}
          </tr>
        </thead>
        <tbody>
          {figures.map((figure) => {
            const worst = headline(figure.outputs ?? []);
            const { drift, perplexity, bytes, weightBytes } = figure;
            return (
              <tr key={figure.level.uid}>
                <th scope="row"><span className={classes.level}><Mark slot={figure.level.slot} /> {figure.name}</span></th>
                <td>{bytes === null ? NONE : formatBytes(bytes)}</td>
                <td>{bytes === null || !baseline?.bytes || figure.baseline ? NONE : formatSmaller(bytes, baseline.bytes)}</td>
                <td>{weightBytes === null ? NONE : formatBytes(weightBytes)}</td>
                <td>{weightBytes === null ? NONE : formatBytes(weightBytes + (cacheBytes ?? 0))}</td>
                {subject === 'inputs' && <td>{worst && !figure.baseline ? measured(formatDecibels(worst.sqnr)) : NONE}</td>}
                {subject !== 'inputs' && <>
                <td>{perplexity ? measured(formatEstimate(perplexity)) : NONE}</td>
                <td>{drift && !figure.baseline ? measured(formatChange(drift.lnRatio)) : NONE}</td>
                <td>{drift && !figure.baseline ? measured(formatEstimate({ value: drift.kld.mean, error: drift.kld.error })) : NONE}</td>
                <td>{drift && !figure.baseline ? measured(drift.kld.p99.toPrecision(3)) : NONE}</td>
                <td>{drift && !figure.baseline ? measured(formatShare(drift.sameTop)) : NONE}</td>
                </>}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
