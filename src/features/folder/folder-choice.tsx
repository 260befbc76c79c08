/** Where the files of the next comparison go: this browser, or a folder of the person's own. */
import { Button } from '@mantine/core';
import type { EngineError } from '../../../workers/contract/errors.ts';
import { useActions, useWorkbench } from '../../store/use-workbench.ts';
import classes from './folder.module.css';

export function FolderChoice({ disabled }: { disabled: boolean }) {
  const actions = useActions();
  const offered = useWorkbench((state) => state.foldersOffered);
  const folder = useWorkbench((state) => state.folder?.name ?? null);
  if (!offered) return null;
  const choose = () => {
    void actions.chooseFolder();
  };
  return (
    <div className={classes.choice} role="group" aria-label="Where files go">
      {folder === null ? (
        <>
          <p>Files are kept in this browser.</p>
          <span className={classes.buttons}>
            <Button variant="subtle" size="compact-xs" disabled={disabled} onClick={choose}>
              Write them to a folder…
            </Button>
          </span>
        </>
      ) : (
        <>
          <p>
            Files are written to the folder <strong>{folder}</strong>, and not kept in this browser.
          </p>
          <span className={classes.buttons}>
            <Button variant="subtle" size="compact-xs" disabled={disabled} onClick={choose}>
              Another folder…
            </Button>
            <Button
              variant="subtle"
              size="compact-xs"
              disabled={disabled}
              onClick={() => {
                actions.leaveFolder();
              }}
            >
              Keep them in this browser
            </Button>
          </span>
        </>
      )}
    </div>
  );
}

/** What may help where there was no room for files, or no writing them. */
export function FolderRemedy({ error: { code } }: { error: EngineError }) {
  const actions = useActions();
  const offered = useWorkbench((state) => state.foldersOffered && state.opened?.model != null);
  const another = useWorkbench((state) => state.folder !== null);
  if (!offered || (code !== 'storage-full' && !(code === 'write-failed' && another))) return null;
  return (
    <Button
      variant="default"
      size="compact-sm"
      className={classes.remedy}
      onClick={() => {
        void actions.compareIntoFolder();
      }}
    >
      {another ? 'Compare into another folder…' : 'Compare into a folder…'}
    </Button>
  );
}
