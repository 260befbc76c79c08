/** How fast each level loads and runs, and what memory it takes beside what was predicted; a group a provider. */
import { Card } from '../charts/card.tsx';
import { LevelBars, type Bar } from '../charts/level-bars.tsx';
import { Mark } from '../../ui/mark.tsx';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { speedMetrics } from '../../../workers/contract/metric-readings.ts';
import type { SpeedMetric } from '../../../workers/contract/metrics.ts';
import type { MeasuredMemory, Speed, Spread } from '../../../workers/contract/report.ts';
import { PROVIDERS } from '../runtimes/drifts.ts';
import { formatReading } from '../../lib/format/metric.ts';
import {
  formatBytes,
  formatBytesTick,
  formatCount,
  formatRate,
  formatSeconds,
  plural,
} from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { NONE } from '../../ui/none.tsx';
import type { Figure } from '../../store/run.ts';
import { memoryInWords } from '../results/memory.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import { changeInWords, speedChanges } from './against-baseline.ts';
import { countOrNone, formatExtremes, memoryOf, speedGroups, type SpeedGroup, type SpeedLine } from './speed.ts';
import classes from './speed.module.css';

export function SpeedView({ figures }: { figures: Figure[] }) {
  const groups = speedGroups(figures);
  return (
    <div className={classes.view}>
      <p className={classes.about}>
        Bars are medians, whiskers the fastest and the slowest run; warm-up is left out, and each level is alone in a
        worker of its own. Figures of different providers have axes of their own.
      </p>
      {groups.map((group) => (
        <Group key={group.provider} group={group} />
      ))}
    </div>
  );
}

const nameOf = ({ provider, threads }: SpeedGroup): string =>
  provider === 'wasm' ? `WASM, ${plural(threads, 'thread')}` : PROVIDERS[provider];

function Group({ group }: { group: SpeedGroup }) {
  const { provider, lines } = group;
  const name = nameOf(group);
  const bars = (of: (line: SpeedLine) => Omit<Bar, 'uid' | 'slot' | 'id' | 'detail'> | null): Bar[] =>
    lines.map((line) => ({
      uid: line.figure.level.uid,
      slot: line.figure.level.slot,
      id: line.figure.level.id,
      detail: line.figure.name.slice(line.figure.level.id.length + 1),
      ...(of(line) ?? { value: null, text: '' }),
    }));
  const spread = (of: (line: SpeedLine) => Spread | null | undefined, write: (value: number) => string) =>
    bars((line) => {
      const measured = of(line);
      return measured
        ? { value: measured.median, spread: [measured.low, measured.high], text: write(measured.median) }
        : null;
    });
  const has = (of: (line: SpeedLine) => unknown) => lines.some((line) => of(line) != null);
  const cached = lines.find(({ speed }) => speed.decode)?.speed.decode?.cached;
  const tokens = lines.find(({ speed }) => speed.prefill)?.speed.prefill?.tokens;
  const remarks = remarksOn(group);
  return (
    <section aria-label={`Speed and memory on ${name}`}>
      <h4 className={classes.heading}>
        <Term id="provider">{name}</Term>
      </h4>
      <div className={classes.grid}>
        {has(({ speed }) => speed.load) && (
          <Card title={<Term id="loadTime">Load time</Term>} about="From memory to running; less is better.">
            <LevelBars
              name={`Load time on ${name}`}
              tick={formatTick}
              bars={spread(({ speed }) => speed.load, formatSeconds)}
            />
          </Card>
        )}
        {has(({ speed }) => speed.run) && (
          <Card title={<Term id="runTime">One run</Term>} about="Of the whole model; less is better.">
            <LevelBars
              name={`Time of one run on ${name}`}
              tick={formatTick}
              bars={spread(({ speed }) => speed.run, formatSeconds)}
            />
          </Card>
        )}
        {has(({ speed }) => speed.prefill) && (
          <Card
            title={<Term id="prefill">Prefill</Term>}
            about={`${tokens === undefined ? 'Many tokens' : plural(tokens, 'token')} at once; more is better.`}
          >
            <LevelBars
              name={`Prefill on ${name}`}
              tick={rateTick}
              bars={spread(({ speed }) => speed.prefill?.tokensPerSecond, formatRate)}
            />
          </Card>
        )}
        {has(({ speed }) => speed.decode) && (
          <Card
            title={<Term id="decode">Decode</Term>}
            about={
              <>
                One by one, {cached ? <>with</> : <>without</>} a <Term id="kvCache">KV cache</Term>; more is better.
              </>
            }
          >
            <LevelBars
              name={`Decode on ${name}`}
              tick={rateTick}
              bars={spread(({ speed }) => speed.decode?.tokensPerSecond, formatRate)}
            />
          </Card>
        )}
        {has(({ speed }) => speed.memory) && (
          <Card
            wide
            title={
              provider === 'webgpu' ? (
                <Term id="steady">GPU memory, measured</Term>
              ) : (
                <Term id="heap">Heap, measured</Term>
              )
            }
            about={
              <>
                {provider === 'webgpu'
                  ? 'Held when loaded, and in the lighter part the peak.'
                  : 'The WebAssembly heap at its largest.'}{' '}
                The upright line is what was <Term id="predictedMemory">predicted</Term>.
              </>
            }
          >
            <LevelBars
              name={`Measured memory on ${name}`}
              tick={formatBytesTick}
              bars={bars(({ speed: { memory } }) => {
                const drawn = memory && memoryOf(memory);
                return drawn
                  ? { value: drawn.held, more: drawn.more, target: drawn.predicted, text: drawn.text }
                  : null;
              })}
            />
          </Card>
        )}
      </div>
      {remarks.length > 0 && (
        <ul className={classes.remarks}>
          {remarks.map((remark) => (
            <li key={remark}>{remark}</li>
          ))}
        </ul>
      )}
      <div
        className={`${layout.tableWrap} ${classes.tableWrap}`}
        tabIndex={0}
        role="region"
        aria-label={`Table of speed and memory on ${name}`}
      >
        <Table group={group} name={name} />
      </div>
    </section>
  );
}

const rateTick = (perSecond: number): string => perSecond.toLocaleString('en', { maximumSignificantDigits: 3 });
const formatTick = (seconds: number): string =>
  seconds === 0
    ? '0'
    : formatSeconds(seconds)
        .replace(/(\.\d*?)0+(?=\D)/, '$1')
        .replace(/\.(?=\D)/, '');

function Table({ group: { provider, lines }, name }: { group: SpeedGroup; name: string }) {
  const language = lines.some(({ speed }) => speed.prefill ?? speed.decode);
  const fp16 = lines.find(({ figure }) => figure.baseline)?.figure;
  const against = (figure: Figure): string | null => {
    if (figure.sameFileAs != null) return `same file as ${figure.sameFileAs}`;
    const change = speedChanges(figure, fp16).find((each) => each.provider === provider);
    return change
      ? changeInWords(change).replace(' than fp16', '').replace('as fast as fp16', 'no difference seen')
      : null;
  };
  const metrics = speedMetrics().filter(
    ({ page, when }) => page && (when === undefined || when === (language ? 'language' : 'other') || when === provider),
  );
  const times = metrics.filter(isTime);
  const others = metrics.filter((metric) => !isTime(metric));
  const heads = (columns: typeof metrics) =>
    columns.map(({ id, label }) => (
      <th key={id} scope="col">
        <Term id={id}>{label}</Term>
      </th>
    ));
  const cells = (columns: typeof metrics, speed: Speed) =>
    columns.map((metric) => (
      <td key={metric.id}>
        {metric.id === 'predictedMemory' ? (
          <Predicted provider={provider} memory={speed.memory} />
        ) : (
          <Cell metric={metric} speed={speed} name={name} />
        )}
      </td>
    ));
  return (
    <table className={layout.table}>
      <thead>
        <tr>
          <th scope="col">Level</th>
          {heads(times)}
          <th scope="col">{language ? 'Decode' : 'One run'} against fp16</th>
          {heads(others)}
        </tr>
      </thead>
      <tbody>
        {lines.map(({ figure, speed }) => (
          <tr key={figure.level.uid}>
            <th scope="row">
              <span className={classes.level}>
                <Mark slot={figure.level.slot} /> {figure.name}
              </span>
            </th>
            {cells(times, speed)}
            <td>{against(figure) ?? NONE}</td>
            {cells(others, speed)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const isTime = ({ format }: SpeedMetric): boolean => format === 'seconds' || format === 'rate';

/** A figure; of several runs the median with the extremes, and how they were made. */
function Cell({ metric, speed, name }: { metric: SpeedMetric; speed: Speed; name: string }) {
  const reading = metric.read(speed);
  if (metric.text) return metric.text(speed, countOrNone) ?? NONE;
  if (reading === null || typeof reading === 'number' || !('median' in reading))
    return formatReading(metric, reading) ?? NONE;
  const write = (value: number) => formatReading(metric, value) ?? '';
  return (
    <Hint
      text={`Measured on ${name}, the level alone in a worker, warm-up left out: ${metric.about?.(speed, formatCount) ?? metric.label}, median of ${plural(reading.runs, 'run')}, with the extremes.`}
      className={classes.spread}
    >
      <span>{write(reading.median)}</span>
      {reading.runs > 1 && <span className={layout.muted}>{formatExtremes(reading, write)}</span>}
    </Hint>
  );
}

/** What was predicted before anything ran, and how far what was measured is from it. */
function Predicted({ provider, memory }: { provider: Provider; memory: MeasuredMemory | null }) {
  if (!memory) return NONE;
  return (
    <Hint
      text={`Of the ${provider === 'webgpu' ? 'GPU, at its peak' : 'heap at its largest'}, before anything ran.${memory.parts ? ` ${memoryInWords(memory.parts, memory.parts.tokens)}` : ''}`}
      className={classes.spread}
    >
      <span>{formatBytes(memory.predicted)}</span>
      <span className={layout.muted}>{memoryOf(memory).against.replace(' than predicted', ' measured')}</span>
    </Hint>
  );
}

function remarksOn({ lines, provider }: SpeedGroup): string[] {
  const widened = lines.filter(({ speed }) => speed.widened).map(({ figure }) => figure.name);
  return [
    ...lines.flatMap(({ figure, speed }) =>
      speed.problem ? [`${figure.name}: ${speed.problem.message} ${speed.problem.action}`] : [],
    ),
    ...(widened.length > 0
      ? [
          `${widened.join(', ')}: run in float32, since the ${PROVIDERS[provider]} adapter has no 16-bit arithmetic; with it they take less memory.`,
        ]
      : []),
  ];
}
