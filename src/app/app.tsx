/** The one screen. */
import { VisuallyHidden } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import { useEffect } from 'react';
import classes from './app.module.css';
import { CapabilityBadge } from '../features/capabilities/capability-badge.tsx';
import { DropTarget } from '../features/drop/drop-target.tsx';
import { Empty } from '../features/start/start-page.tsx';
import { LevelsSection } from '../features/levels/levels-section.tsx';
import { ModelSection } from '../features/model/model-section.tsx';
import { usePaste } from '../features/paste/paste-button.tsx';
import { InterruptedNotice } from '../store/session/interrupted-notice.tsx';
import { Notices } from '../ui/problems/notices.tsx';
import { announcement, title } from '../features/run/announce.ts';
import { CompareBar } from '../features/run/compare-bar.tsx';
import { RunSection } from '../features/run/run-section.tsx';
import { HistorySection } from '../features/history/history-section.tsx';
import { useActions, useWorkbench, useWorkbenchTransition } from '../store/use-workbench.ts';
import type { WorkbenchState } from '../store/state.ts';

export function App() {
  const actions = useActions();
  const hasFiles = useWorkbench((state) => state.files.length > 0);
  const hasModel = useWorkbench((state) => state.opened?.model != null);
  usePaste();
  useEffect(() => {
    void actions.start();
  }, [actions]);

  return (
    <DropTarget>
      <div className={classes.page}>
        <header className={classes.header}>
          <p className={classes.brand}>
            <BitMark /> Nibble
          </p>
          <CapabilityBadge />
        </header>
        <main className={classes.main}>
          <Notices />
          <InterruptedNotice />
          {hasFiles ? <ModelSection /> : <Empty />}
          {hasModel && <LevelsSection />}
          {hasModel && <CompareBar />}
          <RunPlace />
          <HistorySection />
        </main>
        <footer className={classes.footer}>
          Everything happens in this tab: files are read here, and nothing is sent anywhere.
        </footer>
      </div>
      <Announcer />
    </DropTarget>
  );
}

const runOf = ({ run }: WorkbenchState) => run;

/** A component of its own because it changes several times a second: the rest of the page is not rendered with it. */
function RunPlace() {
  const run = useWorkbenchTransition(runOf);
  return run && <RunSection run={run} />;
}

function Announcer() {
  useDocumentTitle(useWorkbench((state) => title(state.run)));
  const text = useWorkbench((state) => announcement(state.run));
  return (
    <VisuallyHidden role="status" aria-live="polite">
      {text}
    </VisuallyHidden>
  );
}

/** Four bits: a nibble. */
function BitMark() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      {[0, 1, 2, 3].map((bit) => (
        <rect
          key={bit}
          x={bit * 5 + 0.5}
          y={bit === 2 ? 3 : 9}
          width="4"
          height={bit === 2 ? 14 : 8}
          rx="1"
          fill="currentcolor"
          opacity={bit === 2 ? 1 : 0.55}
        />
      ))}
    </svg>
  );
}
