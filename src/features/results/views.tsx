/** What lies below the picture, in tabs. Loaded only when there is something to show. */
import { Tabs } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import { Runtimes } from '../runtimes/runtimes.tsx';
import layout from '../../ui/layout.module.css';
import { Boundary } from '../../ui/problems/boundary.tsx';
import type { Provenance } from '../protocols/protocols.ts';
import { SideBySide } from '../side-by-side/side-by-side.tsx';
import { SpeedView } from '../speed/speed-view.tsx';
import { isActive, type Figure, type Run } from '../../store/run.ts';
import { Words } from '../words/words.tsx';
import { StatisticsTable } from './statistics-table.tsx';
import classes from './views.module.css';

interface Props {
  run: Run;
  figures: Figure[];
  measured: 'text' | 'inputs' | null;
  provenance: Provenance | null;
}

type ViewId = 'statistics' | 'words' | 'beside' | 'speed' | 'runtimes';

export function Views({ run, figures, measured, provenance }: Props) {
  const [chosen, setChosen] = useState<ViewId | null>(null);
  const views: { id: ViewId; name: string; content: () => ReactNode }[] = [
    ...(measured === 'text'
      ? [
          {
            id: 'statistics' as const,
            name: 'Statistics',
            content: () => provenance && <StatisticsTable figures={figures} provenance={provenance} />,
          },
          {
            id: 'words' as const,
            name: 'Words',
            content: () =>
              run.report?.words ? (
                <Words figures={figures} words={run.report.words} provenance={provenance} />
              ) : (
                <Absent run={run} asked={run.extras.words} what="Where the drift is, in words" reasons={/words/i} />
              ),
          },
        ]
      : []),
    ...(run.tokenizer.length > 0
      ? [
          {
            id: 'beside' as const,
            name: 'Side by side',
            content: () => <SideBySide key={run.id} run={run} figures={figures} />,
          },
        ]
      : []),
    {
      id: 'speed',
      name: 'Speed and memory',
      content: () =>
        figures.some(({ speed }) => speed.length > 0) ? (
          <SpeedView figures={figures} />
        ) : (
          <Absent run={run} asked={run.extras.speed} what="Speed and memory" reasons={/speed/i} />
        ),
    },
    {
      id: 'runtimes',
      name: 'Runtimes',
      content: () =>
        run.report &&
        (run.report.noiseFloor ?? run.report.overflow ?? figures.some(({ runtimeDrift }) => runtimeDrift !== null)) ? (
          <Runtimes figures={figures} report={run.report} provenance={provenance} />
        ) : (
          <Absent
            run={run}
            asked={run.extras.runtimeDrift || run.extras.noiseFloor}
            what="Runtime drift and noise floor"
            reasons={/runtime drift|noise floor/i}
          />
        ),
    },
  ];
  const shown = views.find(({ id }) => id === chosen) ?? views[0];
  if (!shown) return null;
  return (
    <section aria-labelledby="views-heading">
      <h3 id="views-heading" className={layout.heading}>
        A closer look
      </h3>
      <Tabs
        value={shown.id}
        keepMounted={false}
        className={classes.tabs}
        classNames={{ list: classes.list ?? '', tab: classes.tab ?? '' }}
        onChange={(id) => {
          setChosen(views.find((view) => view.id === id)?.id ?? null);
        }}
      >
        <Tabs.List aria-labelledby="views-heading">
          {views.map(({ id, name }) => (
            <Tabs.Tab key={id} value={id}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {views.map(({ id, name, content }) => (
          <Tabs.Panel key={id} value={id} className={classes.panel}>
            {id === shown.id && (
              <Boundary key={`${run.id}/${id}`} what={name}>
                <Content of={content} />
              </Boundary>
            )}
          </Tabs.Panel>
        ))}
      </Tabs>
    </section>
  );
}

/** Called while it is drawn, within the boundary. */
const Content = ({ of }: { of: () => ReactNode }) => of();

/** The report's note on what is missing; nothing where there is none. */
function reasonFor({ report }: Run, reasons: RegExp): string {
  const note = report?.notes.find((sentence) => reasons.test(sentence));
  return note === undefined ? '' : ` ${note}`;
}

/** Says why a view is empty. `reasons` finds the report's note on it. */
function Absent({ run, asked, what, reasons }: { run: Run; asked: boolean; what: string; reasons: RegExp }) {
  const text =
    isActive(run) && asked
      ? `${what}: measured when the figures above are through.`
      : asked
        ? `${what}: not measured${run.report?.protocol?.stoppedEarly ? ' (stopped)' : ''}.${reasonFor(run, reasons)}`
        : `${what}: not asked for in this comparison. Switch it on under “What to measure” and compare again.`;
  return <p className={layout.muted}>{text}</p>;
}
