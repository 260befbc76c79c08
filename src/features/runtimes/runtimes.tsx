/** Which part of a level's error is quantization, which the runtime's, and which fp16's own. */
import { Fragment, type ReactNode } from 'react';
import type { Estimate, NoiseFloor, Report } from '../../../workers/contract/report.ts';
import { Mark, tone } from '../../ui/mark.tsx';
import {
  formatCount,
  formatLarge,
  formatDecibels,
  formatEstimate,
  formatPlain,
  formatPowerOfTen,
  formatShare,
  plural,
} from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import { NONE } from '../../ui/none.tsx';
import type { Figure } from '../../store/run.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import {
  driftRows,
  listed,
  logAxisOf,
  outputDriftRows,
  placeOn,
  PROVIDERS,
  timesPerTick,
  type DriftRow,
  type LogAxis,
} from './drifts.ts';
import classes from './drifts.module.css';

interface Props {
  figures: Figure[];
  report: Report;
  provenance: Provenance | null;
}

export function Runtimes({ figures, report, provenance }: Props) {
  const measured = figures.find(({ runtimeDrift }) => runtimeDrift && !runtimeDrift.problem)?.runtimeDrift;
  const pair = measured
    ? `${PROVIDERS[measured.provider]} against ${PROVIDERS[measured.against]}`
    : 'WebGPU against WASM';
  return (
    <div className={classes.view}>
      {report.protocol ? (
        <Tokens figures={figures} floor={report.noiseFloor ?? null} pair={pair} provenance={provenance} />
      ) : (
        <Outputs figures={figures} pair={pair} provenance={provenance} />
      )}
      <Remarks figures={figures} />
      <Overflow overflow={report.overflow} />
    </div>
  );
}

function Tokens({
  figures,
  floor,
  pair,
  provenance,
}: {
  figures: Figure[];
  floor: NoiseFloor | null;
  pair: string;
  provenance: Provenance | null;
}) {
  const rows = driftRows(figures);
  const values = rows.flatMap(({ quantization, runtime }) => [quantization, runtime].filter((value) => value !== null));
  const axis = logAxisOf(floor ? [...values, floor.kld] : values);
  return (
    <>
      <figure className={classes.figure}>
        <figcaption>
          <p>
            Mean <Term id="kld">KL divergence</Term> per token, nats; each line is {formatCount(timesPerTick(axis))}{' '}
            times the one before it. Whiskers: one <Term id="error">standard error</Term>.
          </p>
          <ul className={classes.legend}>
            <li>
              <Mark slot={2} />{' '}
              <span>
                <Term id="quantizationDrift">Quantization drift</Term>, in the level’s colour and shape
              </span>
            </li>
            <li>
              <Ring />{' '}
              <span>
                <Term id="runtimeDrift">Runtime drift</Term>, {pair}
              </span>
            </li>
            {floor && (
              <li>
                <span className={classes.floorKey} aria-hidden="true" /> <Term id="noiseFloor">Noise floor</Term>
              </li>
            )}
          </ul>
        </figcaption>
        <Plot rows={rows} floor={floor} axis={axis} />
      </figure>
      <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Table of drifts">
        <table className={layout.table}>
          <thead>
            <tr>
              <th scope="col">Level</th>
              <th scope="col">
                <Term id="quantizationDrift">Quantization drift</Term>, nats
              </th>
              <th scope="col">
                <Term id="runtimeDrift">Runtime drift</Term>, nats, {pair}
              </th>
              <th scope="col">
                <Term id="sameTop">Same top token</Term> on both
              </th>
              <th scope="col">Largest of any token, nats</th>
              <th scope="col">Tokens run on both</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ figure, quantization, runtime, tokens }) => {
              const distance = figure.runtimeDrift?.distance;
              const both = runtimeProvenance(figure);
              return (
                <tr
                  key={figure.level.uid}
                  data-exceeds={figure.runtimeDrift?.exceeds || undefined}
                  className={classes.row}
                >
                  <th scope="row">
                    <span className={classes.level}>
                      <Mark slot={figure.level.slot} /> {figure.name}
                    </span>
                  </th>
                  <td>
                    {quantization ? (
                      <Hint text={provenance?.sentence ?? ''}>{formatEstimate(quantization)}</Hint>
                    ) : figure.baseline ? (
                      'baseline'
                    ) : (
                      NONE
                    )}
                  </td>
                  <td>{runtime ? <Hint text={both}>{formatEstimate(runtime)}</Hint> : NONE}</td>
                  <td>{distance ? <Hint text={both}>{formatShare(distance.sameTop)}</Hint> : NONE}</td>
                  <td>{distance ? formatPlain(distance.kld.max) : NONE}</td>
                  <td>{tokens === null ? NONE : formatCount(tokens)}</td>
                </tr>
              );
            })}
            {floor && (
              <tr className={classes.row}>
                <th scope="row">
                  <span className={classes.level}>
                    <span className={classes.floorKey} aria-hidden="true" /> <Term id="noiseFloor">noise floor</Term>
                  </span>
                </th>
                <td>
                  <Hint text={floorProvenance(floor)}>{formatEstimate(floor.kld)}</Hint>
                </td>
                <td>{NONE}</td>
                <td>
                  <Hint text={floorProvenance(floor)}>{formatShare(floor.sameTop)}</Hint>
                </td>
                <td>{formatPlain(floor.kld.max)}</td>
                <td>{formatCount(floor.tokens)}</td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}

const floorProvenance = ({ tokens, reference }: NoiseFloor): string =>
  `The fp16 baseline against ${reference === 'original' ? 'the file’s own float32 weights' : 'itself run in float32'}, on ${plural(tokens, 'token')}. ± is one standard error.`;

function runtimeProvenance({ runtimeDrift: drift }: Figure): string {
  if (!drift) return '';
  const { provider, against, distance, widened } = drift;
  return `The same file on ${PROVIDERS[provider]} and on ${PROVIDERS[against]}${distance ? `, over the same ${plural(distance.tokens, 'token')}` : ''}${widened ? '; run in float32 for want of 16-bit arithmetic on the adapter' : ''}. ± is one standard error.`;
}

function Plot({ rows, floor, axis }: { rows: DriftRow[]; floor: NoiseFloor | null; axis: LogAxis }) {
  const at = (value: number) => `${(100 * placeOn(axis, value)).toFixed(2)}%`;
  const summary = rows
    .map(
      ({ figure, quantization, runtime }) =>
        `${figure.name}: ${
          [
            quantization ? `quantization ${formatEstimate(quantization)}` : null,
            runtime ? `runtime ${formatEstimate(runtime)}` : null,
          ]
            .filter((part) => part !== null)
            .join(', ') || 'not measured'
        }`,
    )
    .join('; ');
  return (
    <div
      className={classes.plot}
      role="img"
      aria-label={`Drifts in nats. ${summary}${floor ? `; noise floor ${formatEstimate(floor.kld)}` : ''}`}
    >
      <div className={classes.names} aria-hidden="true">
        {rows.map(({ figure }) => (
          <span key={figure.level.uid}>
            <Mark slot={figure.level.slot} /> {figure.level.id}
          </span>
        ))}
      </div>
      <div className={classes.area} aria-hidden="true">
        {axis.ticks.map((tick) => (
          <Fragment key={tick}>
            <span className={classes.grid} style={{ left: at(tick) }} />
            <span className={classes.tick} style={{ left: at(tick) }}>
              {tickLabel(tick)}
            </span>
          </Fragment>
        ))}
        {floor && <span className={classes.floor} style={{ width: at(floor.kld.value) }} />}
        {rows.map(({ figure, quantization, runtime }) => (
          <div key={figure.level.uid} className={classes.lane}>
            {quantization && (
              <Spot at={at} of={quantization} colour={tone(figure.level.slot)}>
                <Mark slot={figure.level.slot} size={15} />
              </Spot>
            )}
            {runtime && (
              <Spot at={at} of={runtime} colour={figure.runtimeDrift?.exceeds ? 'var(--alert)' : 'var(--ink)'}>
                <Ring alarming={figure.runtimeDrift?.exceeds === true} />
              </Spot>
            )}
          </div>
        ))}
      </div>
    </div>
  );
}

function Spot({
  at,
  of: { value, error },
  colour,
  children,
}: {
  at: (value: number) => string;
  of: Estimate;
  colour: string;
  children: ReactNode;
}) {
  return (
    <>
      <span
        className={classes.whisker}
        style={{ left: at(value - error), right: `calc(100% - ${at(value + error)})`, background: colour }}
      />
      <span className={classes.spot} style={{ left: at(value) }}>
        {children}
      </span>
    </>
  );
}

function Ring({ alarming = false }: { alarming?: boolean }) {
  return (
    <svg width="15" height="15" viewBox="-8 -8 16 16" aria-hidden="true" focusable="false">
      <circle r="5" fill="var(--raised)" stroke={alarming ? 'var(--alert)' : 'var(--ink)'} strokeWidth="2.4" />
    </svg>
  );
}

function tickLabel(tick: number): string {
  const exponent = Math.round(Math.log10(tick));
  return exponent >= -2 && exponent <= 2 ? String(tick) : formatPowerOfTen(exponent);
}

function Outputs({ figures, pair, provenance }: { figures: Figure[]; pair: string; provenance: Provenance | null }) {
  const rows = outputDriftRows(figures);
  if (rows.length === 0) return <p className={layout.muted}>Nothing was run on two providers.</p>;
  return (
    <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Table of drifts">
      <table className={layout.table}>
        <caption className={classes.caption}>
          Each output’s <Term id="sqnr">signal-to-noise ratio</Term> in decibels, higher is better: after quantizing,
          and between two providers running the same file.
        </caption>
        <thead>
          <tr>
            <th scope="col">Level</th>
            <th scope="col" className={layout.text}>
              Output
            </th>
            <th scope="col">
              <Term id="quantizationDrift">Quantization</Term>, dB
            </th>
            <th scope="col">
              <Term id="runtimeDrift">Runtime</Term>, {pair}, dB
            </th>
            <th scope="col">Largest difference between them</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ figure, output, quantization, runtime }) => (
            <tr
              key={`${figure.level.uid}/${output}`}
              data-exceeds={figure.runtimeDrift?.exceeds || undefined}
              className={classes.row}
            >
              <th scope="row">
                <span className={classes.level}>
                  <Mark slot={figure.level.slot} /> {figure.name}
                </span>
              </th>
              <td className={`${layout.text} ${layout.mono}`}>{output}</td>
              <td>
                {quantization ? (
                  <Hint text={provenance?.sentence ?? ''}>{formatDecibels(quantization.sqnr)}</Hint>
                ) : figure.baseline ? (
                  'baseline'
                ) : (
                  NONE
                )}
              </td>
              <td>{runtime ? <Hint text={runtimeProvenance(figure)}>{formatDecibels(runtime.sqnr)}</Hint> : NONE}</td>
              <td>{runtime ? formatPlain(runtime.maxError) : NONE}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What stands in the way of a figure, or beside it. */
function Remarks({ figures }: { figures: Figure[] }) {
  const widened = figures.filter(({ runtimeDrift }) => runtimeDrift?.widened && !runtimeDrift.problem);
  const remarks = [
    ...figures.flatMap(({ name, runtimeDrift }) =>
      runtimeDrift?.problem ? [`${name}: ${runtimeDrift.problem.message} ${runtimeDrift.problem.action}`] : [],
    ),
    ...(widened.length > 0
      ? [
          `Run in float32 on WebGPU, since the adapter has no 16-bit arithmetic: ${listed(widened.map(({ name }) => name))}.`,
        ]
      : []),
  ];
  return remarks.length === 0 ? null : (
    <ul className={classes.remarks}>
      {remarks.map((remark) => (
        <li key={remark}>{remark}</li>
      ))}
    </ul>
  );
}

function Overflow({ overflow }: { overflow: Report['overflow'] }) {
  if (!overflow) return null;
  if (overflow.length === 0)
    return (
      <p className={classes.aside}>
        No number on the way through the model goes beyond 65,504, the largest that fp16 holds: nothing{' '}
        <Term id="overflow">overflows</Term>.
      </p>
    );
  return (
    <section aria-labelledby="overflow-heading">
      <h4 id="overflow-heading" className={classes.heading}>
        {plural(overflow.length, 'node')} would <Term id="overflow">overflow</Term> in fp16
      </h4>
      <p className={classes.aside}>
        Run in float32 their outputs go beyond 65,504; computed in fp16 they become infinite, and so does what follows.
        Keep activations in float32.
      </p>
      <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Nodes that would overflow">
        <table className={layout.table}>
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col" className={layout.text}>
                Operator
              </th>
              <th scope="col" className={layout.text}>
                Tensor
              </th>
              <th scope="col">Largest value</th>
            </tr>
          </thead>
          <tbody>
            {overflow.map(({ node, operator, tensor, largest }) => (
              <tr key={`${node}/${tensor}`}>
                <td className={layout.mono}>{node}</td>
                <td className={layout.text}>{operator}</td>
                <td className={`${layout.text} ${layout.mono}`}>{tensor}</td>
                <td>{formatLarge(largest)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
