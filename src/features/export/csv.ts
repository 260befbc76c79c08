/** A report as comma-separated values (RFC 4180): a line for each level, a column for each metric. Pure. */
import { PROVIDER_IDS } from '../../../workers/contract/capabilities.ts';
import {
  levelMetrics,
  outputMetrics,
  readLevel,
  readWorst,
  speedMetrics,
  valueOf,
} from '../../../workers/contract/metric-readings.ts';
import type { Reading } from '../../../workers/contract/metrics.ts';
import type { LevelReport, Report } from '../../../workers/contract/report.ts';

interface Column {
  head: string;
  cell(level: LevelReport): string | number | null;
}

/** Figures are written in full, with their errors in columns of their own; columns that no level fills are left out. */
export function reportCsv({ levels, protocol }: Report): string {
  const columns = [
    { head: 'level', cell: ({ level }: LevelReport) => level },
    { head: 'file', cell: ({ file }: LevelReport) => file },
    ...levelMetrics(protocol?.unit ?? 'token').flatMap((metric) =>
      columnsOf(metric.id, (level) => readLevel(metric, level)),
    ),
    ...outputMetrics().flatMap((metric) => columnsOf(metric.id, ({ outputs }) => readWorst(metric, outputs ?? []))),
    ...PROVIDER_IDS.flatMap((provider) =>
      speedMetrics().flatMap((metric) =>
        columnsOf(`${metric.id}_${provider}`, ({ speed }) => {
          const measured = speed?.find((line) => line.provider === provider);
          return measured ? metric.read(measured) : null;
        }),
      ),
    ),
  ].filter(({ cell }) => levels.some((level) => cell(level) !== null));
  const lines = [columns.map(({ head }) => head), ...levels.map((level) => columns.map(({ cell }) => cell(level)))];
  return lines.map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('');
}

function columnsOf(id: string, read: (level: LevelReport) => Reading): Column[] {
  return [
    { head: id, cell: (level) => valueOf(read(level)) },
    {
      head: `${id}_error`,
      cell: (level) => {
        const reading = read(level);
        return typeof reading === 'object' && reading && 'error' in reading ? reading.error : null;
      },
    },
  ];
}

function quoted(cell: string | number | null): string {
  const text = String(cell ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
