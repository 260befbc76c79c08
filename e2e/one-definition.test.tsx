/**
 * A level, a setting and a metric that are made up here, each as one entry of its table, appear wherever levels, settings
 * and metrics do: nothing else has to be told of them.
 */
import { MantineProvider } from '@mantine/core';
import { renderToString } from 'react-dom/server';
import type { ReactNode } from 'react';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Charts } from '../src/features/charts/charts.tsx';
import { reportCsv } from '../src/features/export/csv.ts';
import { AddLevels } from '../src/features/levels/add-levels.tsx';
import { SettingsPanel } from '../src/features/levels/settings-panel.tsx';
import { FiguresTable } from '../src/features/results/figures-table.tsx';
import { statisticsOf } from '../src/features/results/statistics.ts';
import { figuresIn } from '../src/features/results/test-figures.ts';
import { languageReport } from '../src/features/results/test-reports.ts';
import { choicesOf } from '../src/store/targets.ts';
import { MEANINGS, type TermId } from '../src/ui/terms/meanings.ts';
import { levelSuffix } from '../workers/contract/levels/file-name.ts';
import { hubNames, namedLevel } from '../workers/contract/levels/hub-names.ts';
import { formatLevel, parseLevel, type Level } from '../workers/contract/levels/level.ts';
import type { Scheme } from '../workers/contract/levels/definition.ts';
import { LEVEL_IDS, SCHEMES } from '../workers/contract/levels/registry.ts';
import { reportedSettings } from '../workers/contract/levels/reported.ts';
import { describeSettings, levelName } from '../workers/contract/levels/words.ts';
import type { LevelMetric } from '../workers/contract/metrics.ts';
import { reportSchema, type Report } from '../workers/contract/report.ts';
import type { ChoiceSetting } from '../workers/contract/settings.ts';
import { USAGE } from '../workers/entry/node/arguments.ts';
import { reportTable } from '../workers/entry/node/printing/table.ts';
import { modelCard } from '../workers/pipeline/hub-folder.ts';
import { describeOrigin } from '../workers/plan/metadata.ts';

vi.mock(import('../workers/contract/levels/registry.ts'), async (importOriginal) => {
  const original = await importOriginal();
  const { defineLevel } = await import('../workers/contract/levels/definition.ts');
  const ternary = defineLevel({
    id: 'ternary',
    help: 'Each weight becomes one of three numbers.',
    slot: 5,
    bits: 1,
    element: 'ternary',
    byDefault: true,
    settings: { flavour: {}, block: {}, head: {} } as Scheme['settings'],
    dtype: 'q1',
    resolve: ({ block }) => ({ form: 'blocks', weights: { bits: 4, block, symmetric: true }, linear: null }),
  });
  const known = { ...original.SCHEMES, ternary } as unknown as typeof original.SCHEMES;
  return { ...original, SCHEMES: known, LEVEL_IDS: Object.keys(known) as typeof original.LEVEL_IDS };
});

vi.mock(import('../workers/contract/settings.ts'), async (importOriginal) => {
  const original = await importOriginal();
  const flavour: ChoiceSetting<string> = {
    kind: 'choice',
    label: 'Flavour',
    help: 'What the weights taste of.',
    control: 'select',
    default: 'plain',
    choices: [
      { value: 'plain', words: 'plain', sentence: '', suffix: '' },
      { value: 'mint', words: 'minty', label: 'with mint', sentence: 'tasting of mint', suffix: '_mint' },
    ],
    reported: (_, value) => (value === 'plain' ? undefined : value),
  };
  return { ...original, SETTINGS: { ...original.SETTINGS, flavour } };
});

vi.mock(import('../workers/contract/metrics.ts'), async (importOriginal) => {
  const original = await importOriginal();
  const boredom: LevelMetric = {
    of: 'text',
    label: 'Boredom',
    unit: 'yawns',
    meaning: 'How often the reader yawns.',
    better: 'lower',
    format: 'estimate',
    terminal: { decimals: 1 },
    card: { decimals: 2 },
    page: {},
    statistic: { group: 'Perplexity', label: 'Boredom' },
    chart: { title: 'Boredom', name: 'Boredom in yawns', about: 'Lower is better.', axis: 'zero' },
  };
  return { ...original, METRICS: { ...original.METRICS, boredom } };
});

/** The made-up level with the made-up setting. */
let level: Level;
/** A report with that level, and the made-up metric. */
let report: Report;

const html = (node: ReactNode) => renderToString(<MantineProvider>{node}</MantineProvider>).replaceAll('<!-- -->', '');

beforeAll(() => {
  const parsed = parseLevel('ternary:flavour=mint');
  if (!parsed.ok) throw new Error(parsed.error.message);
  level = parsed.value;
  const [baseline, int8] = languageReport.levels;
  if (!baseline || !int8) throw new Error('no levels');
  report = {
    ...languageReport,
    levels: [
      baseline,
      {
        ...int8,
        id: level.id,
        level: formatLevel(level),
        settings: reportedSettings(level),
        suffix: levelSuffix(level),
        figures: { boredom: { value: 12.34, error: 0.06 } },
      },
    ],
  };
});

describe('a made-up level', () => {
  it('is in the usage of the command line, compared by default, and in its table', () => {
    expect(USAGE).toMatch(/default: .*\bternary\b/);
    expect(USAGE).toMatch(/^ +ternary +.*block, head/m);
    expect(reportTable(report)).toMatch(/^ternary:flavour=mint /m);
  });
  it('is offered on the page, with a meaning', () => {
    expect(html(<AddLevels disabled={false} refusalOf={() => null} onAdd={() => undefined} />)).toContain(
      'Add ternary',
    );
    expect(MEANINGS['ternary' as TermId]).toBe(SCHEMES[level.id].help);
  });
  it('is in the table of results, the CSV and the card', () => {
    expect(table()).toContain('ternary minty');
    expect(reportCsv(report)).toMatch(/^ternary:flavour=mint,/m);
    expect(card()).toContain('ternary:flavour=mint');
  });
  it('has a file name of its own, and one that transformers.js looks for on the Hub', () => {
    expect(levelSuffix({ id: level.id, settings: {} })).toBe('_q1');
    expect(hubNames('tiny.onnx', [namedLevel('ternary', undefined), namedLevel('int4', undefined)])).toEqual([
      'model_q1.onnx',
      'model_q4.onnx',
    ]);
  });
  it('is read back from a report', () => {
    expect(LEVEL_IDS).toContain('ternary');
    expect(reportSchema.parse(JSON.parse(JSON.stringify(report))).levels[1]).toEqual(report.levels[1]);
  });
});

describe('a made-up setting', () => {
  it('is in the usage of the command line, and is read and written', () => {
    expect(USAGE).toMatch(/^ +flavour=plain\|mint$/m);
    expect(formatLevel(level)).toBe('ternary:flavour=mint');
    expect(formatLevel({ ...level, settings: { flavour: 'plain' } as Level['settings'] })).toBe('ternary');
    expect(parseLevel('ternary:flavour=lime').ok).toBe(false);
    expect(parseLevel('int4:flavour=mint').ok).toBe(false);
  });
  it('has a control on the page, with a meaning', () => {
    const panel = html(
      <SettingsPanel
        level={level}
        disabled={false}
        isRefused={() => false}
        describedBy="x"
        onChange={() => undefined}
      />,
    );
    expect(panel).toContain('Flavour');
    expect(panel).toMatch(/<option[^>]* selected=""[^>]*>with mint<\/option>/);
    expect(MEANINGS['flavour' as TermId]).toBe('What the weights taste of.');
    expect(choicesOf(level).map(({ words }) => words)).toContain('plain');
  });
  it('is in names, descriptions, file names and metadata', () => {
    expect(levelName(level)).toBe('ternary minty');
    expect(describeSettings(level)).toContain('tasting of mint');
    expect(levelSuffix(level)).toBe('_q1_mint');
    expect(describeOrigin(level, 'f').map(({ value }) => value)).toContain(JSON.stringify(report.levels[1]?.settings));
    expect(report.levels[1]?.settings).toMatchObject({ flavour: 'mint' });
  });
  it('is checked and read back from a report', () => {
    const parsed = reportSchema.parse(JSON.parse(JSON.stringify(report)));
    expect(parsed.levels[1]?.settings).toEqual(report.levels[1]?.settings);
    const wrong = { ...report, levels: [{ ...report.levels[1], settings: { flavour: 'lime' } }] };
    expect(reportSchema.safeParse(wrong).success).toBe(false);
  });
});

describe('a made-up metric', () => {
  it('is in the table of the command line', () => {
    const [head = '', ...rows] = reportTable(report)
      .split('\n')
      .filter((line) => /^(level|ternary)/.test(line));
    expect(head).toMatch(/ boredom/);
    expect(rows[0]).toMatch(/ 12\.3 ± 0\.1/);
  });
  it('is in the tables, charts and glossary of the page', () => {
    expect(table()).toMatch(/Boredom.*yawns/);
    expect(table()).toContain('12.34');
    const cells = statisticsOf(figuresIn(report)).flatMap(({ rows }) =>
      rows.filter(({ label }) => label === 'Boredom'),
    );
    expect(cells[0]?.cells[1]).toContain('12.34');
    const charts = html(
      <Charts
        figures={figuresIn(report)}
        provider="wasm"
        context={512}
        measured="text"
        provenance={null}
        contextControl={null}
      />,
    );
    expect(charts).toMatch(/aria-label="Boredom in yawns: [^"]*12\.34/);
    expect(MEANINGS['boredom' as TermId]).toBe('How often the reader yawns.');
  });
  it('is in the CSV and the card', () => {
    const [head = '', , row = ''] = reportCsv(report).split('\r\n');
    expect(row.split(',')[head.split(',').indexOf('boredom')]).toBe('12.34');
    expect(row.split(',')[head.split(',').indexOf('boredom_error')]).toBe('0.06');
    expect(card()).toMatch(/^\| level .*\| boredom \|/m);
    expect(card()).toContain('12.34 ± 0.06');
  });
  it('is checked and read back from a report', () => {
    const parsed = reportSchema.parse(JSON.parse(JSON.stringify(report)));
    expect(parsed.levels[1]?.figures).toEqual({ boredom: { value: 12.34, error: 0.06 } });
    const wrong = { ...report, levels: [{ ...report.levels[1], figures: { boredom: 'much' } }] };
    expect(reportSchema.safeParse(wrong).success).toBe(false);
  });
});

const table = () =>
  html(
    <FiguresTable
      figures={figuresIn(report)}
      provider="wasm"
      dropped={undefined}
      context={512}
      provenance={null}
      measured="text"
    />,
  );

const card = () => modelCard(report, new Map(report.levels.map(({ level: spelling, file }) => [spelling, file])));
