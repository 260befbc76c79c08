/** After a reload that broke off a comparison: an offer to go on, and what has to be chosen again for it. */
import { Button } from '@mantine/core';
import drop from '../../features/drop/drop.module.css';
import { formatBytes } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { useActions, useWorkbench } from '../use-workbench.ts';
import classes from './session.module.css';

export function InterruptedNotice() {
  const actions = useActions();
  const interrupted = useWorkbench((state) => state.interrupted);
  const opening = useWorkbench((state) => state.openingSince !== null || state.download !== null);
  if (!interrupted) return null;
  const { model, missing, locked } = interrupted;
  return (
    <section className={`${layout.panel} ${classes.notice}`} aria-label="Interrupted comparison">
      <div className={classes.text}>
        <h2>
          The comparison of <span className={layout.mono}>{model}</span> was interrupted
        </h2>
        <p>Levels and settings are as they were. Files that are finished are not made again.</p>
        {missing.length > 0 && (
          <ul>
            {missing.map(({ path, bytes }) => (
              <li key={path}>
                <span>
                  Choose <span className={layout.mono}>{path}</span> again, {formatBytes(bytes)}: the browser keeps no
                  copy of it.
                </span>
                <label className={drop.pick}>
                  Choose file
                  <input
                    type="file"
                    className={drop.input}
                    aria-label={`Choose ${path} again`}
                    onChange={(event) => {
                      const files = [...(event.currentTarget.files ?? [])];
                      event.currentTarget.value = '';
                      void actions.addFiles(files);
                    }}
                  />
                </label>
              </li>
            ))}
          </ul>
        )}
        {locked > 0 && (
          <p>The browser asks whether this page may read {locked === 1 ? 'the file' : `the ${locked} files`} again.</p>
        )}
      </div>
      <div className={classes.buttons}>
        <Button
          size="sm"
          disabled={opening || missing.length > 0}
          onClick={() => {
            void actions.continueInterrupted();
          }}
        >
          Continue comparing
        </Button>
        <Button
          size="sm"
          variant="default"
          onClick={() => {
            actions.dismissInterrupted();
          }}
        >
          Dismiss
        </Button>
      </div>
    </section>
  );
}
