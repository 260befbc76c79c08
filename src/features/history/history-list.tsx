/** Finished comparisons that are still on this device: to be opened again, or deleted. */
import { Button } from '@mantine/core';
import { useId, useRef, useState } from 'react';
import type { StoredReport } from '../../../workers/contract/storage.ts';
import { formatWhen, plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { spellingInWords } from '../../../workers/contract/levels/words.ts';
import { storageSentence, storedLine } from '../../store/stored-run.ts';
import { useActions, useIsRunActive, useWorkbench } from '../../store/use-workbench.ts';
import classes from './history.module.css';

export function HistoryList() {
  const stored = useWorkbench((state) => state.stored);
  const storage = useWorkbench((state) => state.storage);
  const fold = useRef<HTMLElement>(null);
  // What had the focus goes with its line.
  const stay = () => {
    fold.current?.focus();
  };
  return (
    <details className={layout.fold}>
      <summary ref={fold}>Earlier results: {stored.length === 0 ? 'none finished' : stored.length}</summary>
      <div className={classes.content}>
        {stored.length > 0 && (
          <ul className={`${layout.panel} ${classes.list}`}>
            {stored.map((entry) => (
              <Entry key={entry.key} entry={entry} onDelete={stay} />
            ))}
          </ul>
        )}
        {storage && (
          <div className={classes.storage}>
            <p>{storageSentence(storage)}</p>
            <DeleteAll onDelete={stay} />
          </div>
        )}
      </div>
    </details>
  );
}

/** Focuses an element as soon as it is there: results are rendered as a transition, some frames after the state changed. */
function focusWhenShown(id: string, frames = 300): void {
  requestAnimationFrame(() => {
    const element = document.getElementById(id);
    if (element) element.focus();
    else if (frames > 0) focusWhenShown(id, frames - 1);
  });
}

function useBlocked(): boolean {
  const busy = useWorkbench((state) => state.storageBusy);
  return useIsRunActive() || busy;
}

function Entry({ entry, onDelete }: { entry: StoredReport; onDelete: () => void }) {
  const actions = useActions();
  const blocked = useBlocked();
  const id = useId();
  /** Brings the result into view, above the list it was chosen from. */
  const open = async () => {
    await actions.openStored(entry.key);
    focusWhenShown('run-heading');
  };
  return (
    <li className={classes.entry}>
      <div className={classes.what}>
        <p id={id} className={classes.name}>
          {entry.model.name}: {entry.levels.map(spellingInWords).join('; ')}
        </p>
        <p className={classes.aside}>
          {formatWhen(entry.createdAt)} · {storedLine(entry)}
        </p>
      </div>
      <div className={classes.buttons}>
        <Button
          size="compact-sm"
          variant="default"
          aria-describedby={id}
          disabled={blocked}
          onClick={() => {
            void open();
          }}
        >
          Open
        </Button>
        <Button
          size="compact-sm"
          variant="subtle"
          aria-describedby={id}
          disabled={blocked}
          onClick={() => {
            onDelete();
            void actions.removeStored(entry.key);
          }}
        >
          Delete
        </Button>
      </div>
    </li>
  );
}

/** Asks in its own place before it does it. */
function DeleteAll({ onDelete }: { onDelete: () => void }) {
  const actions = useActions();
  const [asking, setAsking] = useState(false);
  const blocked = useBlocked();
  const results = useWorkbench((state) => state.storage?.results.length ?? 0);
  if (!asking)
    return (
      <Button
        size="compact-sm"
        variant="subtle"
        disabled={blocked}
        onClick={() => {
          setAsking(true);
        }}
      >
        Delete all
      </Button>
    );
  return (
    <div
      className={classes.asking}
      role="group"
      aria-label="Delete all"
      onKeyDown={({ key }) => {
        if (key === 'Escape') setAsking(false);
      }}
    >
      <span>Delete every result and {plural(results, 'stored file')}? This cannot be undone.</span>
      <Button
        size="compact-sm"
        color="red"
        variant="light"
        disabled={blocked}
        onClick={() => {
          setAsking(false);
          onDelete();
          void actions.removeAllStored();
        }}
      >
        Yes, delete all
      </Button>
      <Button
        size="compact-sm"
        variant="default"
        autoFocus
        onClick={() => {
          setAsking(false);
        }}
      >
        Keep them
      </Button>
    </div>
  );
}
