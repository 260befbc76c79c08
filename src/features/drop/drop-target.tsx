/** Makes everything inside it a place to drop files and folders. */
import type { ReactNode } from 'react';
import { useDropzone } from 'react-dropzone';
import { useActions } from '../../store/use-workbench.ts';
import classes from './drop.module.css';

export function DropTarget({ children }: { children: ReactNode }) {
  const actions = useActions();
  const { getRootProps, isDragActive } = useDropzone({
    noClick: true,
    noKeyboard: true,
    onDrop: (files) => {
      void actions.addFiles(files);
    },
  });
  return (
    <div {...getRootProps()}>
      {children}
      {isDragActive && (
        <div className={classes.overlay} aria-hidden="true">
          <p>Drop the model, its tokenizer, a text, or a whole folder</p>
        </div>
      )}
    </div>
  );
}
