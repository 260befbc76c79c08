/** The one screen. */
import { VisuallyHidden } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import { useEffect } from 'react';
import classes from './app.module.css';
import { CapabilityBadge } from './capabilities/capability-badge.tsx';
import { DropTarget } from './drop/drop-target.tsx';
import { Empty } from './empty/empty.tsx';
import { LevelsSection } from './levels/levels-section.tsx';
import { ModelSection } from './model/model-section.tsx';
import { usePaste } from './paste/paste-button.tsx';
import { InterruptedNotice } from './session/interrupted-notice.tsx';
import { Notices } from './problems/notices.tsx';
import { announcement, title } from './run/announce.ts';
import { CompareBar } from './run/compare-bar.tsx';
import { RunSection } from './run/run-section.tsx';
import { ShelfPlace } from './shelf/shelf-place.tsx';
import { actions, useWorkbench } from './store/use-workbench.ts';

export function App() {
  const hasFiles = useWorkbench((state) => state.files.length > 0);
  const hasModel = useWorkbench((state) => state.opened?.model != null);
  usePaste();
  useEffect(() => { void actions.start(); }, []);

  return (
    <DropTarget>
      <div className={classes.page}>
        <header className={classes.header}>
          <p className={classes.brand}><BitMark /> Nibble</p>
          <CapabilityBadge />
        </header>
        <main className={classes.main}>
          <Notices />
          <InterruptedNotice />
          {hasFiles ? <ModelSection /> : <Empty />}
          {hasModel && <LevelsSection />}
          {hasModel && <CompareBar />}
          <RunPlace />
          <ShelfPlace />
        </main>
        <footer className={classes.footer}>Everything happens in this tab: files are read here, and nothing is sent anywhere.</footer>
      </div>
      <Announcer />
    </DropTarget>
  );
}

/** By itself, as it changes several times a second: what stands above it need not be drawn anew each time. */
function RunPlace() {
  const run = useWorkbench((state) => state.run);
  return run && <RunSection run={run} />;
}

function Announcer() {
  useDocumentTitle(useWorkbench((state) => title(state.run)));
  const text = useWorkbench((state) => announcement(state.run));
  return <VisuallyHidden role="status" aria-live="polite">{text}</VisuallyHidden>;
}

/** Four bits: a nibble. */
function BitMark() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      {[0, 1, 2, 3].map((bit) => (
        <rect key={bit} x={bit * 5 + 0.5} y={bit === 2 ? 3 : 9} width="4" height={bit === 2 ? 14 : 8} rx="1" fill="currentcolor" opacity={bit === 2 ? 1 : 0.55} />
      ))}
    </svg>
  );
}
