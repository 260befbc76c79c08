/** The two file inputs. They are the real controls, dressed as buttons by their labels. */
import { IconFiles, IconFolder } from '@tabler/icons-react';
import { useEffect, useRef, type ChangeEvent } from 'react';
import { useActions } from '../../store/use-workbench.ts';
import classes from './drop.module.css';

export function FilePicker({ prominent = false }: { prominent?: boolean }) {
  const actions = useActions();
  const folder = useRef<HTMLInputElement>(null);
  const add = (event: ChangeEvent<HTMLInputElement>) => {
    const files = [...(event.currentTarget.files ?? [])];
    // The same file chosen again must count as a change.
    event.currentTarget.value = '';
    void actions.addFiles(files);
  };
  useEffect(() => {
    folder.current?.setAttribute('webkitdirectory', '');
  }, []);
  return (
    <>
      <label className={classes.pick} data-prominent={prominent || undefined}>
        <IconFiles size={16} stroke={1.75} aria-hidden="true" />
        Choose files
        <input type="file" multiple className={classes.input} onChange={add} />
      </label>
      <label className={classes.pick}>
        <IconFolder size={16} stroke={1.75} aria-hidden="true" />
        Choose a folder
        <input ref={folder} type="file" multiple className={classes.input} onChange={add} />
      </label>
    </>
  );
}
