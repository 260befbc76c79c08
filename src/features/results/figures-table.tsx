/** Every chart's numbers, to read and to copy. */
import type { ReactNode } from 'react';
import { Mark } from '../../ui/mark.tsx';
import {
  formatBytes,
  formatChange,
  formatCount,
  formatDecibels,
  formatEstimate,
  formatShare,
  formatSmaller,
} from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { PROVIDERS } from '../runtimes/drifts.ts';
import { memoryOf } from '../speed/speed.ts';
import { headline } from '../outputs/outputs.ts';
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

export function FiguresTable({ figures, provider, dropped, context, provenance, measured: subject }: Props) {
  const ownFile =
    dropped !== undefined && figures.some(({ baseline, bytes }) => baseline && bytes !== null && bytes !== dropped);
  const measuredMemory = figures.some(({ speed }) => speed.some((line) => line.provider === provider && line.memory));
  const baseline = figures.find((figure) => figure.baseline);
  const byWord = figures.some(({ unit }) => unit === 'word');
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
            <th scope="col">File</th>
            <th scope="col">Against fp16</th>
            {ownFile && <th scope="col">Against the dropped file</th>}
            <th scope="col">Weights</th>
            <th scope="col">
              <Term id="predictedMemory">Memory, predicted</Term> on {PROVIDERS[provider]} for {formatCount(context)}{' '}
              tokens
            </th>
            {measuredMemory && <th scope="col">Memory, measured</th>}
            {subject === 'inputs' && (
              <th scope="col">
                <Term id="sqnr">Signal-to-noise ratio</Term>, of the output that drifted most
              </th>
            )}
            {subject !== 'inputs' && (
              <>
                <th scope="col">
                  {byWord ? <Term id="wordPerplexity">Word perplexity</Term> : <Term id="perplexity">Perplexity</Term>}
                </th>
                <th scope="col">Change</th>
                <th scope="col">
                  <Term id="kld">KL divergence</Term>, nats
                </th>
                <th scope="col">its 99th percentile, nats</th>
                <th scope="col">
                  <Term id="sameTop">Same top token</Term>
                </th>
              </>
            )}
          </tr>
        </thead>
        <tbody>
          {figures.map((figure) => {
            const worst = headline(figure.outputs ?? []);
            const { drift, perplexity, bytes, weightBytes } = figure;
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
                <td>{weightBytes === null ? NONE : formatBytes(weightBytes)}</td>
                <td>
                  {parts ? <Hint text={memoryInWords(parts, context)}>{formatBytes(memoryTotal(parts))}</Hint> : NONE}
                </td>
                {measuredMemory && (
                  <td>
                    <MeasuredMemory figure={figure} provider={provider} />
                  </td>
                )}
                {subject === 'inputs' && (
                  <td>{worst && !figure.baseline ? measured(formatDecibels(worst.sqnr)) : NONE}</td>
                )}
                {subject !== 'inputs' && (
                  <>
                    <td>{perplexity ? measured(formatEstimate(perplexity)) : NONE}</td>
                    <td>{drift && !figure.baseline ? measured(formatChange(drift.lnRatio)) : NONE}</td>
                    <td>
                      {drift && !figure.baseline
                        ? measured(formatEstimate({ value: drift.kld.mean, error: drift.kld.error }))
                        : NONE}
                    </td>
                    <td>{drift && !figure.baseline ? measured(drift.kld.p99.toPrecision(3)) : NONE}</td>
                    <td>{drift && !figure.baseline ? measured(formatShare(drift.sameTop)) : NONE}</td>
                  </>
                )}
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
