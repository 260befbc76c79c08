/** The picture, the table with the same numbers, and the ledger. */
import { NativeSelect } from '@mantine/core';
import { lazy, memo, Suspense } from 'react';
import { Banner } from '../runtimes/banner.tsx';
import { formatCount } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { Ledger } from '../ledger/ledger.tsx';
import { isActive, provenance, type Figure, type Run } from '../../store/run.ts';
import { useActions, useWorkbench } from '../../store/use-workbench.ts';
import { Term } from '../../ui/terms/term.tsx';
import { OutputsTable } from '../outputs/outputs-table.tsx';
import { FiguresTable } from './figures-table.tsx';
import { Later } from '../../ui/later.tsx';
import classes from './results.module.css';
import { loadCharts, loadViews } from './load-charts.ts';
import { providerOf } from './memory.ts';

const Charts = lazy(async () => ({ default: (await loadCharts()).Charts }));
const Views = lazy(async () => ({ default: (await loadViews()).Views }));

const CONTEXTS = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 131_072];

interface Props {
  run: Run;
  figures: Figure[];
}

/** Of a run it shows what its figures and its report say, which most events do not change. */
export const Results = memo(
  Everything,
  (before, after) =>
    before.figures === after.figures &&
    before.run.id === after.run.id &&
    before.run.status === after.run.status &&
    before.run.report === after.run.report,
);

function Everything({ run, figures }: Props) {
  const context = useWorkbench((state) => state.context);
  const provider = providerOf(run);
  // What was broken off before any text was run has sizes only.
  const measured = measuredOf(run, figures);
  const how = measured ? provenance(run) : null;
  return (
    <div className={classes.results}>
      <Banner figures={figures} />
      <Later place={<div className={classes.chartsPlace} />}>
        <Suspense fallback={<div className={classes.chartsPlace} />}>
          <Charts
            figures={figures}
            provider={provider}
            context={context}
            measured={measured}
            provenance={how}
            contextControl={
              run.subject === 'inputs' && run.model.cacheBytesPerToken === null ? (
                <p className={classes.noCache}>This model keeps no cache.</p>
              ) : (
                <ContextControl value={context} />
              )
            }
          />
        </Suspense>
      </Later>
      <section aria-labelledby="table-heading">
        <div className={layout.sectionHead}>
          <h3 id="table-heading" className={layout.heading}>
            The same in numbers
          </h3>
        </div>
        <Later place={<div className={classes.tablePlace} />}>
          <FiguresTable
            figures={figures}
            provider={provider}
            dropped={run.model.bytes}
            context={context}
            provenance={how}
            measured={measured}
          />
          {measured === 'inputs' && (
            <div className={classes.outputs}>
              <OutputsTable figures={figures} provenance={how} />
            </div>
          )}
        </Later>
      </section>
      <Later place={<div className={classes.viewsPlace} />}>
        <Suspense fallback={<div className={classes.viewsPlace} />}>
          <Views run={run} figures={figures} measured={measured} provenance={how} />
        </Suspense>
      </Later>
      {figures.some(({ ledger }) => ledger.length > 0) && (
        <Later place={null}>
          <Ledger figures={figures} />
        </Later>
      )}
    </div>
  );
}

/** What the figures are of; what was broken off before anything was run has sizes only. */
function measuredOf(run: Run, figures: Figure[]): 'text' | 'inputs' | null {
  if (figures.some(({ perplexity }) => perplexity !== null) || (run.subject === 'text' && isActive(run))) return 'text';
  return figures.some(({ outputs }) => outputs !== null) || (run.subject === 'inputs' && isActive(run))
    ? 'inputs'
    : null;
}

function ContextControl({ value }: { value: number }) {
  const actions = useActions();
  return (
    <div className={classes.context}>
      <span id="context-label">
        <Term id="context">Context</Term>
      </span>
      <NativeSelect
        size="xs"
        aria-labelledby="context-label"
        value={String(value)}
        data={CONTEXTS.map((tokens) => ({ value: String(tokens), label: `${formatCount(tokens)} tokens` }))}
        onChange={(event) => {
          actions.setContext(Number(event.currentTarget.value));
        }}
      />
    </div>
  );
}
