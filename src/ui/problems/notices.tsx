/** Everything that went wrong and has no better place: what, what to do, and details to copy. */
import { CloseButton } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { FolderRemedy } from '../../features/folder/folder-choice.tsx';
import { useActions, useWorkbench } from '../../store/use-workbench.ts';
import { ErrorText } from './error-text.tsx';
import classes from './problems.module.css';

export function Notices() {
  const actions = useActions();
  const notices = useWorkbench((state) => state.notices);
  if (notices.length === 0) return null;
  return (
    <div className={classes.list}>
      {notices.map(({ id, error }) => (
        <div key={id} className={classes.notice} role="alert">
          <IconAlertTriangle className={classes.icon} size={18} stroke={1.75} aria-hidden="true" />
          <div className={classes.text}>
            <ErrorText error={error} />
            <FolderRemedy error={error} />
          </div>
          <CloseButton
            aria-label="Dismiss"
            size="sm"
            onClick={() => {
              actions.dismiss(id);
            }}
          />
        </div>
      ))}
    </div>
  );
}
