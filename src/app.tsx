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
import { Notices } from './problems/notices.tsx';
import { announcement, title } from './run/announce.ts';
import { CompareBar } from './run/compare-bar.tsx';
import { RunSection } from './run/run-section.tsx';
import { ShelfPlace } from './shelf/shelf-place.tsx';
import { actions, useWorkbench } from './store/use-workbench.ts';

export function App() {
  const run = useWorkbench((state) => state.run);
  const hasFiles = useWorkbench((state) => state.files.length > 0);
  const hasModel = useWorkbench((state) => state.opened?.model != null);
  useDocumentTitle(title(run));
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
          {hasFiles ? <ModelSection /> : <Empty />}
          {hasModel && <LevelsSection />}
          {hasModel && <CompareBar />}
          {run && <RunSection run={run} />}
          <ShelfPlace />
        </main>
        <footer className={classes.footer}>Everything happens in this tab: files are read here, and nothing is sent anywhere.</footer>
      </div>
      <VisuallyHidden role="status" aria-live="polite">{announcement(run)}</VisuallyHidden>
    </DropTarget>
  );
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
