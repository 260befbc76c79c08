/** The picture, the table with the same numbers, and the ledger. */
import { NativeSelect } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { formatCount } from '../format/numbers.ts';
import layout from '../layout.module.css';
import { Ledger } from '../ledger/ledger.tsx';
import { isActive, provenance, type Figure, type Run } from '../store/run.ts';
import { actions, useWorkbench } from '../store/use-workbench.ts';
import { Term } from '../terms/term.tsx';
import { FiguresTable } from './figures-table.tsx';
import classes from './results.module.css';
import { loadCharts } from './load-charts.ts';
import { StatisticsTable } from './statistics-table.tsx';

const Charts = lazy(async () => ({ default: (await loadCharts()).Charts }));

const CONTEXTS = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 131_072];

export function Results({ run, figures }: { run: Run; figures: Figure[] }) {
  const context = useWorkbench((state) => state.context);
  const cacheBytes = run.model.cacheBytesPerToken === null ? null : run.model.cacheBytesPerToken * context;
  // What was broken off before any text was run has sizes only.
  const measuring = run.measuring && (isActive(run) || figures.some(({ perplexity }) => perplexity !== null));
  const how = measuring ? provenance(run) : null;
  return (
    <div className={classes.results}>
      <Suspense fallback={<div className={classes.chartsPlace} />}>
        <Charts
          figures={figures} cacheBytes={cacheBytes} measuring={measuring} provenance={how}
          contextControl={run.model.cacheBytesPerToken === null ? <p className={classes.noCache}>This model keeps no cache.</p> : <ContextControl value={context} />}
        />
      </Suspense>
      <section aria-labelledby="table-heading">
        <div className={layout.sectionHead}>
          <h3 id="table-heading" className={layout.heading}>The same in numbers</h3>
        </div>
        <FiguresTable figures={figures} cacheBytes={cacheBytes} context={context} provenance={how} />
      </section>
      {how && <StatisticsTable figures={figures} provenance={how} />}
      {figures.some(({ ledger }) => ledger.length > 0) && <Ledger figures={figures} />}
    </div>
  );
}

function ContextControl({ value }: { value: number }) {
  return (
    <div className={classes.context}>
      <span id="context-label"><Term id="context">Context</Term></span>
      <NativeSelect
        size="xs" aria-labelledby="context-label" value={String(value)}
        data={CONTEXTS.map((tokens) => ({ value: String(tokens), label: `${formatCount(tokens)} tokens` }))}
        onChange={(event) => { actions.setContext(Number(event.currentTarget.value)); }}
      />
    </div>
  );
}
