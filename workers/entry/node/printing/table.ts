/** A report as a table for a terminal. */
import { levelMetrics, outputMetrics, readLevel } from '../../../contract/metric-readings.ts';
import { textHeading, textOf, type TextStyle } from '../../../contract/metric-text.ts';
import type { InputsUsed, Report } from '../../../contract/report.ts';
import { shown, shownText } from '../../../lib/shown.ts';
import { alignColumns } from './align-columns.ts';
import { memoryLines } from './memory-lines.ts';
import { speedLines } from './speed-table.ts';

const STYLE: TextStyle = {
  none: '',
  identical: 'nothing differs',
  bytes: (bytes) => bytes.toLocaleString('en'),
};

/** The lines that a comparison prints: a table of levels, one of outputs, memory and speed, and what a reader must know. */
export function reportTable({ model, protocol, levels, skipped, inputs, notes }: Report): string {
  const isMeasured = protocol !== null || Boolean(inputs);
  const metrics = levelMetrics(protocol?.unit ?? 'token').flatMap((metric) =>
    metric.terminal ? [{ metric, place: metric.terminal }] : [],
  );
  const lines = alignColumns([
    ['level', ...(isMeasured ? [] : ['file']), ...metrics.map(({ metric, place }) => textHeading(metric, place))],
    ...levels.map((level) => [
      shown(level.level),
      ...(isMeasured ? [] : [shown(level.file)]),
      ...metrics.map(({ metric, place }) => textOf(metric, readLevel(metric, level), place, STYLE)),
    ]),
  ]);
  const head = `${shown(model.name)}: ${model.bytes.toLocaleString('en')} bytes, ${model.parameters.toLocaleString('en')} parameters`;
  const measured = protocol
    ? `Measured by ${protocol.name}'s protocol: ${protocol.tokens.toLocaleString('en')} tokens scored in windows of ${protocol.context}${protocol.stride === undefined ? '' : ` every ${protocol.stride}`} of ${shown(protocol.text)}, ${protocol.provider} with ${protocol.threads} thread${protocol.threads === 1 ? '' : 's'}; drift is against fp16, errors are one standard error.`
    : null;
  const drift = inputs
    ? [...outputLines(levels), '', `${describeInputs(inputs)} Errors are one standard error.${whatIsCounted(levels)}`]
    : [];
  // Where the file given is the fp16 baseline, sizes beside it are those beside fp16.
  const ownFile = levels.some(({ baseline, bytes }) => baseline && bytes !== model.bytes);
  const shares = ownFile
    ? [
        `Of the bytes of the file given: ${levels.map(({ level, bytes }) => `${shown(level)} ${((100 * bytes) / model.bytes).toFixed(1)} %`).join(', ')}.`,
      ]
    : [];
  const about = [
    ...memoryLines(levels, protocol?.provider ?? inputs?.provider ?? 'wasm'),
    ...speedLines(levels),
    ...(skipped ?? []).map(({ level, error }) => `Skipped ${shown(level)}: ${shownText(error.message)}`),
    ...notes.map((note) => shownText(note)),
  ];
  return `${[head, '', ...lines, '', ...shares, ...drift, ...(measured === null ? [] : [measured]), ...about].join('\n').trimEnd()}\n`;
}

/** A line for each output of each level. */
function outputLines(levels: Report['levels']): string[] {
  const metrics = outputMetrics().flatMap((metric) => (metric.terminal ? [{ metric, place: metric.terminal }] : []));
  return alignColumns([
    ['level', 'output', ...metrics.map(({ metric, place }) => textHeading(metric, place))],
    ...levels.flatMap(({ level, outputs }) =>
      (outputs ?? []).map((output) => [
        shown(level),
        `${shown(output.output)} [${output.shape.join(', ')}]`,
        ...metrics.map(({ metric, place }) => textOf(metric, metric.read(output), place, STYLE)),
      ]),
    ),
  ]);
}

function describeInputs({ kind, seed, samples, inputs, provider, threads }: InputsUsed): string {
  // An empty cache says nothing, and a model has many.
  const each = inputs
    .filter(({ shape }) => !shape.includes(0))
    .map(({ name, type, shape, from }) => `${shown(name)} ${type}[${shape.join(', ')}] (${shown(from)})`)
    .join(', ');
  const what = kind === 'random' ? `random inputs, seed ${seed ?? 0}` : 'inputs from files';
  return `Against fp16 on ${samples} sample${samples === 1 ? '' : 's'} of ${what}: ${each}; ${provider} with ${threads} thread${threads === 1 ? '' : 's'}.`;
}

/** Positions of one input are not independent: where there are several, what shares count and what errors are over differ. */
function whatIsCounted(levels: Report['levels']): string {
  const [first] = levels.flatMap(({ outputs }) =>
    (outputs ?? []).flatMap(({ output, counted }) =>
      counted && counted.rows !== counted.inputs ? [{ output, ...counted }] : [],
    ),
  );
  return first
    ? ` Shares of "${first.output}" count ${first.rows.toLocaleString('en')} positions, their errors are over ${first.inputs} input${first.inputs === 1 ? '' : 's'}.`
    : '';
}
